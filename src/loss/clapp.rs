//! The hinge loss of CLAPP (Illing et al. 2021, "Local plasticity rules can learn deep representations
//! using self-supervised contrastive predictions", equation 2), on the predictions of
//! `loss/prediction.rs`.
//!
//! CLAPP sees one prediction at a time, with y = 1 for the patch that is there and y = -1 for a patch from elsewhere.
//! Its loss is `max(0, 1 - y * score)`. Here each position has both predictions, so its loss is
//! `max(0, 1 - positive) + max(0, 1 + negative)`, with the mean over negatives where there are several. Vectors
//! without information have a loss of 2.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::prediction::{Judge, PredictionSettings, Reach, Scoring, negatives};
use crate::setting::Setting;

/// The hinge loss of CLAPP, and its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Settings {
    /// The number of rows of patches below that are predicted.
    pub prediction_steps: usize,
    /// Negatives for each prediction.
    pub negatives: usize,
    /// Rows left out between a patch and its first target, because they overlap it.
    pub skip: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { prediction_steps: 5, negatives: 1, skip: 1 }
    }
}

impl PredictionSettings for Settings {
    const NAME: &'static str = "clapp";

    fn scoring(&self) -> Scoring {
        let Self { prediction_steps: steps, negatives, skip } = *self;
        let reach = Reach { steps, skip };
        Scoring { reach, negatives, context: None, judge: &Hinge, of_a_guess: 2.0 }
    }

    fn reference(&self) -> Vec<Setting> {
        let [steps, skip] = self.scoring().reach.reference(Self::NAME);
        let doc = "The hinge loss of CLAPP on a grid of patches, for images: predictions as in `infonce`.";
        let table = Setting::table(Self::NAME, doc).or("");
        vec![table, steps, negatives(Self::NAME, self.negatives), skip]
    }
}

struct Hinge;

impl Judge for Hinge {
    fn row(&self, scores: &mut [f32]) -> f64 {
        let share = 1.0 / (scores.len() - 1) as f32;
        let mut loss = 0.0;
        for (place, score) in scores.iter_mut().enumerate() {
            let (y, share) = if place == 0 { (1.0, 1.0) } else { (-1.0, share) };
            let short = 1.0 - y * *score;
            loss += f64::from(share * short.max(0.0));
            *score = if short > 0.0 { -y * share } else { 0.0 };
        }
        loss
    }

    fn mean(&self, scores: &Tensor) -> candle_core::Result<Tensor> {
        let negatives = scores.dim(1)? - 1;
        let positive = scores.narrow(1, 0, 1)?.affine(-1.0, 1.0)?.relu()?.mean_all()?;
        positive + scores.narrow(1, 1, negatives)?.affine(1.0, 1.0)?.relu()?.mean_all()?
    }
}
