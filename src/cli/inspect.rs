//! `gimlet inspect`: what a dataset holds.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;
use gimlet_store::{Compression, DType, Dataset, Generation};
use serde_json::{Value, json};

use super::printer::Printer;
use super::{JsonArgs, PipelineArgs, table};
use crate::pipeline::Split;
use crate::{Error, Kind, Result};

#[derive(Args)]
pub struct InspectArgs {
    /// A pipeline file (TOML), or the folder of one dataset, such as runs/NAME/datasets/a/train
    target: PathBuf,

    /// Override a key of the pipeline file; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,

    /// Directory of the run [default: runs/<pipeline name>]
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,

    /// Rows to show of each dataset
    #[arg(long, default_value_t = 3, value_name = "N")]
    rows: usize,

    #[command(flatten)]
    output: JsonArgs,
}

pub fn run(args: InspectArgs, printer: &Printer) -> anyhow::Result<()> {
    let generations = if is_pipeline(&args.target) {
        let pipeline = PipelineArgs {
            pipeline: args.target.clone(),
            overrides: args.overrides,
            run_dir: args.run_dir,
        };
        of_pipeline(&pipeline)?
    } else {
        vec![of_folder(&args.target)?]
    };
    if args.output.json {
        let documents: Result<Vec<Value>> =
            generations.iter().map(|it| describe(it, args.rows)).collect();
        return printer.json(&json!({ "datasets": documents? }));
    }
    for (index, generation) in generations.iter().enumerate() {
        if index > 0 {
            printer.result("")?;
        }
        printer.result(&text(generation, args.rows)?)?;
    }
    Ok(())
}

/// A pipeline is a file; everything else must be a dataset.
pub fn is_pipeline(target: &Path) -> bool {
    target.extension().is_some_and(|extension| extension == "toml")
}

/// The newest generation of every dataset of a run.
fn of_pipeline(pipeline: &PipelineArgs) -> Result<Vec<Generation>> {
    let (_, dir, plan) = pipeline.look()?;
    let mut found = Vec::new();
    for step in plan.steps().into_iter().filter(|step| plan.is_of_last_round(*step)) {
        for split in Split::ALL {
            for dataset in plan.datasets(step, split, &dir) {
                let current = dataset.find(&plan.key(step, split).hash)?;
                found.extend(match current {
                    Some(generation) => Some(generation),
                    None => dataset.newest()?,
                });
            }
        }
    }
    if found.is_empty() {
        let message = format!("there is no dataset in `{}` yet", dir.path().display());
        return Err(Error::new(Kind::NotReady, message).hint("run `gimlet run` or `gimlet ingest`"));
    }
    Ok(found)
}

/// The newest generation of the dataset in a folder, or the one whose parts the folder holds.
fn of_folder(folder: &Path) -> Result<Generation> {
    if !folder.exists() {
        let message = format!("`{}` does not exist", folder.display());
        return Err(Error::new(Kind::NotReady, message)
            .hint("name a pipeline file, or a dataset such as runs/NAME/datasets/a/train"));
    }
    if let Some(generation) = Dataset::at(folder).newest()? {
        return Ok(generation);
    }
    // The folder of one generation's parts, or a part.
    let parts = if folder.is_file() { crate::error::folder_of(folder) } else { folder.into() };
    let dataset = Dataset::at(crate::error::folder_of(&parts));
    for number in dataset.generations()? {
        let generation = dataset.generation(number)?;
        if generation.dir().file_name() == parts.file_name() {
            return Ok(generation);
        }
    }
    let message = format!("`{}` holds no committed dataset", folder.display());
    Err(Error::new(Kind::NotReady, message)
        .hint("name a pipeline file, or a dataset such as runs/NAME/datasets/a/train"))
}

/// As it is printed.
pub fn dtype(dtype: DType) -> &'static str {
    match dtype {
        DType::U8 => "u8",
        DType::I8 => "i8",
        DType::F16 => "f16",
        DType::F32 => "f32",
    }
}

/// The first values of the first `count` rows, with their keys.
fn first_rows(generation: &Generation, count: usize) -> Result<Vec<Value>> {
    /// Values shown of a tensor.
    const VALUES: usize = 6;
    let columns = &generation.manifest().schema.columns;
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let reader = generation.reader(&names)?;
    let keys = reader.keys()?;
    let label_names = generation.manifest().schema.label_names.as_deref().unwrap_or_default();
    let mut rows = Vec::new();
    for position in 0..count.min(generation.rows() as usize) {
        let label = keys.labels[position];
        let name = label.and_then(|label| label_names.get(usize::try_from(label).ok()?));
        let mut row = json!({ "id": keys.ids[position], "label": label, "label_name": name });
        if let Some(sources) = &keys.sources {
            row["source"] = json!(sources[position]);
        }
        for (name, values) in generation.manifest().schema.attributes.iter().zip(&keys.attributes) {
            row[name] = json!(values[position]);
        }
        for column in columns {
            let mut values = vec![0.0; column.values()];
            reader.read_f32(&column.name, &[position as u64], &mut values)?;
            values.truncate(VALUES);
            row[&column.name] = json!(values);
        }
        rows.push(row);
    }
    Ok(rows)
}

/// Everything about a generation, for scripts.
fn describe(generation: &Generation, rows: usize) -> Result<Value> {
    let manifest = generation.manifest();
    let columns: Vec<Value> = manifest
        .schema
        .columns
        .iter()
        .map(|column| {
            let mut described = json!({
                "name": column.name, "dtype": dtype(column.dtype), "shape": column.shape,
                "dims": column.dims, "compression": column.compression,
            });
            if let Some(it) = manifest.statistics.get(&column.name) {
                described["mean"] = json!(it.mean);
                described["std"] = json!(it.std);
                described["min"] = json!(it.min);
                described["max"] = json!(it.max);
                described["zero_fraction"] = json!(it.zero_fraction);
            }
            described
        })
        .collect();
    Ok(json!({
        "path": generation.dir(),
        "files": generation.glob(),
        "generation": generation.number(),
        "key": manifest.key,
        "rows": generation.rows(),
        "bytes": generation.bytes(),
        "parts": manifest.parts.len(),
        "label_names": manifest.schema.label_names,
        "attributes": manifest.schema.attributes,
        "columns": columns,
        "settings": manifest.settings,
        "summary": manifest.summary,
        "first_rows": first_rows(generation, rows)?,
    }))
}

/// Everything about a generation, for people.
fn text(generation: &Generation, rows: usize) -> anyhow::Result<String> {
    let manifest = generation.manifest();
    let mut text = format!(
        "{}\n  generation {}, {} rows, {}, {}\n",
        generation.glob().display(),
        generation.number(),
        generation.rows(),
        table::bytes(generation.bytes()),
        match manifest.parts.len() {
            1 => "1 file".to_string(),
            files => format!("{files} files"),
        }
    );
    if let Some(skipped) = manifest.summary["skipped"].as_array().filter(|it| !it.is_empty()) {
        text += &format!("  {} samples of the source were skipped\n", skipped.len());
    }
    let mut lines = vec![
        ["id", "i64"].map(String::from).to_vec(),
        ["label", "i64, may be null"].map(String::from).to_vec(),
    ];
    if manifest.schema.source {
        lines.push(["source", "utf8"].map(String::from).to_vec());
    }
    for name in &manifest.schema.attributes {
        lines.push(vec![name.clone(), "i64".to_string()]);
    }
    for column in &manifest.schema.columns {
        let sizes: Vec<String> = column
            .shape
            .iter()
            .enumerate()
            .map(|(axis, size)| match column.dims.get(axis) {
                Some(dim) => format!("{dim} {size}"),
                None => size.to_string(),
            })
            .collect();
        let kind = match column.compression {
            Compression::None => dtype(column.dtype).to_string(),
            compression => format!("{}, {}", dtype(column.dtype), compression.name()),
        };
        let mut line = vec![column.name.clone(), kind];
        line.push(format!("[{}]", sizes.join(", ")));
        let it = manifest.statistics.get(&column.name);
        let it = it.ok_or_else(|| anyhow!("no statistics of column `{}`", column.name))?;
        line.extend([it.mean, it.std, f64::from(it.min), f64::from(it.max)].map(number));
        line.push(format!("{:.1} %", 100.0 * it.zero_fraction));
        lines.push(line);
    }
    for line in &mut lines {
        line.resize(8, String::new());
    }
    let header = ["column", "type", "shape", "mean", "std", "min", "max", "zeros"];
    text += &indent(&table::plain(&header, lines, &[3, 4, 5, 6, 7]));

    let rows = first_rows(generation, rows)?;
    if !rows.is_empty() {
        let columns = manifest.schema.columns.iter().map(|column| column.name.as_str());
        let attributes = &manifest.schema.attributes;
        let keys = ["id", "label"].into_iter().chain(attributes.iter().map(String::as_str));
        let header: Vec<&str> = keys.chain(columns).collect();
        let lines = rows.iter().map(|row| {
            let label = match (row["label"].as_i64(), row["label_name"].as_str()) {
                (Some(label), Some(name)) => format!("{label} {name}"),
                (Some(label), None) => label.to_string(),
                (None, _) => "-".to_string(),
            };
            let mut line = vec![row["id"].to_string(), label];
            line.extend(attributes.iter().map(|name| row[name].to_string()));
            for column in &header[2 + attributes.len()..] {
                let values = row[*column].as_array().into_iter().flatten();
                let values: Vec<String> = values.filter_map(Value::as_f64).map(number).collect();
                line.push(format!("{} …", values.join(" ")));
            }
            line
        });
        text += "\n\n";
        let right: Vec<usize> = [0].into_iter().chain(2..2 + attributes.len()).collect();
        text += &indent(&table::plain(&header, lines.collect(), &right));
    }
    Ok(text)
}

/// Four significant digits; whole numbers as they are.
fn number(value: f64) -> String {
    if value.fract() == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let digits = (3 - value.abs().log10().floor() as i32).clamp(0, 8) as usize;
    format!("{value:.digits$}")
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
