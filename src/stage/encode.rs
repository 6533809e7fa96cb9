//! `encode`: what a trained module makes of its input, as the next module's dataset; and the same
//! for the stack as it was drawn, of which only the pooled vectors are kept.

use std::time::Instant;

use candle_core::Tensor;
use gimlet_store::{
    Column, Compression, CompressionSetting, DType, Keys, Rows, Schema, Spec, Values, Writer,
};
use serde_json::json;

use super::key::Key;
use super::plan::Step;
use super::{Run, ingest, memory};
use crate::Result;
use crate::module::{self, Module};
use crate::pipeline::{ActivationType, Map, Split};
use crate::train::input::{ACTIVATION, POOLED};
use crate::view::Framing;

/// Rows that go through a module at once.
const BATCH: usize = 32;

/// How the rows of a split are framed when they are encoded: modules train on what they were drawn,
/// and are judged on the centre.
fn framing(split: Split, seed: u64) -> Framing {
    match split {
        Split::Train => Framing::Random { seed, draw: 0 },
        Split::Test => Framing::Centre,
    }
}

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
            let encoder = self.weights(index)?.under("encoder");
            let layers = &self.pipeline.modules[index].layers;
            let module = Module::new(layers, maps.0.channels, &encoder)?;
            let (keys, schema) = self.rows_like(index, split)?;
            let [patches, ..] = input.shape();
            let columns = vec![
                activation_column(self.pipeline.store.dtype, patches, maps.1),
                pooled_column(patches, maps.1),
            ];
            let schema = Schema { columns, ..schema };
            let dataset = self.dir.dataset(self.plan.module(index), split);
            let key = self.plan.key(Step::Encode(index), split);
            let mut writer = dataset.begin(self.spec(schema, key, input.rows()))?;

            let title = format!("{} {}", self.plan.title(Step::Encode(index)), split.name());
            self.progress.begin(&title, input.rows() as u64, writer.rows_done());
            for rows in batches(input.rows() as u64) {
                self.check_stop()?;
                if !wanted(&mut writer, &rows)? {
                    continue;
                }
                let maps =
                    module.forward(&input.tensor(&rows, framing(split, self.pipeline.seed))?)?;
                let pooled = module::pooled(&maps, patches.isqrt())?;
                append(&mut writer, &keys, &rows, &[&maps, &pooled])?;
                self.progress.advance(rows.last().map_or(0, |row| row + 1), "");
            }
            let generation = self.commit(writer, started)?;
            self.progress.end(&format!("{} rows", generation.rows()));
        }
        Ok(())
    }

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
            let (keys, schema) = self.rows_like(0, split)?;
            let mut stack = Vec::new();
            let mut writers = Vec::new();
            let datasets = self.plan.datasets(Step::Untrained, split, &self.dir);
            for (index, dataset) in datasets.iter().enumerate() {
                let maps = self.maps(index)?;
                let encoder = self.drawn(index)?.under("encoder");
                let layers = &self.pipeline.modules[index].layers;
                stack.push(Module::new(layers, maps.0.channels, &encoder)?);
                let columns = vec![pooled_column(patches, maps.1)];
                writers.push(dataset.begin(self.spec(
                    Schema { columns, ..schema.clone() },
                    key,
                    input.rows(),
                ))?);
            }

            let title = format!("encode untrained {}", split.name());
            let done = writers.iter().map(Writer::rows_done).min().unwrap_or(0);
            self.progress.begin(&title, input.rows() as u64, done);
            for rows in batches(input.rows() as u64) {
                self.check_stop()?;
                let mut any = false;
                for writer in &mut writers {
                    any |= wanted(writer, &rows)?;
                }
                if !any {
                    continue;
                }
                let mut maps = input.tensor(&rows, framing(split, self.pipeline.seed))?;
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
            schema,
            key: key.hash.clone(),
            settings: key.settings.clone(),
            rows: Some(rows as u64),
            rows_per_part: self.pipeline.store.rows_per_part,
            rows_per_group: ingest::ROWS_PER_GROUP,
            compression: CompressionSetting::Fixed(Compression::None),
        }
    }

    /// Ids and labels of the rows that module `index` reads, and a schema that has its label names
    /// and no columns yet.
    fn rows_like(&self, index: usize, split: Split) -> Result<(Keys, Schema)> {
        let step = if index == 0 { Step::Ingest } else { Step::Encode(index - 1) };
        let input = self.plan.generation(step, split, &self.dir)?;
        let keys = input.reader(&[])?.keys()?;
        let label_names = input.manifest().schema.label_names.clone();
        Ok((keys, Schema { columns: vec![], source: false, label_names, attributes: vec![] }))
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
    Ok(writer.write(&Rows {
        ids: &keys.ids[range.clone()],
        labels: &keys.labels[range],
        sources: None,
        attributes: &[],
        tensors: &tensors,
    })?)
}

fn activation_column(dtype: ActivationType, patches: usize, map: Map) -> Column {
    Column {
        name: ACTIVATION.to_string(),
        dtype: match dtype {
            ActivationType::F16 => DType::F16,
            ActivationType::F32 => DType::F32,
        },
        shape: vec![patches, map.height, map.width, map.channels],
        dims: ["patch", "height", "width", "channel"].map(String::from).to_vec(),
        compression: Compression::None,
    }
}

/// Pooled vectors are small and what everything is judged by: they stay f32.
fn pooled_column(patches: usize, map: Map) -> Column {
    let grid = patches.isqrt();
    Column {
        name: POOLED.to_string(),
        dtype: DType::F32,
        shape: vec![grid, grid, map.channels],
        dims: ["row", "column", "channel"].map(String::from).to_vec(),
        compression: Compression::None,
    }
}
