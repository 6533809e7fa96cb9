//! `gimlet curves`: loss and accuracy of every module, epoch by epoch.

use std::path::PathBuf;

use clap::Args;
use gimlet_store::Store;
use serde::Serialize;

use super::arguments::{JsonArgs, PipelineArgs};
use super::printer::Printer;
use super::report::OptionArgs;
use super::table;
use crate::report::curves_file::{self, Format};
use crate::report::training_log::{self, Epoch};
use crate::{Error, Kind};

#[derive(Args)]
pub struct CurvesArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,

    /// Write every step to this file: `.parquet` or `.jsonl`
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Write it also where there is a file already
    #[arg(long, requires = "output")]
    force: bool,

    #[command(flatten)]
    json: JsonArgs,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document<'a> {
    epochs: &'a [Epoch],
}

pub fn run(args: CurvesArgs, printer: &Printer) -> anyhow::Result<()> {
    let CurvesArgs { pipeline, output, force, json } = args;
    let format = output.as_deref().map(Format::of).transpose()?;
    if let Some(path) = output.as_deref().filter(|path| path.exists() && !force) {
        let message = format!("`{}` is there already", path.display());
        let hint = "name another file, or replace it with `--force`";
        return Err(Error::new(Kind::Usage, message).hint(hint).into());
    }
    let (curves, missing, in_rounds) =
        pipeline.with_seen(OptionArgs::default(), printer, |seen| {
            let (curves, missing) = training_log::read(seen)?;
            Ok((curves, missing, seen.standing.plan.rounds() > 1))
        })?;
    for it in &missing {
        printer.note(&format!("{}: {}", it.what, it.how));
    }
    if curves.is_empty() {
        let message = "no module has a log of its training yet";
        return Err(Error::new(Kind::NotReady, message).hint("run `gimlet run` first").into());
    }
    if let (Some(path), Some(format)) = (&output, format) {
        let bytes = curves_file::bytes(&curves, in_rounds, format)?;
        Store::new().locate(path).replace(&bytes)?;
        printer.note(&format!("wrote {}", path.display()));
    }
    let epochs: Vec<Epoch> =
        curves.iter().flat_map(|it| training_log::epochs(it, in_rounds)).collect();
    match json.json {
        true => printer.json(&Document { epochs: &epochs }),
        false => printer.result(&lines(&epochs)),
    }
}

/// The table with one row per epoch. Empty columns are left out.
fn lines(epochs: &[Epoch]) -> String {
    let percent = |it: f64| format!("{:.2} %", 100.0 * it);
    type Cell<'a> = (&'a str, &'a dyn Fn(&Epoch) -> Option<String>);
    let cells: [Cell<'_>; 10] = [
        ("module", &|it| Some(it.module.clone())),
        ("round", &|it| it.round.map(|round| round.to_string())),
        ("epoch", &|it| Some(it.epoch.to_string())),
        ("steps", &|it| Some(it.steps.to_string())),
        ("seconds", &|it| Some(format!("{:.1}", it.seconds))),
        ("generation", &|it| it.generation.map(|it| it.to_string())),
        ("loss", &|it| Some(format!("{:.3}", it.loss))),
        ("accuracy", &|it| it.accuracy.map(percent)),
        ("held-out loss", &|it| it.held_out_loss.map(|it| format!("{it:.3}"))),
        ("held-out accuracy", &|it| it.held_out_accuracy.map(|it| percent(f64::from(it)))),
    ];
    let shown = cells.iter().filter(|(_, cell)| epochs.iter().any(|it| cell(it).is_some()));
    let shown: Vec<&Cell<'_>> = shown.collect();
    let header: Vec<&str> = shown.iter().map(|(name, _)| *name).collect();
    let row = |it: &Epoch| {
        shown.iter().map(|(_, cell)| cell(it).unwrap_or_else(|| "-".to_string())).collect()
    };
    let right: Vec<usize> = (1..header.len()).collect();
    table::plain(&header, epochs.iter().map(row).collect(), &right)
}
