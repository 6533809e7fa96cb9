//! The peak memory of training a module.
//!
//! The forecast, divided by the peak memory that processes on two threads used:
//!
//! - the three modules of the quickstart (74 to 85 MB): 1.08, 1.17 and 1.31; all three at once (89 to 105 MB): 1.0
//!   to 1.2;
//! - the first module of the paper (0.96 GB): 1.0;
//! - the modules of `pipelines/librispeech.toml` (0.2 to 0.8 GB): 1.06 to 1.28, except the second: 1.8.
//!
//! Allocators and threads differ: elsewhere, expect a factor of 1.5.

use std::ops::Range;

use super::cost::{Costs, recomputed, sum};
use crate::pipeline::Pooling;
use crate::train::feed;

/// Bytes of a process that trains next to nothing and has done other steps before: code, threads, and what
/// the allocator keeps.
const PROCESS: f64 = 80e6;

/// Bytes per byte of a parameter: value, gradient, two moments, two copies of the weights as matrix products read
/// them, and at the end the file that is written. The gradient that each thread sums is counted apart.
const PARAMETERS: f64 = 8.0;

/// Bytes per byte that is kept for the backward pass.
const KEPT: f64 = 1.1;

/// Bytes per byte of a thread's largest maps: values between layers and within one.
const LARGEST: f64 = 6.0;

/// Bytes per byte of the largest maps of frozen modules, which keep nothing: an input and an output.
const FROZEN: f64 = 3.0;

/// Bytes per byte of the vectors of a batch that the loss for sound sees: vectors, their gradient, and
/// what the graph of the loss makes of both.
const VECTORS: f64 = 7.0;

/// Bytes per byte of a parameter during an evaluation on the test split: its value, and two copies as matrix
/// products read it.
const LOOKED_AT: f64 = 3.0;

/// Bytes per value.
const VALUE: f64 = 4.0;

impl Costs<'_> {
    /// Peak memory for training module `index`, in bytes; for all modules if they train at once in one pass.
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

    /// Number of values that a module in training holds itself: parameters, what it keeps, what its loss sees.
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
            // The vectors of images are next to nothing.
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

    /// Number of values that an evaluation on the test split holds in addition to the training: a batch for the first
    /// module, copies of the modules, and the maps between them.
    fn values_looked_at(&self, modules: Range<usize>, stored: &[bool]) -> f64 {
        let training = &self.pipeline.training;
        let schedule = &self.pipeline.schedule;
        // The other modules' test split is encoded only at the end, or earlier with patience.
        let can_watch = schedule.publishing().is_none() || modules.start == 0;
        let patient = schedule.patience().is_some();
        let watches = patient || training.held_out > 0 && can_watch;
        if !watches || self.samples.test < training.batch as u64 {
            return 0.0;
        }
        let parameters: f64 = modules.clone().map(|it| self.parameters(it) as f64).sum();
        // With patience, the values of the best epoch are held as well.
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

    /// Most values in the maps that modules which train at once hand on: those a module reads and those it makes.
    fn values_handed_on(&self) -> f64 {
        let batch = self.pipeline.training.batch as f64;
        let made = (1..self.modules.len()).map(|next| batch * self.input_values(next) as f64);
        let made: Vec<f64> = made.collect();
        let most =
            (0..made.len()).map(|it| made[it] + it.checked_sub(1).map_or(0.0, |it| made[it]));
        most.fold(0.0, f64::max)
    }

    /// Number of values in the batches that a module in training reads, and in the frozen modules in front of it.
    fn values_read(&self, index: usize, stored: &[bool]) -> f64 {
        let patches = (self.pipeline.training.batch * self.patches) as f64;
        let batch = (self.pipeline.training.batch as u64).saturating_mul(self.input_values(index));
        let batch_bytes = batch.saturating_mul(VALUE as u64);
        let ahead = feed::ahead(batch_bytes, self.pipeline.store.read_memory);
        let readers = feed::READERS.min(ahead) as f64;
        // The batches that are read ahead, and one per reader that was trained on and is filled again.
        let batches = (ahead as f64 + readers) * batch as f64;
        let between = recomputed(stored, index);
        let largest = self.modules[between.clone()].iter().map(|cost| cost.largest).max();
        let frozen = sum(between.map(|module| self.parameters(module)));
        let frozen = frozen as f64 + FROZEN * readers * patches * largest.unwrap_or(0) as f64;
        batches + frozen
    }
}
