//! `gimlet run`: does every step, in order, and prints the table.

use clap::Args;
use serde_json::json;

use super::arguments::{DeviceArgs, GlobalArgs, JsonArgs, PipelineArgs};
use super::interrupt::RuntimeArgs;
use super::next_commands::next_commands;
use super::printer::Printer;
use super::render::Renderer;
use super::run_plan::run_plan;
use super::{interrupt, processes, session, table};
use crate::stage::forecast::Forecast;
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
    let device = args.device.open(&pipeline)?;
    let dir = args.pipeline.run_dir(&pipeline);
    let renderer = Renderer::new(printer);
    let session = Session::new(interrupt::stop(), &renderer);
    let run = Run::open(&pipeline, dir, Session { device, waits: args.wait, ..session })?;
    // The processes of a sweep have plans and commands in their parent.
    let alone = !processes::is_supervised();
    if alone && !printer.is_quiet() {
        tell_plan(&run, printer);
    }
    session::all_steps(&run, &args.pipeline, &args.device, globals, printer, |step| {
        // The plan has said so.
        if printer.is_verbose() || !alone {
            session::tell_unchanged(&run, step, printer);
        }
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
    printer.result(&format!("{}\n\n{}", table::report(&rows), table::verdict(&rows)))?;
    printer.note(&format!("\neverything is in {}", run.standing.dir.path().display()));
    printer.note(&next_commands(&args.pipeline, &pipeline.name));
    Ok(())
}

/// Prints what the run is about to do.
fn tell_plan(run: &Run<'_>, printer: &Printer) {
    let dir = run.standing.dir.path().display().to_string();
    // What cannot be forecast now, such as the size of a broken image, the step reports when it meets it.
    if let Ok(forecast) = Forecast::new(run.pipeline, &run.standing, None) {
        let name = &run.pipeline.name;
        printer.note(&(run_plan(name, &dir, &forecast, printer.is_verbose()) + "\n"));
    }
}
