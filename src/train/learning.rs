//! What a training asks of a module: layers that train here, or a stage that trains in another process.

use std::sync::Arc;

use candle_core::Tensor;

use super::profile::{Breakdown, Profile};
use super::trainer::{Step, Trainer};
use crate::Result;
use crate::loss::{Samples, Sizes};
use crate::parameters::Parameters;

/// What a module reads of a batch beside the activations.
#[derive(Debug, Clone, Default)]
pub struct Lesson {
    /// What a loss of this crate reads.
    pub samples: Samples,
    /// The stable id of each sample, for a module that has its own loss.
    pub ids: Vec<i64>,
    /// The label of each sample, for a module that has its own loss; -1 where there is none.
    pub labels: Vec<i64>,
    /// The number of the step or batch.
    pub number: u64,
    /// Where a module that has its own loss begins its random draws.
    pub seed: u64,
}

/// A module in training.
pub trait Learning: Send {
    /// Takes one step on `x`, `[batch * patches, h, w, channels]`.
    ///
    /// # Errors
    /// When the loss is not finite: no weight has changed then.
    fn step(&mut self, x: &Tensor, lesson: &Lesson) -> Result<Step>;

    /// Takes a [`Self::step`], and returns the module's output for `x` before it.
    ///
    /// # Errors
    /// Those of [`Self::step`].
    fn step_and_maps(&mut self, x: &Tensor, lesson: &Lesson) -> Result<(Step, Tensor)>;

    /// The sizes that the loss sees.
    fn sizes(&self) -> Sizes;

    /// Number of steps taken.
    fn steps(&self) -> u64;

    /// A copy of the parameters, which later steps do not change.
    ///
    /// # Errors
    /// When one is not finite, or cannot be copied.
    fn parameters(&self) -> Result<Parameters>;

    /// Everything that a later training needs to go on from here.
    ///
    /// # Errors
    /// Those of [`Self::parameters`].
    fn state(&self) -> Result<Parameters>;

    /// The time of the steps so far, by part.
    fn breakdown(&self) -> Breakdown;

    /// Time and memory of the steps so far.
    fn profile(&self) -> Profile;

    /// What computes the loss with the present weights, where the module computes it itself.
    fn judge(&self) -> Option<Arc<dyn Judge>> {
        None
    }
}

/// Computes the loss of a module on rows that it is not to learn from.
pub trait Judge: Send + Sync {
    /// The loss of `x`, `[batch * patches, h, w, channels]`, and the output for it where `maps` are wanted.
    ///
    /// # Errors
    /// When the loss cannot be computed, or is not finite.
    fn judge(&self, x: &Tensor, lesson: &Lesson, maps: bool) -> Result<Judged>;
}

/// The result of a batch.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The loss.
    pub loss: f64,
    /// The share of predictions that were right, if the loss has an accuracy.
    pub accuracy: Option<f64>,
    /// The output of the module, where it was wanted.
    pub maps: Option<Tensor>,
}

impl Learning for Trainer {
    fn step(&mut self, x: &Tensor, lesson: &Lesson) -> Result<Step> {
        self.step(x, &lesson.samples)
    }

    fn step_and_maps(&mut self, x: &Tensor, lesson: &Lesson) -> Result<(Step, Tensor)> {
        self.step_and_maps(x, &lesson.samples)
    }

    fn sizes(&self) -> Sizes {
        self.sizes()
    }

    fn steps(&self) -> u64 {
        self.steps()
    }

    fn parameters(&self) -> Result<Parameters> {
        self.parameters()
    }

    fn state(&self) -> Result<Parameters> {
        self.state()
    }

    fn breakdown(&self) -> Breakdown {
        self.breakdown()
    }

    fn profile(&self) -> Profile {
        self.profile()
    }
}
