//! `gimlet train`: train one module.

use clap::Args;

use super::printer::Printer;
use super::{PipelineArgs, session};
use crate::stage::Step;

#[derive(Args)]
pub struct TrainArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,
    /// The module's name
    module: String,
}

pub fn run(args: TrainArgs, printer: &Printer) -> anyhow::Result<()> {
    Ok(args.pipeline.with_run(printer, |run| {
        let module = session::module(run.pipeline, &args.module)?;
        session::step(run, Step::Train(module), printer)
    })?)
}
