//! `gimlet compare`: several pipelines, or variants of one, in one table.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::Args;
use gimlet_store::Store;
use serde_json::json;

use super::arguments::{DeviceArgs, GlobalArgs, JsonArgs, PipelineArgs};
use super::printer::Printer;
use super::render::Renderer;
use super::{interrupt, session, table};
use crate::pipeline::Pipeline;
use crate::stage::comparison::{self, Line};
use crate::stage::findings::{self, Row};
use crate::stage::{Run, RunDir, Session};
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

    /// Directory that holds all runs, and the table
    #[arg(long, value_name = "DIR", default_value = "runs/compare")]
    run_dir: PathBuf,

    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    output: JsonArgs,
}

/// A pipeline under some overrides, of which each seed is a run.
struct Variant {
    name: String,
    pipeline: PathBuf,
    overrides: Vec<String>,
}

pub fn run(args: CompareArgs, globals: &GlobalArgs, printer: &Printer) -> anyhow::Result<()> {
    let variants = variants(&args)?;
    // All mistakes are told before any work.
    let mut runs = Vec::new();
    for variant in &variants {
        let pipelines = (0..args.seeds.get() as u64).map(|number| variant.load(number));
        runs.push(pipelines.collect::<Result<Vec<_>>>()?);
    }
    let device = args.device.device.open()?;
    let mut lines = Vec::new();
    for (variant, pipelines) in variants.iter().zip(&runs) {
        let mut rows = Vec::new();
        for pipeline in pipelines {
            let seed = format!("seed-{}", pipeline.seed);
            printer.note(&format!("{}, {seed}", variant.name));
            let dir = RunDir::at(args.run_dir.join(folder_name(&variant.name)).join(seed));
            let renderer = Renderer::new(printer);
            let session = Session::new(interrupt::stop(), &renderer);
            let run = Run::open(pipeline, dir, Session { device: device.clone(), ..session })?;
            // As `gimlet run` would be told of it.
            let arguments = PipelineArgs {
                pipeline: variant.pipeline.clone(),
                overrides: variant.overrides_under(pipeline.seed),
                run_dir: Some(run.standing.dir.path().to_path_buf()),
                wait: false,
            };
            rows.push(train(&run, &arguments, &args.device, globals, printer)?);
        }
        lines.extend(comparison::lines(&variant.name, &rows));
    }
    write(&args.run_dir, &lines)?;
    match args.output.json {
        true => printer.json(&lines)?,
        false => {
            printer.note("");
            printer.result(&table::comparison(&lines))?;
        }
    }
    printer.note(&format!("the table is in {}", args.run_dir.join(TABLE).display()));
    Ok(())
}

/// The table, as Markdown and as JSON.
const TABLE: &str = "compare.md";
const DOCUMENT: &str = "compare.json";

fn variants(args: &CompareArgs) -> Result<Vec<Variant>> {
    let mut variants = Vec::new();
    for pipeline in &args.pipelines {
        let stem = pipeline.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if args.variants.is_empty() {
            let overrides = args.overrides.clone();
            variants.push(Variant { name: stem, pipeline: pipeline.clone(), overrides });
            continue;
        }
        for variant in &args.variants {
            let (name, settings) = variant.split_once(':').unwrap_or((variant, ""));
            let name = match args.pipelines.len() {
                1 => name.trim().to_string(),
                _ => format!("{stem}, {}", name.trim()),
            };
            let settings = settings.split(';').map(str::trim).filter(|it| !it.is_empty());
            let mut overrides = args.overrides.clone();
            overrides.extend(settings.map(String::from));
            variants.push(Variant { name, pipeline: pipeline.clone(), overrides });
        }
    }
    let mut folders: Vec<String> = variants.iter().map(|it| folder_name(&it.name)).collect();
    folders.sort();
    let twice = folders.windows(2).find(|pair| pair[0] == pair[1]);
    if let Some([name, _]) = twice.map(|pair| [&pair[0], &pair[1]]) {
        let message = format!("two variants are called `{name}`");
        return Err(Error::new(Kind::Usage, message).hint("give each a name of its own"));
    }
    Ok(variants)
}

impl Variant {
    /// The pipeline under its seed and so many more.
    fn load(&self, more: u64) -> Result<Pipeline> {
        let pipeline = Pipeline::load(&self.pipeline, &self.overrides)?;
        let seed = pipeline.seed.saturating_add(more);
        Pipeline::load(&self.pipeline, &self.overrides_under(seed))
    }

    fn overrides_under(&self, seed: u64) -> Vec<String> {
        [&self.overrides[..], &[format!("seed={seed}")]].concat()
    }
}

/// A name as a folder's: letters, digits, `-` and `_`.
fn folder_name(name: &str) -> String {
    let plain = |it: char| if it.is_alphanumeric() || it == '_' { it } else { '-' };
    name.chars().map(plain).collect()
}

/// Does what is missing of a run.
fn train(
    run: &Run<'_>,
    pipeline: &PipelineArgs,
    device: &DeviceArgs,
    globals: &GlobalArgs,
    printer: &Printer,
) -> Result<Vec<Row>> {
    if !session::all_steps(run, pipeline, device, globals, printer, |_| ())? {
        printer.note("everything done before, nothing changed");
    }
    findings::collect(&run.standing, &run.standing.status()?)
}

fn write(dir: &Path, lines: &[Line]) -> Result<()> {
    let document = serde_json::to_string_pretty(&json!({ "lines": lines })).unwrap_or_default();
    let dir = Store::new().locate(dir);
    dir.join(TABLE).replace(table::comparison_markdown(lines).as_bytes())?;
    dir.join(DOCUMENT).replace(document.as_bytes())?;
    Ok(())
}
