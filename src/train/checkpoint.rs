//! Checkpoints, from which a stopped training continues.

use gimlet_store::Location;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::took::Took;
use crate::parameters::Parameters;
use crate::{Error, Kind, Result};

/// The progress of a training, and its cost so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Number of steps taken.
    pub steps: u64,
    /// The cost of all attempts together.
    #[serde(flatten)]
    pub took: Took,
    /// The cost of each module, in order, if several train on the same batches. Reading and waiting for data
    /// count for the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<Took>,
    /// Further state that the training saves, each part under its own name.
    #[serde(flatten)]
    pub parts: Map<String, Value>,
}

impl Progress {
    /// The part that was saved under a name.
    pub fn part<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        self.parts.get(name).and_then(|it| T::deserialize(it).ok())
    }

    /// Saves `part` under a name, in place of the old one; `None` removes the old one.
    ///
    /// # Errors
    /// When the part cannot be serialised.
    pub fn set_part(&mut self, name: &str, part: Option<&impl Serialize>) -> Result<()> {
        match part {
            Some(part) => self.parts.insert(name.to_string(), described(part)?),
            None => self.parts.remove(name),
        };
        Ok(())
    }

    /// The cost of one of the modules that train. All of them share the memory of the process.
    pub fn of_module(&self, place: usize) -> Took {
        let own = self.modules.get(place).copied().unwrap_or(self.took);
        Took { peak_memory: self.took.peak_memory, ..own }
    }
}

fn described(part: &impl Serialize) -> Result<Value> {
    serde_json::to_value(part)
        .map_err(|error| Error::failed(format!("could not describe a checkpoint: {error}")))
}

/// The files of the newest checkpoint and the one before.
pub struct Checkpoints {
    newest: Location,
    previous: Location,
}

impl Checkpoints {
    /// The checkpoints in `folder`.
    pub fn in_folder(folder: &Location) -> Self {
        let newest = folder.join("checkpoint.safetensors");
        Self { newest, previous: folder.join("checkpoint-previous.safetensors") }
    }

    /// Whether a checkpoint exists.
    pub fn exist(&self) -> bool {
        self.files().next().is_some()
    }

    /// The checkpoint files that exist, the newest first.
    pub fn files(&self) -> impl Iterator<Item = &Location> {
        [&self.newest, &self.previous].into_iter().filter(|it| it.is_file().unwrap_or(false))
    }

    /// The progress of the newest checkpoint, from its header alone.
    pub fn progress(&self) -> Option<Progress> {
        let newest = [&self.newest, &self.previous].into_iter().find_map(Parameters::about);
        serde_json::from_value(newest?).ok()
    }

    /// Writes a checkpoint; the newest so far becomes the previous one.
    ///
    /// # Errors
    /// When it cannot be written; the existing checkpoints are kept.
    pub fn save(&self, state: &Parameters, progress: &Progress) -> Result<()> {
        let bytes = state.to_safetensors(&described(progress)?)?;
        let there = self.newest.is_file();
        if there.map_err(|error| Error::io("look at", self.newest.path(), error))?
            && let Err(error) = self.newest.rename(&self.previous)
        {
            // Another process, taken for dead, may be running this training and may have moved the file first.
            if self.newest.is_file().unwrap_or(true) {
                return Err(error.into());
            }
        }
        Ok(self.newest.replace(&bytes)?)
    }

    /// Loads the newest undamaged checkpoint; `None` if there is none. `damaged` is called with the error of
    /// each damaged one.
    ///
    /// # Errors
    /// When a file exists and cannot be read.
    pub fn load(&self, damaged: impl Fn(&Error)) -> Result<Option<(Parameters, Progress)>> {
        for at in [&self.newest, &self.previous] {
            let path = at.path();
            let bytes = match at.read() {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::io("read", path, error)),
            };
            let loaded = Parameters::from_safetensors(&bytes, path).and_then(|(state, about)| {
                let progress = serde_json::from_value(about).map_err(|error| {
                    let message = format!("`{}` is damaged: {error}", path.display());
                    Error::new(Kind::Damaged, message)
                })?;
                Ok((state, progress))
            });
            match loaded {
                Ok(found) => return Ok(Some(found)),
                Err(error) => damaged(&error),
            }
        }
        Ok(None)
    }

    /// Removes the checkpoints, when the training has ended and its weights are committed.
    pub fn remove(&self) {
        // A file that stays behind only takes disk space.
        let _ = self.newest.remove();
        let _ = self.previous.remove();
    }
}
