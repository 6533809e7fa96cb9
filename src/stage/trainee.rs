//! Makes the trainer of a module: for its training, and for measuring its speed.

use super::patience::without_best;
use super::{Run, Stack};
use crate::Result;
use crate::loss::Sizes;
use crate::parameters::Parameters;
use crate::pipeline::Pipeline;
use crate::train::trainer::{self, Trainer};

/// Draws the parameters of module `index`: its training starts from these, and the untrained stack keeps them.
pub(super) fn drawn(run: &Run<'_>, index: usize) -> Result<Parameters> {
    trainee(run, index)?.drawn()
}

fn trainee<'r>(run: &'r Run<'_>, index: usize) -> Result<Trainee<'r>> {
    let (pipeline, stack, sizes) = (run.pipeline, run.stack()?, run.sizes(index)?);
    Ok(Trainee { pipeline, stack, index, sizes })
}

/// Makes the trainer of module `index`. It starts from `state`, which was written after the given number of steps;
/// without one, from the drawn parameters.
pub(super) fn resume(
    run: &Run<'_>,
    index: usize,
    state: Option<(&Parameters, u64)>,
) -> Result<Trainer> {
    let trainee = trainee(run, index)?;
    let start = match state {
        Some((state, _)) => without_best(state).without("adam"),
        None => trainee.drawn()?,
    };
    let learning_rate = run.pipeline.modules[index].learning_rate;
    let mut trainer = trainee.trainer(&start.on(&run.session.device)?, learning_rate)?;
    if let Some((state, steps)) = state {
        trainer.restore(state, steps)?;
    }
    Ok(trainer)
}

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
