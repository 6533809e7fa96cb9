//! What is committed of steps that write no dataset: a training, a probe.

use std::path::PathBuf;

use gimlet_store::{Damage, Location, Records};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::origin::Origin;
use crate::device::DeviceName;
use crate::pipeline::Split;
use crate::train::learns_nothing::LearnsNothing;
use crate::train::took::Took;
use crate::{Error, Result};

/// A record that says which key it was made under.
pub trait Keyed: DeserializeOwned {
    /// 64 hexadecimal digits.
    fn key(&self) -> &str;
}

/// What was committed when a module had been trained.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// Key of the training.
    pub key: String,
    /// What the key was made of.
    pub settings: Value,
    /// The weights' file, relative to the folder of the module's trainings.
    pub weights: PathBuf,
    /// Of the weights' file.
    pub blake3: String,
    /// All that were taken; 0 of weights that were imported. Steps, and what they took, are those of this
    /// round and all before it.
    pub steps: u64,
    /// Mean loss and accuracy (where the loss has one) over the last epoch, or the one whose weights were
    /// kept; `None` where there was none.
    pub loss: Option<f64>,
    /// Mean accuracy over the same epoch, where the loss has one.
    pub accuracy: Option<f64>,
    /// Of modules that train at once, what was spent on this one; the first one reads. Its bytes are those of
    /// the weights' file.
    #[serde(flatten)]
    pub took: Took,
    /// Threads it was computed with: with as many it ends with the same weights. 0 of weights that were
    /// imported.
    pub threads: usize,
    /// What it was computed on, as `--device` names it; as for threads.
    pub device: DeviceName,
    /// What the held-out loss has decided; `None` where the schedule has no patience.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Stopped>,
    /// What its end has shown where it has learnt nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learns_nothing: Option<LearnsNothing>,
    /// The file that the weights were taken from; `None` where they were trained here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imported: Option<Imported>,
}

/// How a training ended that goes by its loss on the test split.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Stopped {
    /// Epochs it has trained.
    pub epoch: u64,
    /// The one, counted from 1, after which the loss was smallest; the weights are those of its end.
    pub best: u64,
    /// The loss then ([`super::patience`] says on which rows).
    pub held_out_loss: f32,
}

/// A file of weights that was imported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Imported {
    /// Its name, without its folder.
    pub file: String,
    /// Of its bytes.
    pub blake3: String,
}

impl Training {
    /// The bytes of the weights, which lie there.
    ///
    /// # Errors
    /// [`crate::Kind::Damaged`] when they are not what was committed.
    pub fn read_weights(&self, at: &Location) -> Result<Vec<u8>> {
        let path = at.path();
        let bytes = match at.read() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Damage::of(path, "the file is missing").into());
            }
            Err(error) => return Err(Error::io("read", path, error)),
        };
        if blake3::hash(&bytes).to_hex().as_str() != self.blake3 {
            return Err(Damage::of(path, "its BLAKE3 is not what was written").into());
        }
        Ok(bytes)
    }
}

/// What a probe found out about one module, trained or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeResult {
    /// Name of the module.
    pub module: String,
    /// The module's place in the stack, from 0.
    pub index: usize,
    /// Where the module's weights come from.
    #[serde(rename = "kind")]
    pub origin: Origin,
    /// What `accuracy` is that of.
    pub probe: Classifier,
    /// The split that was scored.
    pub split: Split,
    /// The share of rows classified rightly; `None` when the data has no labels.
    pub accuracy: Option<f64>,
    /// The share by nearest neighbours ([`crate::probe::knn`]); `None` when the data has no labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub knn: Option<f64>,
    /// Of the trained module: how often the linear probe took each class for each, `[true class][class
    /// found]`. Left out where there are more than [`MOST_CLASSES`].
    ///
    /// [`MOST_CLASSES`]: crate::probe::confusion::MOST_CLASSES
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confusion: Option<Vec<Vec<u64>>>,
    /// Where there are more classes than that, the pairs that are confused most: class, the one it was taken
    /// for, how often.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confused: Option<Vec<(usize, usize, u64)>>,
    /// What was found out about further labels, and about the labels of hops.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub further: Vec<Judged>,
    /// The module's own loss on the split.
    pub loss: f64,
    /// The loss of a guess.
    pub chance_loss: Option<f64>,
}

/// What the accuracy of a probe is that of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Classifier {
    /// A linear classifier.
    Linear,
}

/// What a probe found out about another label than the first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// What the pipeline calls it.
    pub label: String,
    /// The share of rows, or of hops, classified rightly; `None` when none has such a label.
    pub accuracy: Option<f64>,
    /// The share by nearest neighbours; `None` of hops.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub knn: Option<f64>,
}

/// The probe of a module and of its untrained twin, as it was committed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// Key of the probe.
    pub key: String,
    /// What the key was made of.
    pub settings: Value,
    /// What the probe took.
    #[serde(flatten)]
    pub took: Took,
    /// What it found, for the trained module and for its untrained twin.
    pub results: Vec<ProbeResult>,
}

impl ProbeResult {
    /// What was found out about a further label; `None` where the data have none of this name.
    pub fn judged(&self, label: &str) -> Option<&Judged> {
        self.further.iter().find(|it| it.label == label)
    }
}

impl Keyed for Training {
    fn key(&self) -> &str {
        &self.key
    }
}

impl Keyed for Probe {
    fn key(&self) -> &str {
        &self.key
    }
}

/// The newest record made under `key`, and its number. Damaged records are passed over.
///
/// # Errors
/// When a record cannot be read for another reason than damage.
pub fn find<T: Keyed>(records: &Records, key: &str) -> Result<Option<(u64, T)>> {
    for found in records.readable::<T>()? {
        let (number, record) = found?;
        if record.key() == key {
            return Ok(Some((number, record)));
        }
    }
    Ok(None)
}

/// The newest record that can be read and whose key is not to be passed over, and its number.
///
/// # Errors
/// As [`find`].
pub fn newest<T: Keyed>(
    records: &Records,
    passed_over: impl Fn(&str) -> bool,
) -> Result<Option<(u64, T)>> {
    for found in records.readable::<T>()? {
        let (number, record) = found?;
        if !passed_over(record.key()) {
            return Ok(Some((number, record)));
        }
    }
    Ok(None)
}
