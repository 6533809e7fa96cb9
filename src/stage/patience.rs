//! Early stopping: a module has trained enough once its own loss on the test split has not become smaller
//! for some epochs, and keeps the weights that it was smallest with (Prechelt 1998, "Early stopping - but
//! when?").
//!
//! The loss is that of `watch.rs` on at most [`MOST_ROWS`] rows, whatever `training.held_out` says.

use super::held_out::HeldOut;
use super::plan::At;
use super::watch::Watch;
use super::{Run, record};
use crate::parameters::Parameters;
use crate::pipeline::Split;
use crate::train::checkpoint::{Best, Progress};
use crate::{Error, Result};

/// Rows of the test split that are looked at after every epoch, at most: few beside the rows of an epoch,
/// and many beside what the loss differs by from one batch to another.
const MOST_ROWS: usize = 1024;

/// What the best parameters are named after in a checkpoint.
const BEST: &str = "best";

/// The state of a checkpoint without the best parameters so far: what the training itself goes on from.
pub(super) fn without_best(state: &Parameters) -> Parameters {
    state.without(BEST)
}

/// Waits for a smaller held-out loss.
pub(super) struct Patience<'a> {
    watch: Watch<'a>,
    /// Epochs without a smaller loss that it takes to stop.
    epochs: u64,
    /// Epochs trained.
    trained: u64,
    best: Option<(Best, Parameters)>,
}

impl Run<'_> {
    /// The patience that a module trains with; `None` where the schedule has none.
    ///
    /// # Errors
    /// When the test split does not fill one batch.
    pub(super) fn patience(&self, at: At) -> Result<Option<Patience<'_>>> {
        let Some(epochs) = self.pipeline.schedule.patience() else { return Ok(None) };
        let Some(watch) = self.watch_rows(&[at], MOST_ROWS)? else {
            let rows = self.input(at, Split::Test)?.rows();
            check_test_rows(rows, self.pipeline.training.batch)?;
            return Ok(None);
        };
        Ok(Some(Patience { watch, epochs: epochs as u64, trained: 0, best: None }))
    }
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

impl Patience<'_> {
    /// Takes up what [`Self::add_to`] has put into a checkpoint, after so many epochs.
    pub fn restore(&mut self, state: &Parameters, progress: &Progress, trained: u64) {
        self.trained = trained;
        self.best = progress.best.clone().map(|best| (best, state.under(BEST)));
    }

    /// Adds what [`Self::restore`] needs to a checkpoint.
    pub fn add_to(&self, state: &mut Parameters, progress: &mut Progress) {
        if let Some((best, parameters)) = &self.best {
            state.extend(BEST, parameters.clone());
            progress.best = Some(best.clone());
        }
    }

    /// What there is to say of `parameters` on held-out rows, as they are at the end of an epoch whose mean
    /// loss and accuracy in training were `mean`.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn judge(
        &mut self,
        parameters: Parameters,
        mean: (f64, Option<f64>),
    ) -> Result<Option<HeldOut>> {
        let looked = self.watch.look(std::slice::from_ref(&parameters))?.pop();
        let held_out = looked.map_or(f32::NAN, |it| it.loss as f32);
        self.trained += 1;
        // What is not a number is not smaller.
        if held_out < self.best.as_ref().map_or(f32::INFINITY, |(best, _)| best.held_out) {
            let (loss, accuracy) = mean;
            self.best = Some((Best { epoch: self.trained, held_out, loss, accuracy }, parameters));
        }
        Ok(looked)
    }

    /// Whether so many epochs have not been better.
    pub fn is_over(&self) -> bool {
        self.trained - self.best.as_ref().map_or(0, |(best, _)| best.epoch) >= self.epochs
    }

    /// The parameters to keep, and what there is to say of their epoch. `title` is for messages.
    ///
    /// # Errors
    /// When the held-out loss was never a number.
    pub fn kept(self, title: &str) -> Result<(Parameters, Best, record::Stopped)> {
        let Some((best, parameters)) = self.best else {
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
