//! `gimlet import`: takes the modules' weights from files.

use std::path::PathBuf;

use clap::Args;

use super::arguments::{DeviceArgs, PipelineArgs};
use super::printer::Printer;
use crate::stage::{self, Outcome, Step};

#[derive(Args)]
pub struct ImportArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,

    /// A file of the whole stack, or one for each module in order: safetensors, or PyTorch's `.ckpt`
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub fn run(args: ImportArgs, printer: &Printer) -> anyhow::Result<()> {
    Ok(args.pipeline.with_weights(&DeviceArgs::default(), printer, |run| {
        for (index, outcome) in stage::import(run, &args.files)?.into_iter().enumerate() {
            let said = match outcome {
                Outcome::Done => "imported",
                Outcome::Unchanged => "has these weights already",
            };
            printer.note(&format!(
                "{:22} {said}",
                run.standing.plan.title(Step::Train(run.standing.plan.last(index)))
            ));
        }
        Ok(())
    })?)
}
