//! A run as it lies on disk once it is done, at any size: its records and manifests are those that the
//! store commits, under the keys of the real plan. Of its parts there are names, sizes and notes, and no
//! bytes: files with nothing but a hole in them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use gimlet::pipeline::{Environment, Pipeline, Split};
use gimlet::stage::record::{Probe, Training};
use gimlet::stage::{Plan, RunDir, Standing, Step};
use gimlet::train::took::Took;
use gimlet_store::{Dataset, FORMAT_VERSION, Manifest, Part, Records, Schema, Statistics};
use serde_json::json;

pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// A pipeline file and the directory of its run.
pub struct Planned {
    pub file: PathBuf,
    pub dir: RunDir,
    /// In all datasets.
    pub rows: u64,
    pub parts: u64,
    pub generations: u64,
    /// Of the longest manifest, in JSON, and of all.
    pub longest_manifest: u64,
    pub manifest_bytes: u64,
}

/// A generation, as far as its parts are concerned.
struct Cut {
    rows: u64,
    rows_per_part: u64,
    row_bytes: u64,
}

/// Writes `pipeline` into `folder`, and its run beside it.
pub fn make(folder: &Path, pipeline: &str, overrides: &[String]) -> Result<Planned> {
    let file = folder.join("pipeline.toml");
    fs::write(&file, pipeline)?;
    let pipeline = Pipeline::parse(pipeline, &file, overrides, &Environment::default())?;
    let dir = RunDir::at(folder.join("run"));
    dir.claim(&pipeline.name)?;
    let standing = Standing::new(&pipeline, dir.clone())?;
    let (plan, costs) = (&standing.plan, standing.costs(&pipeline)?);
    let mut made = Planned {
        file,
        dir,
        rows: 0,
        parts: 0,
        generations: 0,
        longest_manifest: 0,
        manifest_bytes: 0,
    };
    for step in plan.steps() {
        match step {
            Step::Train(at) => made.train(plan, at, costs.parameters(at.module) * 4)?,
            Step::Probe(module) => made.probe(plan, module)?,
            Step::Ingest | Step::Untrained | Step::Encode(_) => {
                let schemas = costs.schemas(step, plan.stored());
                for split in Split::ALL {
                    let datasets = standing.datasets(step, split);
                    for (dataset, schema) in datasets.iter().zip(&schemas) {
                        let cut = Cut {
                            rows: costs.rows(step, split),
                            rows_per_part: pipeline.store.rows_per_part as u64,
                            row_bytes: schema.row_bytes() as u64,
                        };
                        let key = plan.key(step, split);
                        made.commit(dataset, schema, [&key.hash, &key.settings.to_string()], &cut)?;
                    }
                }
            }
        }
    }
    Ok(made)
}

impl Planned {
    fn train(&self, plan: &Plan, at: gimlet::stage::At, bytes: u64) -> Result<()> {
        let key = plan.key(Step::Train(at), Split::Train);
        let weights = self.dir.weights(plan.module(at.module), &key.hash);
        weights.folder().create_folder()?;
        File::create(weights.path())?.set_len(bytes)?;
        let (key, settings) = (key.hash.clone(), key.settings.clone());
        let took = Took { bytes: Some(bytes), ..Took::default() };
        let record = Training { key, settings, took, ..Training::default() };
        self.dir.trainings(plan.module(at.module)).commit(|_| record.clone())?;
        Ok(())
    }

    fn probe(&self, plan: &Plan, module: usize) -> Result<()> {
        let key = plan.key(Step::Probe(module), Split::Train);
        let (key, settings) = (key.hash.clone(), key.settings.clone());
        let record = Probe { key, settings, took: Took::default(), results: vec![] };
        self.dir.probes(plan.module(module)).commit(|_| record.clone())?;
        Ok(())
    }

    fn commit(
        &mut self,
        dataset: &Dataset,
        schema: &Schema,
        [key, settings]: [&str; 2],
        cut: &Cut,
    ) -> Result<()> {
        let parts = cut.parts();
        make_parts(dataset.folder_of(key).path(), &parts)?;
        let statistics =
            Statistics { count: 1, mean: 0.0, std: 0.0, min: 0.0, max: 0.0, zero_fraction: 1.0 };
        let manifest = Manifest {
            format_version: FORMAT_VERSION,
            key: key.to_owned(),
            settings: serde_json::from_str(settings)?,
            rows: cut.rows,
            schema: schema.clone(),
            compression: BTreeMap::new(),
            statistics: schema.columns.iter().map(|it| (it.name.clone(), statistics)).collect(),
            summary: json!(Took::default()),
            created: 0,
            code_version: "0".to_owned(),
            parts,
        };
        self.rows += cut.rows;
        self.parts += manifest.parts.len() as u64;
        self.generations += 1;
        let records = Records::at(dataset.folder());
        let number = records.commit(|_| manifest.clone())?;
        let file = File::options().write(true).open(records.path(number).path())?;
        // As if it had been there for a while.
        file.set_modified(SystemTime::now() - Duration::from_secs(3600))?;
        let bytes = file.metadata()?.len();
        self.manifest_bytes += bytes;
        self.longest_manifest = self.longest_manifest.max(bytes);
        Ok(())
    }

    /// As many parts as the largest dataset has, of an attempt that nobody goes on with.
    pub fn leave_attempt(&self, stage: &str, parts: u64) -> Result<()> {
        let folder = self.dir.dataset(stage, Split::Train).folder().join("0123456789abcdef");
        make_parts(folder.path(), &Cut { rows: parts, rows_per_part: 1, row_bytes: 64 }.parts())
    }
}

impl Cut {
    fn parts(&self) -> Vec<Part> {
        let count = self.rows.div_ceil(self.rows_per_part);
        (0..count)
            .map(|index| {
                let rows = self.rows_per_part.min(self.rows - index * self.rows_per_part);
                let pages = rows * (self.row_bytes + 64);
                // Any 64 digits, other ones for each part, as of real hashes.
                let hash = blake3::hash(&index.to_le_bytes()).to_hex().to_string();
                Part {
                    file: format!("part-{index:05}.parquet"),
                    rows,
                    bytes: pages + 4096,
                    blake3: hash.clone(),
                    index_offset: pages,
                    index_blake3: hash,
                }
            })
            .collect()
    }
}

/// Files of these names and sizes, each with a note beside it.
fn make_parts(folder: &Path, parts: &[Part]) -> Result<()> {
    fs::create_dir_all(folder)?;
    for part in parts {
        File::create(folder.join(&part.file))?.set_len(part.bytes)?;
        let note = json!({ "format_version": FORMAT_VERSION });
        fs::write(folder.join(format!(".{}.json", part.file)), note.to_string())?;
    }
    Ok(())
}
