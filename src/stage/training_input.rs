//! The input that a module trains on, with rows of older generations and noise where the pipeline says so. What it
//! encodes and what is probed has neither.

use super::Run;
use crate::Result;
use crate::pipeline::Split;
use crate::schedule::At;
use crate::train::input::Input;
use crate::train::noise::Noisy;
use crate::train::replay::Replayed;

impl Run<'_> {
    /// Opens the training split as a module trains on it. The first module reads samples, which have no generations and
    /// get no noise.
    pub(super) fn training_input(&self, at: At) -> Result<Box<dyn Input>> {
        let newest = self.input(at, Split::Train)?;
        let older = self.standing.plan.replayed(at).map(|older| self.input(older, Split::Train));
        self.disturbed(at.module, newest, older.collect::<Result<_>>()?)
    }

    /// Mixes rows of `older` generations into `newest`, and adds noise to all rows.
    pub(super) fn disturbed(
        &self,
        module: usize,
        newest: Box<dyn Input>,
        older: Vec<Box<dyn Input>>,
    ) -> Result<Box<dyn Input>> {
        let (seed, name) = (self.pipeline.seed, self.standing.plan.module(module));
        let mut input = newest;
        if !older.is_empty() {
            let share = self.pipeline.schedule.replay();
            input = Box::new(Replayed::new(input, older, share, seed, name)?);
        }
        let noise = self.pipeline.training.input_noise;
        if module > 0 && noise > 0.0 {
            input = Box::new(Noisy::new(input, noise, seed, name));
        }
        Ok(input)
    }
}
