//! `gimlet run`: every step, in order, and the table.

use clap::Args;
use serde_json::json;

use super::printer::Printer;
use super::render::Renderer;
use super::{DeviceArgs, JsonArgs, PipelineArgs, interrupt, session, table, workers};
use crate::pipeline::Schedule;
use crate::stage::{Run, Step, report};

#[derive(Args)]
pub struct RunArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    output: JsonArgs,

    /// Wait for another process that works on a stage, where the run would fail otherwise
    #[arg(long)]
    wait: bool,
}

pub fn run(args: RunArgs, printer: &Printer) -> anyhow::Result<()> {
    let pipeline = args.pipeline.load()?;
    let device = args.device.device.open()?;
    let dir = args.pipeline.run_dir(&pipeline);
    let renderer = Renderer::new(printer);
    let run = Run::open(&pipeline, dir, interrupt::flag(), &renderer)?;
    let run = run.on(device).waiting(args.wait);
    let is_async = matches!(pipeline.schedule, Schedule::Async(_));
    let steps = run.plan.to_take(&run.dir)?;
    run.check_room(&steps)?;
    let mut trained = false;
    for step in steps {
        if is_async && matches!(step, Step::Train(_)) {
            if !trained && !run.plan.is_done(step, &run.dir)? {
                // All modules at once.
                workers::train(&run, &args.pipeline, &args.device, printer)?;
                trained = true;
            }
            if trained {
                continue;
            }
        }
        session::step(&run, step, printer)?;
    }
    let stages = run.plan.status(&run.dir)?;
    let rows = report::collect(&run.plan, &run.dir, &stages)?;
    if args.output.json {
        return printer.json(&json!({
            "pipeline": pipeline.name,
            "run_dir": run.dir.path(),
            "stages": stages,
            "probes": report::probes(&rows),
        }));
    }
    printer.note("");
    printer.result(&table::report(&rows))?;
    printer.note(&format!("\n{}", table::verdict(&rows)));
    printer.note(&format!("everything is in {}", run.dir.path().display()));
    Ok(())
}
