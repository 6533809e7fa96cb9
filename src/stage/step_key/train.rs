//! The key of `train`: what the weights of a module are made of.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::METHOD_VERSION;
use crate::layer::borrowed;
use crate::loss::Recipe;
use crate::pipeline::{Layer, Module, Pipeline, Store, Training};
use crate::schedule::At;
use crate::stage::key::Key;
use crate::{Result, media};

/// What a training reads.
pub(in crate::stage) struct Reads<'a> {
    /// Its training split.
    pub rows: &'a Key,
    /// The generations of earlier rounds whose rows are replayed among these.
    pub older: Vec<&'a Key>,
    /// The training of the same module in the round before.
    pub before: Option<&'a Key>,
    /// Its test split.
    pub held_out: &'a Key,
    /// The test split as it was ingested.
    pub test_samples: &'a Key,
}

#[derive(Serialize)]
struct TrainKey<'a> {
    step: &'static str,
    method: u32,
    seed: u64,
    /// Of what reads samples; others meet it in the key of their input.
    view: Option<Value>,
    /// All of its settings.
    loss: &'a dyn Recipe,
    /// Where several train in one piece, the one that this is the key of.
    module: Option<&'a str>,
    /// Those that train in one piece: what changes one changes the checkpoint of all.
    modules: BTreeMap<&'a str, ModulePart<'a>>,
    training: TrainingPart,
    /// What matters of it, by what it says itself.
    schedule: Value,
    store: StorePart,
    input: Input<'a>,
}

#[derive(Serialize)]
struct ModulePart<'a> {
    /// Where several train in one piece.
    place: Option<usize>,
    layers: Vec<&'a dyn Layer>,
    epochs: usize,
    learning_rate: f64,
}

#[derive(Serialize)]
struct TrainingPart {
    batch: usize,
    micro_batch: Option<usize>,
    /// Of what reads stored activations.
    input_noise: Option<f64>,
}

#[derive(Serialize)]
struct StorePart {
    /// How many generations there are to read, where older ones are replayed.
    keep_generations: Option<usize>,
}

#[derive(Serialize)]
struct Input<'a> {
    rows: &'a str,
    older: Vec<&'a str>,
    before: Option<&'a str>,
    /// Where early stopping goes by it.
    held_out: Option<&'a str>,
    /// Where the loss reads labels: as many classes as both splits tell apart.
    test_samples: Option<&'a str>,
}

/// The key of a module's training in a round.
pub(in crate::stage) fn train_key(pipeline: &Pipeline, at: At, reads: &Reads<'_>) -> Result<Key> {
    let Pipeline {
        name: _,
        file: _,
        seed,
        // It reads what was ingested.
        data: _,
        view,
        modules,
        loss,
        training,
        schedule,
        store,
        probe: _,
        slurm: _,
    } = pipeline;
    let Training {
        // Those of the module count.
        epochs: _,
        learning_rate: _,
        batch,
        micro_batch,
        input_noise,
        // They change no result.
        recompute: _,
        checkpoint_seconds: _,
        held_out: _,
    } = training;
    let Store {
        // What has been stored is in the key of its input.
        dtype: _,
        compression: _,
        relu: _,
        rows_per_part: _,
        activations: _,
        max_bytes: _,
        read_memory: _,
        keep_generations,
        url: _,
        cache_bytes: _,
    } = store;
    let module = &modules[at.module];
    let reads_stored = at.module > 0;
    let in_one_piece = schedule.is_in_one_pass().then_some(module.name.as_str());
    // So that more rounds go on from those that are there.
    let part = ModulePart {
        epochs: pipeline.epochs_per_round(at.module) * (at.round + 1),
        ..ModulePart::of(module)
    };
    let replays = reads_stored && schedule.replay() > 0.0;
    let (replays, generations) = match schedule.publishing() {
        // What is there to replay comes and goes.
        Some(_) => (replays, replays.then_some(*keep_generations)),
        None => {
            let older = reads.older.len();
            (older > 0, (older > 0).then_some(older + 1))
        }
    };
    let held_out = schedule.patience().map(|_| reads.held_out.hash.as_str());
    let reads_samples = !reads_stored || in_one_piece.is_some();
    Key::of(&TrainKey {
        step: "train",
        method: METHOD_VERSION,
        seed: *seed,
        view: reads_samples.then(|| media::of(view).framing_key()).transpose()?,
        loss: loss.as_ref(),
        module: in_one_piece,
        modules: match in_one_piece {
            Some(_) => modules.iter().enumerate().map(ModulePart::in_place).collect(),
            None => BTreeMap::from([(module.name.as_str(), part)]),
        },
        training: TrainingPart {
            batch: *batch,
            micro_batch: *micro_batch,
            input_noise: (reads_stored && *input_noise > 0.0).then_some(*input_noise),
        },
        schedule: schedule.key(replays),
        store: StorePart { keep_generations: generations },
        input: Input {
            rows: &reads.rows.hash,
            older: reads.older.iter().map(|it| it.hash.as_str()).collect(),
            before: reads.before.map(|it| it.hash.as_str()),
            held_out,
            test_samples: loss.reads_labels().then_some(reads.test_samples.hash.as_str()),
        },
    })
}

impl<'a> ModulePart<'a> {
    fn of(module: &'a Module) -> Self {
        // What becomes of its activations is no part of its training.
        let Module { name: _, layers, epochs, learning_rate, activations: _ } = module;
        Self {
            place: None,
            layers: borrowed(layers),
            epochs: *epochs,
            learning_rate: *learning_rate,
        }
    }

    fn in_place((place, module): (usize, &'a Module)) -> (&'a str, Self) {
        (&module.name, Self { place: Some(place), ..Self::of(module) })
    }
}
