//! InfoNCE (van den Oord et al. 2018, equation 4), as Greedy InfoMax (Löwe et al. 2019) uses it on
//! a grid of patches: each patch predicts those some rows below it, against negatives from the
//! whole batch ([`super::prediction`]).
//!
//! The loss of a position is `-log softmax([positive, negatives])_0`; a guess has ln(N + 1).

use candle_core::Tensor;
use candle_nn::ops::log_softmax;
use serde::{Deserialize, Serialize};

use super::context::{self, Context};
use super::prediction::{self, Judge, Prediction, Reach};
use super::{Bounded, Loss, Misfit, Negatives, Recipe, Sizes};
use crate::Result;
use crate::parameters::{ParameterShape, Parameters};
use crate::random::Draws;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Settings {
    /// K: how many rows of patches below are predicted.
    pub prediction_steps: usize,
    /// N: negatives for each prediction.
    pub negatives: usize,
    /// Rows left out between a patch and its first target, because they overlap it.
    pub skip: usize,
    /// What predicts; each pooled vector itself when `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<Context>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { prediction_steps: 5, negatives: 16, skip: 1, context: None }
    }
}

impl Settings {
    fn reach(&self) -> Reach {
        Reach { steps: self.prediction_steps, skip: self.skip }
    }
}

impl Recipe for Settings {
    fn bounds(&self) -> Vec<Bounded> {
        let [steps, skip] = self.reach().bounds();
        vec![steps, prediction::negatives(self.negatives), skip]
    }

    fn check(&self, rows: usize, columns: usize) -> Result<(), Misfit> {
        self.reach().check(rows, columns)
    }

    fn shapes(&self, sizes: Sizes) -> Vec<ParameterShape> {
        self.reach().shapes_with(self.context, sizes.channels)
    }

    fn draw(&self, batch: usize, grid: usize, draws: &mut Draws) -> Negatives {
        self.reach().draw(self.negatives, batch, grid, draws)
    }

    fn of_a_guess(&self, _sizes: Sizes) -> Option<f64> {
        Some(((self.negatives + 1) as f64).ln())
    }

    fn operations(&self, sizes: Sizes) -> f64 {
        let patches = sizes.grid * sizes.grid;
        let network = |Context::PixelCnn| context::operations(sizes.channels, patches);
        self.reach().operations(sizes, 1 + self.negatives) + self.context.map_or(0.0, network)
    }

    fn build(&self, sizes: Sizes, parameters: &Parameters) -> Result<Box<dyn Loss>> {
        let (reach, context) = (self.reach(), self.context);
        let judge = &CrossEntropy;
        Ok(Box::new(Prediction::new(reach, context, sizes.channels, parameters, judge)?))
    }
}

/// Cross-entropy of picking the positive.
struct CrossEntropy;

impl Judge for CrossEntropy {
    fn row(&self, scores: &mut [f32]) -> f64 {
        let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = scores.iter().map(|score| f64::from(score - max).exp()).sum();
        let loss = sum.ln() - f64::from(scores[0] - max);
        for score in scores.iter_mut() {
            *score = (f64::from(*score - max).exp() / sum) as f32;
        }
        scores[0] -= 1.0;
        loss
    }

    fn mean(&self, scores: &Tensor) -> candle_core::Result<Tensor> {
        log_softmax(scores, 1)?.narrow(1, 0, 1)?.mean_all()?.neg()
    }
}
