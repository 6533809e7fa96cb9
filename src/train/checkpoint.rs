//! What a stopped training run goes on from.

use gimlet_store::Location;
use serde::{Deserialize, Serialize};

use super::profile::Breakdown;
use crate::parameters::Parameters;
use crate::{Error, Kind, Result};

/// How far a run has come, and what it has used so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps taken.
    pub steps: u64,
    /// Seconds spent in steps, over all attempts.
    pub seconds: f64,
    /// Of these, seconds spent waiting for data.
    pub wait_seconds: f64,
    /// Of modules that train at once, the seconds that were spent on each, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<f64>,
    /// The highest resident memory of the process in any attempt, in bytes; where the system tells.
    pub peak_memory: Option<u64>,
    /// Where the time of steps went, of each module that trains.
    pub breakdown: Vec<Breakdown>,
    /// Bytes that were read from datasets in all attempts ([`gimlet_store::Store::bytes_read`]).
    pub read_bytes: u64,
    /// The key of the generation that is being written of a module that trains on, if one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publishing: Option<String>,
    /// Where the training may stop early, the best epoch so far, whose parameters are kept, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best: Option<Best>,
}

/// The epoch with the smallest held-out loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Epochs trained up to its end.
    pub epoch: u64,
    /// At its end. An f32, which JSON gives back as it was.
    pub held_out: f32,
    /// Mean loss and accuracy (where the loss has one) in training.
    pub loss: f64,
    pub accuracy: Option<f64>,
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
        let newest =
            [&self.newest, &self.previous].into_iter().find_map(|it| Parameters::about(it));
        serde_json::from_value(newest?).ok()
    }

    /// Writes a checkpoint; the newest so far becomes the previous one.
    ///
    /// # Errors
    /// When it cannot be written; the checkpoints there were are still there.
    pub fn save(&self, state: &Parameters, progress: &Progress) -> Result<()> {
        let about = serde_json::to_value(progress)
            .map_err(|error| Error::failed(format!("could not describe a checkpoint: {error}")))?;
        let bytes = state.to_safetensors(&about)?;
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
