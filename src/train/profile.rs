//! Where the time and the memory of a training step go.

use std::ops::Add;

use serde::{Deserialize, Serialize};

use crate::module;

/// Seconds that the steps of a training spent in each of their parts; waiting for data is counted elsewhere.
/// With an accelerator, they are seconds of the thread that waits for it: most work shows where the next number
/// is read back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Breakdown {
    /// The number of steps counted.
    pub steps: u64,
    /// Seconds of the forward pass through the layers.
    pub forward: f64,
    /// Seconds of the loss and its gradient, down to the pooled vectors.
    pub loss: f64,
    /// Seconds from the pooled vectors to the gradients of all weights.
    pub backward: f64,
    /// Seconds of Adam.
    pub optimiser: f64,
    /// Seconds of measuring the loss on rows of the test split after epochs.
    pub held_out: f64,
}

impl Breakdown {
    /// The sum of all parts, in seconds.
    pub fn seconds(&self) -> f64 {
        self.forward + self.loss + self.backward + self.optimiser + self.held_out
    }
}

impl Add for Breakdown {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            steps: self.steps + other.steps,
            forward: self.forward + other.forward,
            loss: self.loss + other.loss,
            backward: self.backward + other.backward,
            optimiser: self.optimiser + other.optimiser,
            held_out: self.held_out + other.held_out,
        }
    }
}

/// Seconds over all steps of a training, and bytes of memory.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Profile {
    /// Seconds by part.
    #[serde(flatten)]
    pub breakdown: Breakdown,
    /// Seconds of waiting for data.
    pub wait: f64,
    /// Each layer's forward and backward seconds: the mean over threads. A ReLU after a convolution counts for
    /// the convolution. The rest of `forward` and `backward` is packing weights, summing gradients, and threads
    /// waiting for each other.
    pub layers: Vec<[f64; 2]>,
    /// Additions and multiplications of the module's forward pass in one step.
    pub operations: f64,
    /// Bytes of the parameters.
    pub parameters: u64,
    /// Bytes of the moments of Adam.
    pub moments: u64,
    /// Bytes of one batch of input.
    pub batch: u64,
    /// Memory of the module; unknown where our kernels do not run.
    pub module: Option<module::Memory>,
    /// The highest resident memory of the process, if the system reports it.
    pub peak: Option<u64>,
}
