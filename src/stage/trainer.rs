//! Makes the trainer of a module: for its training, and for measuring its speed.

use super::Stack;
use crate::Result;
use crate::loss::Sizes;
use crate::parameters::Parameters;
use crate::pipeline::Pipeline;
use crate::train::trainer::{self, Trainer};

/// A module of a pipeline that is to train.
pub(super) struct Trainee<'a> {
    pub pipeline: &'a Pipeline,
    pub stack: &'a Stack,
    /// The module's place in the stack.
    pub index: usize,
    /// The sizes that its loss is computed on.
    pub sizes: Sizes,
}

impl Trainee<'_> {
    /// Draws the parameters that its training starts from, and that the untrained stack keeps.
    pub fn drawn(&self) -> Result<Parameters> {
        let (module, input) = (&self.pipeline.modules[self.index], self.stack.input(self.index));
        let loss = self.pipeline.loss.as_ref();
        let shapes = trainer::shapes(&module.layers, loss, input.channels, self.sizes);
        Parameters::draw(&shapes, self.pipeline.seed, &module.name)
    }

    /// Makes its trainer, which starts from the parameters `start` and computes on their device.
    pub fn trainer(&self, start: &Parameters, learning_rate: f64) -> Result<Trainer> {
        let (layers, training) =
            (&self.pipeline.modules[self.index].layers, &self.pipeline.training);
        let (loss, input) = (self.pipeline.loss.as_ref(), self.stack.input(self.index));
        let trainer = Trainer::new(layers, loss, input.channels, self.sizes, learning_rate, start)?;
        let trainer = trainer.pooling(self.stack.pooling);
        Ok(trainer.saving_memory(training.micro_batch, training.recompute))
    }
}
