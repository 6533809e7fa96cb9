//! Predicting the patches below: the common part of losses that score a patch against projected targets.
//!
//! With `z` the pooled vectors `[batch, rows, columns, channels]`, K prediction steps, a skip of s rows
//! and `R_k = rows - (k + s)`, for k = 1..K:
//!
//! - `T_k = z[:, k+s.., :] W_k` are the projected targets;
//! - position (b, y, x), y < R_k, scores the target (b, y + k + s, x) and N negatives by a plain dot
//!   product with its context `c[b, y, x]`: no temperature, no normalisation. The context is `z[b, y, x]`
//!   itself where neither the module nor a network of the loss ([`Context`]) makes one;
//! - a [`Judge`] turns the scores of a position into a number, and `loss_k` is the mean of these numbers.
//!
//! The loss is the mean over k. Positions and targets are numbered `(b * R_k + y) * columns + x`. Neither
//! side is detached.

use std::fmt::Debug;
use std::ops::RangeInclusive;

use candle_core::Tensor;
use serde::Serialize;

use super::contrast::Contrast;
use super::infonce::Context;
use super::scores::Kept;
use super::{Bounded, COUNT, Drawn, Loss, Misfit, Outcome, ROWS, Recipe, Samples, Sizes, graph};
use crate::Result;
use crate::context::pixelcnn::{self, PixelCnn};
use crate::device::Device;
use crate::parameters::{ParameterShape, Parameters};
use crate::quantity::counted;
use crate::random::Draws;
use crate::setting::{Form, Setting};

/// Turns the scores of a position into its loss. The score of the positive comes first.
pub(super) trait Judge: Send + Sync {
    /// The loss of a position. Replaces each score by the slope of the loss along it.
    fn row(&self, scores: &mut [f32]) -> f64;

    /// The mean loss of positions, a scalar with a graph back to their scores `[positions, 1 + N]`.
    fn mean(&self, scores: &Tensor) -> candle_core::Result<Tensor>;
}

/// The settings of a loss that scores predictions.
pub(super) trait PredictionSettings: Serialize + Debug + Send + Sync + 'static {
    /// The name of the loss ([`Recipe::name`]).
    const NAME: &'static str;

    fn scoring(&self) -> Scoring;

    /// Its keys in a pipeline file ([`Recipe::reference`]).
    fn reference(&self) -> Vec<Setting>;
}

/// How a loss scores predictions.
pub(super) struct Scoring {
    pub reach: Reach,
    /// N: negatives for each prediction.
    pub negatives: usize,
    /// What predicts; each pooled vector itself when `None`.
    pub context: Option<Context>,
    pub judge: &'static dyn Judge,
    /// The loss of a position whose scores are all equal.
    pub of_a_guess: f64,
}

impl<T: PredictionSettings> Recipe for T {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn reference(&self) -> Vec<Setting> {
        PredictionSettings::reference(self)
    }

    fn bounds(&self) -> Vec<Bounded> {
        let Scoring { reach, negatives, .. } = self.scoring();
        let ([steps, skip], negatives) = (reach.bounds(), negatives as f64);
        vec![steps, Bounded { key: "negatives", value: negatives, bounds: COUNT }, skip]
    }

    fn positives(&self) -> Option<RangeInclusive<usize>> {
        Some(self.scoring().reach.rows_below())
    }

    fn takes(&self) -> &'static str {
        "grids and sequences with enough rows or steps"
    }

    fn check(&self, sizes: Sizes) -> Result<(), Misfit> {
        self.scoring().reach.check(sizes)
    }

    fn shapes(&self, sizes: Sizes) -> Vec<ParameterShape> {
        let (channels, Scoring { reach, context, .. }) = (sizes.channels, self.scoring());
        let context = context.map(|Context::PixelCnn| pixelcnn::shapes(channels));
        reach.shapes(channels).into_iter().chain(context.unwrap_or_default()).collect()
    }

    fn draw(&self, batch: usize, sizes: Sizes, draws: &mut Draws) -> Drawn {
        let Scoring { reach, negatives, .. } = self.scoring();
        reach.draw(negatives, batch, sizes, draws)
    }

    fn of_a_guess(&self, _sizes: Sizes) -> Option<f64> {
        Some(self.scoring().of_a_guess)
    }

    fn accuracy_of_a_guess(&self, _sizes: Sizes) -> Option<f64> {
        Some(1.0 / (self.scoring().negatives + 1) as f64)
    }

    fn operations(&self, sizes: Sizes) -> f64 {
        let Scoring { reach, negatives, context, .. } = self.scoring();
        let network = |Context::PixelCnn| pixelcnn::operations(sizes.channels, sizes.positions());
        reach.operations(sizes, 1 + negatives) + context.map_or(0.0, network)
    }

    fn build(&self, sizes: Sizes, parameters: &Parameters) -> Result<Box<dyn Loss>> {
        let Scoring { reach, context, judge, .. } = self.scoring();
        let shapes = reach.shapes(sizes.channels);
        let predictors = shapes.iter().map(|it| parameters.get(it)).collect::<Result<_>>()?;
        let network = |Context::PixelCnn| PixelCnn::new(sizes.channels, parameters);
        let (context, device) = (context.map(network).transpose()?, parameters.device().clone());
        Ok(Box::new(Prediction { reach, predictors, context, device, judge }))
    }
}

/// The setting `negatives` of a loss called `of`.
pub(super) fn negatives(of: &str, default: usize) -> Setting {
    Setting::new(format!("{of}.negatives"), Form::whole_of(COUNT))
        .default(default)
        .unit("negatives per prediction")
        .example(8)
        .doc("What the positive is told apart from in each prediction, drawn from the whole batch.")
}

/// How many rows down predictions reach.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    pub steps: usize,
    pub skip: usize,
}

impl Reach {
    /// The distances, in rows, from a vector down to those that it predicts.
    pub fn rows_below(self) -> RangeInclusive<usize> {
        self.skip + 1..=self.skip + self.steps
    }

    /// The settings of a loss called `of`, these being their defaults.
    pub fn reference(self, of: &str) -> [Setting; 2] {
        let key = |name: &str, form| Setting::new(format!("{of}.{name}"), form);
        [
            key("prediction_steps", Form::whole_of(1.0..=*ROWS.end()))
                .default(self.steps)
                .unit("rows of patches")
                .example(3)
                .doc("The rows below a patch that it predicts, each by a predictor of its own."),
            key("skip", Form::whole_of(ROWS))
                .default(self.skip)
                .unit("rows of patches")
                .example(0)
                .doc("Rows left out between a patch and the first row it predicts, since they overlap the patch."),
        ]
    }

    pub fn bounds(self) -> [Bounded; 2] {
        [
            Bounded {
                key: "prediction_steps",
                value: self.steps as f64,
                bounds: 1.0..=*ROWS.end(),
            },
            Bounded { key: "skip", value: self.skip as f64, bounds: ROWS },
        ]
    }

    /// Fails unless the last step has a row to predict, and contexts have the same number of channels as targets.
    pub fn check(self, sizes: Sizes) -> Result<(), Misfit> {
        let Self { steps, skip } = self;
        let Sizes { channels, context, rows, columns, .. } = sizes;
        if context != channels {
            let message = format!(
                "this loss needs as many channels in what predicts as in what is predicted, the module \
                 gives {context} and {channels}"
            );
            return Err(Misfit { keys: &[], message });
        }
        let needed = steps + skip + 1;
        if rows >= needed {
            return Ok(());
        }
        let message = format!(
            "{} and {} need a grid of at least {needed} rows of patches, this view gives \
             {rows}x{columns}",
            counted(steps, "prediction step"),
            counted(skip, "skipped row"),
        );
        Err(Misfit { keys: &["prediction_steps", "skip"], message })
    }

    /// For each step, the distance of its target in rows, and the number of positions of a sample that predict.
    pub fn steps(self, [rows, columns]: [usize; 2]) -> impl Iterator<Item = (usize, usize)> {
        (1..=self.steps).map(move |step| {
            let below = step + self.skip;
            (below, columns * rows.saturating_sub(below))
        })
    }

    /// The shapes of the predictors, `[channels, channels]` each: `T = z W`.
    pub fn shapes(self, channels: usize) -> Vec<ParameterShape> {
        let dims = || vec![channels, channels];
        let shape = |k| ParameterShape::drawn(format!("predictor.{k}"), dims(), channels);
        (0..self.steps).map(shape).collect()
    }

    /// Draws negatives uniformly, with replacement, from all targets of the same prediction step; the
    /// positive is not excluded.
    pub fn draw(self, count: usize, batch: usize, sizes: Sizes, draws: &mut Draws) -> Drawn {
        let of_step = |(_, positions): (usize, usize)| {
            let targets = batch * positions;
            (0..targets * count).map(|_| draws.below(targets as u32)).collect()
        };
        let negatives = self.steps([sizes.rows, sizes.columns]).map(of_step).collect();
        Drawn { negatives, start: 0 }
    }

    /// Additions and multiplications for projecting a sample, and scoring each position against `candidates` targets.
    pub fn operations(self, sizes: Sizes, candidates: usize) -> f64 {
        let steps = self.steps([sizes.rows, sizes.columns]);
        let positions: usize = steps.map(|(_, positions)| positions).sum();
        let channels = sizes.channels as f64;
        positions as f64 * 2.0 * (channels * channels + candidates as f64 * channels)
    }
}

/// A loss that scores predictions.
struct Prediction {
    reach: Reach,
    predictors: Vec<Tensor>,
    context: Option<PixelCnn>,
    device: Device,
    judge: &'static dyn Judge,
}

impl Loss for Prediction {
    fn forward(&self, pooled: &Tensor, context: &Tensor, samples: &Samples) -> Result<Outcome> {
        let (_, rows, columns, _) = pooled.dims4()?;
        let contexts = match &self.context {
            Some(network) => network.forward(context)?,
            None => context.clone(),
        };
        let mut losses = Vec::with_capacity(self.predictors.len());
        let mut accuracy = 0.0;
        let negatives = &samples.drawn.negatives;
        let steps = self.reach.steps([rows, columns]).zip(&self.predictors).zip(negatives);
        for (((below, _), predictor), negatives) in steps {
            if self.device.has_kernels() {
                let kept = Kept::default();
                let (judge, negatives) = (self.judge, negatives.clone());
                let op = Contrast { below, negatives, judge, kept: kept.clone() };
                losses.push(contexts.apply_op3(pooled, predictor, op)?);
                accuracy += kept.accuracy();
            } else {
                let (loss, hits) =
                    graph::contrast([&contexts, pooled], predictor, below, negatives, self.judge)?;
                losses.push(loss);
                accuracy += hits;
            }
        }
        let loss = Tensor::stack(&losses, 0)?.mean_all()?;
        Ok(Outcome { loss, accuracy: Some(accuracy / losses.len() as f64) })
    }
}
