//! Local losses: what a module is trained with, without a gradient from above.
//!
//! A loss is one file: its [`Recipe`], the settings that a pipeline gives, and what it computes, a
//! [`Loss`]. Adding one is such a file and its two lines here.

#[macro_use]
mod registry;

pub mod clapp;
mod context;
mod contrast;
mod graph;
pub mod infonce;
mod prediction;
pub mod supervised;
pub mod vicreg;

use std::ops::RangeInclusive;

use candle_core::Tensor;
pub use context::Context;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::parameters::{ParameterShape, Parameters};
use crate::random::Draws;

registry! {
    InfoNce(infonce),
    Clapp(clapp),
    VicReg(vicreg),
    Supervised(supervised),
}

impl Default for Settings {
    fn default() -> Self {
        Self::InfoNce(infonce::Settings::default())
    }
}

/// What can be known of a loss before anything is computed, from its settings.
pub trait Recipe {
    /// The settings that must lie within bounds.
    fn bounds(&self) -> Vec<Bounded>;

    /// Whether it can be computed on a grid of so many rows and columns of patches.
    ///
    /// # Errors
    /// When not: why.
    fn check(&self, _rows: usize, _columns: usize) -> Result<(), Misfit> {
        Ok(())
    }

    /// The shapes of its parameters.
    fn shapes(&self, sizes: Sizes) -> Vec<ParameterShape>;

    /// Draws the negatives of a batch; none where it has none.
    fn draw(&self, _batch: usize, _grid: usize, _draws: &mut Draws) -> Negatives {
        Vec::new()
    }

    /// Whether it reads the samples' labels.
    fn reads_labels(&self) -> bool {
        false
    }

    /// The loss of a guess, where that can be said.
    fn of_a_guess(&self, sizes: Sizes) -> Option<f64>;

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

/// A loss with its parameters.
pub trait Loss: Send + Sync {
    /// The loss of `pooled` `[batch, grid, grid, channels]`, with a graph back to it and to the
    /// parameters.
    ///
    /// # Errors
    /// When the shapes do not fit, or a negative's or a label's number is out of range.
    fn forward(&self, pooled: &Tensor, samples: &Samples) -> Result<Outcome>;
}

/// What a loss is computed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Of a pooled vector.
    pub channels: usize,
    /// Patches along a side.
    pub grid: usize,
    /// Classes that labels tell apart; 0 where the loss does not read them.
    pub classes: usize,
}

/// For each prediction step, so many target numbers for every position: `[positions * N]`.
pub type Negatives = Vec<Vec<u32>>;

/// What a loss reads of a batch besides its pooled vectors.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    /// The class of each sample, where the loss reads them.
    pub labels: Vec<u32>,
    /// As [`Recipe::draw`] drew them.
    pub negatives: Negatives,
}

impl From<Negatives> for Samples {
    fn from(negatives: Negatives) -> Self {
        Self { labels: Vec::new(), negatives }
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
    /// Its key in the table of the loss.
    pub key: &'static str,
    pub value: f64,
    pub bounds: RangeInclusive<f64>,
}

/// The bounds of a count.
const COUNT: RangeInclusive<f64> = 1.0..=i32::MAX as f64;

/// The bounds of a weight.
const WEIGHT: RangeInclusive<f64> = 0.0..=1e6;

/// The bounds of a number of rows of patches.
const ROWS: RangeInclusive<f64> = 0.0..=(1 << 14) as f64;

/// Why a loss cannot be computed.
#[derive(Debug, Clone, PartialEq)]
pub struct Misfit {
    /// The keys in the table of the loss that may be too high, the likeliest first.
    pub keys: &'static [&'static str],
    pub message: String,
}
