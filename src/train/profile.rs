//! Where the time and the memory of a training step go.

use std::ops::Add;

use serde::{Deserialize, Serialize};

use crate::module;

/// Seconds that the steps of a training have spent in each of their parts; waiting for data is told apart. Where
/// an accelerator computes, they are those of the thread that waits for it: most of the work shows where a number
/// is asked for next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Breakdown {
    /// The steps that this is of.
    pub steps: u64,
    /// The way forward through the layers.
    pub forward: f64,
    /// The loss and its gradient, down to the pooled vectors.
    pub loss: f64,
    /// From the pooled vectors to the gradients of all weights.
    pub backward: f64,
    /// Adam.
    pub optimiser: f64,
    /// Looking at rows of the test split after epochs.
    pub held_out: f64,
}

impl Breakdown {
    /// All of them together.
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

/// Seconds over all steps of a run, and bytes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Profile {
    /// How many steps there were.
    pub steps: u64,
    /// Waiting for data.
    pub wait: f64,
    /// The way forward through the layers.
    pub forward: f64,
    /// The loss and its gradient, down to the pooled vectors.
    pub loss: f64,
    /// From the pooled vectors to the gradients of all weights.
    pub backward: f64,
    /// Adam.
    pub optimiser: f64,
    /// In each layer, forward and back: the mean over threads. A ReLU behind a convolution belongs to
    /// it. What is missing to `forward` and `backward` is packing weights, adding up gradients, and
    /// threads that wait for each other.
    pub layers: Vec<[f64; 2]>,
    /// Of one step: additions and multiplications of the module's forward pass.
    pub operations: f64,
    /// Parameters, and the optimiser's two moments of each.
    pub parameters: u64,
    /// Bytes of the moments of Adam.
    pub moments: u64,
    /// One batch of input.
    pub batch: u64,
    /// Not told where our kernels do not run.
    pub module: Option<module::Memory>,
    /// The highest resident memory of the process, where the system tells.
    pub peak: Option<u64>,
}
