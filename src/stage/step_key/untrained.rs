//! The key of `untrained`: everything that determines what the untrained stack makes of one split.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::METHOD_VERSION;
use crate::layer::borrowed;
use crate::pipeline::{Layer, Module, PerSplit, Pipeline, Split, Store};
use crate::stage::key::Key;
use crate::{Result, media};

#[derive(Serialize)]
struct UntrainedKey<'a> {
    step: &'static str,
    method: u32,
    split: &'static str,
    seed: u64,
    view: Value,
    modules: BTreeMap<&'a str, ModulePart<'a>>,
    store: StorePart,
    input: Input<'a>,
}

#[derive(Serialize)]
struct ModulePart<'a> {
    /// The place in the stack: each module reads what its predecessor makes.
    place: usize,
    layers: Vec<&'a dyn Layer>,
}

#[derive(Serialize)]
struct StorePart {
    rows_per_part: usize,
}

#[derive(Serialize)]
struct Input<'a> {
    rows: &'a str,
    /// The training split, where samples are normalised by its statistics.
    normalised_by: Option<&'a str>,
}

/// Makes the key of one split of `untrained`, from the keys of the ingested samples.
pub(in crate::stage) fn untrained_key(
    pipeline: &Pipeline,
    split: Split,
    ingest: &PerSplit<Key>,
) -> Result<Key> {
    let Pipeline {
        name: _,
        file: _,
        seed,
        // This is in the key of the ingested samples.
        data: _,
        view,
        modules,
        // Nothing is trained.
        loss: _,
        training: _,
        schedule: _,
        store,
        probe: _,
        slurm: _,
    } = pipeline;
    let Store {
        // Only pooled vectors are stored, as f32.
        dtype: _,
        compression: _,
        relu: _,
        rows_per_part,
        activations: _,
        max_bytes: _,
        read_memory: _,
        keep_generations: _,
        url: _,
        cache_bytes: _,
    } = store;
    let by_training = media::of(view).is_normalised_by_training();
    let normalised_by = (by_training && split == Split::Test).then_some(&ingest.train);
    Key::of(&UntrainedKey {
        step: "untrained",
        method: METHOD_VERSION,
        split: split.name(),
        seed: *seed,
        view: media::of(view).framing_key()?,
        modules: modules.iter().enumerate().map(ModulePart::of).collect(),
        store: StorePart { rows_per_part: *rows_per_part },
        input: Input {
            rows: &ingest[split].hash,
            normalised_by: normalised_by.map(|it| it.hash.as_str()),
        },
    })
}

impl<'a> ModulePart<'a> {
    fn of((place, module): (usize, &'a Module)) -> (&'a str, Self) {
        // Neither its training nor whether its activations are stored matters here.
        let Module { name, layers, epochs: _, learning_rate: _, activations: _ } = module;
        (name, Self { place, layers: borrowed(layers) })
    }
}
