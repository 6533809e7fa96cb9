//! `encode`: what a trained module makes of its input, as the next module's dataset; and the same
//! for the stack as it was drawn, of which only the pooled vectors are kept.

use std::time::Instant;

use candle_core::Tensor;
use gimlet_store::{Keys, Rows, Schema, Spec, Values, Writer};
use serde_json::json;

use super::key::Key;
use super::layout::{activation_column, pooled_column, rows_per_group};
use super::plan::Step;
use super::{Run, memory};
use crate::Result;
use crate::kernel::activation::relu;
use crate::module::{self, Module};
use crate::pipeline::Split;
use crate::train::input::Look;

/// Rows that go through a module at once.
pub(super) const BATCH: usize = 32;

impl Run<'_> {
    pub(super) fn encode(&self, index: usize) -> Result<()> {
        for split in Split::ALL {
            if !self.plan.generations(Step::Encode(index), split, &self.dir)?.is_empty() {
                continue;
            }
            memory::reset_peak();
            let started = Instant::now();
            let input = self.input(index, split)?;
            let maps = self.maps(index)?;
            let module = self.encoder(index)?;
            let [patches, ..] = input.shape();
            let boundary = self.plan.boundary(index);
            let mut columns = vec![pooled_column(patches, maps.1)];
            if boundary.stored {
                let dtype = self.pipeline.store.dtype;
                columns.insert(0, activation_column(dtype, patches, maps.1));
            }
            let dataset = self.dir.dataset(self.plan.module(index), split);
            let key = self.plan.key(Step::Encode(index), split);
            let schema = Schema { columns, ..self.schema_like(index, split)? };
            let keys = input.keys()?;
            let mut writer = dataset.begin(self.spec(schema, key, input.rows()))?;

            let title = format!("{} {}", self.plan.title(Step::Encode(index)), split.name());
            self.progress.begin(&title, input.rows() as u64, writer.rows_done());
            for rows in batches(writer.rows_done(), input.rows() as u64) {
                self.check_stop()?;
                let maps = module.forward(&input.tensor(&rows, Look::Frozen)?)?;
                let pooled = module::pooled(&maps, patches.isqrt())?;
                if boundary.stored {
                    let maps = if boundary.relu { relu(&maps)? } else { maps };
                    append(&mut writer, &keys, &rows, &[&maps, &pooled])?;
                } else {
                    append(&mut writer, &keys, &rows, &[&pooled])?;
                }
                self.progress.advance(rows.last().map_or(0, |row| row + 1), "");
            }
            let generation = self.commit(writer, started)?;
            self.progress.end(&format!("{} rows", generation.rows()));
        }
        Ok(())
    }

    /// The first view of every sample through the stack as it was drawn.
    pub(super) fn encode_untrained(&self) -> Result<()> {
        for split in Split::ALL {
            let done = self.plan.generations(Step::Untrained, split, &self.dir)?;
            if done.len() == self.pipeline.modules.len() {
                continue;
            }
            memory::reset_peak();
            let started = Instant::now();
            let input = self.input(0, split)?;
            let [patches, ..] = input.shape();
            let key = self.plan.key(Step::Untrained, split);
            let (keys, schema) = (input.keys()?, self.schema_like(0, split)?);
            let samples = input.samples() as u64;
            let mut stack = Vec::new();
            let mut writers = Vec::new();
            let datasets = self.plan.datasets(Step::Untrained, split, &self.dir);
            for (index, dataset) in datasets.iter().enumerate() {
                let maps = self.maps(index)?;
                let encoder = self.drawn(index)?.under("encoder");
                let layers = &self.pipeline.modules[index].layers;
                stack.push(Module::new(layers, maps.0.channels, &encoder)?);
                let columns = vec![pooled_column(patches, maps.1)];
                let schema = Schema { columns, ..schema.clone() };
                writers.push(dataset.begin(self.spec(schema, key, input.samples()))?);
            }

            let title = format!("encode untrained {}", split.name());
            // Writers that an earlier attempt left at different parts go on together from the first.
            let first = writers.iter().map(Writer::rows_done).min().unwrap_or(0);
            self.progress.begin(&title, samples, first);
            for rows in batches(first, samples) {
                self.check_stop()?;
                let mut maps = input.tensor(&rows, Look::Frozen)?;
                for (module, writer) in stack.iter().zip(&mut writers) {
                    maps = module.forward(&maps)?;
                    let pooled = module::pooled(&maps, patches.isqrt())?;
                    append(writer, &keys, &rows, &[&pooled])?;
                }
                self.progress.advance(rows.last().map_or(0, |row| row + 1), "");
            }
            let mut rows = 0;
            for writer in writers {
                rows = self.commit(writer, started)?.rows();
            }
            self.progress.end(&format!("{rows} rows, {} modules", stack.len()));
        }
        Ok(())
    }

    fn commit(&self, writer: Writer, started: Instant) -> Result<gimlet_store::Generation> {
        let seconds = started.elapsed().as_secs_f64();
        Ok(writer.commit(json!({ "seconds": seconds, "peak_memory": memory::peak() }))?)
    }

    fn spec(&self, schema: Schema, key: &Key, rows: usize) -> Spec {
        Spec {
            key: key.hash.clone(),
            settings: key.settings.clone(),
            rows: Some(rows as u64),
            rows_per_part: self.pipeline.store.rows_per_part,
            rows_per_group: rows_per_group(schema.row_bytes()),
            schema,
        }
    }

    /// A schema with the label names of the rows that module `index` reads, and no columns yet.
    fn schema_like(&self, index: usize, split: Split) -> Result<Schema> {
        let input = self.plan.generation(self.plan.source(index), split, &self.dir)?;
        let label_names = input.manifest().schema.label_names.clone();
        Ok(Schema { columns: vec![], source: false, label_names })
    }
}

/// The rows from `start` to `end` in runs of [`BATCH`].
fn batches(start: u64, end: u64) -> impl Iterator<Item = Vec<u64>> {
    (start..end).step_by(BATCH).map(move |from| (from..end.min(from + BATCH as u64)).collect())
}

/// Appends what was made of `rows` to a writer; those that its complete parts hold are left out.
fn append(writer: &mut Writer, keys: &Keys, rows: &[u64], tensors: &[&Tensor]) -> Result<()> {
    let done = writer.rows_done();
    let behind = rows.iter().filter(|row| **row < done).count();
    let Some((from, to)) = rows[behind..].first().zip(rows.last()) else { return Ok(()) };
    let range = *from as usize..*to as usize + 1;
    let mut values = Vec::with_capacity(tensors.len());
    for tensor in tensors {
        let all = tensor.flatten_all()?.to_vec1::<f32>()?;
        let row = all.len() / rows.len();
        values.push(all[behind * row..].to_vec());
    }
    let tensors: Vec<Values<'_>> = values.iter().map(|values| Values::F32(values)).collect();
    Ok(writer.write(&Rows {
        ids: &keys.ids[range.clone()],
        labels: &keys.labels[range],
        sources: None,
        tensors: &tensors,
    })?)
}
