//! One prediction step on the CPU: projection, scores, what they are worth, and the gradients.
//!
//! The negatives are gathered by their numbers, row by row: with N of them each position reads
//! N + 1 rows, where a product of all positions and all targets would take as many times more
//! operations as there are positions for each negative. Nothing of the size
//! positions x negatives x channels is ever written.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::prediction::Judge;
use crate::kernel::gathered::{Gathered, Segment};
use crate::kernel::outer::add_outer;
use crate::kernel::panels::Panels;
use crate::kernel::product::{Write, multiply};
use crate::kernel::{values, with_all_values};

/// Rows of a product that a task computes.
const ROWS: usize = 64;

/// The mean over positions of what a judge makes of a context's scores with the projection of the
/// vector `below` rows further down, and with those of its negatives: of contexts and pooled vectors,
/// `[batch, rows, columns, channels]` both, and a predictor `[channels, channels]`, a scalar.
pub(super) struct Contrast {
    pub below: usize,
    /// The numbers of the targets that each position is scored against, besides its own:
    /// `[positions * N]`.
    pub negatives: Vec<u32>,
    pub judge: &'static dyn Judge,
    pub scores: Arc<Mutex<Scores>>,
}

/// What the forward pass leaves for the backward pass.
#[derive(Default)]
pub(super) struct Scores {
    /// The projected targets, `[positions, channels]`.
    targets: Vec<f32>,
    /// Of each position's loss, along the scores of the positive and the negatives,
    /// `[positions, 1 + N]`.
    slopes: Vec<f32>,
    /// The share of positions whose positive scores above every negative.
    pub accuracy: f64,
}

/// The sizes of a step.
#[derive(Clone, Copy)]
struct Sizes {
    /// Of the grid.
    rows: usize,
    columns: usize,
    positions: usize,
    channels: usize,
    negatives: usize,
}

impl Contrast {
    fn sizes(&self, pooled: &Shape, predictor: &Shape) -> Result<Sizes> {
        let (batch, rows, columns, channels) = pooled.dims4()?;
        let positions = batch * rows.saturating_sub(self.below) * columns;
        let fits = predictor.dims2()? == (channels, channels)
            && positions > 0
            && self.negatives.len().is_multiple_of(positions)
            && self.negatives.iter().all(|&negative| (negative as usize) < positions);
        if !fits {
            candle_core::bail!(
                "contrast: vectors {pooled:?}, a predictor {predictor:?} and {} negatives do not fit",
                self.negatives.len()
            )
        }
        let negatives = self.negatives.len() / positions;
        Ok(Sizes { rows, columns, positions, channels, negatives })
    }

    /// Where the vectors of the predicting positions begin, or those `below` rows further down.
    fn starts(&self, sizes: Sizes, below: usize) -> Vec<u32> {
        let Sizes { rows, columns, positions, channels, .. } = sizes;
        let predicting = rows - self.below;
        let start = |position: usize| {
            let (row, column) = (position / columns, position % columns);
            let (batch, y) = (row / predicting, row % predicting + below);
            (((batch * rows + y) * columns + column) * channels) as u32
        };
        (0..positions).map(start).collect()
    }

    /// The targets that `position` is scored against, its own first.
    fn candidates(&self, position: usize, negatives: usize) -> impl Iterator<Item = usize> + '_ {
        let negatives = &self.negatives[position * negatives..(position + 1) * negatives];
        std::iter::once(position).chain(negatives.iter().map(|&negative| negative as usize))
    }

    /// For each target the positions that are scored against it, each with its place among that
    /// position's candidates: `(first of each target in the list, the list)`.
    fn readers(&self, sizes: Sizes) -> (Vec<usize>, Vec<(u32, u32)>) {
        let each = |visit: &mut dyn FnMut(usize, usize, usize)| {
            for position in 0..sizes.positions {
                for (place, target) in self.candidates(position, sizes.negatives).enumerate() {
                    visit(position, place, target);
                }
            }
        };
        let mut first = vec![0; sizes.positions + 1];
        each(&mut |_, _, target| first[target + 1] += 1);
        for target in 0..sizes.positions {
            first[target + 1] += first[target];
        }
        let mut next = first.clone();
        let mut list = vec![(0, 0); first[sizes.positions]];
        each(&mut |position, place, target| {
            list[next[target]] = (position as u32, place as u32);
            next[target] += 1;
        });
        (first, list)
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    // Running sums, so that the additions need not wait for each other.
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

fn add_scaled(sum: &mut [f32], scale: f32, values: &[f32]) {
    sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += scale * value);
}

/// The rows of `values` that begin at `starts`, times `right`.
fn product(values: &[f32], starts: &[u32], channels: usize, right: &Panels) -> Vec<f32> {
    let mut out = vec![0.0; starts.len() * channels];
    let segments = [Segment { offset: 0, len: channels as u32, row: 0 }];
    let tasks = out.par_chunks_mut(ROWS * channels).zip(starts.par_chunks(ROWS));
    tasks.for_each(|(out, starts)| {
        let rows = Gathered { values, starts, segments: &segments };
        multiply(rows, right, out, None, Write::default());
    });
    out
}

impl CustomOp3 for Contrast {
    fn name(&self) -> &'static str {
        "contrast"
    }

    fn cpu_fwd(
        &self,
        contexts: &CpuStorage,
        contexts_layout: &Layout,
        pooled: &CpuStorage,
        pooled_layout: &Layout,
        predictor: &CpuStorage,
        predictor_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let sizes = self.sizes(pooled_layout.shape(), predictor_layout.shape())?;
        if contexts_layout.shape() != pooled_layout.shape() {
            candle_core::bail!(
                "contrast: contexts {contexts_layout:?} are not as the pooled vectors"
            )
        }
        let Sizes { positions, channels, negatives, .. } = sizes;
        let contexts = values(contexts, contexts_layout, self.name())?;
        let pooled = values(pooled, pooled_layout, self.name())?;
        let predictor = values(predictor, predictor_layout, self.name())?;
        let mut panels = Panels::default();
        panels.pack(predictor, (channels, channels), 1, |p| p * channels);
        let targets = product(pooled, &self.starts(sizes, self.below), channels, &panels);
        let starts = self.starts(sizes, 0);
        let mut slopes = vec![0.0f32; positions * (1 + negatives)];
        let per_position: Vec<(f64, bool)> = slopes
            .par_chunks_exact_mut(1 + negatives)
            .enumerate()
            .map(|(position, row)| {
                let context = &contexts[starts[position] as usize..][..channels];
                for (score, target) in row.iter_mut().zip(self.candidates(position, negatives)) {
                    *score = dot(context, &targets[target * channels..][..channels]);
                }
                let hit = row[1..].iter().all(|&negative| row[0] > negative);
                (self.judge.row(row), hit)
            })
            .collect();
        let loss = per_position.iter().map(|(loss, _)| loss).sum::<f64>() / positions as f64;
        let hits = per_position.iter().filter(|(_, hit)| *hit).count();
        let accuracy = hits as f64 / positions as f64;
        *self.scores.lock().unwrap_or_else(PoisonError::into_inner) =
            Scores { targets, slopes, accuracy };
        Ok((CpuStorage::F32(vec![loss as f32]), Shape::from(())))
    }

    fn bwd(
        &self,
        contexts: &Tensor,
        pooled: &Tensor,
        predictor: &Tensor,
        _loss: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let sizes = self.sizes(pooled.shape(), predictor.shape())?;
        let scale = grad.to_scalar::<f32>()? / sizes.positions as f32;
        let operands = [contexts, pooled, predictor];
        let gradients = with_all_values(operands, self.name(), |values| {
            let [contexts, pooled, predictor] = std::array::from_fn(|place| values[place]);
            Ok::<_, candle_core::Error>(self.gradients(sizes, [contexts, pooled], predictor, scale))
        })?;
        let tensor = |values, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
        let [d_contexts, d_pooled, d_predictor] = gradients;
        Ok((
            Some(tensor(d_contexts, contexts)?),
            Some(tensor(d_pooled, pooled)?),
            Some(tensor(d_predictor, predictor)?),
        ))
    }
}

impl Contrast {
    /// The gradients of contexts, pooled vectors and predictor, times `scale`. Every value is summed in one
    /// order, whatever the number of threads.
    fn gradients(
        &self,
        sizes: Sizes,
        [contexts, pooled]: [&[f32]; 2],
        predictor: &[f32],
        scale: f32,
    ) -> [Vec<f32>; 3] {
        let Sizes { positions, channels, negatives, .. } = sizes;
        let scores = self.scores.lock().unwrap_or_else(PoisonError::into_inner);
        let Scores { targets, slopes, .. } = &*scores;
        let (own, below) = (self.starts(sizes, 0), self.starts(sizes, self.below));
        let weight =
            |position: usize, place: usize| scale * slopes[position * (1 + negatives) + place];
        let mut of_positions = vec![0.0; positions * channels];
        of_positions.par_chunks_exact_mut(channels).enumerate().for_each(|(position, sum)| {
            for (place, target) in self.candidates(position, negatives).enumerate() {
                add_scaled(sum, weight(position, place), &targets[target * channels..]);
            }
        });
        let (first, readers) = self.readers(sizes);
        let mut d_targets = vec![0.0; positions * channels];
        d_targets.par_chunks_exact_mut(channels).enumerate().for_each(|(target, sum)| {
            for &(position, place) in &readers[first[target]..first[target + 1]] {
                let context = &contexts[own[position as usize] as usize..];
                add_scaled(sum, weight(position as usize, place as usize), context);
            }
        });

        let places: Vec<u32> = (0..positions).map(|row| (row * channels) as u32).collect();
        let mut d_predictor = vec![0.0; channels * channels];
        let tasks = d_predictor.par_chunks_mut(ROWS * channels).enumerate();
        tasks.for_each(|(index, out)| {
            let len = (out.len() / channels) as u32;
            let segments = [Segment { offset: (index * ROWS) as u32, len, row: 0 }];
            let rows = Gathered { values: pooled, starts: &below, segments: &segments };
            add_outer(rows, &d_targets, &places, channels, out);
        });

        let mut panels = Panels::default();
        panels.pack(predictor, (channels, channels), channels, |p| p);
        let of_targets = product(&d_targets, &places, channels, &panels);
        let placed = |starts: &[u32], rows: &[f32]| {
            let mut all = vec![0.0; pooled.len()];
            for (start, row) in starts.iter().zip(rows.chunks_exact(channels)) {
                all[*start as usize..][..channels].copy_from_slice(row);
            }
            all
        };
        [placed(&own, &of_positions), placed(&below, &of_targets), d_predictor]
    }
}
