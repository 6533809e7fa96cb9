//! `gimlet status`: where every step stands.

use clap::Args;
use serde_json::json;

use super::printer::Printer;
use super::{JsonArgs, PipelineArgs, table};

#[derive(Args)]
pub struct StatusArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,
    #[command(flatten)]
    output: JsonArgs,
}

pub fn run(args: StatusArgs, printer: &Printer) -> anyhow::Result<()> {
    let (pipeline, dir, plan) = args.pipeline.look()?;
    let stages = plan.status(&dir)?;
    if args.output.json {
        return printer.json(&json!({
            "pipeline": pipeline.name, "run_dir": dir.path(), "stages": stages,
        }));
    }
    printer.note(&format!("pipeline {} in {}", pipeline.name, dir.path().display()));
    printer.result(&table::status(&stages))
}
