//! Mean loss and accuracy over the steps of an epoch.

use crate::train::log::Entry;

/// Mean loss and accuracy over the entries of the newest epoch.
#[derive(Default)]
pub(super) struct EpochMean {
    epoch: u64,
    entries: u64,
    loss: f64,
    /// Sum of the accuracies, if the loss has one.
    accuracy: Option<f64>,
}

impl EpochMean {
    pub fn add(&mut self, entry: &Entry) {
        if entry.epoch != self.epoch {
            *self = Self { epoch: entry.epoch, ..Self::default() };
        }
        self.entries += 1;
        self.loss += entry.loss;
        self.accuracy = entry.accuracy.map(|it| self.accuracy.unwrap_or(0.0) + it);
    }

    pub fn of(&self, epoch: u64) -> (f64, Option<f64>) {
        debug_assert_eq!(self.epoch, epoch);
        let entries = self.entries.max(1) as f64;
        (self.loss / entries, self.accuracy.map(|sum| sum / entries))
    }

    /// Mean loss and accuracy over the newest epoch so far.
    pub fn newest(&self) -> (f64, Option<f64>) {
        self.of(self.epoch)
    }

    /// Describes the newest epoch in words; `accuracy_is` is the name of the accuracy.
    pub fn describe(&self, accuracy_is: &str) -> String {
        let (loss, accuracy) = self.newest();
        match accuracy {
            Some(accuracy) => format!("loss {loss:.3}, {accuracy_is} {:.1} %", 100.0 * accuracy),
            None => format!("loss {loss:.3}"),
        }
    }
}
