//! How modules are trained: `[training]`.

use serde::Deserialize;

/// How a module is trained.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Training {
    /// Passes over the training split.
    pub epochs: usize,
    /// Samples a step.
    pub batch: usize,
    /// Samples of a batch whose activations are held at a time; all when `None`. The loss is that of
    /// the whole batch, its negatives included; gradients are summed in another order.
    pub micro_batch: Option<usize>,
    /// Hold no activations for the backward pass, but compute them again, a few patches at a time.
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
