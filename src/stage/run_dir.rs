//! Everything a run writes, in one directory.
//!
//! ```text
//! runs/quickstart/
//!   run.json                           the name of the pipeline
//!   datasets/ingest/{train,test}/      decoded images, or recordings at one rate
//!   datasets/<module>/{train,test}/    activations and pooled vectors of the trained module
//!   untrained/<module>/{train,test}/   pooled vectors of the same module as it was drawn
//!   sources/                           which files were ingested, by their content
//!   modules/<module>/                  weights, checkpoint and log of each training
//!   probes/<module>/                   what the linear probe found
//!   sweeps/results/                    what the runs of sweeps found
//!   sweeps/<sweep>/                    the tables and the plot of a sweep
//!   jobs/                              what was submitted to a cluster
//!   report/                            what `gimlet report` made of it
//!   locks/                             one file per stage and key, and one per process at work
//! ```

use std::path::{Path, PathBuf};

use gimlet_store::{Damage, Dataset, Location, Records, Store};
use serde::{Deserialize, Serialize};

use crate::pipeline::Split;
use crate::{Error, Kind, Result};

/// Name of the stage of ingested samples.
pub const INGEST: &str = "ingest";
/// Name of the stage of the stack as it was drawn.
pub const UNTRAINED: &str = "untrained";

/// File name of the weights in the folder of a training.
pub const WEIGHTS: &str = "weights.safetensors";

/// Name of the folder of what sweeps found. No sweep can have this name.
pub const SWEEP_RESULTS: &str = "results";

/// The content of `run.json`: the pipeline whose run a directory holds.
#[derive(Debug, Serialize, Deserialize)]
struct Owner {
    pipeline: String,
}

/// The directory of a run, on a disk or on object storage, and the store through which it is reached.
#[derive(Debug, Clone)]
pub struct RunDir {
    at: Location,
}

impl RunDir {
    /// The run in `path`, through a store of its own; touches nothing.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self::in_store(Store::new().locate(path))
    }

    /// The run at a location; touches nothing.
    pub fn in_store(at: Location) -> Self {
        Self { at }
    }

    /// The location of the directory.
    pub fn location(&self) -> &Location {
        &self.at
    }

    /// The path of the directory, as it is shown.
    pub fn path(&self) -> &Path {
        self.at.path()
    }

    /// The store through which it is reached.
    pub fn store(&self) -> &Store {
        self.at.store()
    }

    /// Makes the directory when it is not there, and marks it as the run of `pipeline`.
    ///
    /// # Errors
    /// [`Kind::Failed`] when it belongs to another pipeline, or holds something else.
    pub fn claim(&self, pipeline: &str) -> Result<()> {
        self.at.create_folder()?;
        if self.check_owner(pipeline)? {
            return Ok(());
        }
        let names = self.at.names().map_err(|error| Error::io("list", self.path(), error))?;
        if let Some(name) = names.iter().find(|name| !name.starts_with('.')) {
            // A run's mark is written first, so another process may have made this run just now.
            if self.check_owner(pipeline)? {
                return Ok(());
            }
            let message = format!(
                "`{}` is not the directory of a run: it holds `{name}` and no `run.json`",
                self.at,
            );
            return Err(Error::failed(message).hint("name a new or empty one with `--run-dir DIR`"));
        }
        let owner = Owner { pipeline: pipeline.to_string() };
        let text = serde_json::to_string_pretty(&owner)
            .map_err(|error| Error::failed(format!("could not describe the run: {error}")))?;
        self.owner_file().create(text.as_bytes())?;
        // Of two processes that create the file at the same time, one succeeds.
        self.check_owner(pipeline).map(|_| ())
    }

    /// Whether the directory is marked as the run of `pipeline`; false when it has no mark.
    ///
    /// # Errors
    /// [`Kind::Failed`] when it is marked as another pipeline's, [`Kind::Damaged`] when the mark is broken.
    pub fn check_owner(&self, pipeline: &str) -> Result<bool> {
        let Some(owner) = self.owner().map_err(|error| match error.kind() {
            Kind::Damaged => {
                let right = format!("{{\"pipeline\": \"{pipeline}\"}}");
                error.hint(format!("if this is the run of `{pipeline}`, write {right} into it"))
            }
            _ => error,
        })?
        else {
            return Ok(false);
        };
        if owner != pipeline {
            let message =
                format!("`{}` holds a run of pipeline `{owner}`, not of `{pipeline}`", self.at,);
            return Err(Error::failed(message).hint("name another one with `--run-dir DIR`"));
        }
        Ok(true)
    }

    /// The pipeline whose run it is; `None` when it has no mark.
    ///
    /// # Errors
    /// [`Kind::Damaged`] when the mark is broken.
    pub fn owner(&self) -> Result<Option<String>> {
        let file = self.owner_file();
        let path = file.path();
        let text = match file.read_to_string() {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", path, error)),
        };
        let owner: Owner = serde_json::from_str(&text).map_err(|error| Damage::of(path, error))?;
        Ok(Some(owner.pipeline))
    }

    fn owner_file(&self) -> Location {
        self.at.join("run.json")
    }

    /// Whether the directory looks like a run, whatever its pipeline.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn is_run(&self) -> Result<bool> {
        let look = || -> std::io::Result<bool> {
            Ok(self.owner_file().is_file()? || self.at.join("datasets").is_folder()?)
        };
        look().map_err(|error| Error::io("look at", self.path(), error))
    }

    /// The samples or activations of a stage.
    pub fn dataset(&self, stage: &str, split: Split) -> Dataset {
        Dataset::at(self.at.join("datasets").join(stage).join(split.name()))
    }

    /// The pooled vectors of a module as it was drawn.
    pub fn untrained(&self, module: &str, split: Split) -> Dataset {
        Dataset::at(self.at.join(UNTRAINED).join(module).join(split.name()))
    }

    /// The trainings of a module.
    pub fn trainings(&self, module: &str) -> Records {
        Records::at(self.at.join("modules").join(module))
    }

    /// The folder of the training with this key: weights, checkpoint, log.
    pub fn training_folder(&self, module: &str, key: &str) -> Location {
        self.trainings(module).folder_of(key)
    }

    /// The weights of the training with this key.
    pub fn weights(&self, module: &str, key: &str) -> Location {
        self.training_folder(module, key).join(WEIGHTS)
    }

    /// The probes of a module.
    pub fn probes(&self, module: &str) -> Records {
        Records::at(self.at.join("probes").join(module))
    }

    /// The records of what the runs of sweeps found.
    pub fn sweep_results(&self) -> Records {
        Records::at(self.sweeps().join(SWEEP_RESULTS))
    }

    /// The folder of the tables and the plot of a sweep.
    pub fn sweep(&self, name: &str) -> Location {
        self.sweeps().join(name)
    }

    fn sweeps(&self) -> Location {
        self.at.join("sweeps")
    }

    /// The records of which files were ingested ([`super::provenance`]).
    pub fn sources(&self) -> Records {
        Records::at(self.at.join("sources"))
    }

    /// The records of what was submitted to a cluster.
    pub fn jobs(&self) -> Records {
        Records::at(self.at.join("jobs"))
    }

    /// The folder of the page that shows what was learned, and of the files beside it.
    ///
    /// Browsers open files, so for a run on object storage it is a folder on this machine.
    pub fn report(&self) -> Location {
        match self.at.on_disk() {
            Some(_) => self.at.join("report"),
            None => self.store().locate("runs").join(self.at.name()).join("report"),
        }
    }

    /// The file of the lock with this name.
    pub fn lock(&self, name: &str) -> Location {
        self.locks().join(format!("{name}.lock"))
    }

    /// The folder of the locks.
    pub fn locks(&self) -> Location {
        self.at.join("locks")
    }

    /// Every dataset in the run, also those of stages that the pipeline no longer has.
    ///
    /// # Errors
    /// When a folder cannot be listed.
    pub fn all_datasets(&self) -> Result<Vec<Dataset>> {
        let mut found = Vec::new();
        for folder in ["datasets", UNTRAINED] {
            for stage in folders_in(&self.at.join(folder))? {
                found.extend(folders_in(&stage)?.into_iter().map(Dataset::at));
            }
        }
        Ok(found)
    }

    /// The trainings of every module in the run.
    ///
    /// # Errors
    /// When a folder cannot be listed.
    pub fn all_trainings(&self) -> Result<Vec<Records>> {
        Ok(folders_in(&self.at.join("modules"))?.into_iter().map(Records::at).collect())
    }

    /// The probes of every module in the run.
    ///
    /// # Errors
    /// When a folder cannot be listed.
    pub fn all_probes(&self) -> Result<Vec<Records>> {
        Ok(folders_in(&self.at.join("probes"))?.into_iter().map(Records::at).collect())
    }
}

/// The folders in a folder, sorted; none when it does not exist. Hidden folders are left out: they are not ours.
pub fn folders_in(folder: &Location) -> Result<Vec<Location>> {
    let mut all = folder.folders().map_err(|error| Error::io("list", folder.path(), error))?;
    all.retain(|it| !it.name().starts_with('.'));
    Ok(all)
}
