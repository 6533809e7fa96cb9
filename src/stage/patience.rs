//! Early stopping: a module stops training once its own loss on the test split has not become smaller for some epochs.
//! It keeps the weights of the epoch with the smallest loss (Prechelt 1998, "Early stopping - but when?").
//!
//! The loss is that of `held_out_look.rs` on at most [`MOST_ROWS`] rows, whatever `training.held_out` says. Only losses on the
//! same input are compared: a module that takes up another generation of its input begins to count again.

use serde::{Deserialize, Serialize};

use super::record;
use crate::parameters::Parameters;
use crate::pipeline::Pipeline;
use crate::train::checkpoint::Progress;
use crate::{Error, Result};

/// The most rows of the test split that are looked at after every epoch: few compared with an epoch, but enough that
/// the loss differs little from batch to batch.
pub(super) const MOST_ROWS: usize = 1024;

/// Prefix of the best parameters in a checkpoint.
const BEST: &str = "best";

/// Name of the other state of patience in a checkpoint.
const PATIENCE: &str = "patience";

/// Removes the best parameters so far from the state of a checkpoint. The training itself goes on from the rest.
pub(super) fn without_best(state: &Parameters) -> Parameters {
    state.without(BEST)
}

/// The epoch with the smallest held-out loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Best {
    /// Epochs trained up to its end.
    pub epoch: u64,
    /// The held-out loss at its end. An f32, which JSON gives back as it was.
    pub held_out: f32,
    /// Mean loss and accuracy (where the loss has one) in training.
    pub loss: f64,
    pub accuracy: Option<f64>,
}

/// Waits for a smaller held-out loss.
pub(super) struct Patience {
    /// Epochs without a smaller loss that it takes to stop.
    epochs: u64,
    /// Whether later trainings go on from the kept parameters, which then include the optimiser.
    pub keeps_optimiser: bool,
    /// Epochs trained.
    trained: u64,
    of_input: OfInput,
    best: Option<Parameters>,
}

/// The losses on one input: losses on another input do not compare.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct OfInput {
    /// The key of the input, where it changes as the module trains.
    input: String,
    /// Epochs trained before it.
    began: u64,
    best: Option<Best>,
}

/// Fails unless `rows` rows of the test split fill one batch, which patience needs.
///
/// # Errors
/// [`Kind::Failed`](crate::Kind::Failed), with both numbers.
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

    /// Restores what [`Self::add_to`] has put into a checkpoint, after `trained` epochs.
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
    /// When the state cannot be serialised.
    pub fn add_to(&self, state: &mut Parameters, progress: &mut Progress) -> Result<()> {
        if let Some(best) = &self.best {
            state.extend(BEST, best.clone());
        }
        progress.set_part(PATIENCE, Some(&self.of_input))
    }

    /// Begins to count again if `input` is not the input so far.
    pub fn turn_to(&mut self, input: &str) {
        if self.of_input.input != input {
            self.of_input = OfInput { input: input.to_string(), began: self.trained, best: None };
            self.best = None;
        }
    }

    /// Takes note of the held-out loss of `parameters` at the end of an epoch. `mean` is the mean loss and accuracy in
    /// training over that epoch.
    pub fn judge(&mut self, held_out: f32, parameters: Parameters, mean: (f64, Option<f64>)) {
        self.trained += 1;
        // NaN is not smaller.
        let smallest = self.of_input.best.as_ref().map_or(f32::INFINITY, |best| best.held_out);
        if held_out < smallest {
            let (loss, accuracy) = mean;
            self.of_input.best = Some(Best { epoch: self.trained, held_out, loss, accuracy });
            self.best = Some(parameters);
        }
    }

    /// Whether the last `epochs` epochs have all been no better than the best.
    pub fn is_over(&self) -> bool {
        let OfInput { began, best, .. } = &self.of_input;
        self.trained - best.as_ref().map_or(*began, |best| best.epoch) >= self.epochs
    }

    /// The parameters to keep, their epoch, and how the training stopped. `title` is for messages.
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
    /// Says in words how a training of at most `epochs` epochs stopped.
    pub fn describe(&self, epochs: usize) -> String {
        let (epoch, best, loss) = (self.epoch, self.best, self.held_out_loss);
        format!(
            "stopped after epoch {epoch} of {epochs}: held-out loss smallest at epoch {best} \
             ({loss:.3})"
        )
    }
}
