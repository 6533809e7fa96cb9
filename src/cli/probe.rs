//! `gimlet probe`: judges the modules that are encoded.

use clap::Args;

use super::arguments::{DeviceArgs, JsonArgs, PipelineArgs, WaitArgs};
use super::interrupt::RuntimeArgs;
use super::printer::Printer;
use super::{session, table};
use crate::stage::{Step, findings};
use crate::{Error, Kind};

#[derive(Args)]
pub struct ProbeArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,
    #[command(flatten)]
    runtime: RuntimeArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    output: JsonArgs,
}

pub fn run(args: ProbeArgs, printer: &Printer) -> anyhow::Result<()> {
    args.runtime.begin();
    let (rows, missing) =
        args.pipeline.waiting(&args.wait).with_run(&args.device, printer, |run| {
            let mut missing = None;
            for index in 0..run.pipeline.modules.len() {
                let encode = Step::Encode(run.standing.plan.last(index));
                if !run.standing.is_done(encode)? {
                    missing = Some(run.standing.plan.full_title(encode));
                    break;
                }
                session::step(run, Step::Untrained, printer)?;
                session::step(run, Step::Probe(index), printer)?;
            }
            let stages = run.standing.status()?;
            Ok((findings::collect(&run.standing, &stages)?, missing))
        })?;
    if args.output.json {
        printer.json(&findings::probes(&rows))?;
    } else if !rows.is_empty() {
        printer.result(&table::report(&rows))?;
    }
    match missing {
        None => Ok(()),
        Some(step) => {
            let message = format!("`probe` needs what `{step}` writes, which is not there");
            let hint = "run `gimlet run` for all steps, or that one alone";
            Err(Error::new(Kind::NotReady, message).hint(hint).into())
        }
    }
}
