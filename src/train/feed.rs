//! Reads the batches of a training in order, ahead of the trainer.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread::Scope;

use candle_core::Tensor;

use super::input::{Input, Look};
use crate::random::generator;
use crate::{Error, Result};

/// Threads that read. With `n` threads, each reads every `n`-th batch.
pub const READERS: usize = 2;

/// The most batches that are read ahead; more would bring nothing.
const MOST_AHEAD: usize = 4;

/// Batches beyond these that the system is told about, so that the disk works ahead of the threads.
const TOLD: usize = 2;

/// The course of a training: it fixes the rows of each step.
#[derive(Debug, Clone)]
pub struct Course {
    /// The seed for the order of rows.
    pub seed: u64,
    /// The module's name: two modules see the same rows in different orders.
    pub module: String,
    /// Samples per epoch.
    pub samples: usize,
    /// Frozen views per sample; each is a row.
    pub views: usize,
    /// Samples per step.
    pub batch: usize,
    /// Passes over the samples.
    pub epochs: usize,
}

/// Fails unless `samples` fill at least one batch.
///
/// # Errors
/// [`Kind::Failed`](crate::Kind::Failed), with both numbers.
pub fn check_batch(samples: usize, batch: usize) -> Result<()> {
    if samples >= batch {
        return Ok(());
    }
    let message = format!("{samples} training samples do not fill one batch of {batch}");
    Err(Error::failed(message)
        .hint(format!("set `training.batch` to {samples} or less, or use more samples")))
}

/// The rows of one step.
struct Turn {
    step: u64,
    epoch: u64,
    rows: Vec<u64>,
}

impl Course {
    /// Whole batches per epoch; leftover samples are not used in that epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        (self.samples / self.batch) as u64
    }

    /// Steps of the whole training.
    pub fn steps(&self) -> u64 {
        self.steps_per_epoch() * self.epochs as u64
    }

    /// The epoch of a step, both from 0.
    pub fn epoch(&self, step: u64) -> u64 {
        step / self.steps_per_epoch()
    }

    /// The order of the samples in one epoch: step after step takes the next `batch` of them.
    pub fn order(&self, epoch: u64) -> Vec<u32> {
        let purpose = format!("{}/order", self.module);
        generator(self.seed, &purpose, &[epoch]).permutation(self.samples)
    }

    /// The row of a sample in one epoch. The view changes from epoch to epoch, so that `views` epochs see all
    /// views.
    pub fn row(&self, epoch: u64, sample: u64) -> u64 {
        let view = (epoch + sample) % self.views as u64;
        view * self.samples as u64 + sample
    }

    /// Every `stride`-th step of `steps`, with its rows.
    fn turns(&self, steps: Range<u64>, stride: usize) -> impl Iterator<Item = Turn> {
        let mut order: Option<(u64, Vec<u32>)> = None;
        steps.step_by(stride).map(move |step| {
            let epoch = self.epoch(step);
            let order = match order.take() {
                Some((of, known)) if of == epoch => order.insert((of, known)),
                _ => order.insert((epoch, self.order(epoch))),
            };
            let start = (step % self.steps_per_epoch()) as usize * self.batch;
            let samples = &order.1[start..start + self.batch];
            let rows = samples.iter().map(|sample| self.row(epoch, u64::from(*sample))).collect();
            Turn { step, epoch, rows }
        })
    }
}

/// The input of one step.
pub struct Batch {
    /// The step, from 0.
    pub step: u64,
    /// The epoch, from 0.
    pub epoch: u64,
    /// The rows of the input.
    pub rows: Vec<u64>,
    /// The values, `[batch * patches, h, w, channels]`.
    pub input: Tensor,
}

/// The number of batches to read ahead if each has `batch_bytes` bytes: as many as fit into `memory`, at least
/// one.
pub fn ahead(batch_bytes: u64, memory: u64) -> usize {
    let room = memory / batch_bytes.max(1);
    usize::try_from(room).unwrap_or(MOST_AHEAD).clamp(1, MOST_AHEAD)
}

/// Yields the batches in order. When it is dropped, the reading threads end.
pub struct Feed {
    /// One lane per reading thread, used in turn.
    lanes: Vec<Lane>,
    next: usize,
}

/// A reading thread, as the trainer sees it.
struct Lane {
    batches: Receiver<Result<Batch>>,
    /// Returns used inputs to the thread, which fills their memory again.
    used: Sender<Tensor>,
}

impl Feed {
    /// Takes back the input of the last batch. The caller must not read it any more.
    pub fn give_back(&self, input: Tensor) {
        let last = (self.next + self.lanes.len() - 1) % self.lanes.len();
        // Fails only if the thread has ended and needs no memory.
        let _ = self.lanes[last].used.send(input);
    }
}

impl Iterator for Feed {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        let lane = &self.lanes[self.next];
        self.next = (self.next + 1) % self.lanes.len();
        lane.batches.recv().ok()
    }
}

/// Reads the batches of `steps` in threads of `scope`, as far ahead as `memory` bytes allow. A thread ends
/// after its last batch, after an error, or when the feed is dropped.
pub fn feed<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    input: &'env dyn Input,
    course: &'env Course,
    steps: Range<u64>,
    memory: u64,
) -> Feed {
    let batch_bytes = (course.batch * input.row_len() * size_of::<f32>()) as u64;
    let ahead = ahead(batch_bytes, memory);
    let readers = READERS.min(ahead);
    let lanes = (0..readers).map(|lane| {
        // One less: a thread also holds the batch that it waits to send.
        let (sender, receiver) = sync_channel((ahead + lane) / readers - 1);
        let (used, returned) = channel();
        let mut turns = course.turns(steps.start + lane as u64..steps.end, readers);
        let mut told = VecDeque::new();
        scope.spawn(move || {
            loop {
                let (missing, told_of) = (TOLD + 1 - told.len(), told.len());
                told.extend(turns.by_ref().take(missing));
                let new = told.iter().skip(told_of).map(|Turn { rows, epoch, .. }| {
                    input.will_need(rows, Look::Fresh { epoch: *epoch })
                });
                let new: Result<()> = new.collect();
                let Some(Turn { step, epoch, rows }) = told.pop_front() else { return };
                let old = returned.try_recv().ok();
                let input = new.and_then(|()| input.tensor(&rows, Look::Fresh { epoch }, old));
                let batch = input.map(|input| Batch { step, epoch, rows, input });
                let failed = batch.is_err();
                if sender.send(batch).is_err() || failed {
                    return;
                }
            }
        });
        Lane { batches: receiver, used }
    });
    Feed { lanes: lanes.collect(), next: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(views: usize) -> Course {
        Course { seed: 1, module: "a".into(), samples: 10, views, batch: 3, epochs: 2 }
    }

    fn rows(course: &Course, steps: Range<u64>) -> Vec<Vec<u64>> {
        course.turns(steps, 1).map(|turn| turn.rows).collect()
    }

    #[test]
    fn an_epoch_visits_every_sample_once_and_a_later_start_changes_nothing() {
        let course = course(1);
        let all = rows(&course, 0..course.steps());
        assert_eq!(all.len(), 6);
        let mut first: Vec<u64> = all[..3].concat();
        first.sort_unstable();
        first.dedup();
        assert_eq!(first.len(), 9, "no row twice in an epoch");
        assert_ne!(all[..3], all[3..], "epochs differ");
        assert_eq!(all[4..], rows(&course, 4..6));
        let odd: Vec<u64> = course.turns(1..6, 2).map(|turn| turn.step).collect();
        assert_eq!(odd, [1, 3, 5]);
    }

    #[test]
    fn steps_take_the_order_of_their_epoch() {
        for views in [1, 3] {
            let course = course(views);
            let order = |epoch| {
                let samples = course.order(epoch).into_iter().take(9);
                samples.map(|it| course.row(epoch, u64::from(it))).collect::<Vec<_>>()
            };
            assert_eq!(rows(&course, 0..3).concat(), order(0));
            assert_eq!(rows(&course, 3..6).concat(), order(1));
        }
        // `python/tests/test_loader.py` expects the same of the Python package.
        assert_eq!(course(1).order(1), [6, 7, 0, 5, 2, 9, 1, 3, 4, 8]);
    }

    #[test]
    fn as_many_epochs_as_views_see_every_view_of_a_sample_once() {
        let (one, three) = (course(1), Course { epochs: 3, ..course(3) });
        assert_eq!(one.steps_per_epoch(), three.steps_per_epoch());
        let samples = |rows: Vec<Vec<u64>>| -> Vec<u64> {
            rows.concat().into_iter().map(|row| row % 10).collect()
        };
        assert_eq!(samples(rows(&one, 0..6)), samples(rows(&three, 0..6)), "the same samples");
        for sample in 0..10 {
            let mut seen: Vec<u64> = (0..3).map(|epoch| three.row(epoch, sample) / 10).collect();
            seen.sort_unstable();
            assert_eq!(seen, [0, 1, 2]);
        }
    }

    #[test]
    fn memory_bounds_what_is_read_ahead_and_one_batch_always_is() {
        assert_eq!(ahead(100, 99), 1);
        assert_eq!(ahead(100, 350), 3);
        assert_eq!(ahead(1, u64::MAX), MOST_AHEAD);
        // The batches in threads and channels are `ahead` in all.
        for ahead in 1..=MOST_AHEAD {
            let readers = READERS.min(ahead);
            let held: usize = (0..readers).map(|lane| (ahead + lane) / readers).sum();
            assert_eq!(held, ahead);
        }
    }
}
