//! `gimlet gc`: removes what is no longer needed.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::arguments::{JsonArgs, PipelineArgs};
use super::printer::Printer;
use super::render::Renderer;
use super::table;
use crate::stage::gc::{self, Limits, Unneeded};

#[derive(Args)]
pub struct GcArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,

    /// Show what would go, and remove nothing
    #[arg(long)]
    dry_run: bool,

    /// Generations of each dataset, and trainings of each module, that stay whether they are needed or
    /// not [default: store.keep_generations]
    #[arg(long, value_name = "N")]
    keep: Option<usize>,

    /// Attempts without a commit stay when they were written to within this time: 90s, 30m, 1h, 2d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    grace: Duration,

    #[command(flatten)]
    output: JsonArgs,
}

pub fn run(args: GcArgs, printer: &Printer) -> anyhow::Result<()> {
    let (pipeline, standing) = args.pipeline.look(printer)?;
    let dir = &standing.dir;
    let keep = args.keep.unwrap_or(pipeline.store.keep_generations);
    let limits = Limits { keep, grace: args.grace };
    let renderer = Renderer::new(printer);
    let found = if dir.is_run()? {
        gc::sweep(&standing, &limits, args.dry_run, &renderer)?
    } else {
        vec![]
    };
    let goes = |it: &&Unneeded| it.leftover.stays.is_none();
    let bytes: u64 = found.iter().filter(goes).map(|it| it.leftover.bytes).sum();
    let relative = |it: &Unneeded| {
        let path = it.leftover.at.path();
        path.strip_prefix(dir.path()).unwrap_or(path).display().to_string()
    };
    if args.output.json {
        let leftovers = found.iter().map(|it| {
            json!({
                "path": relative(it), "kind": it.kind, "bytes": it.leftover.bytes,
                "why": it.leftover.why, "goes": it.leftover.stays.is_none(),
                "stays": it.leftover.stays,
            })
        });
        return printer.json(&json!({
            "pipeline": pipeline.name, "run_dir": dir.path(), "dry_run": args.dry_run,
            "bytes": bytes, "leftovers": leftovers.collect::<Vec<_>>(),
        }));
    }
    if found.is_empty() {
        return printer.result("nothing is superseded or left over");
    }
    let verb = if args.dry_run { "would go" } else { "gone" };
    let rows = found.iter().map(|it| {
        let (what, why) = match &it.leftover.stays {
            Some(stays) => ("stays", format!("{}, but {stays}", it.leftover.why)),
            None => (verb, it.leftover.why.clone()),
        };
        let bytes = table::bytes(it.leftover.bytes);
        vec![what.to_owned(), it.kind.to_owned(), bytes, relative(it), why]
    });
    let header = ["", "what", "bytes", "path", "why"];
    printer.result(&(table::plain(&header, rows.collect(), &[2]) + "\n"))?;
    let count = found.iter().filter(goes).count();
    printer.result(&format!("{count} {verb}: {}", table::bytes(bytes)))
}

/// Parses a duration: `90s`, `30m`, `1h`, `2d`; without a unit, seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.trim_end_matches(char::is_alphabetic).len());
    let seconds: u64 = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return Err(format!("`{unit}` is none of s, m, h and d")),
    };
    let number: u64 = number.parse().map_err(|_| "not a whole number and a unit".to_owned())?;
    let seconds = number.checked_mul(seconds).ok_or("too long")?;
    Ok(Duration::from_secs(seconds))
}
