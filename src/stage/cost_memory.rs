//! The peak memory of training a module.
//!
//! Beside what processes were seen to use on two threads, the forecast is 1.08, 1.17 and 1.31 times as
//! much for the modules of the quickstart (74 to 85 MB), and the same for the paper's first (0.96 GB);
//! for those of `pipelines/librispeech.toml` 1.06 to 1.28 (0.2 to 0.8 GB), but for the second, 1.8.
//! For the three of the quickstart at once (89 to 105 MB) it is 1.0 to 1.2 times as much.
//! Allocators and threads differ: take it for no better than 1.5 elsewhere.

use std::ops::Range;

use super::cost::{Costs, recomputed, sum};
use crate::pipeline::Pooling;
use crate::train::feed;

/// A process that trains next to nothing, and has done other steps before: code, threads, and what
/// the allocator keeps.
const PROCESS: f64 = 80e6;

/// Bytes for each byte of a parameter, besides the gradient that each thread sums: value, gradient, two
/// moments, the weights twice as products read them, and at the end the file that is written.
const PARAMETERS: f64 = 8.0;

/// Bytes for each byte that is kept for the backward pass.
const KEPT: f64 = 1.1;

/// Bytes for each byte of a thread's largest maps: what lies between layers and within one.
const LARGEST: f64 = 6.0;

/// The same of the frozen modules in front, which keep nothing: an input and an output.
const FROZEN: f64 = 3.0;

/// Bytes for each byte of the vectors of a batch that the loss of sound sees: vectors, their gradient, and
/// what the graph of the loss makes of both.
const VECTORS: f64 = 7.0;

/// Bytes for each byte of a parameter while a module is looked at on the test split: its value, and two copies as
/// products read it.
const LOOKED_AT: f64 = 3.0;

/// Bytes of a value.
const VALUE: f64 = 4.0;

impl Costs<'_> {
    /// Bytes of memory that training module `index` takes at its peak; where all train at once, that of all.
    pub fn training_memory(&self, index: usize, stored: &[bool]) -> u64 {
        let values = match self.pipeline.schedule.is_in_one_pass() {
            true => {
                let each: f64 = (0..self.modules.len()).map(|it| self.values_of(it)).sum();
                let looking = self.values_looked_at(0..self.modules.len(), stored);
                each + self.values_read(0, stored) + self.values_handed_on() + looking
            }
            false => {
                let looking = self.values_looked_at(index..index + 1, stored);
                self.values_of(index) + self.values_read(index, stored) + looking
            }
        };
        (PROCESS + VALUE * values) as u64
    }

    /// Values that a module in training holds itself: parameters, what it keeps, what its loss sees.
    fn values_of(&self, index: usize) -> f64 {
        let threads = rayon::current_num_threads() as f64;
        let patches = (self.pipeline.training.batch * self.patches) as f64;
        let cost = &self.modules[index];
        let training = &self.pipeline.training;
        let in_tiles = threads * (cost.tile as f64).min(patches / threads);
        let piece = training.micro_batch.unwrap_or(training.batch).min(training.batch);
        let kept_of = match training.recompute {
            true => in_tiles,
            false => (piece * self.patches) as f64,
        };
        let outputs = KEPT * kept_of * cost.kept as f64 + LARGEST * in_tiles * cost.largest as f64;
        let vectors = match self.stack.pooling {
            // Of images they are next to nothing.
            Pooling::Patches { .. } => 0.0,
            Pooling::Steps { .. } => {
                let sizes = self.sizes(index);
                let each = sizes.positions() * (sizes.channels + sizes.context);
                VECTORS * (self.pipeline.training.batch * each) as f64 / 2.0
            }
        };
        let parameters = (PARAMETERS + threads) * self.parameters(index) as f64;
        parameters + outputs + vectors
    }

    /// Values that a look at the test split holds beside the training: a batch of the first module, copies of the
    /// modules, and the maps between them.
    fn values_looked_at(&self, modules: Range<usize>, stored: &[bool]) -> f64 {
        let training = &self.pipeline.training;
        let schedule = &self.pipeline.schedule;
        // What the others read of the test split is encoded at the end, or where patience goes by it.
        let can_watch = schedule.publishing().is_none() || modules.start == 0;
        let patient = schedule.patience().is_some();
        let watches = patient || training.held_out > 0 && can_watch;
        if !watches || self.samples.test < training.batch as u64 {
            return 0.0;
        }
        let parameters: f64 = modules.clone().map(|it| self.parameters(it) as f64).sum();
        // Beside the values as they are looked at, those of the best epoch.
        let copies = if patient { LOOKED_AT + 2.0 } else { LOOKED_AT + 1.0 };
        let threads = rayon::current_num_threads() as f64;
        let patches = (training.batch * self.patches) as f64;
        let largest = |it: usize| self.modules[it].largest as f64;
        let tile = |it: usize| (self.modules[it].tile as f64).min(patches / threads);
        let in_tiles = modules.clone().map(|it| FROZEN * threads * tile(it) * largest(it));
        let between = recomputed(stored, modules.start);
        let frozen: f64 = between.clone().map(|it| LOOKED_AT * self.parameters(it) as f64).sum();
        let frozen = frozen + FROZEN * patches * between.map(largest).fold(0.0, f64::max);
        let batch = training.batch as f64 * self.input_values(modules.start) as f64;
        let handed_on = if modules.len() > 1 { self.values_handed_on() } else { 0.0 };
        copies * parameters + in_tiles.fold(0.0, f64::max) + frozen + batch + handed_on
    }

    /// Values of the maps that modules which train at once hand on: a module reads some and makes others.
    fn values_handed_on(&self) -> f64 {
        let batch = self.pipeline.training.batch as f64;
        let made = (1..self.modules.len()).map(|next| batch * self.input_values(next) as f64);
        let made: Vec<f64> = made.collect();
        let most =
            (0..made.len()).map(|it| made[it] + it.checked_sub(1).map_or(0.0, |it| made[it]));
        most.fold(0.0, f64::max)
    }

    /// Values of the batches that a module in training reads, and of what frozen modules make of them.
    fn values_read(&self, index: usize, stored: &[bool]) -> f64 {
        let patches = (self.pipeline.training.batch * self.patches) as f64;
        let batch = (self.pipeline.training.batch as u64).saturating_mul(self.input_values(index));
        let batch_bytes = batch.saturating_mul(VALUE as u64);
        let ahead = feed::ahead(batch_bytes, self.pipeline.store.read_memory);
        let readers = feed::READERS.min(ahead) as f64;
        // Those that are read ahead, and one a thread that was trained on and is filled again.
        let batches = (ahead as f64 + readers) * batch as f64;
        let between = recomputed(stored, index);
        let largest = self.modules[between.clone()].iter().map(|cost| cost.largest).max();
        let frozen = sum(between.map(|module| self.parameters(module)));
        let frozen = frozen as f64 + FROZEN * readers * patches * largest.unwrap_or(0) as f64;
        batches + frozen
    }
}
