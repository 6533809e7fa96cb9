//! InfoNCE (van den Oord et al. 2018, equation 4), as Greedy InfoMax (Löwe et al. 2019) uses it on
//! a grid of patches: each patch predicts those some rows below it, against negatives from the
//! whole batch.
//!
//! With `z` the pooled vectors `[batch, grid, grid, channels]`, K prediction steps, a skip of s rows
//! and `R_k = grid - (k + s)`, for k = 1..K:
//!
//! - `T_k = z[:, k+s.., :] W_k` are the projected targets;
//! - position (b, y, x), y < R_k, scores the target (b, y + k + s, x) and N negatives by a plain dot
//!   product with `z[b, y, x]`: no temperature, no normalisation;
//! - `loss_k` is the mean over positions of `-log softmax([positive, negatives])_0`.
//!
//! The loss is the mean over k; a guess has ln(N + 1). Positions and targets are numbered
//! `(b * R_k + y) * grid + x`. Neither side is detached.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::Tensor;

use super::contrast::{Contrast, Scores};
use super::graph;
use crate::Result;
use crate::device::Device;
use crate::module::{ParameterShape, Parameters};
use crate::pipeline::InfoNce as Settings;
use crate::random::Draws;

/// The loss with its predictors W_k.
pub struct InfoNce {
    settings: Settings,
    /// `[channels, channels]` each: `T = z W`.
    predictors: Vec<Tensor>,
    /// Where the predictors lie.
    device: Device,
}

/// For each prediction step, N target numbers for every position: `[positions * N]`.
pub type Negatives = Vec<Vec<u32>>;

/// The loss of a batch.
pub struct Outcome {
    /// The mean over prediction steps, a scalar tensor.
    pub loss: Tensor,
    /// The share of predictions whose positive scores above every negative.
    pub accuracy: f64,
}

/// The shapes of the predictors for vectors of `channels`.
pub fn shapes(settings: &Settings, channels: usize) -> Vec<ParameterShape> {
    let shape = |k| ParameterShape {
        name: format!("predictor.{k}"),
        dims: vec![channels, channels],
        fan_in: channels,
    };
    (0..settings.prediction_steps).map(shape).collect()
}

/// Draws the negatives of a batch: uniformly, with replacement, from all targets of the same
/// prediction step; the positive is not excluded.
pub fn draw_negatives(
    settings: &Settings,
    batch: usize,
    grid: usize,
    draws: &mut Draws,
) -> Negatives {
    (1..=settings.prediction_steps)
        .map(|k| {
            let targets = batch * (grid - k - settings.skip) * grid;
            (0..targets * settings.negatives).map(|_| draws.below(targets as u32)).collect()
        })
        .collect()
}

impl InfoNce {
    /// The loss with the predictors found in `parameters`, on whose device its inputs must lie.
    ///
    /// # Errors
    /// When a predictor is missing or has another shape.
    pub fn new(settings: &Settings, channels: usize, parameters: &Parameters) -> Result<Self> {
        let shapes = shapes(settings, channels);
        let predictors = shapes.iter().map(|shape| parameters.get(shape)).collect::<Result<_>>()?;
        let device = parameters.device().clone();
        Ok(Self { settings: settings.clone(), predictors, device })
    }

    /// The loss of `pooled` `[batch, grid, grid, channels]` with these negatives.
    ///
    /// # Errors
    /// When the shapes do not fit, or a negative's number is out of range.
    pub fn forward(&self, pooled: &Tensor, negatives: &Negatives) -> Result<Outcome> {
        let (_, grid, _, _) = pooled.dims4()?;
        let mut losses = Vec::with_capacity(self.predictors.len());
        let mut accuracy = 0.0;
        for (index, (predictor, negatives)) in self.predictors.iter().zip(negatives).enumerate() {
            let below = index + 1 + self.settings.skip;
            if self.device.has_kernels() {
                let scores = Arc::new(Mutex::new(Scores::default()));
                let negatives = negatives.clone();
                let op = Contrast { grid, below, negatives, scores: scores.clone() };
                losses.push(pooled.apply_op2(predictor, op)?);
                accuracy += scores.lock().unwrap_or_else(PoisonError::into_inner).accuracy;
            } else {
                let (loss, hits) = graph::contrast(pooled, predictor, below, negatives)?;
                losses.push(loss);
                accuracy += hits;
            }
        }
        let loss = Tensor::stack(&losses, 0)?.mean_all()?;
        Ok(Outcome { loss, accuracy: accuracy / self.predictors.len() as f64 })
    }
}
