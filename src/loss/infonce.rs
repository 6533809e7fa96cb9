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

use candle_core::{CpuStorage, CustomOp2, Layout, Shape, Tensor};
use rayon::prelude::*;

use crate::Result;
use crate::kernel::with_values;
use crate::module::{ParameterShape, Parameters};
use crate::pipeline::InfoNce as Settings;
use crate::random::Draws;

/// The loss with its predictors W_k.
pub struct InfoNce {
    settings: Settings,
    /// `[channels, channels]` each: `T = z W`.
    predictors: Vec<Tensor>,
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
    /// The loss with the predictors found in `parameters`.
    ///
    /// # Errors
    /// When a predictor is missing or has another shape.
    pub fn new(settings: &Settings, channels: usize, parameters: &Parameters) -> Result<Self> {
        let shapes = shapes(settings, channels);
        let predictors = shapes.iter().map(|shape| parameters.get(shape)).collect::<Result<_>>()?;
        Ok(Self { settings: settings.clone(), predictors })
    }

    /// The loss of `pooled` `[batch, grid, grid, channels]` with these negatives.
    ///
    /// # Errors
    /// When the shapes do not fit, or a negative's number is out of range.
    pub fn forward(&self, pooled: &Tensor, negatives: &Negatives) -> Result<Outcome> {
        let (_, grid, _, channels) = pooled.dims4()?;
        let mut losses = Vec::with_capacity(self.predictors.len());
        let mut accuracy = 0.0;
        for (index, (predictor, negatives)) in self.predictors.iter().zip(negatives).enumerate() {
            let below = index + 1 + self.settings.skip;
            let rows = grid - below;
            let context = pooled.narrow(1, 0, rows)?.contiguous()?.reshape(((), channels))?;
            let targets = pooled.narrow(1, below, rows)?.contiguous()?.reshape(((), channels))?;
            let targets = targets.matmul(predictor)?;
            let scores = Arc::new(Mutex::new(Scores::default()));
            let op = Contrast {
                negatives: negatives.clone(),
                count: self.settings.negatives,
                scores: scores.clone(),
            };
            losses.push(context.apply_op2(&targets, op)?);
            accuracy += scores.lock().unwrap_or_else(PoisonError::into_inner).accuracy;
        }
        let loss = Tensor::stack(&losses, 0)?.mean_all()?;
        Ok(Outcome { loss, accuracy: accuracy / self.predictors.len() as f64 })
    }
}

/// What the forward pass of [`Contrast`] leaves for the backward pass.
#[derive(Default)]
struct Scores {
    /// softmax over the positive and the negatives, `[positions, 1 + N]`.
    probabilities: Vec<f32>,
    accuracy: f64,
}

/// Cross-entropy of each row of `context` `[positions, channels]` picking its own row among
/// `targets` `[positions, channels]` and N others.
struct Contrast {
    negatives: Vec<u32>,
    count: usize,
    scores: Arc<Mutex<Scores>>,
}

impl Contrast {
    /// The targets that `position` is scored against, its own first.
    fn candidates(&self, position: usize) -> impl Iterator<Item = usize> + '_ {
        let negatives = &self.negatives[position * self.count..(position + 1) * self.count];
        std::iter::once(position).chain(negatives.iter().map(|&n| n as usize))
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    // Eight running sums, so that the additions need not wait for each other.
    let mut sums = [0.0f32; 8];
    let (a_chunks, b_chunks) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for i in 0..8 {
            sums[i] += a[i] * b[i];
        }
    }
    sums.iter().sum::<f32>() + rest
}

fn add_scaled(sum: &mut [f32], scale: f32, values: &[f32]) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += scale * value;
    }
}

impl CustomOp2 for Contrast {
    fn name(&self) -> &'static str {
        "infonce"
    }

    fn cpu_fwd(
        &self,
        context: &CpuStorage,
        context_layout: &Layout,
        targets: &CpuStorage,
        targets_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (positions, channels) = context_layout.shape().dims2()?;
        if targets_layout.shape().dims2()? != (positions, channels)
            || self.negatives.len() != positions * self.count
            || self.negatives.iter().any(|&n| n as usize >= positions)
        {
            candle_core::bail!(
                "infonce: {} negatives do not fit {positions} positions",
                self.negatives.len()
            )
        }
        let context = crate::kernel::values(context, context_layout, self.name())?;
        let targets = crate::kernel::values(targets, targets_layout, self.name())?;
        let mut probabilities = vec![0.0f32; positions * (1 + self.count)];
        let per_position: Vec<(f64, bool)> = probabilities
            .par_chunks_exact_mut(1 + self.count)
            .zip(context.par_chunks_exact(channels))
            .enumerate()
            .map(|(position, (row, context))| {
                for (score, target) in row.iter_mut().zip(self.candidates(position)) {
                    *score = dot(context, &targets[target * channels..][..channels]);
                }
                let hit = row[1..].iter().all(|&negative| row[0] > negative);
                let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let sum: f64 = row.iter().map(|score| f64::from(score - max).exp()).sum();
                let loss = sum.ln() - f64::from(row[0] - max);
                for score in row.iter_mut() {
                    *score = (f64::from(*score - max).exp() / sum) as f32;
                }
                (loss, hit)
            })
            .collect();
        let loss = per_position.iter().map(|(loss, _)| loss).sum::<f64>() / positions as f64;
        let hits = per_position.iter().filter(|(_, hit)| *hit).count();
        *self.scores.lock().unwrap_or_else(PoisonError::into_inner) =
            Scores { probabilities, accuracy: hits as f64 / positions as f64 };
        Ok((CpuStorage::F32(vec![loss as f32]), Shape::from(())))
    }

    fn bwd(
        &self,
        context: &Tensor,
        targets: &Tensor,
        _loss: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let (positions, channels) = context.dims2()?;
        let scale = grad.to_scalar::<f32>()? / positions as f32;
        let scores = self.scores.lock().unwrap_or_else(PoisonError::into_inner);
        let (d_context, d_targets) = with_values(context, self.name(), |context| {
            with_values(targets, self.name(), |targets| {
                let mut d_context = vec![0.0; positions * channels];
                let mut d_targets = vec![0.0; positions * channels];
                // One thread: positions share targets, and the order of a sum is part of the result.
                for position in 0..positions {
                    let own = position * channels..(position + 1) * channels;
                    let row = &scores.probabilities[position * (1 + self.count)..];
                    for (index, target) in self.candidates(position).enumerate() {
                        let weight = scale * (row[index] - f32::from(u8::from(index == 0)));
                        let theirs = target * channels..(target + 1) * channels;
                        add_scaled(&mut d_context[own.clone()], weight, &targets[theirs.clone()]);
                        add_scaled(&mut d_targets[theirs], weight, &context[own.clone()]);
                    }
                }
                Ok((d_context, d_targets))
            })
        })?;
        Ok((
            Some(Tensor::from_vec(d_context, context.shape(), context.device())?),
            Some(Tensor::from_vec(d_targets, targets.shape(), targets.device())?),
        ))
    }
}
