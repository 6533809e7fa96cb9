//! Local losses: what a module is trained with, without a gradient from above.
//!
//! A loss is one file: its [`Recipe`], which is the settings that a pipeline gives, and what it computes, a
//! [`Loss`]. One of this crate also has a line here and one in [`Losses::default`]; a program that uses the
//! crate adds its own with [`Losses::with`], or gives it to [`crate::pipeline::Pipeline::builder`].

mod along;
pub mod clapp;
mod context;
mod contrast;
mod graph;
pub mod infonce;
pub mod infonce1d;
mod prediction;
mod registry;
mod rows;
mod sampling;
mod scores;
pub mod supervised;
pub mod vicreg;
mod window;

use std::any::Any;
use std::fmt::Debug;
use std::ops::RangeInclusive;

use candle_core::Tensor;
pub use context::Context;
pub use registry::Losses;
pub use sampling::Sampling;
use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::Result;
use crate::parameters::{ParameterShape, Parameters};
use crate::random::Draws;

/// A loss as a pipeline gives it: its settings, and what follows from them before anything is computed.
///
/// A recipe is a type with its settings as fields. Steps have the name and the settings in their keys, so a
/// recipe that computes something else must have another name, or a setting that says so.
pub trait Recipe: Written + Any + Debug + Send + Sync {
    /// What pipeline files, messages and tables call the loss: letters, digits, `-` and `_`.
    fn name(&self) -> &'static str;

    /// The settings that must lie within bounds.
    fn bounds(&self) -> Vec<Bounded> {
        Vec::new()
    }

    /// How many rows the vectors of a sample lie apart that it takes for positive pairs; `None` where it has
    /// no such pairs.
    fn positives(&self) -> Option<RangeInclusive<usize>> {
        None
    }

    /// Whether it can be computed on vectors of these sizes; classes are not known yet.
    ///
    /// # Errors
    /// When not: why.
    fn check(&self, _sizes: Sizes) -> Result<(), Misfit> {
        Ok(())
    }

    /// The shapes of its parameters.
    fn shapes(&self, sizes: Sizes) -> Vec<ParameterShape>;

    /// Draws what is random in the loss of a batch; nothing where nothing is.
    fn draw(&self, _batch: usize, _sizes: Sizes, _draws: &mut Draws) -> Drawn {
        Drawn::default()
    }

    /// Whether it reads the samples' labels.
    fn reads_labels(&self) -> bool {
        false
    }

    /// The loss of a guess, where that can be said.
    fn of_a_guess(&self, sizes: Sizes) -> Option<f64>;

    /// The accuracy of a guess, where there is a right and a wrong and that can be said.
    fn accuracy_of_a_guess(&self, _sizes: Sizes) -> Option<f64> {
        None
    }

    /// What the accuracy of an [`Outcome`] is.
    fn accuracy_is(&self) -> &'static str {
        "contrastive accuracy"
    }

    /// Additions and multiplications of a sample, forward.
    fn operations(&self, sizes: Sizes) -> f64;

    /// The loss with the parameters found in `parameters`, on whose device its inputs must lie.
    ///
    /// # Errors
    /// When a parameter is missing or has another shape.
    fn build(&self, sizes: Sizes, parameters: &Parameters) -> Result<Box<dyn Loss>>;
}

/// Settings that can be written down. Whatever serialises is.
pub trait Written {
    /// The settings as JSON, numbers as brief as a pipeline file has them.
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

/// A table with the name as its one key, as in a pipeline file.
impl Serialize for dyn Recipe + '_ {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let settings = self.settings().map_err(S::Error::custom)?;
        serializer.collect_map([(self.name(), settings)])
    }
}

/// Recipes are equal where they have one name and are written alike.
impl PartialEq for dyn Recipe {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name() && self.settings().ok() == other.settings().ok()
    }
}

/// A loss with its parameters.
pub trait Loss: Send + Sync {
    /// The loss of `pooled` `[batch, rows, columns, channels]` and of what predicts these,
    /// `[batch, rows, columns, context]`, with a graph back to both and to the parameters. Where the
    /// module has no context of its own, both are the same tensor.
    ///
    /// # Errors
    /// When the shapes do not fit, or a negative's or a label's number is out of range.
    fn forward(&self, pooled: &Tensor, context: &Tensor, samples: &Samples) -> Result<Outcome>;
}

/// What a loss is computed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Of a pooled vector.
    pub channels: usize,
    /// Of the vector that predicts; as many as `channels` where the module makes no other.
    pub context: usize,
    /// Of pooled vectors: those of the grid of patches, or the steps of a sequence.
    pub rows: usize,
    /// 1 of a sequence.
    pub columns: usize,
    /// Classes that labels tell apart; 0 where the loss does not read them.
    pub classes: usize,
}

impl Sizes {
    /// Of pooled vectors that predict each other, without labels.
    pub fn grid(channels: usize, [rows, columns]: [usize; 2]) -> Self {
        Self { channels, context: channels, rows, columns, classes: 0 }
    }

    /// Pooled vectors of a sample.
    pub fn positions(self) -> usize {
        self.rows * self.columns
    }
}

/// For each prediction step, so many target numbers for every position: `[positions * N]`.
pub type Negatives = Vec<Vec<u32>>;

/// What a loss draws for a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drawn {
    /// The negatives that predictions are told apart from.
    pub negatives: Negatives,
    /// The row at which a window begins, where the loss cuts one out of each sample.
    pub start: usize,
}

/// What a loss reads of a batch besides its pooled vectors.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    /// The class of each sample, where the loss reads them.
    pub labels: Vec<u32>,
    /// As [`Recipe::draw`] drew it.
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
    /// The share of predictions that were right, where there is a right and a wrong.
    pub accuracy: Option<f64>,
}

/// A setting that must lie within bounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Bounded {
    /// Its key in the table of the loss; in a table of that one, with dots.
    pub key: &'static str,
    /// What was given.
    pub value: f64,
    /// What it must lie within, both ends included.
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
    /// The keys in the table of the loss that may be too high, the likeliest first; none where it is no
    /// number that does not fit.
    pub keys: &'static [&'static str],
    /// What does not fit.
    pub message: String,
}
