//! `gimlet worker`: trains one module of an `async` schedule in this process.

use clap::Args;

use super::arguments::{DeviceArgs, PipelineArgs, WaitArgs};
use super::interrupt::RuntimeArgs;
use super::printer::Printer;
use super::session;
use crate::stage::{At, Step};
use crate::{Error, Kind};

#[derive(Args)]
pub struct WorkerArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,
    #[command(flatten)]
    runtime: RuntimeArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    wait: WaitArgs,
    /// The module's name
    #[arg(long)]
    module: String,
}

pub fn run(args: WorkerArgs, printer: &Printer) -> anyhow::Result<()> {
    args.runtime.begin();
    Ok(args.pipeline.waiting(&args.wait).with_run(&args.device, printer, |run| {
        let module = session::module(run.pipeline, &args.module)?;
        if run.pipeline.schedule.publishing().is_none() {
            let message = format!(
                "a worker is for a schedule of kind `async`; `{}` is `{}`",
                run.pipeline.name,
                run.pipeline.schedule.name()
            );
            let hint = "add `--set schedule.kind=async`, or run `gimlet train`";
            return Err(Error::new(Kind::Usage, message).hint(hint));
        }
        session::step(run, Step::Train(At { module, round: 0 }), printer)
    })?)
}
