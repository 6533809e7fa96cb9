//! Checks that everything at rest is still what was written.

use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use gimlet_store::{Checked, Damage, Dataset, ErrorKind, Heard, Location, Records};
use rayon::prelude::*;
use serde_json::Value;

use super::RunDir;
use super::progress::{Progress, Unit};
use super::provenance::{self, Ingested};
use super::record::{Probe, Training};
use super::run_dir::{WEIGHTS, folders_in};
use crate::parameters::Parameters;
use crate::pipeline::{Pipeline, Split};
use crate::source::known_files::{Watch, read_anew};
use crate::source::{self, content};
use crate::train::checkpoint::Checkpoints;
use crate::{Error, Kind, Result};

/// The result of a check.
pub struct Report {
    /// The files that were read, and the damage that was found.
    pub checked: Checked,
    /// Seconds that it took.
    pub seconds: f64,
}

/// Checks everything in the folder of a run or of a dataset. Leaves notes beside damaged parts and weights, so that the
/// next run makes them again.
///
/// # Errors
/// [`Kind::NotReady`] when the folder is neither.
pub fn folder(folder: &Path, progress: &dyn Progress) -> Result<Report> {
    let dir = RunDir::at(folder);
    let at = dir.location();
    if dir.is_run()? {
        return run(&dir, progress);
    }
    let dataset = Dataset::at(at);
    let is_dataset = || -> Result<bool> {
        // An unfinished dataset has folders of keys, and no manifest yet.
        Ok(!dataset.generations()?.is_empty() || dataset.was_begun()?)
    };
    let is_folder = at.is_folder();
    let is_folder = is_folder.map_err(|error| Error::io("look at", folder, error))?;
    if !is_folder || !is_dataset()? {
        let message = format!("`{}` is neither a run nor a dataset", folder.display());
        return Err(Error::new(Kind::NotReady, message).hint(
            "name a pipeline file, or a folder such as runs/NAME or runs/NAME/datasets/a/train",
        ));
    }
    check(at, progress, |heard| dataset.check(heard))
}

/// Checks everything in a run.
///
/// # Errors
/// [`Kind::NotReady`] when there is none.
pub fn run(dir: &RunDir, progress: &dyn Progress) -> Result<Report> {
    if !dir.is_run()? {
        let message = format!("there is no run in `{}`", dir.path().display());
        return Err(Error::new(Kind::NotReady, message).hint("run `gimlet run` or `gimlet ingest`"));
    }
    let (datasets, trainings, probes) =
        (dir.all_datasets()?, dir.all_trainings()?, dir.all_probes()?);
    check(dir.location(), progress, |heard| {
        let owner = dir.owner().and_then(|owner| {
            let file = dir.path().join("run.json");
            owner.map(|_| 0).ok_or_else(|| Damage::of(&file, "the file is missing").into())
        });
        let owner = tell(heard, checked(owner));
        let of_datasets = datasets.par_iter().map(|dataset| dataset.check(heard));
        let of_trainings = trainings.par_iter().map(|it| check_trainings(it, heard));
        let of_sources = check_records::<Ingested>(&provenance::records(dir), heard).0;
        let of_probes = probes.par_iter().map(|it| check_records::<Probe>(it, heard).0);
        let rest = of_datasets.chain(of_trainings).chain(of_probes);
        owner.and(of_sources).and(rest.reduce(Checked::default, Checked::and))
    })
}

/// The files of a pipeline's source, compared with those that were ingested.
pub struct OfSource {
    /// The number of files.
    pub files: usize,
    /// One phrase per file that is not what was ingested: ``test: `a.wav`: other content``.
    pub differences: Vec<String>,
}

/// Compares the files that a pipeline names with those of the last ingest with its settings. All files are read again.
///
/// # Errors
/// [`Kind::NotReady`] when the source is gone or nothing was ingested; another kind when a file cannot be read.
pub fn source(pipeline: &Pipeline, dir: &RunDir, watch: &dyn Watch) -> Result<OfSource> {
    let Some(ingested) = provenance::newest_of(pipeline, dir)? else {
        let message = "nothing was ingested with these settings".to_owned();
        return Err(Error::new(Kind::NotReady, message).hint("run `gimlet ingest` first"));
    };
    let mut found = OfSource { files: 0, differences: Vec::new() };
    for split in Split::ALL {
        let source = source::open(&pipeline.data, split, pipeline.seed)?;
        let now = read_anew(&source.content().files, watch)?;
        found.files += now.len();
        let differ = content::differences(&ingested.files(split), &now);
        let name = split.name();
        // A dataset that is read where it lies is known by what its manifest says of its parts.
        let content = |it: &Value| it["content"].clone();
        if content(&ingested.sources[split]) != content(&source.content().made) {
            found.differences.push(format!("{name}: the dataset has other content"));
        }
        found.differences.extend(differ.into_iter().map(|it| format!("{name}: {it}")));
    }
    Ok(found)
}

/// Runs a check, shows its progress, and leaves notes beside damaged files.
fn check(
    folder: &Location,
    progress: &dyn Progress,
    work: impl FnOnce(Heard<'_>) -> Checked,
) -> Result<Report> {
    let started = Instant::now();
    let so_far = Mutex::new((0, 0));
    progress.begin("verify", Unit::Of("files"), files_in(folder)?, 0);
    let checked = work(&|found: &Checked| {
        for damage in found.damage.iter().filter(|damage| is_remade(damage)) {
            if let Err(error) = folder.store().note(damage) {
                progress.warn(&format!("{error}; `run` will not know of the damage"));
            }
        }
        let mut so_far = so_far.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        so_far.0 += found.files;
        so_far.1 += found.bytes;
        progress.advance(so_far.0, &crate::quantity::bytes_in_words(so_far.1));
    });
    progress.end(&format!("{} files", checked.files));
    Ok(Report { checked, seconds: started.elapsed().as_secs_f64() })
}

/// Whether a step makes a file again when it is noted as damaged. A note does not help against files that should not be
/// there.
fn is_remade(damage: &Damage) -> bool {
    let name = damage.file.file_name().unwrap_or_default().to_string_lossy();
    name == WEIGHTS || name.ends_with(".parquet")
}

/// Counts about how many files there are to check.
fn files_in(folder: &Location) -> Result<u64> {
    let mut files = 0;
    let mut folders = vec![folder.clone()];
    while let Some(folder) = folders.pop() {
        let names = folder.names().unwrap_or_default().into_iter();
        let ours = |name: &String| {
            let data = name.ends_with(".parquet") || name.ends_with(".safetensors");
            !name.starts_with('.') && (data || name.ends_with(".json"))
        };
        files += names.filter(ours).count() as u64;
        folders.extend(folders_in(&folder)?);
    }
    Ok(files)
}

/// Checks all records of a kind, and returns those that can be read.
fn check_records<T: serde::de::DeserializeOwned>(
    records: &Records,
    heard: Heard<'_>,
) -> (Checked, Vec<T>) {
    let mut all = Checked::default();
    let mut found = Vec::new();
    let numbers = match records.numbers() {
        Ok(numbers) => numbers,
        Err(error) => return (tell(heard, Checked::failed(error)), found),
    };
    for number in numbers {
        match records.read::<T>(number) {
            Ok(record) => {
                let size = records.path(number).size().ok().flatten().unwrap_or(0);
                all = all.and(tell(heard, Checked::sound(size)));
                found.push(record);
            }
            // It was removed after it was listed.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => all = all.and(tell(heard, Checked::failed(error))),
        }
    }
    (all, found)
}

/// Checks the weights of every training of a module against its record, and all checkpoints.
fn check_trainings(records: &Records, heard: Heard<'_>) -> Checked {
    let (mut all, trainings) = check_records::<Training>(records, heard);
    for training in trainings {
        let weights = records.folder_of(&training.key).join(WEIGHTS);
        let weights = training.read_weights(&weights).map(|bytes| bytes.len() as u64);
        all = all.and(tell(heard, checked(weights)));
    }
    for folder in folders_in(records.folder()).unwrap_or_default() {
        for file in Checkpoints::in_folder(&folder).files() {
            let path = file.path();
            let bytes = match file.read() {
                Ok(bytes) => bytes,
                // Its training has ended meanwhile.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => {
                    all = all.and(tell(heard, checked(Err(Error::io("read", path, error)))));
                    continue;
                }
            };
            let parsed = Parameters::from_safetensors(&bytes, path);
            let parsed = parsed.map_err(|error| Error::from(Damage::of(path, error)));
            all = all.and(tell(heard, checked(parsed.map(|_| bytes.len() as u64))));
        }
    }
    all
}

/// A sound file of `bytes` bytes, or the error with it.
fn checked(bytes: Result<u64>) -> Checked {
    let error = match bytes {
        Ok(bytes) => return Checked::sound(bytes),
        Err(error) => error,
    };
    match error.damage() {
        Some(damage) => Checked { files: 1, damage: vec![damage.clone()], ..Checked::default() },
        None => Checked::unchecked(ErrorKind::Failed, error),
    }
}

fn tell(heard: Heard<'_>, checked: Checked) -> Checked {
    heard(&checked);
    checked
}
