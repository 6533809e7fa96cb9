//! `gimlet health`: measures whether the representations of a run are healthy.

use clap::Args;

use super::arguments::{JsonArgs, PipelineArgs};
use super::printer::Printer;
use super::report::OptionArgs;
use super::table;
use crate::report::health;
use crate::stage::progress::ROWS;
use crate::{Error, Kind};

#[derive(Args)]
pub struct HealthArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,

    #[command(flatten)]
    output: JsonArgs,
}

pub fn run(args: HealthArgs, printer: &Printer) -> anyhow::Result<()> {
    let options = OptionArgs::default();
    let (found, missing) = args.pipeline.with_seen(options, printer, |seen| {
        seen.progress.begin("health", ROWS, 0, 0);
        let found = health::measure(seen)?;
        seen.progress.end("");
        Ok(found)
    })?;
    if args.output.json {
        printer.json(&found)?;
    } else if !found.is_empty() {
        let rows = found.iter().map(health::Health::cells).collect();
        let right: Vec<usize> = (2..health::HEADER.len()).collect();
        let measured = table::plain(&health::HEADER, rows, &right);
        let notes = health::WHAT_COLUMNS_ARE.join("\n");
        let rows = found.iter().map(|it| it.rows).max().unwrap_or(0);
        printer.result(&format!(
            "{measured}\n\non mean pooled vectors of {rows} samples of the test split.\n{notes}"
        ))?;
    }
    if found.is_empty()
        && let Some(missing) = missing.first()
    {
        return Err(Error::new(Kind::NotReady, &missing.what).hint(&missing.how).into());
    }
    missing.iter().for_each(|it| printer.note(&format!("{}: {}", it.what, it.how)));
    Ok(())
}
