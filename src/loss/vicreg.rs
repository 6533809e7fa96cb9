//! VICReg (Bardes et al. 2022, equations 1 to 6) between each patch's prediction and its target: a loss without
//! negatives, for blockwise self-supervised learning as in Siddiqui et al. 2023.
//!
//! With the positions and rows of `loss/prediction.rs`, for each prediction step the predictions
//! `P = c[:, ..R_k] W_k` and the targets `T = z[:, k+s..]`, n rows of d channels each:
//!
//! - invariance: the mean of `|P - T|^2` over rows, divided by d;
//! - variance of either: the mean over channels of `max(0, 1 - sqrt(Var + 1e-4))`;
//! - covariance of either: the sum of squares of the covariances off the diagonal, divided by d;
//!
//! and `loss_k` is their weighted sum. The loss is the mean over k. Predictions are not right or wrong, so there is no
//! accuracy and no loss of a guess.

use std::ops::RangeInclusive;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::prediction::Reach;
use super::{Bounded, Loss, Misfit, Outcome, Recipe, Samples, Sizes, WEIGHT};
use crate::Result;
use crate::parameters::{ParameterShape, Parameters};
use crate::setting::{Form, Interval, Setting};

/// Added to variances, so that their root has a finite slope at 0.
const EPSILON: f64 = 1e-4;

/// VICReg between patches, and its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Settings {
    /// The number of rows of patches below that are predicted.
    pub prediction_steps: usize,
    /// Rows left out between a patch and its first target, because they overlap it.
    pub skip: usize,
    /// The weight of the invariance.
    pub invariance: f64,
    /// The weight of the variance.
    pub variance: f64,
    /// The weight of the covariance.
    pub covariance: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { prediction_steps: 5, skip: 1, invariance: 25.0, variance: 25.0, covariance: 1.0 }
    }
}

impl Settings {
    fn reach(&self) -> Reach {
        Reach { steps: self.prediction_steps, skip: self.skip }
    }
}

impl Recipe for Settings {
    fn name(&self) -> &'static str {
        "vicreg"
    }

    fn reference(&self) -> Vec<Setting> {
        let [steps, skip] = self.reach().reference(self.name());
        let weight = |name: &str, default: f64, doc: &str| {
            let form = Form::Number(Interval::between(*WEIGHT.start(), *WEIGHT.end()));
            let key = Setting::new(format!("vicreg.{name}"), form);
            key.default(format!("{default:?}")).example(2.0).doc(doc)
        };
        let doc = "VICReg between a patch's prediction and its target, for images: a loss without negatives.";
        vec![
            Setting::table(self.name(), doc).or(""),
            steps,
            skip,
            weight(
                "invariance",
                self.invariance,
                "The weight of the distance between prediction and target.",
            ),
            weight(
                "variance",
                self.variance,
                "The weight of the term by which every channel varies over the batch.",
            ),
            weight(
                "covariance",
                self.covariance,
                "The weight of the term by which channels differ.",
            ),
        ]
    }

    fn bounds(&self) -> Vec<Bounded> {
        let weight = |key, value| Bounded { key, value, bounds: WEIGHT };
        let mut bounds = self.reach().bounds().to_vec();
        bounds.push(weight("invariance", self.invariance));
        bounds.push(weight("variance", self.variance));
        bounds.push(weight("covariance", self.covariance));
        bounds
    }

    fn positives(&self) -> Option<RangeInclusive<usize>> {
        Some(self.reach().rows_below())
    }

    fn takes(&self) -> &'static str {
        "grids and sequences with enough rows or steps"
    }

    fn check(&self, sizes: Sizes) -> Result<(), Misfit> {
        self.reach().check(sizes)
    }

    fn shapes(&self, sizes: Sizes) -> Vec<ParameterShape> {
        self.reach().shapes(sizes.channels)
    }

    fn of_a_guess(&self, _sizes: Sizes) -> Option<f64> {
        None
    }

    fn operations(&self, sizes: Sizes) -> f64 {
        // Each of the two covariances takes as many operations as the projection.
        3.0 * self.reach().operations(sizes, 1)
    }

    fn build(&self, sizes: Sizes, parameters: &Parameters) -> Result<Box<dyn Loss>> {
        let shapes = self.shapes(sizes);
        let predictors = shapes.iter().map(|shape| parameters.get(shape)).collect::<Result<_>>()?;
        Ok(Box::new(VicReg { settings: self.clone(), predictors }))
    }
}

struct VicReg {
    settings: Settings,
    predictors: Vec<Tensor>,
}

impl Loss for VicReg {
    fn forward(&self, pooled: &Tensor, context: &Tensor, _samples: &Samples) -> Result<Outcome> {
        let (batch, rows, columns, channels) = pooled.dims4()?;
        let steps = self.settings.reach().steps([rows, columns]).zip(&self.predictors);
        let losses = steps.map(|((below, _), predictor)| {
            let predicting = rows - below;
            let rows = |of: &Tensor, first| {
                let rows = of.narrow(1, first, predicting)?;
                rows.reshape((batch * predicting * columns, channels))
            };
            self.of_a_step(&rows(context, 0)?.matmul(predictor)?, &rows(pooled, below)?)
        });
        let losses = losses.collect::<candle_core::Result<Vec<_>>>()?;
        Ok(Outcome { loss: Tensor::stack(&losses, 0)?.mean_all()?, accuracy: None })
    }
}

impl VicReg {
    /// The loss of a prediction step, for predictions and targets `[rows, channels]`.
    fn of_a_step(&self, predictions: &Tensor, targets: &Tensor) -> candle_core::Result<Tensor> {
        let Settings { invariance, variance, covariance, .. } = self.settings;
        let mut loss = ((predictions - targets)?.sqr()?.mean_all()? * invariance)?;
        for vectors in [predictions, targets] {
            let (spread, shared) = spread_and_shared(vectors)?;
            loss = ((loss + (spread * variance)?)? + (shared * covariance)?)?;
        }
        Ok(loss)
    }
}

/// The variance term and the covariance term of vectors `[rows, channels]`.
fn spread_and_shared(vectors: &Tensor) -> candle_core::Result<(Tensor, Tensor)> {
    let (rows, channels) = vectors.dims2()?;
    let centred = vectors.broadcast_sub(&vectors.mean_keepdim(0)?)?;
    let scale = 1.0 / (rows.max(2) - 1) as f64;
    let variances = (centred.sqr()?.sum(0)? * scale)?;
    let deviations = (&variances + EPSILON)?.sqrt()?;
    let spread = deviations.affine(-1.0, 1.0)?.relu()?.mean_all()?;
    let covariances = (centred.t()?.matmul(&centred)? * scale)?;
    let off_diagonal = (covariances.sqr()?.sum_all()? - variances.sqr()?.sum_all()?)?;
    Ok((spread, (off_diagonal / channels as f64)?))
}
