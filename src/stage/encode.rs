//! `encode`: what a trained module makes of its input, as the next module's dataset; and the same
//! for the stack as it was drawn, of which only the pooled vectors are kept.

use std::time::Instant;

use candle_core::Tensor;
use gimlet_store::{Compression, CompressionSetting, Keys, Rows, Schema, Spec, Values, Writer};
use serde_json::json;

use super::key::Key;
use super::layout::{activation_column, pooled_column, rows_per_group};
use super::plan::Step;
use super::{Run, memory};
use crate::Result;
use crate::device;
use crate::kernel::activation::relu;
use crate::module::{self, Module};
use crate::pipeline::{self, Split};
use crate::train::input::{ATTRIBUTES, Look};

/// Rows that go through a module at once.
pub(super) const BATCH: usize = 32;

impl Run<'_> {
    pub(super) fn encode(&self, index: usize) -> Result<()> {
        for split in Split::ALL {
            if self.plan.is_split_done(Step::Encode(index), split, &self.dir)? {
                continue;
            }
            memory::reset_peak();
            let started = Instant::now();
            let input = self.input(index, split)?;
            let maps = self.maps(index)?;
            let module = self.encoder(index)?;
            let [patches, ..] = input.shape();
            let boundary = self.plan.boundary(index);
            let store = &self.pipeline.store;
            let mut columns = vec![pooled_column(patches, maps.1)];
            let mut compression = CompressionSetting::Fixed(Compression::None);
            if boundary.stored {
                columns.insert(0, activation_column(store.dtype, patches, maps.1));
                compression = setting(store.compression);
            }
            let dataset = self.dir.dataset(self.plan.module(index), split);
            let key = self.plan.key(Step::Encode(index), split);
            let schema = Schema { columns, ..self.schema_like(index, split)? };
            let keys = input.keys()?;
            let spec = Spec { compression, ..self.spec(schema, key, input.rows()) };
            let mut writer = dataset.begin(spec)?;

            let title = format!("{} {}", self.plan.title(Step::Encode(index)), split.name());
            self.progress.begin(&title, input.rows() as u64, writer.rows_done());
            let mut read = None;
            for rows in batches(input.rows() as u64) {
                self.check_stop()?;
                if !wanted(&mut writer, &rows)? {
                    continue;
                }
                let batch = input.tensor(&rows, Look::Frozen, read.take())?;
                let maps = device::home(&module.forward(&self.device.take(&batch)?)?)?;
                read = Some(batch);
                let pooled = module::pooled(&maps, patches.isqrt())?;
                if boundary.stored {
                    let maps = if boundary.relu { relu(&maps)? } else { maps };
                    append(&mut writer, &keys, &rows, &[&maps, &pooled])?;
                } else {
                    append(&mut writer, &keys, &rows, &[&pooled])?;
                }
                self.progress.advance(rows.last().map_or(0, |row| row + 1), "");
            }
            for (column, choice) in writer.compression() {
                self.progress.note(&format!("`{column}`: {choice}"));
            }
            let generation = self.commit(writer, started)?;
            self.progress.end(&format!("{} rows", generation.rows()));
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
                let encoder = self.drawn(index)?.under("encoder").on(&self.device)?;
                let layers = &self.pipeline.modules[index].layers;
                stack.push(Module::new(layers, maps.0.channels, &encoder)?);
                let columns = vec![pooled_column(patches, maps.1)];
                let schema = Schema { columns, ..schema.clone() };
                writers.push(dataset.begin(self.spec(schema, key, input.samples()))?);
            }

            let title = format!("encode untrained {}", split.name());
            let done = writers.iter().map(Writer::rows_done).min().unwrap_or(0);
            self.progress.begin(&title, samples, done);
            for rows in batches(samples) {
                self.check_stop()?;
                let mut any = false;
                for writer in &mut writers {
                    any |= wanted(writer, &rows)?;
                }
                if !any {
                    continue;
                }
                let mut maps = self.device.take(&input.tensor(&rows, Look::Frozen, None)?)?;
                for (module, writer) in stack.iter().zip(&mut writers) {
                    maps = module.forward(&maps)?;
                    let pooled = module::pooled(&device::home(&maps)?, patches.isqrt())?;
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
            // Pooled vectors are dense: there is next to nothing to gain.
            compression: CompressionSetting::Fixed(Compression::None),
            schema,
        }
    }

    /// A schema with the attributes of activations and the label names of the rows that module
    /// `index` reads, and no columns yet.
    fn schema_like(&self, index: usize, split: Split) -> Result<Schema> {
        let input = self.plan.generation(self.plan.source(index), split, &self.dir)?;
        let label_names = input.manifest().schema.label_names.clone();
        let attributes = ATTRIBUTES.map(String::from).to_vec();
        Ok(Schema { columns: vec![], source: false, label_names, attributes })
    }
}

/// The rows from 0 to `end` in runs of [`BATCH`].
fn batches(end: u64) -> impl Iterator<Item = Vec<u64>> {
    (0..end).step_by(BATCH).map(move |from| (from..end.min(from + BATCH as u64)).collect())
}

/// Whether a writer wants any of `rows`, which come next; if not, it has passed over them.
fn wanted(writer: &mut Writer, rows: &[u64]) -> Result<bool> {
    let Some((from, to)) = rows.first().zip(rows.last()) else { return Ok(false) };
    let wanted = writer.wants(*from..to + 1);
    if !wanted && writer.position() == *from {
        writer.skip(rows.len() as u64)?;
    }
    Ok(wanted)
}

/// Appends what was made of `rows` to a writer that has not passed over them.
fn append(writer: &mut Writer, keys: &Keys, rows: &[u64], tensors: &[&Tensor]) -> Result<()> {
    let Some((from, to)) = rows.first().zip(rows.last()) else { return Ok(()) };
    if writer.position() != *from {
        return Ok(());
    }
    let range = *from as usize..*to as usize + 1;
    let mut values = Vec::with_capacity(tensors.len());
    for tensor in tensors {
        values.push(tensor.flatten_all()?.to_vec1::<f32>()?);
    }
    let tensors: Vec<Values<'_>> = values.iter().map(|values| Values::F32(values)).collect();
    let attributes: Vec<&[i64]> = keys.attributes.iter().map(|it| &it[range.clone()]).collect();
    Ok(writer.write(&Rows {
        ids: &keys.ids[range.clone()],
        labels: &keys.labels[range],
        sources: None,
        attributes: &attributes,
        tensors: &tensors,
    })?)
}

fn setting(compression: pipeline::Compression) -> CompressionSetting {
    match compression {
        pipeline::Compression::Auto => CompressionSetting::Auto,
        pipeline::Compression::None => CompressionSetting::Fixed(Compression::None),
        pipeline::Compression::Lz4 => CompressionSetting::Fixed(Compression::Lz4),
        pipeline::Compression::Zstd => CompressionSetting::Fixed(Compression::Zstd),
    }
}
