//! Early stopping: a module has trained enough once its own loss on the test split has not become smaller
//! for some epochs, and keeps the weights that it was smallest with (Prechelt 1998, "Early stopping - but
//! when?").
//!
//! The loss is that of `watch.rs` on at most [`MOST_ROWS`] rows, whatever `training.held_out` says. Losses are compared
//! on one and the same input only: a module that takes up another generation of its input begins to count again.

use serde::{Deserialize, Serialize};

use super::record;
use crate::parameters::Parameters;
use crate::pipeline::Pipeline;
use crate::train::checkpoint::Progress;
use crate::{Error, Result};

/// Rows of the test split that are looked at after every epoch, at most: few beside the rows of an epoch,
/// and many beside what the loss differs by from one batch to another.
pub(super) const MOST_ROWS: usize = 1024;

/// What the best parameters are named after in a checkpoint.
const BEST: &str = "best";

/// What a checkpoint calls the rest of it.
const PATIENCE: &str = "patience";

/// The state of a checkpoint without the best parameters so far: what the training itself goes on from.
pub(super) fn without_best(state: &Parameters) -> Parameters {
    state.without(BEST)
}

/// The epoch with the smallest held-out loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Best {
    /// Epochs trained up to its end.
    pub epoch: u64,
    /// At its end. An f32, which JSON gives back as it was.
    pub held_out: f32,
    /// Mean loss and accuracy (where the loss has one) in training.
    pub loss: f64,
    pub accuracy: Option<f64>,
}

/// Waits for a smaller held-out loss.
pub(super) struct Patience {
    /// Epochs without a smaller loss that it takes to stop.
    epochs: u64,
    /// Whether others go on from what is kept, so that it comes with its optimiser.
    pub keeps_optimiser: bool,
    /// Epochs trained.
    trained: u64,
    of_input: OfInput,
    best: Option<Parameters>,
}

/// What it knows of losses on one input: those on another do not compare.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct OfInput {
    /// Which input, where it changes as the module trains.
    input: String,
    /// Epochs trained before it.
    began: u64,
    best: Option<Best>,
}

/// Fails unless so many rows of the test split fill one batch, which patience needs.
///
/// # Errors
/// [`Kind::Failed`](crate::Kind::Failed), saying of how many.
pub(super) fn check_test_rows(rows: usize, batch: usize) -> Result<()> {
    if rows >= batch {
        return Ok(());
    }
    let message = format!(
        "{rows} test samples do not fill one batch of {batch}, and `schedule.patience` goes by the loss on \
         them"
    );
    Err(Error::failed(message).hint(format!(
        "set `training.batch` to {rows} or less, use more test samples, or leave out `schedule.patience`"
    )))
}

impl Patience {
    /// The patience of a training that begins after `began` epochs; `None` where the schedule has none.
    pub fn of(pipeline: &Pipeline, began: u64) -> Option<Self> {
        let schedule = &pipeline.schedule;
        schedule.patience().map(|epochs| Self {
            epochs: epochs as u64,
            keeps_optimiser: schedule.is_gone_on_from(),
            trained: began,
            of_input: OfInput { began, ..OfInput::default() },
            best: None,
        })
    }

    /// Takes up what [`Self::add_to`] has put into a checkpoint, after `trained` epochs.
    pub fn restore(&mut self, state: &Parameters, progress: &Progress, trained: u64) {
        self.trained = trained;
        if let Some(of_input) = progress.part::<OfInput>(PATIENCE) {
            self.best = of_input.best.is_some().then(|| state.under(BEST));
            self.of_input = of_input;
        }
    }

    /// Adds what [`Self::restore`] needs to a checkpoint.
    ///
    /// # Errors
    /// When it cannot be described.
    pub fn add_to(&self, state: &mut Parameters, progress: &mut Progress) -> Result<()> {
        if let Some(best) = &self.best {
            state.extend(BEST, best.clone());
        }
        progress.set_part(PATIENCE, Some(&self.of_input))
    }

    /// Begins to count again where losses are of another input from now on.
    pub fn turn_to(&mut self, input: &str) {
        if self.of_input.input != input {
            self.of_input = OfInput { input: input.to_string(), began: self.trained, best: None };
            self.best = None;
        }
    }

    /// Takes up the held-out loss of `parameters` as they are at the end of an epoch whose mean loss and accuracy in
    /// training were `mean`.
    pub fn judge(&mut self, held_out: f32, parameters: Parameters, mean: (f64, Option<f64>)) {
        self.trained += 1;
        // What is not a number is not smaller.
        let smallest = self.of_input.best.as_ref().map_or(f32::INFINITY, |best| best.held_out);
        if held_out < smallest {
            let (loss, accuracy) = mean;
            self.of_input.best = Some(Best { epoch: self.trained, held_out, loss, accuracy });
            self.best = Some(parameters);
        }
    }

    /// Whether `epochs` epochs in a row have not been better.
    pub fn is_over(&self) -> bool {
        let OfInput { began, best, .. } = &self.of_input;
        self.trained - best.as_ref().map_or(*began, |best| best.epoch) >= self.epochs
    }

    /// The parameters to keep, and what there is to say of their epoch. `title` is for messages.
    ///
    /// # Errors
    /// When the held-out loss was never a number.
    pub fn kept(&self, title: &str) -> Result<(&Parameters, &Best, record::Stopped)> {
        let (Some(parameters), Some(best)) = (&self.best, &self.of_input.best) else {
            let message = format!(
                "`{title}` stopped after epoch {}: its loss on the test split was never a number",
                self.trained
            );
            return Err(Error::failed(message).hint("lower `training.learning_rate`"));
        };
        let stopped =
            record::Stopped { epoch: self.trained, best: best.epoch, held_out_loss: best.held_out };
        Ok((parameters, best, stopped))
    }
}

impl record::Stopped {
    /// In words, of a training that might have had `epochs`.
    pub fn describe(&self, epochs: usize) -> String {
        let (epoch, best, loss) = (self.epoch, self.best, self.held_out_loss);
        format!(
            "stopped after epoch {epoch} of {epochs}: held-out loss smallest at epoch {best} \
             ({loss:.3})"
        )
    }
}
