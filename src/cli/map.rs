//! `gimlet map`: draws samples as points in two dimensions.

use std::path::PathBuf;

use clap::Args;
use gimlet_store::Store;
use serde_json::{Value, json};

use super::arguments::{JsonArgs, PipelineArgs};
use super::printer::Printer;
use super::report::OptionArgs;
use super::session;
use crate::pipeline::Split;
use crate::report::map;
use crate::report::samples::Samples;
use crate::report::{Options, tsne};
use crate::stage::progress::STEPS;
use crate::{Error, Kind, Result};

#[derive(Args)]
pub struct MapArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,

    /// The module [default: all of them; of an .svg file the last]
    #[arg(long, value_name = "NAME")]
    module: Option<String>,

    /// The file to write, FILE.parquet or FILE.svg [default: report/map.parquet of the run]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Write it also where there is a file already
    #[arg(long)]
    force: bool,

    /// Points, at most
    #[arg(long, value_name = "N", default_value_t = Options::default().points)]
    points: usize,

    #[command(flatten)]
    json: JsonArgs,
}

pub fn run(args: MapArgs, printer: &Printer) -> anyhow::Result<()> {
    let drawn = match &args.output {
        Some(path) => is_drawing(path, args.force)?,
        None => false,
    };
    let options = OptionArgs { points: args.points, ..OptionArgs::default() };
    let (path, maps) = args.pipeline.with_seen(options, printer, |seen| {
        let last = seen.pipeline.modules.len() - 1;
        let modules = match &args.module {
            Some(name) => vec![session::module(seen.pipeline, name)?],
            None if drawn => vec![last],
            None => (0..=last).collect(),
        };
        let samples = Samples::open(seen, Split::Test)?;
        let rows = map::rows(seen, &samples);
        seen.progress.begin("map", STEPS, 0, 0);
        let stepped = seen.count("t-SNE", STEPS, (modules.len() * tsne::EPOCHS) as u64);
        let mut maps = Vec::new();
        for index in modules {
            maps.push(map::map(seen, index, &samples, &rows, &stepped)?);
        }
        seen.progress.end(&format!("{} points", rows.len()));
        let bytes = match (drawn, maps.first()) {
            (true, Some(map)) => map::drawing(&samples, map)?.into_bytes(),
            _ => map::parquet(&samples, &maps)?,
        };
        let path = match &args.output {
            Some(path) => Store::new().locate(path),
            None => {
                seen.standing.dir.report().create_folder()?;
                seen.standing.dir.report().join("map.parquet")
            }
        };
        path.replace(&bytes)?;
        Ok((path, maps))
    })?;
    if !args.json.json {
        return printer.result(&path.to_string());
    }
    let maps = maps.iter().map(|it| {
        let perplexity = match it.placed.method {
            tsne::Method::Tsne { perplexity } => Some(perplexity),
            tsne::Method::Components => None,
        };
        let method = if perplexity.is_some() { "t-SNE" } else { "principal components" };
        json!({
            "module": it.module, "points": it.rows.len(), "method": method,
            "perplexity": perplexity,
        })
    });
    printer.json(&json!({ "written": path.path(), "maps": maps.collect::<Vec<Value>>() }))
}

/// Checks the output file before any work; returns whether it is a drawing.
fn is_drawing(path: &std::path::Path, force: bool) -> Result<bool> {
    let drawn = match path.extension().and_then(|it| it.to_str()) {
        Some("svg") => true,
        Some("parquet") => false,
        _ => {
            let message = format!("`{}` is neither .parquet nor .svg", path.display());
            return Err(Error::new(Kind::Usage, message).hint("name the file so"));
        }
    };
    if path.exists() && !force {
        let message = format!("`{}` is there already", path.display());
        return Err(Error::new(Kind::Usage, message)
            .hint("name another file, or replace it with `--force`"));
    }
    Ok(drawn)
}
