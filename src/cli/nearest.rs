//! `gimlet nearest`: finds the parts of samples that a module finds most similar to one.

use clap::Args;
use serde_json::{Value, json};

use super::arguments::{JsonArgs, PipelineArgs};
use super::part_output::{PartArgs, document, hits_table};
use super::printer::Printer;
use super::report::OptionArgs;
use super::session;
use crate::pipeline::Split;
use crate::report::gallery::where_in;
use crate::report::nearest::{Query, nearest};
use crate::report::samples::Samples;
use crate::report::vectors::{Hit, Vectors};
use crate::stage::progress::ROWS;
use crate::{Error, Kind, Result};

#[derive(Args)]
pub struct NearestArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,

    /// The module
    module: String,

    /// The id of the sample that the query is of
    #[arg(long, value_name = "ID", allow_negative_numbers = true)]
    sample: i64,

    /// Which of its patches, row after row, or of its moments in time, from 0 [default: the middle one]
    #[arg(long, value_name = "N")]
    patch: Option<usize>,

    /// The split whose samples are searched, the query's own included
    #[arg(long, default_value = "test", value_parser = session::split)]
    split: Split,

    #[command(flatten)]
    parts: PartArgs,
    #[command(flatten)]
    output: JsonArgs,
}

pub fn run(args: NearestArgs, printer: &Printer) -> anyhow::Result<()> {
    args.parts.check()?;
    let options = OptionArgs::default();
    let (text, json, written) = args.pipeline.with_seen(options, printer, |seen| {
        let index = session::module(seen.pipeline, &args.module)?;
        let samples = Samples::open(seen, args.split)?;
        let vectors = Vectors::open(seen, index, &samples)?;
        let row = samples.find(args.sample)?;
        let position = position(&args, &vectors, samples.rate.is_some())?;
        let query = Query::of(&vectors, row, position)?;
        seen.progress.begin("nearest", ROWS, 0, 0);
        let found = nearest(seen, &vectors, &[query], args.parts.count)?;
        seen.progress.end("");
        let hits: Vec<Hit> = found.into_iter().flatten().collect();
        let own = Hit { row, position, value: 1.0 };
        let all = [vec![own], hits.clone()].concat();
        let written = args.parts.write(&samples, &vectors, &vec![("nearest".to_string(), all)])?;
        let of = where_in(vectors.place(row, position), samples.rate);
        let query = format!("sample {}, {}, {of}", args.sample, samples.label_text(row));
        let table = hits_table(&samples, &vectors, &hits, "similarity");
        let documents = hits.iter().map(|hit| document(&samples, &vectors, *hit));
        let json = json!({
            "module": args.module, "split": args.split.name(),
            "query": document(&samples, &vectors, own),
            "nearest": documents.collect::<Vec<Value>>(), "written": written,
        });
        Ok((format!("{query}\n{table}"), json, written))
    })?;
    for path in written {
        printer.note(&format!("wrote {}", path.display()));
    }
    match args.output.json {
        true => printer.json(&json),
        false => printer.result(&text),
    }
}

/// The position of the query's vector.
fn position(args: &NearestArgs, vectors: &Vectors, sound: bool) -> Result<usize> {
    let [rows, columns, _] = vectors.pooled.shape();
    let middle = rows / 2 * columns + columns / 2;
    let asked = args.patch.unwrap_or(middle);
    let (module, count) = (&args.module, vectors.pooled.positions());
    if asked < count {
        return Ok(asked);
    }
    let (what, hint) = match sound {
        true => ("moment", format!("they are 0 to {}", count.saturating_sub(1))),
        false => {
            let last = count.saturating_sub(1);
            ("patch", format!("they are 0 to {last}, in a grid of {rows}x{columns}"))
        }
    };
    let message = format!("a sample of module `{module}` has no {what} {asked}");
    Err(Error::new(Kind::Usage, message).hint(hint))
}
