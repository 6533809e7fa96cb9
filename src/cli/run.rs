//! `gimlet run`: every step, in order, and the table.

use clap::Args;
use serde_json::json;

use super::printer::Printer;
use super::{DeviceArgs, JsonArgs, PipelineArgs, session, table};

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
    let (name, dir, stages, report) = args.pipeline.with_run(&args.device, printer, |run| {
        run.check_room(&run.plan.steps())?;
        for step in run.plan.steps() {
            session::step(run, step, printer)?;
        }
        let stages = run.plan.status(&run.dir)?;
        let report = table::Report::collect(&run.plan, &run.dir, &stages)?;
        Ok((run.pipeline.name.clone(), run.dir.clone(), stages, report))
    })?;
    if args.output.json {
        return printer.json(&json!({
            "pipeline": name,
            "run_dir": dir.path(),
            "stages": stages,
            "probes": report.probes(),
        }));
    }
    printer.note("");
    printer.result(&report.table())?;
    printer.note(&format!("\n{}", report.verdict()));
    printer.note(&format!("everything is in {}", dir.path().display()));
    Ok(())
}
