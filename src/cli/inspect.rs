//! `gimlet inspect`: shows the contents of datasets.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use gimlet_store::{Dataset, Generation, Store, Unfinished, path_of};
use serde_json::{Value, json};

use super::arguments::{JsonArgs, PipelineArgs};
use super::output_file::OutputFileArgs;
use super::printer::Printer;
use super::{dataset_text as text, terminal_picture};
use crate::folder::folder_of;
use crate::pipeline::Split;
use crate::report::column_stats::ColumnStats;
use crate::report::dataset_rows::DatasetRows;
use crate::report::raster::Picture;
use crate::stage::Standing;
use crate::{Error, Kind, Result};

/// Values shown per tensor in the first rows.
const VALUES: usize = 6;

/// Rows shown by default.
const ROWS: usize = 3;

/// The most channels in a picture of a row, and the least width of a picture.
const PNG_CHANNELS: usize = 256;
const PNG_WIDTH: usize = 256;

#[derive(Args)]
pub struct InspectArgs {
    /// A pipeline file (TOML), or the folder of one dataset, such as runs/NAME/datasets/a/train
    #[arg(value_parser = path_of)]
    target: PathBuf,

    /// Override a key of the pipeline file; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,

    /// Directory of the run [default: runs/<pipeline name>]
    #[arg(long, value_name = "DIR", value_parser = path_of)]
    run_dir: Option<PathBuf>,

    /// Rows to show of each dataset [default: 3; none with --stats]
    #[arg(long, value_name = "N")]
    rows: Option<usize>,

    /// What each column takes on disk, and how its values are spread, channel by channel
    #[arg(long, conflicts_with = "sample")]
    stats: bool,

    /// Show one sample, in each of its views, instead of the datasets
    #[arg(long, value_name = "ID", allow_negative_numbers = true, conflicts_with = "rows")]
    sample: Option<i64>,

    /// Write a picture of that sample, or of the first rows: the image, or the maps of all channels
    #[arg(long, value_name = "FILE")]
    png: Option<PathBuf>,

    /// Write the picture also where there is a file already
    #[arg(long, requires = "png")]
    force: bool,

    /// Every generation of each dataset, not only the newest
    #[arg(long, alias = "generations")]
    all: bool,

    #[command(flatten)]
    output: JsonArgs,
}

/// A generation to show, and how it relates to the pipeline, if that is known.
struct FoundDataset {
    generation: Generation,
    standing: Option<&'static str>,
}

pub fn run(args: InspectArgs, printer: &Printer) -> anyhow::Result<()> {
    let png = args.png.as_ref().map(|path| png_file(path, args.force)).transpose()?;
    let found = find(&args, printer)?;
    let shown = match args.sample {
        Some(id) => show_sample(&found, id, png.is_some(), args.output.json),
        None => show_datasets(&found, &args, png.is_some()),
    };
    let shown = shown.map_err(|error| match error.downcast::<Error>() {
        Ok(error) if error.kind() == Kind::Damaged && error.hint_text().is_none() => error
            .hint("`gimlet verify` notes the damage, and then the next `gimlet run` rebuilds it")
            .into(),
        Ok(error) => error.into(),
        Err(other) => other,
    })?;
    if let Some((path, file)) = &png {
        write_png(path, file, &shown.pictures)?;
        printer.note(&format!("the picture is in {}", path.display()));
    }
    if args.output.json {
        return printer.json(&json!({ "datasets": shown.documents, "png": args.png }));
    }
    printer.result(&shown.texts.join("\n\n"))
}

/// The output for all generations found.
#[derive(Default)]
struct Shown {
    documents: Vec<Value>,
    texts: Vec<String>,
    pictures: Vec<Picture>,
}

/// Whether the target is a pipeline file; everything else must be a dataset.
pub fn is_pipeline(target: &Path) -> bool {
    target.extension().is_some_and(|extension| extension == "toml")
}

fn find(args: &InspectArgs, printer: &Printer) -> Result<Vec<FoundDataset>> {
    if is_pipeline(&args.target) {
        let pipeline = PipelineArgs {
            pipeline: args.target.clone(),
            overrides: args.overrides.clone(),
            run_dir: args.run_dir.clone(),
            wait: false,
        };
        return of_pipeline(&pipeline, args.all, printer);
    }
    of_folder(&args.target, args.all, printer)
}

/// The newest generation of every dataset of a run, or all generations.
fn of_pipeline(pipeline: &PipelineArgs, all: bool, printer: &Printer) -> Result<Vec<FoundDataset>> {
    let (_, standing) = pipeline.look(printer)?;
    let Standing { plan, dir } = &standing;
    let mut found = Vec::new();
    for step in plan.steps().into_iter().filter(|step| plan.is_of_last_round(*step)) {
        for split in Split::ALL {
            let key = &plan.key(step, split).hash;
            for dataset in standing.datasets(step, split) {
                let is_current = |it: &Generation| match it.manifest().key == *key {
                    true => Some("current"),
                    false => Some("superseded"),
                };
                if all {
                    found.extend(every(&dataset, is_current, printer)?);
                    continue;
                }
                let current = match dataset.find(key)? {
                    Some(generation) => Some(generation),
                    None => dataset.newest()?,
                };
                found.extend(current.map(|generation| FoundDataset { generation, standing: None }));
            }
        }
    }
    if found.is_empty() {
        let message = format!("there is no dataset in `{}` yet", dir.path().display());
        return Err(Error::new(Kind::NotReady, message).hint("run `gimlet run` or `gimlet ingest`"));
    }
    Ok(found)
}

/// All generations of a dataset, newest first. Warns about those that cannot be read.
fn every(
    dataset: &Dataset,
    standing: impl Fn(&Generation) -> Option<&'static str>,
    printer: &Printer,
) -> Result<Vec<FoundDataset>> {
    for error in dataset.unreadable()? {
        printer.warn(&error.to_string());
    }
    let mut found = Vec::new();
    for generation in dataset.readable()? {
        let generation = generation?;
        found.push(FoundDataset { standing: standing(&generation), generation });
    }
    Ok(found)
}

/// The newest generation of the dataset in a folder, or all generations; or the one generation whose parts are
/// in the folder.
fn of_folder(folder: &Path, all: bool, printer: &Printer) -> Result<Vec<FoundDataset>> {
    let one = |generation| vec![FoundDataset { generation, standing: None }];
    let at = Store::new().locate(folder);
    let is_file = at.is_file().map_err(|error| Error::io("look at", folder, error))?;
    let is_folder = at.is_folder();
    let is_folder = is_folder.map_err(|error| Error::io("look at", folder, error))?;
    if !is_file && !is_folder {
        let message = format!("`{}` does not exist", folder.display());
        return Err(Error::new(Kind::NotReady, message)
            .hint("name a pipeline file, or a dataset such as runs/NAME/datasets/a/train"));
    }
    let dataset = Dataset::at(&at);
    if all {
        let found = every(&dataset, |_| None, printer)?;
        if !found.is_empty() {
            return Ok(found);
        }
    } else if let Some(generation) = dataset.newest()? {
        return Ok(one(generation));
    }
    // The target is a folder with one generation's parts, or a part.
    let parts = if is_file { at.folder() } else { at };
    let dataset = Dataset::at(parts.folder());
    for number in dataset.generations()? {
        let generation = dataset.generation(number)?;
        if generation.dir().name() == parts.name() {
            return Ok(one(generation));
        }
    }
    let message = format!("`{}` holds no committed dataset", folder.display());
    Err(Error::new(Kind::NotReady, message)
        .hint("name a pipeline file, or a dataset such as runs/NAME/datasets/a/train"))
}

/// Prints or collects everything about the generations.
fn show_datasets(
    found: &[FoundDataset],
    args: &InspectArgs,
    with_pictures: bool,
) -> anyhow::Result<Shown> {
    let mut shown = Shown::default();
    let count = args.rows.unwrap_or(if args.stats { 0 } else { ROWS });
    for FoundDataset { generation, standing } in found {
        let schema = &generation.manifest().schema;
        let mut stats = Vec::new();
        if args.stats {
            for column in &schema.columns {
                stats.push(ColumnStats::of(generation, &column.name, None, &|| Ok(()))?);
            }
        }
        let mut rows = Vec::new();
        if count > 0 || with_pictures {
            let samples = DatasetRows::open(generation)?;
            for row in 0..samples.rows().min(count as u64) {
                rows.push(samples.first_values(row, VALUES)?);
            }
            let drawn = if with_pictures { args.rows.unwrap_or(ROWS) as u64 } else { 0 };
            for row in 0..samples.rows().min(drawn) {
                let depiction = samples.depict(row)?;
                shown.pictures.extend(depiction.map(|it| it.picture(PNG_CHANNELS)));
            }
        }
        if args.output.json {
            let mut document = describe(generation, *standing, &stats)?;
            let rows = rows.into_iter().map(|it| Value::Object(it.into_iter().collect()));
            document["first_rows"] = rows.collect();
            shown.documents.push(document);
            continue;
        }
        let mut text = text::title(generation, *standing) + &text::columns(generation)?;
        for (column, stats) in schema.columns.iter().zip(&stats) {
            text += &format!("\n\n{}", text::stats(column, stats, generation.rows()));
        }
        if !rows.is_empty() {
            text += &format!("\n\n{}", text::rows(generation, &rows));
        }
        shown.texts.push(text);
    }
    Ok(shown)
}

/// Shows one sample in every dataset that has it.
fn show_sample(
    found: &[FoundDataset],
    id: i64,
    with_pictures: bool,
    as_json: bool,
) -> anyhow::Result<Shown> {
    let mut shown = Shown::default();
    let opened = found.iter().map(|it| DatasetRows::open(&it.generation));
    let opened = opened.collect::<Result<Vec<DatasetRows>>>()?;
    let colours = terminal_picture::has_colours();
    for (FoundDataset { generation, standing }, samples) in found.iter().zip(&opened) {
        let mut views = Vec::new();
        let mut text = text::title(generation, *standing).trim_end().to_string();
        for row in samples.of_id(id) {
            let (described, summaries) = (samples.described(row), samples.summaries(row)?);
            let is_drawn = with_pictures || !as_json;
            let depiction = if is_drawn { samples.depict(row)? } else { None };
            if !as_json {
                let sample = text::sample(&described, &summaries, depiction.as_ref(), colours);
                text += &format!("\n\n{sample}");
            }
            let mut view = Value::Object(described.into_iter().collect());
            view["columns"] = json!(summaries);
            views.push(view);
            let depiction = depiction.filter(|_| with_pictures);
            shown.pictures.extend(depiction.map(|it| it.picture(PNG_CHANNELS)));
        }
        if views.is_empty() {
            continue;
        }
        shown.documents.push(json!({
            "path": generation.dir().path(),
            "generation": generation.number(),
            "key": generation.manifest().key,
            "standing": standing,
            "sample": views,
        }));
        shown.texts.push(text);
    }
    if shown.documents.is_empty() {
        return Err(DatasetRows::no_such(id, &opened.iter().collect::<Vec<_>>()).into());
    }
    Ok(shown)
}

/// Describes a generation as JSON, for scripts.
fn describe(
    generation: &Generation,
    standing: Option<&str>,
    stats: &[ColumnStats],
) -> Result<Value> {
    let manifest = generation.manifest();
    let mut columns = Vec::new();
    for (place, column) in manifest.schema.columns.iter().enumerate() {
        let mut described = json!({
            "name": column.name, "dtype": text::dtype(column.dtype), "shape": column.shape,
            "dims": column.dims, "compression": column.compression,
        });
        if let Some(it) = manifest.statistics.get(&column.name) {
            described["mean"] = json!(it.mean);
            described["std"] = json!(it.std);
            described["min"] = json!(it.min);
            described["max"] = json!(it.max);
            described["zero_fraction"] = json!(it.zero_fraction);
        }
        if let Some(stats) = stats.get(place) {
            described["stored_bytes"] = json!(stats.stored_bytes);
            described["raw_bytes"] = json!(stats.raw_bytes);
            described["ratio"] = json!(stats.ratio());
            described["rows_read"] = json!(stats.rows_read);
            described["histogram"] = json!(stats.histogram);
            described["channels"] = json!(stats.channels);
            described["dead_channels"] = json!(stats.dead());
            described["widest_channels"] = json!(stats.widest(stats.channels.len()));
        }
        columns.push(described);
    }
    Ok(json!({
        "path": generation.dir().path(),
        "files": generation.glob(),
        "generation": generation.number(),
        "standing": standing,
        "key": manifest.key,
        "rows": generation.rows(),
        "bytes": generation.bytes(),
        "parts": manifest.parts.len(),
        "label_names": manifest.schema.label_names,
        "attributes": manifest.schema.attributes,
        "columns": columns,
        "settings": manifest.settings,
        "summary": manifest.summary,
    }))
}

/// Checks where a picture is to be written, before any work.
fn png_file(path: &Path, force: bool) -> Result<(PathBuf, OutputFileArgs)> {
    let folder = folder_of(path);
    if !folder.is_dir() {
        let message = format!("there is no folder `{}` for the picture", folder.display());
        return Err(Error::new(Kind::Usage, message).hint("make it, or name a file in another one"));
    }
    let file = OutputFileArgs::new(path.to_path_buf(), force);
    file.check()?;
    Ok((path.to_path_buf(), file))
}

/// Writes all pictures below each other, enlarged if they are small.
fn write_png(path: &Path, file: &OutputFileArgs, pictures: &[Picture]) -> Result<()> {
    if pictures.is_empty() {
        let message =
            "there is nothing to draw: no images, recordings, activations or pooled vectors";
        return Err(Error::new(Kind::Usage, message).hint("`gimlet inspect` shows the columns"));
    }
    let large = |it: &Picture| it.enlarged((PNG_WIDTH / it.width().max(1)).clamp(1, 8));
    let pictures: Vec<Picture> = pictures.iter().map(large).collect();
    let bytes = Picture::stacked(&pictures, 8).over([255; 3]).png()?;
    let temp = Unfinished::create(&Store::new().locate(path))?;
    temp.file().write_all(&bytes).map_err(|error| Error::io("write", path, error))?;
    file.publish(temp)
}
