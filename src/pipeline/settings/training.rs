//! How modules are trained: `[training]`.

use serde::Deserialize;

/// How a module is trained.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Training {
    /// Passes over the training split.
    pub epochs: usize,
    /// Samples per step.
    pub batch: usize,
    /// Samples of a batch whose activations are held at a time; all when `None`. The loss is still that of the whole
    /// batch, with its negatives; only the order in which gradients are summed changes.
    pub micro_batch: Option<usize>,
    /// Whether the backward pass computes activations again, a few patches at a time, instead of holding them.
    pub recompute: bool,
    /// Adam's step size (betas 0.9 and 0.999, eps 1e-8).
    pub learning_rate: f64,
    /// Standard deviation of the Gaussian noise on the activations that a module trains on, as a share of
    /// the root mean square of each sample's ([`crate::train::noise`]).
    pub input_noise: f64,
    /// Seconds between checkpoints.
    pub checkpoint_seconds: f64,
    /// Test rows whose loss and accuracy are logged after every epoch: whole batches, as many as fit and one
    /// in any case; none when 0.
    pub held_out: usize,
}

impl Default for Training {
    fn default() -> Self {
        Self {
            epochs: 10,
            batch: 32,
            micro_batch: None,
            recompute: false,
            learning_rate: 2e-4,
            input_noise: 0.0,
            checkpoint_seconds: 30.0,
            held_out: 256,
        }
    }
}
