//! The batches of a training run in their order, read ahead of the trainer.

use std::ops::Range;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Scope;

use candle_core::Tensor;

use super::input::Input;
use crate::Result;
use crate::random::generator;
use crate::view::Framing;

/// Batches read ahead of the one in training.
const AHEAD: usize = 2;

/// Which rows each step trains on.
#[derive(Debug, Clone)]
pub struct Schedule {
    pub seed: u64,
    /// The module's name: two modules see the same rows in different orders.
    pub module: String,
    pub rows: usize,
    pub batch: usize,
    pub epochs: usize,
}

impl Schedule {
    /// Whole batches in one epoch; the rows left over sit the epoch out.
    pub fn steps_per_epoch(&self) -> u64 {
        (self.rows / self.batch) as u64
    }

    /// Steps in the whole run.
    pub fn steps(&self) -> u64 {
        self.steps_per_epoch() * self.epochs as u64
    }

    /// The epoch of a step, both from 0.
    pub fn epoch(&self, step: u64) -> u64 {
        step / self.steps_per_epoch()
    }

    /// The order of the rows in one epoch.
    fn order(&self, epoch: u64) -> Vec<u32> {
        let purpose = format!("{}/order", self.module);
        generator(self.seed, &purpose, &[epoch]).permutation(self.rows)
    }

    /// Calls `each` with every step of `steps` and its rows, until it returns false.
    fn walk(&self, steps: Range<u64>, mut each: impl FnMut(u64, u64, Vec<u64>) -> bool) {
        let mut order: Option<(u64, Vec<u32>)> = None;
        for step in steps {
            let epoch = self.epoch(step);
            if order.as_ref().is_none_or(|(of, _)| *of != epoch) {
                order = Some((epoch, self.order(epoch)));
            }
            let Some((_, order)) = &order else { return };
            let start = (step % self.steps_per_epoch()) as usize * self.batch;
            let rows = order[start..start + self.batch].iter().map(|row| u64::from(*row)).collect();
            if !each(step, epoch, rows) {
                return;
            }
        }
    }
}

/// The input of one step.
pub struct Batch {
    pub step: u64,
    pub epoch: u64,
    /// `[batch * patches, h, w, channels]`.
    pub input: Tensor,
}

/// Reads the batches of `steps` in a thread of `scope`, a few ahead of the receiver. The thread ends
/// after the last batch, after an error, or when the receiver is dropped.
pub fn feed<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    input: &'env dyn Input,
    schedule: &'env Schedule,
    steps: Range<u64>,
) -> Receiver<Result<Batch>> {
    let (sender, receiver) = sync_channel(AHEAD);
    scope.spawn(move || {
        schedule.walk(steps, |step, epoch, rows| {
            // Draw 0 is the one that stored activations are made of.
            let framing = Framing::Random { seed: schedule.seed, draw: epoch + 1 };
            let input = input.tensor(&rows, framing);
            let batch = input.map(|input| Batch { step, epoch, input });
            let failed = batch.is_err();
            sender.send(batch).is_ok() && !failed
        });
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_visits_every_row_once_and_a_later_start_changes_nothing() {
        let schedule = Schedule { seed: 1, module: "a".into(), rows: 10, batch: 3, epochs: 2 };
        let mut all = Vec::new();
        schedule.walk(0..schedule.steps(), |_, _, rows| {
            all.push(rows);
            true
        });
        assert_eq!(all.len(), 6);
        let mut first: Vec<u64> = all[..3].concat();
        first.sort_unstable();
        first.dedup();
        assert_eq!(first.len(), 9, "no row twice in an epoch");
        assert_ne!(all[..3], all[3..], "epochs differ");
        let mut late = Vec::new();
        schedule.walk(4..6, |_, _, rows| {
            late.push(rows);
            true
        });
        assert_eq!(all[4..], late);
    }
}
