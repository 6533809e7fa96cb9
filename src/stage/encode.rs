//! `encode`: writes the outputs of a trained module as the dataset for the next module.
//!
//! For the untrained stack, and for a stack that trained in one pass, only the pooled vectors are written.

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::Tensor;
use gimlet_store::{
    Compression, CompressionChoice, CompressionSetting, Dataset, Finished, Keys, Rows, Schema,
    Spec, Values, Writer,
};
use serde::Deserialize;
use serde_json::json;

use super::cost::published_splits;
use super::key::Key;
use super::layout::{activation_column, pooled_column, rows_per_group};
use super::meter::Meter;
use super::progress::ROWS;
use super::published::Published;
use super::{Run, Session, Standing, frozen, memory, module_input};
use crate::Result;
use crate::device;
use crate::module::{self, Frozen};
use crate::pipeline::{self, Split};
use crate::schedule::{At, Step};
use crate::train::input::{Input, Look};
use crate::train::took::Took;
use gimlet_kernel::activation::relu;
use gimlet_kernel::with_all_values;

/// Rows that go through a module at once.
pub(super) const BATCH: usize = 16;

/// The first module, which reads the samples.
const FIRST: At = At { module: 0, round: 0 };

/// Measures what each part of a writer takes (time, memory, bytes). The result is stored next to the part, so that
/// the process that commits also knows it for parts from other processes or earlier attempts.
#[derive(Clone)]
struct Laps(Arc<Mutex<Meter>>);

impl Laps {
    /// What was taken since the last lap, or since the beginning.
    fn lap(&self) -> Took {
        let mut meter = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        meter.lap().took()
    }
}

/// A generation of module `index` that is about to be written.
pub(super) struct Generating<'a> {
    pub index: usize,
    pub split: Split,
    pub key: &'a Key,
    pub title: String,
    /// What earlier rounds have taken.
    pub before: Took,
}

pub(super) fn encode(run: &Run<'_>, at: At) -> Result<()> {
    let (index, step) = (at.module, Step::Encode(at));
    // Made once: one in PyTorch takes seconds to begin.
    let mut made = None;
    for split in Split::ALL {
        if run.standing.is_split_done(step, split)? {
            continue;
        }
        memory::reset_peak();
        let input = module_input::open(run, at, split)?;
        let module = match &made {
            Some(module) => module,
            None => made.insert(frozen::trained(run, at)?),
        };
        let title = format!("{} {}", run.standing.plan.full_title(step), split.name());
        let (key, before) =
            (run.standing.plan.key(step, split), took_before(&run.standing, at, split)?);
        let generating = Generating { index, split, key, title, before };
        encode_split(run, generating, input.as_ref(), module.as_ref())?;
    }
    let publishes = run.pipeline.schedule.publishing().is_some();
    if publishes && run.standing.is_done(step)? {
        // What was published on the way is superseded.
        let keep = run.pipeline.store.keep_generations;
        for split in published_splits(run.pipeline) {
            Published::of(run, at, *split).retire(keep.saturating_sub(1), None)?;
        }
    }
    Ok(())
}

/// Writes the outputs of `module` for the frozen views of `input` as a generation of the module's dataset.
pub(super) fn encode_split(
    run: &Run<'_>,
    generating: Generating<'_>,
    input: &dyn Input,
    module: &dyn Frozen,
) -> Result<()> {
    let meter = Meter::begin(run.standing.dir.store());
    let Generating { index, split, key, title, before } = generating;
    let [patches, ..] = input.layout().shape;
    let (pooling, output) = (run.stack()?.pooling, run.stack()?.output(index));
    let boundary = run.standing.plan.boundary(index);
    let store = &run.pipeline.store;
    let mut columns = vec![pooled_column(pooling, output)];
    let mut compression = CompressionSetting::Fixed(Compression::None);
    if boundary.stored {
        columns.insert(0, activation_column(store.dtype, patches, output));
        compression = setting(store.compression);
    }
    let dataset = run.standing.dir.dataset(run.standing.plan.module(index), split);
    let schema = Schema { columns, ..schema_like(run, split)? };
    let keys = input.keys()?;
    let spec = Spec { compression, ..spec(run, schema, key, input.rows()) };
    let (writer, laps) = begin(run, &dataset, spec, meter)?;

    run.session.progress.begin(&title, ROWS, input.rows() as u64, writer.rows_done());
    let mut read = None;
    let make = |rows: &[u64]| {
        let batch = input.tensor(rows, Look::Frozen, read.take())?;
        let maps = device::home(&module.forward(&run.session.device.take(&batch)?)?)?;
        read = Some(batch);
        let pooled = module::pooled(&maps, pooling)?;
        Ok(vec![match (boundary.stored, boundary.relu) {
            (true, true) => vec![relu(&maps)?, pooled],
            (true, false) => vec![maps, pooled],
            (false, _) => vec![pooled],
        }])
    };
    let mut written = write(&run.session, vec![writer], &keys, input.rows() as u64, make)?;
    let writer = written.remove(0);
    let choices = writer.compression().clone();
    let generation = match finish(writer, before, &laps)? {
        Finished::Committed(generation) => generation,
        waiting => return end_shard(&run.session, &waiting),
    };
    tell_compression(run, &choices);
    run.session.progress.end(&format!("{} rows", generation.rows()));
    Ok(())
}

/// Says, to readers who ask for details, what `auto` has chosen for each column of a dataset.
pub(super) fn tell_compression(run: &Run<'_>, choices: &BTreeMap<String, CompressionChoice>) {
    if !choices.is_empty() {
        let each = choices.iter().map(|(column, choice)| format!("`{column}` {choice}"));
        let all = each.collect::<Vec<_>>().join("; ");
        run.session.progress.detail(&format!("compression: {all}"));
    }
}

/// Encodes the first view of every sample with the untrained stack.
pub(super) fn untrained(run: &Run<'_>) -> Result<()> {
    let mut made = None;
    for split in Split::ALL {
        if run.standing.is_split_done(Step::Untrained, split)? {
            continue;
        }
        let datasets = run.standing.datasets(Step::Untrained, split).into_iter();
        let key = run.standing.plan.key(Step::Untrained, split);
        let modules: &Vec<_> = match &made {
            Some(modules) => modules,
            None => {
                let all = 0..run.pipeline.modules.len();
                made.insert(all.map(|index| frozen::untrained(run, index)).collect::<Result<_>>()?)
            }
        };
        let title = format!("encode untrained {}", split.name());
        let datasets = datasets.map(|dataset| (dataset, key)).collect();
        encode_stack(run, &title, split, modules, datasets, |input| input.layout().samples)?;
    }
    Ok(())
}

/// Encodes every row with the whole trained stack, and keeps the pooled vectors of each module.
pub(super) fn in_one_pass(run: &Run<'_>) -> Result<()> {
    let all: Vec<At> =
        (0..run.pipeline.modules.len()).map(|it| run.standing.plan.last(it)).collect();
    for split in Split::ALL {
        let mut done = true;
        let mut datasets = Vec::new();
        for at in &all {
            let step = Step::Encode(*at);
            done &= run.standing.is_split_done(step, split)?;
            let dataset = run.standing.dir.dataset(run.standing.plan.module(at.module), split);
            datasets.push((dataset, run.standing.plan.key(step, split)));
        }
        if done {
            continue;
        }
        let modules = all.iter().map(|at| frozen::trained(run, *at)).collect::<Result<Vec<_>>>()?;
        let title =
            format!("{} {}", run.standing.plan.full_title(Step::Encode(FIRST)), split.name());
        encode_stack(run, &title, split, &modules, datasets, |input| input.rows())?;
    }
    Ok(())
}

/// Takes the first `rows` rows that the first module reads through all `modules` in one pass, and writes the pooled
/// vectors of each module to its dataset under its key.
fn encode_stack(
    run: &Run<'_>,
    title: &str,
    split: Split,
    modules: &[Box<dyn Frozen>],
    datasets: Vec<(Dataset, &Key)>,
    rows: impl Fn(&dyn Input) -> usize,
) -> Result<()> {
    memory::reset_peak();
    let meter = Meter::begin(run.standing.dir.store());
    let input = module_input::open(run, FIRST, split)?;
    let rows = rows(input.as_ref());
    let pooling = run.stack()?.pooling;
    let (keys, schema) = (input.keys()?, schema_like(run, split)?);
    let (mut writers, mut laps) = (Vec::new(), Vec::new());
    for (index, (dataset, key)) in datasets.into_iter().enumerate() {
        let columns = vec![pooled_column(pooling, run.stack()?.output(index))];
        let schema = Schema { columns, ..schema.clone() };
        let (writer, of_writer) =
            begin(run, &dataset, spec(run, schema, key, rows), meter.clone())?;
        writers.push(writer);
        laps.push(of_writer);
    }

    let done = writers.iter().map(Writer::rows_done).min().unwrap_or(0);
    run.session.progress.begin(title, ROWS, rows as u64, done);
    let make = |rows: &[u64]| {
        let mut maps = input.tensor(rows, Look::Frozen, None)?;
        let mut pooled = Vec::with_capacity(modules.len());
        for module in modules {
            maps = module.forward(&run.session.device.take(&maps)?)?;
            pooled.push(vec![module::pooled(&device::home(&maps)?, pooling)?]);
        }
        Ok(pooled)
    };
    let (mut written, mut left) = (0, None);
    let ended = write(&run.session, writers, &keys, rows as u64, make)?;
    for (writer, laps) in ended.into_iter().zip(&laps) {
        match finish(writer, Took::default(), laps)? {
            Finished::Committed(generation) => written = generation.rows(),
            waiting => left = Some(waiting),
        }
    }
    if let Some(waiting) = left {
        return end_shard(&run.session, &waiting);
    }
    run.session.progress.end(&format!("{written} rows, {} modules", modules.len()));
    Ok(())
}

/// Writes the first `all` rows of `keys`, as far as any writer wants them. `make` returns the tensors of a batch of
/// rows, one list per writer. While one batch is written, the next is made.
fn write(
    session: &Session<'_>,
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
                session
                    .stop
                    .check("what was done is kept: of this dataset, the parts that are whole")?;
                let numbers: Vec<u64> = rows.clone().collect();
                let (end, tensors) = (rows.end, make(&numbers)?);
                if sender.send((rows, tensors)).is_err() {
                    // The writing thread has failed; its error is returned below.
                    break;
                }
                session.progress.advance(end, "");
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

/// Begins a writer for this process's share of a generation, and its laps, the first of which began with `meter`.
fn begin(run: &Run<'_>, dataset: &Dataset, spec: Spec, meter: Meter) -> Result<(Writer, Laps)> {
    let laps = Laps(Arc::new(Mutex::new(meter)));
    let noted = laps.clone();
    let writer = dataset.begin_shard(spec, run.session.shard)?;
    Ok((writer.noting(move || json!(noted.lap())), laps))
}

/// Says that other shards are still to come.
fn end_shard(session: &Session<'_>, waiting: &Finished) -> Result<()> {
    if let Finished::Waiting { done, parts } = waiting {
        session
            .progress
            .end(&format!("{done} of {parts} parts are there: the last shard to end commits them"));
    }
    Ok(())
}

/// What the encodings of all earlier rounds took; the record of the round before holds the sum.
fn took_before(standing: &Standing, at: At, split: Split) -> Result<Took> {
    let Some(round) = at.round.checked_sub(1) else { return Ok(Took::default()) };
    let before = Step::Encode(At { round, ..at });
    let found = standing.generations(before, split)?;
    found.first().map_or(Ok(Took::default()), Took::of)
}

fn spec(run: &Run<'_>, schema: Schema, key: &Key, rows: usize) -> Spec {
    Spec {
        key: key.hash.clone(),
        settings: key.settings.clone(),
        rows: Some(rows as u64),
        rows_per_part: run.pipeline.store.rows_per_part,
        rows_per_group: rows_per_group(schema.row_bytes()),
        // Pooled vectors are dense: there is next to nothing to gain.
        compression: CompressionSetting::Fixed(Compression::None),
        schema,
    }
}

/// A schema without columns, with the attributes of activations and the label names of a split's samples.
fn schema_like(run: &Run<'_>, split: Split) -> Result<Schema> {
    let input = run.standing.generation(Step::Ingest, split)?;
    let label_names = input.manifest().schema.label_names.clone();
    let attributes =
        run.pipeline.view.settings().attributes().iter().map(|it| it.to_string()).collect();
    Ok(Schema { columns: vec![], source: false, label_names, attributes })
}

/// Finishes a writer; the summary holds what all parts took and what was taken `before`.
fn finish(writer: Writer, before: Took, laps: &Laps) -> Result<Finished> {
    Ok(writer.finish(|parts| {
        // A part without a note adds nothing.
        let parts = parts.iter().filter_map(|it| Took::deserialize(it).ok());
        json!(parts.fold(before.and(laps.lap()), Took::and))
    })?)
}

/// Appends the tensors made from `rows`; the writer skips the rows before them.
fn append(writer: &mut Writer, keys: &Keys, rows: &Range<u64>, tensors: &[Tensor]) -> Result<()> {
    // The rows in between are complete: no writer wanted them.
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
