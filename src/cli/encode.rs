//! `gimlet encode`: write a trained module's activations.

use clap::Args;

use super::printer::Printer;
use super::{DeviceArgs, PipelineArgs, RoundArgs, WaitArgs, session};
use crate::stage::Step;
use crate::stage::run_dir::UNTRAINED;

#[derive(Args)]
pub struct EncodeArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    round: RoundArgs,
    /// The module's name, or `untrained` for the whole stack as it was drawn
    module: String,
}

pub fn run(args: EncodeArgs, printer: &Printer) -> anyhow::Result<()> {
    Ok(args.pipeline.waiting(&args.wait).with_run(&args.device, printer, |run| {
        let step = match args.module.as_str() {
            UNTRAINED => Step::Untrained,
            name => {
                let module = session::module(run.pipeline, name)?;
                let next = || run.plan.next_encoding(module, &run.dir);
                Step::Encode(args.round.at(module, run, next)?)
            }
        };
        session::step(run, step, printer)
    })?)
}
