//! Scores of rows against numbered rows on the CPU: plain dot products, their loss, and the gradients.
//!
//! Targets are gathered by their numbers, row by row: with N negatives each position reads N + 1 rows. A product of
//! all positions and all targets would take targets / (N + 1) times as many operations. Nothing of the size
//! positions x negatives x channels is ever written.

use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use super::prediction::Judge;

/// What a forward pass keeps for the backward pass and for reports.
#[derive(Clone, Default)]
pub(super) struct Kept(Arc<Mutex<Scored>>);

/// The values in a [`Kept`].
#[derive(Default)]
pub(super) struct Scored {
    /// The rows that were projected.
    pub projected: Vec<f32>,
    /// The slopes of each position's loss along the scores of the positive and the negatives, `[positions, 1 + N]`.
    pub slopes: Vec<f32>,
    /// The share of positions whose positive scores above every negative.
    pub accuracy: f64,
}

impl Kept {
    pub fn set(&self, scored: Scored) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = scored;
    }

    pub fn read<T>(&self, f: impl FnOnce(&Scored) -> T) -> T {
        f(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn accuracy(&self) -> f64 {
        self.read(|scored| scored.accuracy)
    }
}

/// The targets that each row is scored against.
#[derive(Clone, Copy)]
pub(super) struct Candidates<'a> {
    /// The number of values of a row.
    pub channels: usize,
    /// Where each position's row begins among those that predict.
    pub starts: &'a [u32],
    /// The number of each position's own target: number n begins at value `n * channels`.
    pub own: &'a [u32],
    /// The numbers of the other targets that each position is scored against: `[positions * N]`.
    pub negatives: &'a [u32],
}

/// The result of one position.
#[derive(Clone, Copy)]
pub(super) struct Judged {
    pub loss: f64,
    /// Whether the positive scores above every negative.
    pub hit: bool,
}

impl Candidates<'_> {
    /// The number of candidates of a position.
    fn count(&self) -> usize {
        1 + self.negatives.len() / self.starts.len().max(1)
    }

    /// The targets that a position is scored against, its own first.
    fn of(&self, position: usize) -> impl Iterator<Item = usize> + '_ {
        let negatives = self.count() - 1;
        let negatives = &self.negatives[position * negatives..][..negatives];
        std::iter::once(&self.own[position]).chain(negatives).map(|&target| target as usize)
    }

    /// The slopes of each position's loss along its scores, and the result of each position.
    pub fn judge(
        &self,
        predicting: &[f32],
        targets: &[f32],
        judge: &dyn Judge,
    ) -> (Vec<f32>, Vec<Judged>) {
        let (channels, count) = (self.channels, self.count());
        let mut slopes = vec![0.0f32; self.starts.len() * count];
        let rows = slopes.par_chunks_exact_mut(count).enumerate();
        let judged = rows.map(|(position, row)| {
            let predicting = &predicting[self.starts[position] as usize..][..channels];
            wide(|| {
                for (score, target) in row.iter_mut().zip(self.of(position)) {
                    *score = dot(predicting, &targets[target * channels..][..channels]);
                }
            });
            let hit = row[1..].iter().all(|&negative| row[0] > negative);
            Judged { loss: judge.row(row), hit }
        });
        let judged = judged.collect();
        (slopes, judged)
    }

    /// The gradient of the rows that predict, in the order of positions. `slopes` are multiplied by the position's
    /// `scale`.
    pub fn of_predicting(
        &self,
        slopes: &[f32],
        scale: impl Fn(usize) -> f32 + Sync,
        targets: &[f32],
    ) -> Vec<f32> {
        let (channels, count) = (self.channels, self.count());
        let mut sums = vec![0.0; self.starts.len() * channels];
        sums.par_chunks_exact_mut(channels).enumerate().for_each(|(position, sum)| {
            let scale = scale(position);
            wide(|| {
                for (slope, target) in slopes[position * count..].iter().zip(self.of(position)) {
                    add_scaled(sum, scale * slope, &targets[target * channels..]);
                }
            });
        });
        sums
    }

    /// The gradient of `targets` targets. `slopes` are multiplied by the position's `scale`.
    pub fn of_targets(
        &self,
        slopes: &[f32],
        scale: impl Fn(usize) -> f32 + Sync,
        predicting: &[f32],
        targets: usize,
    ) -> Vec<f32> {
        let (channels, count) = (self.channels, self.count());
        let (first, readers) = self.readers(targets);
        let mut sums = vec![0.0; targets * channels];
        sums.par_chunks_exact_mut(channels).enumerate().for_each(|(target, sum)| {
            wide(|| {
                for &(position, place) in &readers[first[target]..first[target + 1]] {
                    let (position, place) = (position as usize, place as usize);
                    let slope = scale(position) * slopes[position * count + place];
                    add_scaled(sum, slope, &predicting[self.starts[position] as usize..]);
                }
            });
        });
        sums
    }

    /// For each target, the positions that are scored against it, with the target's place among the candidates of the
    /// position: `(where each target begins in the list, the list)`.
    fn readers(&self, targets: usize) -> (Vec<usize>, Vec<(u32, u32)>) {
        let each = |visit: &mut dyn FnMut(usize, usize, usize)| {
            for position in 0..self.starts.len() {
                for (place, target) in self.of(position).enumerate() {
                    visit(position, place, target);
                }
            }
        };
        let mut first = vec![0; targets + 1];
        each(&mut |_, _, target| first[target + 1] += 1);
        for target in 0..targets {
            first[target + 1] += first[target];
        }
        let mut next = first.clone();
        let mut list = vec![(0, 0); first[targets]];
        each(&mut |position, place, target| {
            list[next[target]] = (position as u32, place as u32);
            next[target] += 1;
        });
        (first, list)
    }
}

/// Runs `op` compiled for the widest vectors of this machine. Sums have the same order on all machines.
#[inline(always)]
fn wide(op: impl FnOnce()) {
    pulp::Arch::new().dispatch(op);
}

#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    // Several running sums, so that the additions need not wait for each other.
    let mut sums = [0.0f32; 16];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    for (a, b) in a.iter().zip(b) {
        for i in 0..16 {
            sums[i] += a[i] * b[i];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

#[inline(always)]
fn add_scaled(sum: &mut [f32], scale: f32, values: &[f32]) {
    sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += scale * value);
}
