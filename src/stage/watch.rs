//! The loss of modules in training on rows of the test split, after every epoch: to look at, and for early
//! stopping to go by (`patience.rs`).
//!
//! It is the loss that probes report, but on at most so many rows: whole batches, and one in any case. For the
//! log their rows are spread over the split, which may be sorted by class: a batch has to mix them as those of
//! training do. Early stopping takes rows that follow each other, as probes do. Labels have no part in
//! it, but where the loss itself reads them. Nothing of it comes back to the weights.

use super::Run;
use super::held_out::HeldOut;
use super::patience::Patience;
use super::plan::At;
use crate::Result;
use crate::loss::Sizes;
use crate::parameters::Parameters;
use crate::pipeline::Split;
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
    /// What looks at the test split after every epoch of these modules, which train on one input; `None`
    /// where nothing is to look, or there are fewer rows than a batch has.
    ///
    /// # Errors
    /// When the test split cannot be read.
    pub(super) fn watch(&self, modules: &[At]) -> Result<Option<Watch<'_>>> {
        match self.pipeline.training.held_out {
            0 => Ok(None),
            rows => Ok(self.watch_rows(modules, rows)?.map(Watch::spread)),
        }
    }

    /// The same on at most so many rows.
    pub(super) fn watch_rows(&self, modules: &[At], rows: usize) -> Result<Option<Watch<'_>>> {
        let Some(first) = modules.first() else { return Ok(None) };
        let input = self.input(*first, Split::Test)?;
        let batch = self.pipeline.training.batch;
        if input.rows() < batch {
            return Ok(None);
        }
        let sizes = modules.iter().map(|at| Ok((at.module, self.sizes(at.module)?)));
        let batches = self.held_out_batches(input.rows() as u64, (rows / batch).max(1));
        Ok(Some(Watch {
            run: self,
            modules: sizes.collect::<Result<_>>()?,
            labels: self.labels(|| input.keys())?,
            input,
            batches,
        }))
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

/// What looks at the test split after every epoch: early stopping, or else only the log.
pub(super) struct Looks<'a> {
    pub patience: Option<Patience<'a>>,
    pub watch: Option<Watch<'a>>,
}

impl Looks<'_> {
    pub fn are_any(&self) -> bool {
        self.patience.is_some() || self.watch.is_some()
    }

    /// What there is to say of `parameters` at the end of an epoch whose mean loss and accuracy in training
    /// were `mean`.
    pub fn look(
        &mut self,
        parameters: Parameters,
        mean: (f64, Option<f64>),
    ) -> Result<Option<HeldOut>> {
        match (&mut self.patience, &self.watch) {
            (Some(patience), _) => patience.judge(parameters, mean),
            (None, Some(watch)) => Ok(watch.look(&[parameters])?.pop()),
            (None, None) => Ok(None),
        }
    }
}
