//! `gimlet run`: every step, in order, and the table.

use clap::Args;
use serde_json::json;

use super::printer::Printer;
use super::{DeviceArgs, JsonArgs, PipelineArgs, session, table, workers};
use crate::pipeline::Schedule;
use crate::stage::{Step, report};

#[derive(Args)]
pub struct RunArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    output: JsonArgs,
}

pub fn run(args: RunArgs, printer: &Printer) -> anyhow::Result<()> {
    let (name, dir, stages, rows) = args.pipeline.with_run(&args.device, printer, |run| {
        let is_async = matches!(run.pipeline.schedule, Schedule::Async(_));
        let wanted = run.plan.wanted(&run.dir)?;
        run.check_room(&wanted)?;
        let mut trained = false;
        for step in wanted {
            if is_async && matches!(step, Step::Train(_)) {
                if !trained && !run.plan.is_done(step, &run.dir)? {
                    // All modules at once.
                    workers::train(run, &args.pipeline, &args.device, printer)?;
                    trained = true;
                }
                if trained {
                    continue;
                }
            }
            session::step(run, step, printer)?;
        }
        let stages = run.plan.status(&run.dir)?;
        let rows = report::collect(&run.plan, &run.dir, &stages)?;
        Ok((run.pipeline.name.clone(), run.dir.clone(), stages, rows))
    })?;
    if args.output.json {
        return printer.json(&json!({
            "pipeline": name,
            "run_dir": dir.path(),
            "stages": stages,
            "probes": report::probes(&rows),
        }));
    }
    printer.note("");
    printer.result(&table::report(&rows))?;
    printer.note(&format!("\n{}", table::verdict(&rows)));
    printer.note(&format!("everything is in {}", dir.path().display()));
    Ok(())
}
