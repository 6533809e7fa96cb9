//! The loss of modules in training on rows of the test split, after every epoch: to look at, and for early
//! stopping to go by (`patience.rs`).
//!
//! It is the loss that probes report, but on at most so many rows: whole batches, and one in any case. For the
//! log their rows are spread over the split, which may be sorted by class: a batch has to mix them as those of
//! training do. Early stopping takes rows that follow each other, as probes do. Labels have no part in
//! it, but where the loss itself reads them. Nothing of it comes back to the weights.

use super::Run;
use super::held_out::HeldOut;
use super::patience::{MOST_ROWS, check_test_rows};
use crate::Result;
use crate::loss::Sizes;
use crate::parameters::Parameters;
use crate::pipeline::Training;
use crate::schedule::At;
use crate::train::input::Input;

/// Looks at the test split.
pub(super) struct Watch<'a> {
    run: &'a Run<'a>,
    /// In order: each reads what the one before it makes.
    modules: Vec<(usize, Sizes)>,
    /// Of the first one, of the test split.
    input: Box<dyn Input>,
    labels: Vec<u32>,
    /// Their numbers, and their rows.
    batches: Vec<(u64, Vec<u64>)>,
}

impl Run<'_> {
    /// What looks at the test split after every epoch of these modules, the first of which reads `input` of it; `None`
    /// where nothing is to look, or there are fewer rows than a batch has. For early stopping it takes rows that
    /// follow each other.
    ///
    /// # Errors
    /// When the test split cannot be read; where the schedule has patience, when it does not fill one batch.
    pub(super) fn watch<'r>(
        &'r self,
        modules: &[At],
        input: impl FnOnce() -> Result<Box<dyn Input>>,
    ) -> Result<Option<Watch<'r>>> {
        let is_patient = self.pipeline.schedule.patience().is_some();
        let Training { batch, held_out, .. } = self.pipeline.training;
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
        let sizes = modules.iter().map(|at| Ok((at.module, self.sizes(at.module)?)));
        let batches = self.held_out_batches(input.rows() as u64, (most / batch).max(1));
        let watch = Watch {
            run: self,
            modules: sizes.collect::<Result<_>>()?,
            labels: self.labels(|| input.keys())?,
            input,
            batches,
        };
        Ok(Some(if is_patient { watch } else { watch.spread() }))
    }
}

impl Watch<'_> {
    /// The same on as many batches, of rows that are spread over the whole split.
    fn spread(self) -> Self {
        let (rows, count) = (self.input.rows() as u64, self.batches.len() as u64);
        let batch = self.run.pipeline.training.batch as u64;
        let row = |number: u64, place: u64| (place * count + number) * rows / (count * batch);
        let batches = (0..count)
            .map(|number| (number, (0..batch).map(|place| row(number, place)).collect()))
            .collect();
        Self { batches, ..self }
    }

    /// What the losses of the modules come to with these parameters.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn look(&self, parameters: &[Parameters]) -> Result<Vec<HeldOut>> {
        let recipe = &self.run.pipeline.loss;
        let stack = self.modules.iter().zip(parameters).map(|((index, sizes), parameters)| {
            let loss = recipe.build(*sizes, &parameters.under("loss"))?;
            self.run.judged(*index, *sizes, loss, &parameters.under("encoder"))
        });
        let stack = stack.collect::<Result<Vec<_>>>()?;
        self.run.losses_through(&stack, self.input.as_ref(), &self.labels, &self.batches)
    }
}
