//! `encode`: what a trained module makes of its input, as the next module's dataset; and the same
//! for the stack as it was drawn, of which only the pooled vectors are kept.

use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::mpsc::sync_channel;
use std::time::Instant;

use candle_core::Tensor;
use gimlet_store::{Compression, CompressionSetting, Keys, Rows, Schema, Spec, Values, Writer};
use serde_json::json;

use super::key::Key;
use super::layout::{activation_column, pooled_column, rows_per_group};
use super::plan::{At, Step};
use super::{Run, memory};
use crate::Result;
use crate::device;
use crate::kernel::activation::relu;
use crate::kernel::with_all_values;
use crate::module::{self, Module};
use crate::pipeline::{self, Split};
use crate::train::input::Look;

/// Rows that go through a module at once.
pub(super) const BATCH: usize = 16;

/// What reads the samples.
const FIRST: At = At { module: 0, round: 0 };

/// What encodings have taken.
#[derive(Default)]
struct Spent {
    seconds: f64,
    /// The highest, in bytes, where the system tells.
    peak_memory: Option<u64>,
}

impl Spent {
    /// With what was begun at `started` and ends now.
    fn and(self, started: Instant) -> Self {
        Self {
            seconds: self.seconds + started.elapsed().as_secs_f64(),
            peak_memory: self.peak_memory.max(memory::peak()),
        }
    }
}

impl Run<'_> {
    pub(super) fn encode(&self, at: At) -> Result<()> {
        let (index, step) = (at.module, Step::Encode(at));
        for split in Split::ALL {
            if self.plan.is_split_done(step, split, &self.dir)? {
                continue;
            }
            memory::reset_peak();
            let started = Instant::now();
            let input = self.input(at, split)?;
            let maps = self.maps(index)?;
            let module = self.encoder(at)?;
            let [patches, ..] = input.shape();
            let pooling = self.pooling()?;
            let boundary = self.plan.boundary(index);
            let store = &self.pipeline.store;
            let mut columns = vec![pooled_column(pooling, maps.1)];
            let mut compression = CompressionSetting::Fixed(Compression::None);
            if boundary.stored {
                columns.insert(0, activation_column(store.dtype, patches, maps.1));
                compression = setting(store.compression);
            }
            let dataset = self.dir.dataset(self.plan.module(index), split);
            let key = self.plan.key(step, split);
            let schema = Schema { columns, ..self.schema_like(at, split)? };
            let keys = input.keys()?;
            let spec = Spec { compression, ..self.spec(schema, key, input.rows()) };
            let writer = dataset.begin(spec)?;

            let title = format!("{} {}", self.plan.full_title(step), split.name());
            self.progress.begin(&title, input.rows() as u64, writer.rows_done());
            let mut read = None;
            let make = |rows: &[u64]| {
                let batch = input.tensor(rows, Look::Frozen, read.take())?;
                let maps = device::home(&module.forward(&self.device.take(&batch)?)?)?;
                read = Some(batch);
                let pooled = module::pooled(&maps, pooling)?;
                Ok(vec![match (boundary.stored, boundary.relu) {
                    (true, true) => vec![relu(&maps)?, pooled],
                    (true, false) => vec![maps, pooled],
                    (false, _) => vec![pooled],
                }])
            };
            for writer in self.write(vec![writer], &keys, input.rows() as u64, make)? {
                for (column, choice) in writer.compression() {
                    self.progress.note(&format!("`{column}`: {choice}"));
                }
                let spent = self.spent_before(at, split)?.and(started);
                let generation = self.commit(writer, spent)?;
                self.progress.end(&format!("{} rows", generation.rows()));
            }
        }
        Ok(())
    }

    /// The first view of every sample through the stack as it was drawn.
    pub(super) fn encode_untrained(&self) -> Result<()> {
        for split in Split::ALL {
            if self.plan.is_split_done(Step::Untrained, split, &self.dir)? {
                continue;
            }
            memory::reset_peak();
            let started = Instant::now();
            let input = self.input(FIRST, split)?;
            let pooling = self.pooling()?;
            let key = self.plan.key(Step::Untrained, split);
            let (keys, schema) = (input.keys()?, self.schema_like(FIRST, split)?);
            let samples = input.samples() as u64;
            let mut stack = Vec::new();
            let mut writers = Vec::new();
            let datasets = self.plan.datasets(Step::Untrained, split, &self.dir);
            for (index, dataset) in datasets.iter().enumerate() {
                let maps = self.maps(index)?;
                let encoder = self.drawn(index)?.under("encoder").on(&self.device)?;
                let layers = &self.pipeline.modules[index].layers;
                stack.push(Module::new(layers, maps.0.channels, &encoder)?);
                let columns = vec![pooled_column(pooling, maps.1)];
                let schema = Schema { columns, ..schema.clone() };
                writers.push(dataset.begin(self.spec(schema, key, input.samples()))?);
            }

            let title = format!("encode untrained {}", split.name());
            let done = writers.iter().map(Writer::rows_done).min().unwrap_or(0);
            self.progress.begin(&title, samples, done);
            let make = |rows: &[u64]| {
                let mut maps = self.device.take(&input.tensor(rows, Look::Frozen, None)?)?;
                let mut pooled = Vec::with_capacity(stack.len());
                for module in &stack {
                    maps = module.forward(&maps)?;
                    pooled.push(vec![module::pooled(&device::home(&maps)?, pooling)?]);
                }
                Ok(pooled)
            };
            let mut rows = 0;
            for writer in self.write(writers, &keys, samples, make)? {
                rows = self.commit(writer, Spent::default().and(started))?.rows();
            }
            self.progress.end(&format!("{rows} rows, {} modules", stack.len()));
        }
        Ok(())
    }

    /// Gives the writers the first `all` rows of `keys`: those that any of them wants with what `make`
    /// makes of them, for each writer its tensors. While one batch is written, the next is made.
    fn write(
        &self,
        writers: Vec<Writer>,
        keys: &Keys,
        all: u64,
        mut make: impl FnMut(&[u64]) -> Result<Vec<Vec<Tensor>>>,
    ) -> Result<Vec<Writer>> {
        let batches = (0..all).step_by(BATCH).map(|from| from..all.min(from + BATCH as u64));
        let wanted = |rows: &Range<u64>| writers.iter().any(|it| it.wants(rows.clone()));
        let batches: Vec<Range<u64>> = batches.filter(wanted).collect();
        std::thread::scope(|scope| {
            // Nothing waits in between: one batch is being written, one is ready or being made.
            let (sender, made) = sync_channel::<(Range<u64>, Vec<Vec<Tensor>>)>(0);
            let writing = scope.spawn(move || -> Result<_> {
                let mut writers = writers;
                for (rows, tensors) in made {
                    for (writer, tensors) in writers.iter_mut().zip(tensors) {
                        append(writer, keys, &rows, &tensors)?;
                    }
                }
                Ok(writers)
            });
            let made = (|| {
                for rows in batches {
                    self.check_stop()?;
                    let numbers: Vec<u64> = rows.clone().collect();
                    let (end, tensors) = (rows.end, make(&numbers)?);
                    if sender.send((rows, tensors)).is_err() {
                        // The thread has failed, and says why below.
                        break;
                    }
                    self.progress.advance(end, "");
                }
                Ok(())
            })();
            drop(sender);
            let written = writing.join().unwrap_or_else(|panic| resume_unwind(panic));
            let mut writers = made.and(written)?;
            for writer in &mut writers {
                writer.skip(all - writer.position())?;
            }
            Ok(writers)
        })
    }

    fn commit(&self, writer: Writer, spent: Spent) -> Result<gimlet_store::Generation> {
        let Spent { seconds, peak_memory } = spent;
        Ok(writer.commit(json!({ "seconds": seconds, "peak_memory": peak_memory }))?)
    }

    /// What the encodings of the rounds before have taken: the last of them says it of all.
    fn spent_before(&self, at: At, split: Split) -> Result<Spent> {
        let Some(round) = at.round.checked_sub(1) else { return Ok(Spent::default()) };
        let before = Step::Encode(At { round, ..at });
        let found = self.plan.generations(before, split, &self.dir)?;
        Ok(found.first().map_or_else(Spent::default, |it| Spent {
            seconds: it.manifest().summary["seconds"].as_f64().unwrap_or(0.0),
            peak_memory: it.manifest().summary["peak_memory"].as_u64(),
        }))
    }

    fn spec(&self, schema: Schema, key: &Key, rows: usize) -> Spec {
        Spec {
            key: key.hash.clone(),
            settings: key.settings.clone(),
            rows: Some(rows as u64),
            rows_per_part: self.pipeline.store.rows_per_part,
            rows_per_group: rows_per_group(schema.row_bytes()),
            // Pooled vectors are dense: there is next to nothing to gain.
            compression: CompressionSetting::Fixed(Compression::None),
            schema,
        }
    }

    /// A schema with the attributes of activations and the label names of the rows that a module
    /// reads, and no columns yet.
    fn schema_like(&self, at: At, split: Split) -> Result<Schema> {
        let input = self.plan.generation(self.plan.source(at), split, &self.dir)?;
        let label_names = input.manifest().schema.label_names.clone();
        let attributes = self.pipeline.view.attributes().iter().map(|it| it.to_string()).collect();
        Ok(Schema { columns: vec![], source: false, label_names, attributes })
    }
}

/// Appends what was made of `rows`, which a writer has come to or will pass over.
fn append(writer: &mut Writer, keys: &Keys, rows: &Range<u64>, tensors: &[Tensor]) -> Result<()> {
    // The rows between are complete, or somebody had wanted them.
    writer.skip(rows.start - writer.position())?;
    let range = rows.start as usize..rows.end as usize;
    let attributes: Vec<&[i64]> = keys.attributes.iter().map(|it| &it[range.clone()]).collect();
    with_all_values(tensors, "encode", |values| {
        let tensors: Vec<Values<'_>> = values.into_iter().map(Values::F32).collect();
        Ok(writer.write(&Rows {
            ids: &keys.ids[range.clone()],
            labels: &keys.labels[range],
            sources: None,
            attributes: &attributes,
            tensors: &tensors,
        })?)
    })
}

fn setting(compression: pipeline::Compression) -> CompressionSetting {
    match compression {
        pipeline::Compression::Auto => CompressionSetting::Auto,
        pipeline::Compression::None => CompressionSetting::Fixed(Compression::None),
        pipeline::Compression::Lz4 => CompressionSetting::Fixed(Compression::Lz4),
        pipeline::Compression::Zstd => CompressionSetting::Fixed(Compression::Zstd),
    }
}
