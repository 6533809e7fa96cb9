//! Looks at the test split after every epoch of a training: for the log, and for patience.

use std::sync::Arc;

use super::held_out::HeldOut;
use super::held_out_look::HeldOutLook;
use super::patience::Patience;
use super::{Run, held_out_look, module_input};
use crate::Result;
use crate::parameters::Parameters;
use crate::pipeline::Split;
use crate::schedule::At;
use crate::train::feed::Course;
use crate::train::learning::Judge;

/// The looks at the test split of one training, one after every epoch.
pub(super) struct Looks<'r> {
    /// Computes the losses on the test split, where there is something to look at.
    pub watch: Option<HeldOutLook<'r>>,
    /// Ends a training early.
    pub patience: Option<Patience>,
}

/// The looks at the test split for modules that train on one input, which stays as it is.
///
/// # Errors
/// When the test split cannot be read; where the schedule has patience, when it does not fill one batch.
pub(super) fn of_training<'r>(
    run: &'r Run<'_>,
    modules: &[At],
    course: &Course,
) -> Result<Looks<'r>> {
    let first = modules[0];
    let watch = held_out_look::watch(run, modules, || module_input::open(run, first, Split::Test))?;
    // In rounds, patience counts from the start of each round.
    let began = course.epochs - run.pipeline.epochs_per_round(first.module);
    Ok(Looks { watch, patience: Patience::of(run.pipeline, began as u64) })
}

impl<'r> Looks<'r> {
    /// Takes up another input; `watch` looks at its test split.
    pub fn turn_to(&mut self, input: &str, watch: Option<HeldOutLook<'r>>) {
        self.watch = watch;
        if let Some(patience) = &mut self.patience {
            patience.turn_to(input);
        }
    }

    /// Computes the held-out loss of each module with these parameters, at the end of an epoch. `own` computes the loss
    /// of a module that does so itself; `mean` is the mean loss and accuracy of the first module over that epoch.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn look(
        &mut self,
        mut parameters: Vec<Parameters>,
        own: Vec<Option<Arc<dyn Judge>>>,
        mean: (f64, Option<f64>),
    ) -> Result<Vec<HeldOut>> {
        let Some(watch) = &self.watch else { return Ok(Vec::new()) };
        let found = watch.look(&parameters, own)?;
        if let (Some(patience), Some(first)) = (&mut self.patience, found.first()) {
            patience.judge(first.loss as f32, parameters.swap_remove(0), mean);
        }
        Ok(found)
    }
}
