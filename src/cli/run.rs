//! `gimlet run`: does every step, in order, and prints the table.

use clap::Args;
use serde_json::json;

use super::arguments::{DeviceArgs, GlobalArgs, JsonArgs, PipelineArgs};
use super::interrupt::RuntimeArgs;
use super::printer::Printer;
use super::render::Renderer;
use super::{interrupt, session, table};
use crate::stage::{Run, Session, findings};

#[derive(Args)]
pub struct RunArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,
    #[command(flatten)]
    runtime: RuntimeArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    output: JsonArgs,

    /// Wait for another process that works on a stage, where the run would fail otherwise
    #[arg(long)]
    wait: bool,
}

pub fn run(args: RunArgs, globals: &GlobalArgs, printer: &Printer) -> anyhow::Result<()> {
    args.runtime.begin();
    let pipeline = args.pipeline.load()?;
    let device = args.device.device.open()?;
    let dir = args.pipeline.run_dir(&pipeline);
    let renderer = Renderer::new(printer);
    let session = Session::new(interrupt::stop(), &renderer);
    let run = Run::open(&pipeline, dir, Session { device, waits: args.wait, ..session })?;
    session::all_steps(&run, &args.pipeline, &args.device, globals, printer, |step| {
        session::tell_unchanged(&run, step, printer);
    })?;
    let stages = run.standing.status()?;
    let rows = findings::collect(&run.standing, &stages)?;
    if args.output.json {
        return printer.json(&json!({
            "pipeline": pipeline.name,
            "run_dir": run.standing.dir.path(),
            "stages": stages,
            "probes": findings::probes(&rows),
        }));
    }
    printer.note("");
    printer.result(&table::report(&rows))?;
    printer.note(&format!("\n{}", table::verdict(&rows)));
    printer.note(&format!("everything is in {}", run.standing.dir.path().display()));
    Ok(())
}
