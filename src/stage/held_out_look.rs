//! The loss of modules in training on rows of the test split, after every epoch: for the log, and for early stopping
//! (`patience.rs`).
//!
//! It is the loss that probes report, but on fewer rows: on whole batches up to a limit, and on at least one. For the
//! log the rows are spread over the split, which may be sorted by class: a batch must mix classes as those of training
//! do. Early stopping takes consecutive rows, as probes do. Labels are used only where the loss itself reads them. The
//! weights do not depend on it.

use std::sync::Arc;

use super::held_out::{HeldOut, Judged};
use super::lessons::Lessons;
use super::patience::{MOST_ROWS, check_test_rows};
use super::{Run, held_out};
use crate::Result;
use crate::loss::Sizes;
use crate::parameters::Parameters;
use crate::pipeline::Training;
use crate::schedule::At;
use crate::train::input::Input;
use crate::train::learning::Judge;

/// Computes the held-out losses of modules in training.
pub(super) struct HeldOutLook<'a> {
    run: &'a Run<'a>,
    /// The modules with their sizes, in order: each reads what its predecessor makes.
    modules: Vec<(usize, Sizes)>,
    /// The test split as the first module reads it.
    input: Box<dyn Input>,
    lessons: Lessons,
    /// The numbers of the batches, and their rows.
    batches: Vec<(u64, Vec<u64>)>,
}

/// Looks at the test split after every epoch of `modules`, the first of which reads `input`. `None` where nothing
/// is to be looked at, or where the split has less than one batch of rows. Early stopping uses consecutive rows.
///
/// # Errors
/// When the test split cannot be read; where the schedule has patience, when it does not fill one batch.
pub(super) fn watch<'r>(
    run: &'r Run<'_>,
    modules: &[At],
    input: impl FnOnce() -> Result<Box<dyn Input>>,
) -> Result<Option<HeldOutLook<'r>>> {
    let is_patient = run.pipeline.schedule.patience().is_some();
    let Training { batch, held_out, .. } = run.pipeline.training;
    let most = if is_patient { MOST_ROWS } else { held_out };
    if most == 0 {
        return Ok(None);
    }
    let input = input()?;
    if is_patient {
        check_test_rows(input.rows(), batch)?;
    }
    if input.rows() < batch {
        return Ok(None);
    }
    let sizes = modules.iter().map(|at| Ok((at.module, run.sizes(at.module)?)));
    let batches = held_out::held_out_batches(batch, input.rows() as u64, (most / batch).max(1));
    let watch = HeldOutLook {
        run,
        modules: sizes.collect::<Result<_>>()?,
        lessons: Lessons::of(run.pipeline, modules.iter().map(|it| it.module), || input.keys())?,
        input,
        batches,
    };
    Ok(Some(if is_patient { watch } else { watch.spread() }))
}

impl HeldOutLook<'_> {
    /// Spreads the rows over the whole split; the number of batches stays the same.
    fn spread(self) -> Self {
        let (rows, count) = (self.input.rows() as u64, self.batches.len() as u64);
        let batch = self.run.pipeline.training.batch as u64;
        let row = |number: u64, place: u64| (place * count + number) * rows / (count * batch);
        let batches = (0..count)
            .map(|number| (number, (0..batch).map(|place| row(number, place)).collect()))
            .collect();
        Self { batches, ..self }
    }

    /// Computes the losses of the modules with `parameters`. `own` does so for the modules that compute their loss
    /// themselves.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn look(
        &self,
        parameters: &[Parameters],
        own: Vec<Option<Arc<dyn Judge>>>,
    ) -> Result<Vec<HeldOut>> {
        let modules = self.modules.iter().zip(parameters).zip(own);
        let stack = modules.map(|(((index, sizes), parameters), own)| {
            let built = || self.run.subject(*index)?.judge(parameters);
            Ok(Judged { index: *index, sizes: *sizes, judge: own.map_or_else(built, Ok)? })
        });
        let stack = stack.collect::<Result<Vec<_>>>()?;
        held_out::losses_through(
            self.run,
            &stack,
            self.input.as_ref(),
            &self.lessons,
            &self.batches,
            &|| Ok(()),
        )
    }
}
