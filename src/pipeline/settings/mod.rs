//! What a pipeline file says, checked and with every default filled in.
//!
//! [`crate::stage`] makes the keys of steps. It takes these types apart field by field, and decides there which fields
//! a key holds.

mod activations;
mod data;
mod module;
mod python;
mod slurm;
mod store;
mod training;
mod view;

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::activations::*;
pub use self::data::*;
pub use self::module::*;
pub use self::python::*;
pub use self::slurm::*;
pub use self::store::*;
pub use self::training::*;
pub use self::view::*;
use super::origin::Kept;
pub use crate::layer::{Layer, Map};
use crate::loss::{OwnLoss, Recipe};
use crate::schedule::Schedule;

/// A whole pipeline: where its samples come from, how they are seen, and what is trained on them.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// Names the run directory; the file's stem unless the file says otherwise.
    pub name: String,
    /// The pipeline file; for a pipeline that was built in code, its name.
    pub file: PathBuf,
    /// Every random draw of the run starts here.
    pub seed: u64,
    /// Where samples come from.
    pub data: Data,
    /// How samples are seen.
    pub view: View,
    /// The modules in order; each reads the output of the module before it. Never empty.
    pub modules: Vec<Module>,
    /// The loss of every module.
    pub loss: Arc<dyn Recipe>,
    /// How modules are trained, unless a module says otherwise.
    pub training: Training,
    /// The order in which modules train.
    pub schedule: Arc<dyn Schedule>,
    /// How activations are stored.
    pub store: Store,
    /// How modules are probed.
    pub probe: Probe,
    /// What a cluster is asked for.
    pub slurm: Slurm,
    /// Its text, so that what is found later can be shown there.
    pub(crate) text: Kept,
}

impl Pipeline {
    /// Epochs that a module trains in each round.
    pub fn epochs_per_round(&self, module: usize) -> usize {
        self.modules[module].epochs / self.schedule.rounds()
    }

    /// Whether a module trains with a loss that reads the labels of samples, which all of them must have then.
    pub fn reads_labels(&self) -> bool {
        (0..self.modules.len()).any(|module| self.loss_of(module).reads_labels())
    }

    /// The loss that a module trains with: the pipeline's, or that of a module in PyTorch, which has its own.
    pub fn loss_of(&self, module: usize) -> &dyn Recipe {
        match self.modules[module].body {
            Body::Layers(_) => self.loss.as_ref(),
            Body::Python(_) => &OwnLoss,
        }
    }
}

/// The split of a dataset: modules train on one, and are judged on the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// What modules train on.
    Train,
    /// What modules are judged on.
    Test,
}

impl Split {
    /// Both splits, in order.
    pub const ALL: [Split; 2] = [Split::Train, Split::Test];

    /// The number of frozen views of each sample: `of_training` for a training sample, 1 for a test sample.
    pub fn views(self, of_training: usize) -> usize {
        match self {
            Split::Train => of_training,
            Split::Test => 1,
        }
    }

    /// The split's name in paths, files and messages.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Test => "test",
        }
    }
}

/// The linear probe: a linear classifier on the mean of the pooled vectors.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Probe {
    /// Passes over the training split.
    pub epochs: usize,
    /// Samples per step.
    pub batch: usize,
    /// Adam's step size.
    pub learning_rate: f64,
}

impl Default for Probe {
    fn default() -> Self {
        Self { epochs: 100, batch: 256, learning_rate: 1e-3 }
    }
}
