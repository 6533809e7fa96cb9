//! The log of a training: one JSON line per step. `events.rs` writes the same for TensorBoard.

use gimlet_store::{Appending, Location};
use serde::{Deserialize, Serialize};

use super::events::Events;
use super::learns_nothing::LearnsNothing;
use crate::{Error, Result};

/// One line of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The step, from 0.
    pub step: u64,
    /// The epoch of the step, from 0.
    pub epoch: u64,
    /// The round, from 0; only in runs where a round may end before its last epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round: Option<usize>,
    /// The loss of the batch, before the update.
    pub loss: f64,
    /// The share of predictions that were right, if the loss has an accuracy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// The generation of its input, if that changes during the training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// The loss on rows of the test split, after the last step of an epoch; null if it is not a number. Missing
    /// if the test split fills no batch, or `training.held_out` is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_out: Option<f32>,
    /// The accuracy on these rows of the test split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_out_accuracy: Option<f32>,
    /// The sign that nothing is learnt, after the last step of an epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learns_nothing: Option<LearnsNothing>,
    /// Seconds of training up to the end of the step, over all attempts.
    pub seconds: f64,
}

/// The log of a training run.
pub struct Log {
    file: Appending,
    events: Events,
}

impl Log {
    /// Opens the log of a training that continues at `step`. Entries of later steps, from an attempt that was
    /// stopped after its last checkpoint, are dropped. A new log begins with the entries in `before`. Returns
    /// the entries that stay.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn resume(
        at: &Location,
        before: Option<&Location>,
        step: u64,
    ) -> Result<(Self, Vec<Entry>)> {
        let is_there = at.is_file().map_err(|error| Error::io("look at", at.path(), error))?;
        let mut kept = read(before.filter(|_| !is_there).unwrap_or(at))?;
        kept.retain(|entry| entry.step < step);
        let mut lines = String::new();
        for entry in &kept {
            lines.push_str(&line(entry)?);
        }
        let file = Appending::begin(at, lines.into_bytes())?;
        let events = Events::begin(&at.folder(), &kept)?;
        Ok((Self { file, events }, kept))
    }

    /// Appends an entry.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn push(&mut self, entry: &Entry) -> Result<()> {
        self.file.push(line(entry)?.as_bytes())?;
        self.events.push(entry)
    }

    /// Hands the appended lines to the operating system, or to object storage.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        self.file.flush()?;
        self.events.flush()
    }
}

/// The complete entries of a log; a process that was killed may have left half a line at the end. Empty if the
/// log does not exist.
///
/// # Errors
/// When the file cannot be read.
pub fn read(at: &Location) -> Result<Vec<Entry>> {
    let text = match at.read() {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read", at.path(), error)),
    };
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    Ok(lines.map_while(|line| serde_json::from_slice(line).ok()).collect())
}

fn line(entry: &Entry) -> Result<String> {
    let line = serde_json::to_string(entry)
        .map_err(|error| Error::failed(format!("could not describe a step: {error}")))?;
    Ok(line + "\n")
}
