//! `gimlet compare`: runs several pipelines, or variants of one, as sweeps, and shows them in one table.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::Args;
use gimlet_store::{Shard, Store};
use serde_json::json;

use super::arguments::{DeviceArgs, GlobalArgs, JsonArgs};
use super::printer::Printer;
use super::session::sweep_dir;
use super::sweep::{Runner, report};
use super::table;
use crate::stage::comparison::Line;
use crate::sweep::{self, Seeds, Sweep, Variant, Work};
use crate::{Error, Kind, Result};

#[derive(Args)]
pub struct CompareArgs {
    /// The pipeline files (TOML)
    #[arg(required = true)]
    pipelines: Vec<PathBuf>,

    /// A variant of every pipeline: a name and its overrides, such as
    /// `end to end: split=end-to-end; training.epochs=20`; may be repeated
    #[arg(long = "variant", value_name = "NAME: KEY=VALUE; ...")]
    variants: Vec<String>,

    /// Override a key of all pipelines; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,

    /// Seeds to train under: those of the pipelines, and the ones after it
    #[arg(long, value_name = "N", default_value = "1")]
    seeds: NonZeroUsize,

    /// Directory that holds all runs, those of one pipeline together, and the table
    #[arg(long, value_name = "DIR", default_value = "runs/compare")]
    run_dir: PathBuf,

    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    output: JsonArgs,
}

pub fn run(args: CompareArgs, globals: &GlobalArgs, printer: &Printer) -> anyhow::Result<()> {
    let sweeps = sweeps(&args)?;
    // Finds all mistakes before any work.
    let runs = sweeps.iter().map(Sweep::runs).collect::<Result<Vec<_>>>()?;
    for run in runs.iter().flatten() {
        args.device.open(&run.pipeline)?;
    }
    let runner = Runner { jobs: NonZeroUsize::MIN, keep: true, device: &args.device, globals };
    let (mut lines, mut failures) = (Vec::new(), Vec::new());
    for (sweep, runs) in sweeps.iter().zip(&runs) {
        let folder = args.run_dir.join(folder_name(&sweep.name));
        let mut work = Work::begin(runs, sweep_dir(Some(&folder), runs)?)?;
        failures.extend(runner.work(sweep, &mut work, Shard::WHOLE, printer)?);
        let summaries = sweep::summaries(sweep, runs, &work.results());
        lines.extend(summaries.into_iter().flat_map(|it| it.lines));
    }
    if !lines.is_empty() {
        write(&args.run_dir, &lines)?;
    }
    match args.output.json {
        true => printer.json(&lines)?,
        false => {
            printer.note("");
            printer.result(&table::comparison(&lines))?;
        }
    }
    printer.note(&format!("the table is in {}", args.run_dir.join(TABLE).display()));
    Ok(report(&failures, runs.iter().map(Vec::len).sum())?)
}

/// The files of the table, as Markdown and as JSON.
const TABLE: &str = "compare.md";
const DOCUMENT: &str = "compare.json";

/// A sweep for each pipeline.
fn sweeps(args: &CompareArgs) -> Result<Vec<Sweep>> {
    let sweep = |pipeline: &PathBuf| {
        let stem = pipeline.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let variant = |text: &String| {
            let (name, settings) = text.split_once(':').unwrap_or((text, ""));
            let name = match args.pipelines.len() {
                1 => name.trim().to_string(),
                _ => format!("{stem}, {}", name.trim()),
            };
            let settings = settings.split(';').map(str::trim).filter(|it| !it.is_empty());
            let overrides = args.overrides.iter().cloned().chain(settings.map(String::from));
            Variant { name, grid: vec![], overrides: overrides.collect() }
        };
        let mut variants: Vec<Variant> = args.variants.iter().map(variant).collect();
        if variants.is_empty() {
            let (name, overrides) = (stem.clone(), args.overrides.clone());
            variants.push(Variant { name, grid: vec![], overrides });
        }
        let (name, pipeline) = (stem, pipeline.clone());
        let seeds = Seeds::Count(args.seeds.get() as u64);
        Sweep { name, pipeline, seeds, grid: vec![], variants, baseline: 0 }
    };
    let sweeps: Vec<Sweep> = args.pipelines.iter().map(sweep).collect();
    let names = sweeps.iter().flat_map(|it| &it.variants).map(|it| folder_name(&it.name));
    let mut names: Vec<String> = names.collect();
    names.sort();
    let twice = names.windows(2).find(|pair| pair[0] == pair[1]);
    if let Some([name, _]) = twice.map(|pair| [&pair[0], &pair[1]]) {
        let message = format!("two variants are called `{name}`");
        return Err(Error::new(Kind::Usage, message).hint("give each a name of its own"));
    }
    Ok(sweeps)
}

/// Turns a name into a folder name: letters, digits, `-` and `_`.
fn folder_name(name: &str) -> String {
    let plain = |it: char| if it.is_alphanumeric() || it == '_' { it } else { '-' };
    name.chars().map(plain).collect()
}

fn write(dir: &Path, lines: &[Line]) -> Result<()> {
    let document = serde_json::to_string_pretty(&json!({ "lines": lines })).unwrap_or_default();
    let dir = Store::new().locate(dir);
    dir.join(TABLE).replace(table::comparison_markdown(lines).as_bytes())?;
    dir.join(DOCUMENT).replace(document.as_bytes())?;
    Ok(())
}
