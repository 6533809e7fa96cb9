//! What the steps of a pipeline cost: rows, bytes and seconds, from shapes and settings alone.
//!
//! Bytes count uncompressed values. Seconds come from a [`Pace`]: either from the rates below, or from steps that
//! were timed. `activations = "auto"` uses only the rates below and nothing measured, so that the keys of a run do
//! not depend on the machine.

use std::ops::Range;

use gimlet_store::{Column, Schema};

use super::Stack;
use super::layout::{activation_column, pooled_column};
use crate::loss::Sizes;
use crate::module;
use crate::pipeline::{PerSplit, Pipeline, SampleSize, Split};
use crate::schedule::{At, Step};
use crate::{Result, media};

/// Additions and multiplications per second of a forward pass, on two cores with AVX-512 together.
const FORWARD_RATE: f64 = 250e9;

/// Additions and multiplications per second of the loss and its gradient.
const LOSS_RATE: f64 = 100e9;

/// Cost of a training step in forward passes: one forward, and two for the backward pass.
const PASSES: f64 = 3.0;

/// Bytes per second that are written to datasets; `READ_RATE` is for reading from them.
const WRITE_RATE: f64 = 0.3e9;
const READ_RATE: f64 = 1.0e9;

/// Bytes of images that are decoded per second.
const DECODE_RATE: f64 = 20e6;

/// Additions and multiplications per second in the probe's small matrix products.
const PROBE_RATE: f64 = 5e9;

/// Assumed number of classes where only the data itself can tell it.
const CLASSES: usize = 10;

/// Bytes per row and column in addition to the values: page headers, levels, offset index.
const COLUMN_BYTES: u64 = 64;
/// Bytes per part in addition to its rows: schema and footer.
const PART_BYTES: u64 = 4096;
/// Bytes per row group: chunk metadata, the positions of pages, the dictionary of a `u8` column.
const GROUP_BYTES: u64 = 1024;
/// Bytes for the source of a row, if it has one: a short path.
const SOURCE_BYTES: u64 = 24;

/// Bytes per line in the log of a training.
const LOG_BYTES: u64 = 128;

/// What a pipeline's steps cost.
pub struct Costs<'a> {
    pub(super) pipeline: &'a Pipeline,
    pub(super) samples: PerSplit<u64>,
    pub(super) stack: Stack,
    /// Number of maps per sample.
    pub(super) patches: usize,
    pub(super) modules: Vec<module::Cost>,
}

/// How fast modules are.
#[derive(Debug, Clone, PartialEq)]
pub struct Pace {
    /// Seconds per training step of each module, not counting the time to get its input.
    pub step: Vec<f64>,
    /// Seconds per row for a forward pass through each module.
    pub forward: Vec<f64>,
}

/// The modules that run frozen in front of module `index`: those above the nearest stored boundary below it.
pub fn recomputed(stored: &[bool], index: usize) -> Range<usize> {
    let start = (0..index).rev().find(|boundary| stored[*boundary]).map_or(0, |it| it + 1);
    start..index
}

/// The splits that workers publish: the training split, and with patience the test split.
///
/// The test split comes first, so that it exists for a reader that finds the training split.
pub(super) fn published_splits(pipeline: &Pipeline) -> &'static [Split] {
    match pipeline.schedule.patience() {
        Some(_) => &[Split::Test, Split::Train],
        None => &[Split::Train],
    }
}

/// Adds numbers and stops at `u64::MAX`: a pipeline may ask for more than any disk holds.
pub(super) fn sum(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, u64::saturating_add)
}

impl<'a> Costs<'a> {
    /// The costs of `pipeline` for `samples` samples of each split, all of the size `sample`.
    ///
    /// # Errors
    /// When the images do not fit the pipeline.
    pub fn new(pipeline: &'a Pipeline, samples: PerSplit<u64>, sample: SampleSize) -> Result<Self> {
        let stack = Stack::new(pipeline, sample)?;
        media::of(&pipeline.view).check_size(sample)?;
        let modules = (0..pipeline.modules.len()).map(|index| stack.cost(index));
        let (modules, patches) = (modules.collect(), stack.pooling.maps());
        Ok(Self { pipeline, samples, stack, patches, modules })
    }

    /// Number of values in one row that module `index` reads.
    pub(super) fn input_values(&self, index: usize) -> u64 {
        self.patches as u64 * self.stack.input(index).len() as u64
    }

    /// The sizes of what the loss of module `index` is computed on.
    pub(super) fn sizes(&self, index: usize) -> Sizes {
        self.stack.sizes(index, self.classes())
    }

    /// Loss and accuracy of a guess; `None` for a loss that reads labels, since no label is read yet.
    pub fn of_a_guess(&self, index: usize) -> [Option<f64>; 2] {
        let (recipe, sizes) = (self.pipeline.loss_of(index), self.sizes(index));
        match recipe.reads_labels() {
            true => [None, None],
            false => [recipe.of_a_guess(sizes), recipe.accuracy_of_a_guess(sizes)],
        }
    }

    /// Number of classes, as far as it is known before any label is read.
    fn classes(&self) -> usize {
        self.pipeline.data.source.classes().unwrap_or(CLASSES)
    }

    /// Number of trained values of module `index` and its loss.
    pub fn parameters(&self, index: usize) -> u64 {
        let loss = self.pipeline.loss_of(index).shapes(self.sizes(index));
        let loss: usize = loss.iter().map(|shape| shape.dims.iter().product::<usize>()).sum();
        self.modules[index].parameters.saturating_add(loss as u64)
    }

    /// Number of rows that a step writes for a split.
    pub fn rows(&self, step: Step, split: Split) -> u64 {
        let samples = self.samples[split];
        match step {
            Step::Ingest | Step::Untrained => samples,
            Step::Encode(_) => samples * self.pipeline.view.views_of(split) as u64,
            Step::Train(_) | Step::Probe(_) => 0,
        }
    }

    /// Number of parts in the largest dataset that a step writes.
    pub fn parts(&self, step: Step) -> u64 {
        let rows = Split::ALL.map(|split| self.rows(step, split));
        rows[0].max(rows[1]).div_ceil(self.pipeline.store.rows_per_part as u64)
    }

    /// Additions and multiplications for a forward pass of one row through module `index`.
    pub fn operations(&self, index: usize) -> f64 {
        self.patches as f64 * self.modules[index].operations as f64
    }

    /// The schemas of the datasets that a step writes for one split; `stored` says for each module
    /// whether its activations are stored.
    pub fn schemas(&self, step: Step, stored: &[bool]) -> Vec<Schema> {
        let attributes = self.pipeline.view.settings().attributes();
        let schema = |columns: Vec<Column>, source| Schema {
            columns,
            source,
            label_names: None,
            attributes: match source {
                true => vec![],
                false => attributes.iter().map(|it| it.to_string()).collect(),
            },
        };
        match step {
            Step::Ingest => {
                let column = media::of(&self.pipeline.view).sample_column(self.stack.sample);
                vec![schema(vec![column], true)]
            }
            Step::Untrained => {
                let outputs = (0..self.modules.len()).map(|index| self.stack.output(index));
                let pooled = outputs.map(|output| pooled_column(self.stack.pooling, output));
                pooled.map(|column| schema(vec![column], false)).collect()
            }
            Step::Encode(At { module: index, .. }) => {
                let (dtype, output) = (self.pipeline.store.dtype, self.stack.output(index));
                let activation = activation_column(dtype, self.patches, output);
                let columns = stored[index].then_some(activation).into_iter();
                let columns = columns.chain([pooled_column(self.stack.pooling, output)]).collect();
                vec![schema(columns, false)]
            }
            Step::Train(_) | Step::Probe(_) => vec![],
        }
    }

    /// Bytes that a step leaves on disk, with values uncompressed.
    pub fn bytes(&self, step: Step, stored: &[bool]) -> u64 {
        if let Step::Train(At { module: index, round }) = step {
            // The log also has the steps of earlier rounds; the weights may come with both Adam moments.
            let steps = self.training_steps(index).saturating_mul(1 + round as u64);
            let log = LOG_BYTES.saturating_mul(steps);
            let own = self.kept_values(index).saturating_mul(4).saturating_add(log);
            // Published generations that stay in addition to the one that is encoded at the end.
            let stay =
                self.publications(index).min(self.pipeline.store.keep_generations as u64 - 1);
            return own.saturating_add(stay.saturating_mul(self.published_bytes(index, stored)));
        }
        self.bytes_of(&Split::ALL, step, stored)
    }

    /// Bytes of the datasets that a step writes for `splits`.
    fn bytes_of(&self, splits: &[Split], step: Step, stored: &[bool]) -> u64 {
        let schemas = self.schemas(step, stored);
        let of = |split: &Split| {
            let rows = self.rows(step, *split);
            sum(schemas.iter().map(|schema| self.dataset_bytes(schema, rows)))
        };
        sum(splits.iter().map(of))
    }

    /// Number of values that a training ends with: the parameters, and both moments if other trainings go on from it.
    fn kept_values(&self, index: usize) -> u64 {
        let each = if self.pipeline.schedule.is_gone_on_from() { 3 } else { 1 };
        self.parameters(index).saturating_mul(each)
    }

    /// Number of generations that the training of a module publishes: 0 unless modules train in workers and
    /// another module reads this one.
    fn publications(&self, index: usize) -> u64 {
        match self.pipeline.schedule.publishing() {
            Some(publishing) if index + 1 < self.modules.len() => {
                1 + self.pipeline.modules[index].epochs.div_ceil(publishing.sync_every) as u64
            }
            _ => 0,
        }
    }

    /// Bytes of one published generation, over all published splits.
    fn published_bytes(&self, index: usize, stored: &[bool]) -> u64 {
        let step = Step::Encode(At { module: index, round: 0 });
        self.bytes_of(published_splits(self.pipeline), step, stored)
    }

    /// Temporary disk space of a step, in bytes.
    ///
    /// A training has two checkpoints (values, two moments, and with patience the best values so far). A training that
    /// publishes also has one generation that is being written and one that is still being read. If all modules train
    /// at once in one process, the first is charged for all checkpoints.
    pub fn passing_bytes(&self, step: Step, stored: &[bool]) -> u64 {
        let schedule = &self.pipeline.schedule;
        let of_module = |index| {
            let best = schedule.patience().map_or(0, |_| self.kept_values(index));
            self.parameters(index).saturating_mul(3).saturating_add(best)
        };
        let Step::Train(at) = step else { return 0 };
        let in_checkpoint = match (schedule.is_in_one_pass(), at.module) {
            (false, module) => of_module(module),
            (true, 0) => sum((0..self.modules.len()).map(of_module)),
            (true, _) => 0,
        };
        let passing = match self.publications(at.module) {
            0 => 0,
            _ => self.published_bytes(at.module, stored).saturating_mul(2),
        };
        in_checkpoint.saturating_mul(2 * 4).saturating_add(passing)
    }

    fn dataset_bytes(&self, schema: &Schema, rows: u64) -> u64 {
        let source = if schema.source { SOURCE_BYTES } else { 0 };
        let keys = (2 + schema.attributes.len() as u64) * 8 + source;
        let row = schema.row_bytes() as u64 + keys + COLUMN_BYTES * schema.columns.len() as u64;
        let group = super::layout::rows_per_group(schema.row_bytes()) as u64;
        let parts = rows.div_ceil(self.pipeline.store.rows_per_part as u64);
        let groups = rows.div_ceil(group);
        let each = [(rows, row), (groups, GROUP_BYTES), (parts, PART_BYTES)];
        sum(each.into_iter().map(|(count, bytes)| count.saturating_mul(bytes)))
    }

    /// Bytes that a whole run leaves on disk, with values uncompressed.
    pub fn total_bytes(&self, stored: &[bool]) -> u64 {
        let of = |step| self.bytes(step, stored).saturating_mul(self.kept(step, stored));
        sum(self.steps(stored).filter(|step| self.is_of_last_round(*step)).map(of))
    }

    /// The most bytes that a run has on disk at any time.
    pub fn most_bytes(&self, stored: &[bool]) -> u64 {
        let passing = |step| {
            let is_replaced = self.written(step, stored) > self.kept(step, stored);
            let goes = if is_replaced { self.bytes(step, stored) } else { 0 };
            self.passing_bytes(step, stored).saturating_add(goes)
        };
        let passing = self.steps(stored).map(passing).max();
        self.total_bytes(stored).saturating_add(passing.unwrap_or(0))
    }

    /// Number of rounds in which a step is done. Activations that no module reads are written in the last round only.
    fn written(&self, step: Step, stored: &[bool]) -> u64 {
        let is_read = |module: usize| stored[module] && module + 1 < self.modules.len();
        match step {
            Step::Train(_) => self.pipeline.schedule.rounds() as u64,
            Step::Encode(at) if is_read(at.module) => self.pipeline.schedule.rounds() as u64,
            Step::Ingest | Step::Untrained | Step::Encode(_) | Step::Probe(_) => 1,
        }
    }

    /// Number of rounds whose output of a step stays on disk. While the step works in a later round, there is one more.
    fn kept(&self, step: Step, stored: &[bool]) -> u64 {
        self.written(step, stored).min(self.pipeline.store.keep_generations as u64)
    }

    fn is_of_last_round(&self, step: Step) -> bool {
        match step {
            Step::Train(at) | Step::Encode(at) => at.round + 1 == self.pipeline.schedule.rounds(),
            Step::Ingest | Step::Untrained | Step::Probe(_) => true,
        }
    }

    /// Seconds that a whole run takes.
    pub fn total_seconds(&self, stored: &[bool], pace: &Pace) -> f64 {
        self.steps(stored).map(|step| self.seconds(step, stored, pace)).sum()
    }

    /// The steps that a run does from the beginning.
    fn steps(&self, stored: &[bool]) -> impl Iterator<Item = Step> {
        let schedule = &self.pipeline.schedule;
        let mut steps = schedule.steps(self.modules.len());
        // The order in which seconds are added up.
        steps.sort_by_key(|step| matches!(step, Step::Probe(_)));
        steps.into_iter().filter(move |step| {
            self.written(*step, stored) == schedule.rounds() as u64 || self.is_of_last_round(*step)
        })
    }

    /// Number of training steps of a module per round.
    pub fn training_steps(&self, index: usize) -> u64 {
        let batches = self.samples.train / self.pipeline.training.batch as u64;
        let epochs = self.pipeline.epochs_per_round(index);
        batches * epochs as u64
    }

    /// Channels that the first module reads.
    pub fn channels(&self) -> usize {
        self.stack.input(0).channels
    }

    /// Seconds that a step takes.
    pub fn seconds(&self, step: Step, stored: &[bool], pace: &Pace) -> f64 {
        let rows = |step| Split::ALL.map(|split| self.rows(step, split) as f64).iter().sum::<f64>();
        let written = self.bytes(step, stored) as f64 / WRITE_RATE;
        match step {
            Step::Ingest => {
                let sample = self.stack.sample;
                let pixels = sample.places() * self.channels();
                rows(step) * pixels as f64 / DECODE_RATE + written
            }
            Step::Untrained => rows(step) * pace.forward.iter().sum::<f64>() + written,
            Step::Train(At { module: index, .. }) => {
                let steps = self.training_steps(index) as f64;
                let batch = self.pipeline.training.batch as f64;
                let row = self.row_seconds(index, stored, pace);
                let encode = Step::Encode(At { module: index, round: 0 });
                let splits = published_splits(self.pipeline).iter();
                let rows = sum(splits.map(|split| self.rows(encode, *split)));
                let written = self.published_bytes(index, stored) as f64 / WRITE_RATE;
                let publication = rows as f64 * (pace.forward[index] + row) + written;
                steps * (pace.step[index] + batch * row)
                    + self.publications(index) as f64 * publication
            }
            Step::Encode(At { module: index, .. }) => {
                let row = pace.forward[index] + self.row_seconds(index, stored, pace);
                rows(step) * row + written
            }
            Step::Probe(index) => self.probe_seconds(index),
        }
    }

    /// Seconds to get one row for module `index`: to read it, and to compute the recomputed modules in between. In one
    /// pass over all modules, every module except the first gets its rows from the one before for nothing.
    fn row_seconds(&self, index: usize, stored: &[bool], pace: &Pace) -> f64 {
        if self.pipeline.schedule.is_in_one_pass() && index > 0 {
            return 0.0;
        }
        let between = recomputed(stored, index);
        let read = match between.start {
            0 => Step::Ingest,
            first => Step::Encode(At { module: first - 1, round: 0 }),
        };
        let column = self.schemas(read, stored)[0].columns[0].row_bytes();
        column as f64 / READ_RATE + pace.forward[between].iter().sum::<f64>()
    }

    /// Seconds to probe a module and its untrained twin: reading their pooled vectors, and the classifier's epochs.
    fn probe_seconds(&self, index: usize) -> f64 {
        let classes = self.classes();
        let pooled = pooled_column(self.stack.pooling, self.stack.output(index));
        let rows = (self.samples.train + self.samples.test) as f64;
        let passes = self.pipeline.probe.epochs as f64 * self.samples.train as f64;
        let operations = passes * (6 * self.stack.output(index).channels * classes) as f64;
        2.0 * (rows * pooled.row_bytes() as f64 / READ_RATE + operations / PROBE_RATE)
    }

    /// The speed of the modules at the rates assumed here.
    pub fn assumed_pace(&self) -> Pace {
        let forward: Vec<f64> =
            (0..self.modules.len()).map(|it| self.operations(it) / FORWARD_RATE).collect();
        let step = forward.iter().enumerate().map(|(index, forward)| {
            let batch = self.pipeline.training.batch as f64;
            let loss = PASSES * self.pipeline.loss_of(index).operations(self.sizes(index));
            batch * (self.passes() * forward + loss / LOSS_RATE)
        });
        Pace { step: step.collect(), forward }
    }

    /// Cost of a training step in forward passes, without the loss. With `recompute`, or with a batch in pieces, there
    /// is a second forward pass, because nothing is kept from the first.
    fn passes(&self) -> f64 {
        let training = &self.pipeline.training;
        let in_pieces = training.micro_batch.is_some_and(|it| it < training.batch);
        if training.recompute || in_pieces { PASSES + 1.0 } else { PASSES }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Environment;

    const PIPELINE: &str = r#"
name = "tiny"
modules = [{ name = "a", layers = [{ conv = { channels = 8, kernel = 3 } }, { relu = {} }] }]
data.textures = { size = 32 }
view = { patch = 8, stride = 4 }
training = { batch = 16 }
"#;

    fn with_costs<T>(overrides: &[&str], test: u64, found: impl Fn(&Costs<'_>) -> T) -> T {
        let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
        let file = std::path::Path::new("tiny.toml");
        let environment = Environment::default();
        let pipeline = Pipeline::parse(PIPELINE, file, &overrides, &environment).unwrap();
        let samples = PerSplit { train: 64, test };
        found(&Costs::new(&pipeline, samples, SampleSize::of_image(32, 32)).unwrap())
    }

    #[test]
    fn what_is_not_kept_of_a_batch_goes_forward_twice() {
        let pace = |overrides: &[&str]| with_costs(overrides, 64, |costs| costs.assumed_pace());
        let kept = pace(&[]);
        let more = |overrides| (pace(overrides).step[0] - kept.step[0]) / (16.0 * kept.forward[0]);
        for (overrides, passes) in [
            (&["training.recompute=true"][..], 1.0),
            (&["training.micro_batch=4"], 1.0),
            (&["training.micro_batch=4", "training.recompute=true"], 1.0),
            (&["training.micro_batch=16"], 0.0),
        ] {
            assert!((more(overrides) - passes).abs() < 1e-9, "{overrides:?}: {}", more(overrides));
        }
    }

    #[test]
    fn looks_at_the_test_split_take_memory() {
        let memory = |overrides: &[&str], test| {
            with_costs(overrides, test, |costs| costs.training_memory(0, &[true]))
        };
        let none = memory(&["training.held_out=0"], 64);
        assert!(memory(&[], 64) > none);
        assert!(memory(&["schedule.patience=2", "training.held_out=0"], 64) > none);
        assert_eq!(memory(&[], 15), none, "fewer rows than a batch");
    }
}
