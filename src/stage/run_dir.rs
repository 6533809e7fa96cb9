//! Everything a run writes, in one directory.
//!
//! ```text
//! runs/quickstart/
//!   run.json                           whose run this is
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
//!   locks/                             one file a stage and key, and one a process at work
//! ```

use std::path::{Path, PathBuf};

use gimlet_store::{Damage, Dataset, Records, durable, files};
use serde::{Deserialize, Serialize};

use crate::pipeline::Split;
use crate::{Error, Kind, Result};

/// The stage that the samples of the source become.
pub const INGEST: &str = "ingest";
/// The stage of the stack as it was drawn.
pub const UNTRAINED: &str = "untrained";

/// The weights of a training, in its folder.
pub const WEIGHTS: &str = "weights.safetensors";

/// The folder of what sweeps found, which no sweep can be called.
pub const SWEEP_RESULTS: &str = "results";

/// Whose run a directory holds.
#[derive(Debug, Serialize, Deserialize)]
struct Owner {
    pipeline: String,
}

/// The directory of a run.
#[derive(Debug, Clone)]
pub struct RunDir {
    path: PathBuf,
}

impl RunDir {
    /// The run in `path`; touches nothing.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the directory when it is not there, and marks it as the run of `pipeline`.
    ///
    /// # Errors
    /// [`Kind::Failed`] when it belongs to another pipeline, or holds something else.
    pub fn claim(&self, pipeline: &str) -> Result<()> {
        durable::create_folder(&self.path)?;
        if self.check_owner(pipeline)? {
            return Ok(());
        }
        let names =
            files::names(&self.path).map_err(|error| Error::io("list", &self.path, error))?;
        if let Some(name) = names.iter().find(|name| !name.starts_with('.')) {
            // Of a run the mark is there before all else; so another process may have made it since.
            if self.check_owner(pipeline)? {
                return Ok(());
            }
            let message = format!(
                "`{}` is not the directory of a run: it holds `{name}` and no `run.json`",
                self.path.display(),
            );
            return Err(Error::failed(message).hint("name a new or empty one with `--run-dir DIR`"));
        }
        let owner = Owner { pipeline: pipeline.to_string() };
        let text = serde_json::to_string_pretty(&owner)
            .map_err(|error| Error::failed(format!("could not describe the run: {error}")))?;
        durable::write_new(&self.owner_file(), text.as_bytes())?;
        // Of two processes that made it at once, one has written the file.
        self.check_owner(pipeline).map(|_| ())
    }

    /// Whether the directory is marked as the run of `pipeline`; false when it is not marked at all.
    ///
    /// # Errors
    /// [`Kind::Failed`] when it is marked as another's, [`Kind::Damaged`] when the mark is broken.
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
            let message = format!(
                "`{}` holds a run of pipeline `{owner}`, not of `{pipeline}`",
                self.path.display(),
            );
            return Err(Error::failed(message).hint("name another one with `--run-dir DIR`"));
        }
        Ok(true)
    }

    /// The pipeline whose run it is; `None` when it is not marked at all.
    ///
    /// # Errors
    /// [`Kind::Damaged`] when the mark is broken.
    pub fn owner(&self) -> Result<Option<String>> {
        let path = self.owner_file();
        let text = match files::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", &path, error)),
        };
        let owner: Owner = serde_json::from_str(&text).map_err(|error| Damage::of(&path, error))?;
        Ok(Some(owner.pipeline))
    }

    fn owner_file(&self) -> PathBuf {
        self.path.join("run.json")
    }

    /// Whether it looks like a run, of whichever pipeline.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn is_run(&self) -> Result<bool> {
        let look = || -> std::io::Result<bool> {
            Ok(files::is_file(&self.owner_file())?
                || files::is_folder(&self.path.join("datasets"))?)
        };
        look().map_err(|error| Error::io("look at", &self.path, error))
    }

    /// The images or activations of a stage.
    pub fn dataset(&self, stage: &str, split: Split) -> Dataset {
        Dataset::at(self.path.join("datasets").join(stage).join(split.name()))
    }

    /// The pooled vectors of a module as it was drawn.
    pub fn untrained(&self, module: &str, split: Split) -> Dataset {
        Dataset::at(self.path.join(UNTRAINED).join(module).join(split.name()))
    }

    /// The trainings of a module.
    pub fn trainings(&self, module: &str) -> Records {
        Records::at(self.trainings_folder(module))
    }

    /// The folder of the training with this key: weights, checkpoint, log.
    pub fn training_folder(&self, module: &str, key: &str) -> PathBuf {
        self.trainings_folder(module).join(key.get(..16).unwrap_or(key))
    }

    /// The weights of the training with this key.
    pub fn weights(&self, module: &str, key: &str) -> PathBuf {
        self.training_folder(module, key).join(WEIGHTS)
    }

    fn trainings_folder(&self, module: &str) -> PathBuf {
        self.path.join("modules").join(module)
    }

    /// The probes of a module.
    pub fn probes(&self, module: &str) -> Records {
        Records::at(self.path.join("probes").join(module))
    }

    /// What the runs of sweeps found.
    pub fn sweep_results(&self) -> Records {
        Records::at(self.sweeps().join(SWEEP_RESULTS))
    }

    /// The folder of the tables and the plot of a sweep.
    pub fn sweep(&self, name: &str) -> PathBuf {
        self.sweeps().join(name)
    }

    fn sweeps(&self) -> PathBuf {
        self.path.join("sweeps")
    }

    /// Which files were ingested ([`super::provenance`]).
    pub fn sources(&self) -> Records {
        Records::at(self.path.join("sources"))
    }

    /// What was submitted to a cluster.
    pub fn jobs(&self) -> Records {
        Records::at(self.path.join("jobs"))
    }

    /// The folder of the page that shows what was learned, and of the files beside it.
    ///
    /// Browsers open files: of a run on object storage it is a folder of this machine.
    pub fn report(&self) -> PathBuf {
        match self.path.file_name() {
            Some(name) if files::is_url(&self.path) => Path::new("runs").join(name).join("report"),
            _ => self.path.join("report"),
        }
    }

    /// The lock of this name.
    pub fn lock(&self, name: &str) -> PathBuf {
        self.locks().join(format!("{name}.lock"))
    }

    /// The folder of the locks.
    pub fn locks(&self) -> PathBuf {
        self.path.join("locks")
    }

    /// Every dataset there is, also those of stages that the pipeline no longer has.
    ///
    /// # Errors
    /// When a folder cannot be listed.
    pub fn all_datasets(&self) -> Result<Vec<Dataset>> {
        let mut found = Vec::new();
        for folder in ["datasets", UNTRAINED] {
            for stage in folders_in(&self.path.join(folder))? {
                found.extend(folders_in(&stage)?.into_iter().map(Dataset::at));
            }
        }
        Ok(found)
    }

    /// The trainings of every module there is.
    ///
    /// # Errors
    /// When a folder cannot be listed.
    pub fn all_trainings(&self) -> Result<Vec<Records>> {
        Ok(folders_in(&self.path.join("modules"))?.into_iter().map(Records::at).collect())
    }

    /// The probes of every module there is.
    ///
    /// # Errors
    /// When a folder cannot be listed.
    pub fn all_probes(&self) -> Result<Vec<Records>> {
        Ok(folders_in(&self.path.join("probes"))?.into_iter().map(Records::at).collect())
    }
}

/// The folders in a folder, sorted; none when it does not exist. Hidden ones are not ours.
pub fn folders_in(folder: &Path) -> Result<Vec<PathBuf>> {
    if files::is_url(folder) {
        let entries = files::list(folder).map_err(|error| Error::io("list", folder, error))?;
        let visible = entries.into_iter().filter(|it| it.is_folder && !it.name.starts_with('.'));
        return Ok(visible.map(|it| folder.join(it.name)).collect());
    }
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("list", folder, error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| Error::io("list", folder, error))?;
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        found.extend(Some(entry.path()).filter(|path| !hidden && path.is_dir()));
    }
    found.sort();
    Ok(found)
}
