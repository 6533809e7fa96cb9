//! InfoNCE (van den Oord et al. 2018, equation 4), as Greedy InfoMax (Löwe et al. 2019) uses it on a grid of patches:
//! each patch predicts patches in the rows below it, against negatives from the whole batch (`loss/prediction.rs`).
//!
//! The loss of a position is `-log softmax([positive, negatives])_0`; the loss of a guess is ln(N + 1).

use candle_core::Tensor;
use candle_nn::ops::log_softmax;
use serde::{Deserialize, Serialize};

use super::prediction::{Judge, PredictionSettings, Reach, Scoring, negatives};
use crate::setting::{Form, Setting};

/// InfoNCE between a patch and those below it, and its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Settings {
    /// K: the number of rows of patches below that are predicted.
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

impl PredictionSettings for Settings {
    const NAME: &'static str = "infonce";

    fn scoring(&self) -> Scoring {
        let Self { prediction_steps: steps, negatives, skip, context } = *self;
        let (reach, of_a_guess) = (Reach { steps, skip }, ((negatives + 1) as f64).ln());
        Scoring { reach, negatives, context, judge: &CrossEntropy, of_a_guess }
    }

    fn reference(&self) -> Vec<Setting> {
        let [steps, skip] = self.scoring().reach.reference(Self::NAME);
        vec![
            Setting::table(
                Self::NAME,
                "InfoNCE on a grid of patches, for images: each patch predicts patches in the rows below it, against \
                 negatives from the whole batch.\n\nWith `context = \"pixelcnn\"` and `split = \"end-to-end\"` it is CPC.",
            )
            .or(""),
            steps,
            negatives(Self::NAME, self.negatives),
            skip,
            Setting::new("infonce.context", Form::Words(vec!["pixelcnn"]))
                .or("each patch predicts by itself")
                .example("\"pixelcnn\"")
                .doc("A network of the loss's own that predicts: a gated PixelCNN, from a patch and those above it."),
        ]
    }
}

/// A network whose output predicts, in place of each pooled vector itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Context {
    /// A gated PixelCNN ([`crate::context::pixelcnn`]).
    PixelCnn,
}

/// Cross-entropy of picking the positive.
pub(super) struct CrossEntropy;

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
