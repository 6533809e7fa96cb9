//! Local losses: what a module is trained with, without a gradient from above.
//!
//! A loss is one file. It holds the [`Recipe`], with the settings that a pipeline gives, and the [`Loss`], which
//! computes. To add a loss, write its file and its two lines here. A program that uses the crate adds its own losses
//! with [`Losses::with`], or gives one to [`crate::pipeline::Pipeline::builder`].

pub mod clapp;
mod contrast;
mod graph;
pub mod infonce;
pub mod infonce1d;
mod own;
mod prediction;
mod registry;
mod rows;
mod sampling;
mod scores;
mod sequence_contrast;
pub mod supervised;
pub mod vicreg;
mod window;

use std::any::Any;
use std::fmt::Debug;
use std::ops::RangeInclusive;

use candle_core::Tensor;
pub use infonce::Context;
pub use own::OwnLoss;
pub use registry::Losses;
pub use sampling::Sampling;
use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::Value;

use registry::Entry;

use crate::Result;
use crate::parameters::{ParameterShape, Parameters};
use crate::random::Draws;
use crate::registry::Registry;
use crate::setting::Setting;

/// All losses of this crate.
impl Default for Losses {
    fn default() -> Self {
        Self(Registry::of(
            "loss",
            vec![
                Entry::of::<infonce::Settings>(),
                Entry::of::<infonce1d::Settings>(),
                Entry::of::<clapp::Settings>(),
                Entry::of::<vicreg::Settings>(),
                Entry::of::<supervised::Settings>(),
            ],
        ))
    }
}

/// A loss as a pipeline gives it: its settings, and what follows from them before anything is computed.
///
/// A recipe is a type with its settings as fields. The keys of steps hold the name and the settings, so a recipe that
/// computes something else must have another name, or a setting that says so.
pub trait Recipe: Written + Any + Debug + Send + Sync {
    /// The name of the loss in pipeline files, messages and tables: letters, digits, `-` and `_`.
    fn name(&self) -> &'static str;

    /// Its keys in a pipeline file, for the reference and for messages: a table of the loss's name, and below it keys
    /// such as `infonce.negatives`.
    fn reference(&self) -> Vec<Setting> {
        vec![Setting::table(self.name(), "")]
    }

    /// The settings that must lie within bounds.
    fn bounds(&self) -> Vec<Bounded> {
        Vec::new()
    }

    /// The distances, in rows, between the two vectors of a positive pair; `None` where the loss has no such pairs.
    fn positives(&self) -> Option<RangeInclusive<usize>> {
        None
    }

    /// The shapes of samples that it can be computed on, in words, for messages.
    fn takes(&self) -> &'static str {
        "samples of any shape"
    }

    /// Checks that the loss can be computed on vectors of these sizes; classes are not known yet.
    ///
    /// # Errors
    /// Why it cannot be computed.
    fn check(&self, _sizes: Sizes) -> Result<(), Misfit> {
        Ok(())
    }

    /// The shapes of its parameters.
    fn shapes(&self, sizes: Sizes) -> Vec<ParameterShape>;

    /// Draws what is random in the loss of a batch; draws nothing where nothing is random.
    fn draw(&self, _batch: usize, _sizes: Sizes, _draws: &mut Draws) -> Drawn {
        Drawn::default()
    }

    /// Whether the loss reads the labels of samples.
    fn reads_labels(&self) -> bool {
        false
    }

    /// The loss of a guess, where it is known.
    fn of_a_guess(&self, sizes: Sizes) -> Option<f64>;

    /// The accuracy of a guess, where predictions are right or wrong and it is known.
    fn accuracy_of_a_guess(&self, _sizes: Sizes) -> Option<f64> {
        None
    }

    /// What the accuracy of an [`Outcome`] measures, in words.
    fn accuracy_is(&self) -> &'static str {
        "contrastive accuracy"
    }

    /// Additions and multiplications for a sample, forward.
    fn operations(&self, sizes: Sizes) -> f64;

    /// Builds the loss with the parameters found in `parameters`. Its inputs must lie on their device.
    ///
    /// # Errors
    /// When a parameter is missing or has another shape.
    fn build(&self, sizes: Sizes, parameters: &Parameters) -> Result<Box<dyn Loss>>;
}

/// Settings that can be written as JSON. Every type that serialises has it.
pub trait Written {
    /// The settings as JSON, with numbers as short as in a pipeline file.
    ///
    /// # Errors
    /// When they cannot be written as JSON.
    fn settings(&self) -> serde_json::Result<Value>;
}

impl<T: Serialize> Written for T {
    fn settings(&self) -> serde_json::Result<Value> {
        serde_json::from_str(&serde_json::to_string(self)?)
    }
}

/// Written as a table with the name as its one key, as in a pipeline file.
impl Serialize for dyn Recipe + '_ {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let settings = self.settings().map_err(S::Error::custom)?;
        serializer.collect_map([(self.name(), settings)])
    }
}

/// Recipes are equal when their names and their settings as JSON are equal.
impl PartialEq for dyn Recipe {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name() && self.settings().ok() == other.settings().ok()
    }
}

/// A loss with its parameters.
pub trait Loss: Send + Sync {
    /// The loss of the vectors `pooled` `[batch, rows, columns, channels]` and of `context`, which predicts them,
    /// `[batch, rows, columns, context]`, with a graph back to both and to the parameters. Where the module has no
    /// context of its own, both are the same tensor.
    ///
    /// # Errors
    /// When the shapes do not fit, or the number of a negative or a label is out of range.
    fn forward(&self, pooled: &Tensor, context: &Tensor, samples: &Samples) -> Result<Outcome>;
}

/// The sizes of what a loss is computed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Channels of a pooled vector.
    pub channels: usize,
    /// Channels of the vector that predicts; the same as `channels` where the module has no context.
    pub context: usize,
    /// Rows of pooled vectors: rows of the grid of patches, or steps of a sequence.
    pub rows: usize,
    /// Columns of pooled vectors; 1 for a sequence.
    pub columns: usize,
    /// The number of classes; 0 where the loss does not read labels.
    pub classes: usize,
}

impl Sizes {
    /// The sizes of pooled vectors that predict each other, without labels.
    pub fn grid(channels: usize, [rows, columns]: [usize; 2]) -> Self {
        Self { channels, context: channels, rows, columns, classes: 0 }
    }

    /// The number of pooled vectors of a sample.
    pub fn positions(self) -> usize {
        self.rows * self.columns
    }
}

/// For each prediction step, the numbers of N targets for every position: `[positions * N]`.
pub type Negatives = Vec<Vec<u32>>;

/// What a loss draws for a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drawn {
    /// The negatives that predictions are told apart from.
    pub negatives: Negatives,
    /// The row at which a window begins, where the loss cuts one out of each sample.
    pub start: usize,
}

/// What a loss reads of a batch in addition to its pooled vectors.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    /// The class of each sample, where the loss reads labels.
    pub labels: Vec<u32>,
    /// What [`Recipe::draw`] has drawn.
    pub drawn: Drawn,
}

impl From<Drawn> for Samples {
    fn from(drawn: Drawn) -> Self {
        Self { labels: Vec::new(), drawn }
    }
}

impl From<Negatives> for Samples {
    fn from(negatives: Negatives) -> Self {
        Drawn { negatives, start: 0 }.into()
    }
}

/// The loss of a batch.
pub struct Outcome {
    /// A scalar tensor.
    pub loss: Tensor,
    /// The share of predictions that were right, where predictions are right or wrong.
    pub accuracy: Option<f64>,
}

/// A setting that must lie within bounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Bounded {
    /// Its key in the table of the loss; for a key of an inner table, the path with dots.
    pub key: &'static str,
    /// The value that was given.
    pub value: f64,
    /// The bounds of the value, both ends included.
    pub bounds: RangeInclusive<f64>,
}

/// The bounds of a count.
const COUNT: RangeInclusive<f64> = 1.0..=i32::MAX as f64;

/// The bounds of a weight.
const WEIGHT: RangeInclusive<f64> = 0.0..=1e6;

/// The bounds of a number of channels.
const CHANNELS: RangeInclusive<f64> = 1.0..=(1 << 14) as f64;

/// The bounds of a number of rows of patches.
const ROWS: RangeInclusive<f64> = 0.0..=(1 << 14) as f64;

/// Why a loss cannot be computed.
#[derive(Debug, Clone, PartialEq)]
pub struct Misfit {
    /// The keys in the table of the loss whose values may be too high, the likeliest first. Empty where no number is
    /// the cause.
    pub keys: &'static [&'static str],
    /// What does not fit.
    pub message: String,
}
