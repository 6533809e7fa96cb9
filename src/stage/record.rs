//! The records of steps that write no dataset: a training, a probe.

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
    /// The key: 64 hexadecimal digits.
    fn key(&self) -> &str;
}

/// The record of a module's training.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// Key of the training.
    pub key: String,
    /// What the key was made of.
    pub settings: Value,
    /// The weights' file, relative to the folder of the module's trainings.
    pub weights: PathBuf,
    /// The BLAKE3 of the weights' file, in hexadecimal.
    pub blake3: String,
    /// Steps of this round and all before it, as is `took`; 0 for imported weights.
    pub steps: u64,
    /// Mean loss over the last epoch, or over the epoch whose weights were kept; `None` where there was none.
    pub loss: Option<f64>,
    /// Mean accuracy over the epoch of `loss`, where the loss has one.
    pub accuracy: Option<f64>,
    /// What the training took. Where modules train at once, it is what was spent on this module; reading counts for the
    /// first. Bytes are those of the weights' file.
    #[serde(flatten)]
    pub took: Took,
    /// Threads it was computed with: the same number gives the same weights. 0 for imported weights.
    pub threads: usize,
    /// The device it was computed on, as `--device` names it: the same device gives the same weights.
    pub device: DeviceName,
    /// How patience ended the training; `None` where the schedule has no patience.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Stopped>,
    /// What showed that it has learnt nothing; `None` where it has learnt something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learns_nothing: Option<LearnsNothing>,
    /// The file that the weights were taken from; `None` where they were trained here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imported: Option<Imported>,
}

/// How a training with patience ended.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Stopped {
    /// Epochs it has trained.
    pub epoch: u64,
    /// The epoch, counted from 1, with the smallest held-out loss; the weights are those of its end.
    pub best: u64,
    /// The held-out loss at its end (`stage/patience.rs` says on which rows).
    pub held_out_loss: f32,
}

/// A file of weights that was imported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Imported {
    /// Its name, without its folder.
    pub file: String,
    /// The BLAKE3 of its bytes, in hexadecimal.
    pub blake3: String,
}

impl Training {
    /// Reads the bytes of the weights from `at`.
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

/// The findings of a probe for one module, trained or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeResult {
    /// Name of the module.
    pub module: String,
    /// The module's place in the stack, from 0.
    pub index: usize,
    /// Where the module's weights come from.
    #[serde(rename = "kind")]
    pub origin: Origin,
    /// The classifier of `accuracy`.
    pub probe: Classifier,
    /// The split that was scored.
    pub split: Split,
    /// The number of rows that have a label: those of `accuracy` and `knn`. `None` when the data has no labels.
    pub rows: Option<u64>,
    /// The share of these rows classified rightly; `None` when the data has no labels.
    pub accuracy: Option<f64>,
    /// The share classified rightly by nearest neighbours ([`crate::probe::knn`]); `None` when the data has no labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub knn: Option<f64>,
    /// How often the linear probe took each class for each, `[true class][class found]`; only for the trained module.
    /// Left out where there are more than [`MOST_CLASSES`].
    ///
    /// [`MOST_CLASSES`]: crate::probe::confusion::MOST_CLASSES
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confusion: Option<Vec<Vec<u64>>>,
    /// The pairs of classes that are confused most, where there are too many classes for `confusion`: class, the one it
    /// was taken for, how often.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confused: Option<Vec<(usize, usize, u64)>>,
    /// The findings for further labels, and for the labels of hops.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub further: Vec<Judged>,
    /// The module's own loss on the split.
    pub loss: f64,
    /// The loss of a guess by chance.
    pub chance_loss: Option<f64>,
}

/// The kind of classifier that a probe fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Classifier {
    /// A linear classifier.
    Linear,
}

/// The findings of a probe for a further label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// The label's name in the pipeline.
    pub label: String,
    /// The number of rows, or of hops, that have the label; `None` when none has it.
    pub rows: Option<u64>,
    /// The share of these classified rightly; `None` when none has the label.
    pub accuracy: Option<f64>,
    /// The share classified rightly by nearest neighbours; `None` for hops.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub knn: Option<f64>,
}

/// The record of the probe of a module and of its untrained twin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// Key of the probe.
    pub key: String,
    /// What the key was made of.
    pub settings: Value,
    /// What the probe took.
    #[serde(flatten)]
    pub took: Took,
    /// The findings for the trained module and for its untrained twin.
    pub results: Vec<ProbeResult>,
}

impl ProbeResult {
    /// The findings for a trained module, without anything that a test does not need.
    #[cfg(test)]
    pub fn of_test(index: usize, accuracy: Option<f64>, loss: f64) -> Self {
        Self {
            module: format!("m{index}"),
            index,
            origin: Origin::Trained,
            probe: Classifier::Linear,
            split: Split::Test,
            rows: Some(100),
            accuracy,
            knn: None,
            confusion: None,
            confused: None,
            further: vec![],
            loss,
            chance_loss: None,
        }
    }

    /// The findings for a further label; `None` where the data have none of this name.
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

/// Finds the newest record that is `wanted` by its key, and its number. Damaged records are passed over.
///
/// # Errors
/// When a record cannot be read for another reason than damage.
pub fn newest<T: Keyed>(
    records: &Records,
    wanted: impl Fn(&str) -> bool,
) -> Result<Option<(u64, T)>> {
    for found in records.readable::<T>()? {
        let (number, record) = found?;
        if wanted(record.key()) {
            return Ok(Some((number, record)));
        }
    }
    Ok(None)
}
