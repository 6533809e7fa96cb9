//! Supervised learning: cross-entropy of a linear classifier on the mean over the grid of the vectors that predict.
//! It is greedy with several modules, and end to end with one module.

use candle_core::Tensor;
use candle_nn::ops::log_softmax;
use serde::{Deserialize, Serialize};

use super::{Loss, Outcome, Recipe, Samples, Sizes};
use crate::parameters::{ParameterShape, Parameters};
use crate::setting::Setting;
use crate::{Error, Result};

/// Cross-entropy of the first label; it has no settings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Settings {}

impl Recipe for Settings {
    fn name(&self) -> &'static str {
        "supervised"
    }

    fn reference(&self) -> Vec<Setting> {
        let doc = "Cross-entropy of the first label, by a linear classifier for each module; it has no keys.\n\nIt is greedy, \
                   unless `split` makes one module.";
        vec![Setting::table(self.name(), doc).or("").example("{}")]
    }

    fn shapes(&self, sizes: Sizes) -> Vec<ParameterShape> {
        let Sizes { context, classes, .. } = sizes;
        let shape = |name, dims| ParameterShape::drawn(name, dims, context);
        vec![
            shape("classifier.weight", vec![context, classes]),
            shape("classifier.bias", vec![classes]),
        ]
    }

    fn reads_labels(&self) -> bool {
        true
    }

    fn of_a_guess(&self, sizes: Sizes) -> Option<f64> {
        Some((sizes.classes as f64).ln())
    }

    fn accuracy_of_a_guess(&self, sizes: Sizes) -> Option<f64> {
        (sizes.classes > 0).then_some(1.0 / sizes.classes as f64)
    }

    fn accuracy_is(&self) -> &'static str {
        "training accuracy"
    }

    fn operations(&self, sizes: Sizes) -> f64 {
        (2 * sizes.context * sizes.classes) as f64
    }

    fn build(&self, sizes: Sizes, parameters: &Parameters) -> Result<Box<dyn Loss>> {
        let [weight, bias] = [0, 1].map(|place| parameters.get(&self.shapes(sizes)[place]));
        Ok(Box::new(Supervised { weight: weight?, bias: bias?, classes: sizes.classes }))
    }
}

struct Supervised {
    /// `[context, classes]`.
    weight: Tensor,
    /// `[classes]`.
    bias: Tensor,
    classes: usize,
}

impl Loss for Supervised {
    fn forward(&self, _pooled: &Tensor, context: &Tensor, samples: &Samples) -> Result<Outcome> {
        let (batch, ..) = context.dims4()?;
        let labels = &samples.labels;
        if labels.len() != batch || labels.iter().any(|label| *label as usize >= self.classes) {
            let message =
                format!("labels {labels:?} for a batch of {batch}, {} classes", self.classes);
            return Err(Error::failed(message));
        }
        let labels = Tensor::from_slice(labels, (batch, 1), context.device())?;
        let logits = context.mean((1, 2))?.matmul(&self.weight)?.broadcast_add(&self.bias)?;
        let loss = log_softmax(&logits, 1)?.gather(&labels, 1)?.mean_all()?.neg()?;
        let right = logits.argmax_keepdim(1)?.eq(&labels)?.to_dtype(candle_core::DType::F32)?;
        let accuracy = Some(f64::from(right.mean_all()?.to_scalar::<f32>()?));
        Ok(Outcome { loss, accuracy })
    }
}
