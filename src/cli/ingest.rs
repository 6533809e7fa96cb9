//! `gimlet ingest`: decodes the source.

use clap::Args;

use super::arguments::{DeviceArgs, PipelineArgs, WaitArgs};
use super::interrupt::RuntimeArgs;
use super::printer::Printer;
use super::session;
use crate::stage::Step;

#[derive(Args)]
pub struct IngestArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    runtime: RuntimeArgs,
}

pub fn run(args: IngestArgs, printer: &Printer) -> anyhow::Result<()> {
    args.runtime.begin();
    Ok(args.pipeline.waiting(&args.wait).with_run(&DeviceArgs::default(), printer, |run| {
        session::step(run, Step::Ingest, printer)
    })?)
}
