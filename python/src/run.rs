//! What a run's directory holds, as JSON: its datasets and trainings, what probes found, and the logs of trainings.

use std::collections::BTreeSet;
use std::path::PathBuf;

use gimlet::pipeline::Split;
use gimlet::stage::RunDir;
use gimlet::stage::record::{Probe, Training};
use gimlet::train::log::Entry;
use gimlet::{Error, Kind, Result};
use gimlet_store::{Dataset, Location};
use pyo3::prelude::*;
use serde_json::{Value, json};

use crate::error::exception;

/// What the run in `path` holds: `status`, `probes` and `curves`, each a list of objects.
#[pyfunction]
pub fn run(py: Python<'_>, path: PathBuf) -> PyResult<String> {
    let found = py.detach(|| {
        let dir = RunDir::at(path);
        if !dir.is_run()? {
            let message = format!("`{}` is not the directory of a run", dir.path().display());
            let hint = "name the one that `gimlet run` wrote to, such as `runs/quickstart`";
            return Err(Error::new(Kind::NotReady, message).hint(hint));
        }
        let (trainings, curves) = trainings(&dir)?;
        let mut status = datasets(&dir)?;
        status.extend(trainings);
        Ok(json!({
            "pipeline": dir.owner()?, "status": status, "probes": probes(&dir)?, "curves": curves,
        }))
    });
    found.map(|found| found.to_string()).map_err(exception)
}

/// The names of the folders in `at`, in order; none where it does not exist.
fn folders(at: &Location) -> Result<BTreeSet<String>> {
    let names = match at.names() {
        Ok(names) => names,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(Error::io("list", at.path(), error)),
    };
    Ok(names.into_iter().filter(|name| !name.starts_with('.')).collect())
}

/// A row for each dataset, of trained and of untrained modules.
fn datasets(dir: &RunDir) -> Result<Vec<Value>> {
    let mut rows = Vec::new();
    for (folder, of) in [("datasets", "trained"), ("untrained", "untrained")] {
        for stage in folders(&dir.location().join(folder))? {
            for split in Split::ALL {
                let dataset = match of {
                    "trained" => dir.dataset(&stage, split),
                    _ => dir.untrained(&stage, split),
                };
                rows.extend(dataset_row(&dataset, &stage, of, split)?);
            }
        }
    }
    Ok(rows)
}

fn dataset_row(dataset: &Dataset, stage: &str, of: &str, split: Split) -> Result<Option<Value>> {
    let step = if stage == gimlet::stage::run_dir::INGEST { "ingest" } else { "encode" };
    let row = |state: &str| json!({ "stage": stage, "step": step, "weights": of, "split": split.name(), "state": state });
    let Some(generation) = dataset.readable()?.next().transpose()? else {
        let is_damaged = !dataset.unreadable()?.is_empty();
        let state = if is_damaged { "damaged" } else { "partial" };
        return Ok((is_damaged || dataset.was_begun()?).then(|| row(state)));
    };
    let mut row = row(if generation.is_whole()? { "done" } else { "damaged" });
    let manifest = generation.manifest();
    row["generation"] = generation.number().into();
    row["rows"] = generation.rows().into();
    row["bytes"] = generation.bytes().into();
    row["seconds"] = manifest.summary.get("seconds").cloned().unwrap_or_default();
    row["folder"] = dataset.folder().to_string().into();
    Ok(Some(row))
}

/// A row for the newest training of each module, and a row for each of its steps.
fn trainings(dir: &RunDir) -> Result<(Vec<Value>, Vec<Value>)> {
    let (mut rows, mut curves) = (Vec::new(), Vec::new());
    for module in folders(&dir.location().join("modules"))? {
        let records = dir.trainings(&module);
        let newest = records.readable::<Training>()?.next().transpose()?;
        let row = |state: &str| json!({ "stage": module, "step": "train", "weights": "trained", "state": state });
        let Some((number, training)) = newest else {
            rows.push(row("partial"));
            continue;
        };
        let mut row = row("done");
        row["generation"] = number.into();
        row["bytes"] = training.took.bytes.into();
        row["seconds"] = training.took.seconds.into();
        row["loss"] = training.loss.into();
        row["folder"] = dir.training_folder(&module, &training.key).to_string().into();
        rows.push(row);
        let log = dir.training_folder(&module, &training.key).join("log.jsonl");
        curves.extend(steps(&log, &module)?);
    }
    Ok((rows, curves))
}

/// The entries of a log; none where weights were imported.
fn steps(log: &Location, module: &str) -> Result<Vec<Value>> {
    let text = match log.read_to_string() {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read", log.path(), error)),
    };
    // The last line may have been cut off when its process was killed.
    let entries = text.lines().map_while(|line| serde_json::from_str::<Entry>(line).ok());
    let row = |entry: Entry| {
        let mut row = serde_json::to_value(entry).unwrap_or_default();
        row["module"] = module.into();
        row
    };
    Ok(entries.map(row).collect())
}

/// A row for each module that was probed, trained and untrained.
fn probes(dir: &RunDir) -> Result<Vec<Value>> {
    let mut rows = Vec::new();
    for module in folders(&dir.location().join("probes"))? {
        let newest = dir.probes(&module).readable::<Probe>()?.next().transpose()?;
        let results = newest.into_iter().flat_map(|(_, probe)| probe.results);
        rows.extend(results.map(|result| (result.index, json!(result))));
    }
    rows.sort_by_key(|(index, _)| *index);
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}
