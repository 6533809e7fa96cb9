//! What a stopped training run goes on from.

use gimlet_store::Location;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::took::Took;
use crate::parameters::Parameters;
use crate::{Error, Kind, Result};

/// How far a training has come, and what it took so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps taken.
    pub steps: u64,
    /// What all attempts took.
    #[serde(flatten)]
    pub took: Took,
    /// What each module took, in their order, where several train on the same batches. The first one waits for data,
    /// and reads it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<Took>,
    /// What else goes on with the training, each under a name of its own.
    #[serde(flatten)]
    pub parts: Map<String, Value>,
}

impl Progress {
    /// What was kept under a name.
    pub fn part<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        self.parts.get(name).and_then(|it| T::deserialize(it).ok())
    }

    /// Keeps something under a name, in place of what was there; nothing where there is nothing to keep.
    ///
    /// # Errors
    /// When it cannot be described.
    pub fn set_part(&mut self, name: &str, part: Option<&impl Serialize>) -> Result<()> {
        match part {
            Some(part) => self.parts.insert(name.to_string(), described(part)?),
            None => self.parts.remove(name),
        };
        Ok(())
    }

    /// What one of the modules that train took. All of them share the memory of the process.
    pub fn of_module(&self, place: usize) -> Took {
        let own = self.modules.get(place).copied().unwrap_or(self.took);
        Took { peak_memory: self.took.peak_memory, ..own }
    }
}

fn described(part: &impl Serialize) -> Result<Value> {
    serde_json::to_value(part)
        .map_err(|error| Error::failed(format!("could not describe a checkpoint: {error}")))
}

/// A file that holds the newest checkpoint, and beside it the one before.
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

    /// Whether there is one.
    pub fn exist(&self) -> bool {
        self.files().next().is_some()
    }

    /// The files there are.
    pub fn files(&self) -> impl Iterator<Item = &Location> {
        [&self.newest, &self.previous].into_iter().filter(|it| it.is_file().unwrap_or(false))
    }

    /// How far the newest one has come, from its header alone.
    pub fn progress(&self) -> Option<Progress> {
        let newest = [&self.newest, &self.previous].into_iter().find_map(Parameters::about);
        serde_json::from_value(newest?).ok()
    }

    /// Writes a checkpoint; the newest so far becomes the previous one.
    ///
    /// # Errors
    /// When it cannot be written; the checkpoints there were are still there.
    pub fn save(&self, state: &Parameters, progress: &Progress) -> Result<()> {
        let bytes = state.to_safetensors(&described(progress)?)?;
        let there = self.newest.is_file();
        if there.map_err(|error| Error::io("look at", self.newest.path(), error))?
            && let Err(error) = self.newest.rename(&self.previous)
        {
            // A process that was taken for dead may be at the same training, and have been faster.
            if self.newest.is_file().unwrap_or(true) {
                return Err(error.into());
            }
        }
        Ok(self.newest.replace(&bytes)?)
    }

    /// The newest checkpoint that reads back whole; `None` when there is none. `damaged` hears of
    /// each that does not.
    ///
    /// # Errors
    /// When a file is there and cannot be read.
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

    /// Removes them: the run has ended and its weights are committed.
    pub fn remove(&self) {
        // What stays behind takes room and nothing else.
        let _ = self.newest.remove();
        let _ = self.previous.remove();
    }
}
