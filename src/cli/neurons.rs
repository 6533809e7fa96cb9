//! `gimlet neurons`: finds the parts of samples that excite a module's channels most.

use clap::Args;
use serde_json::{Value, json};

use super::arguments::{JsonArgs, PipelineArgs};
use super::part_output::{PartArgs, document, hits_table};
use super::printer::Printer;
use super::report::OptionArgs;
use super::session;
use crate::pipeline::Split;
use crate::report::neurons::{self, short};
use crate::report::samples::Samples;
use crate::report::vectors::Vectors;
use crate::stage::progress::ROWS;

/// Channels shown by default.
const CHANNELS: usize = 6;

#[derive(Args)]
pub struct NeuronsArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,

    /// The module
    module: String,

    /// Channels to show, such as `0,5,17` [default: the six that vary most]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    channels: Option<Vec<usize>>,

    /// The split whose samples are shown
    #[arg(long, default_value = "test", value_parser = session::split)]
    split: Split,

    #[command(flatten)]
    parts: PartArgs,
    #[command(flatten)]
    output: JsonArgs,
}

pub fn run(args: NeuronsArgs, printer: &Printer) -> anyhow::Result<()> {
    args.parts.check()?;
    let options = OptionArgs::default();
    let (text, json, written) = args.pipeline.with_seen(options, printer, |seen| {
        let index = session::module(seen.pipeline, &args.module)?;
        let samples = Samples::open(seen, args.split)?;
        let vectors = Vectors::open(seen, index, &samples)?;
        let asked = args.channels.as_deref();
        let channels = vectors.pooled.channels();
        neurons::check_channels(&args.module, channels, asked.unwrap_or_default())?;
        seen.progress.begin("neurons", ROWS, 0, 0);
        let all = neurons::all_channels(seen, &vectors, args.parts.count)?;
        seen.progress.end("");
        let chosen = neurons::chosen(&all, asked, CHANNELS);
        let found = chosen.iter().map(|it| (format!("channel{}", it.channel), it.hits.clone()));
        let written = args.parts.write(&samples, &vectors, &found.collect())?;
        let text: Vec<String> = chosen
            .iter()
            .map(|it| {
                let table = hits_table(&samples, &vectors, &it.hits, "value");
                let (mean, std) = (short(it.mean), short(it.std));
                format!("channel {}: mean {mean}, standard deviation {std}\n{table}", it.channel)
            })
            .collect();
        let documents: Vec<Value> = chosen
            .iter()
            .map(|it| {
                let hits = it.hits.iter().map(|hit| document(&samples, &vectors, *hit));
                json!({
                    "channel": it.channel, "mean": it.mean, "std": it.std,
                    "hits": hits.collect::<Vec<_>>(),
                })
            })
            .collect();
        let json = json!({
            "module": args.module, "split": args.split.name(), "channels": documents,
            "written": written,
        });
        Ok((text.join("\n\n"), json, written))
    })?;
    for path in written {
        printer.note(&format!("wrote {}", path.display()));
    }
    match args.output.json {
        true => printer.json(&json),
        false => printer.result(&text),
    }
}
