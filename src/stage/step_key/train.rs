//! The key of `train`: everything that determines the weights of a module.

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

/// The keys of what a training reads.
pub(in crate::stage) struct Reads<'a> {
    /// The training split of its input.
    pub rows: &'a Key,
    /// The generations of earlier rounds whose rows are mixed into `rows`.
    pub older: Vec<&'a Key>,
    /// The training of the module in the round before.
    pub before: Option<&'a Key>,
    /// The test split of its input.
    pub held_out: &'a Key,
    /// The test split as it was ingested.
    pub test_samples: &'a Key,
}

#[derive(Serialize)]
struct TrainKey<'a> {
    step: &'static str,
    method: u32,
    seed: u64,
    /// Only where the module reads samples; other modules have it in the key of their input.
    view: Option<Value>,
    /// All settings of the loss.
    loss: &'a dyn Recipe,
    /// The module of this key, where several train in one piece.
    module: Option<&'a str>,
    /// The modules that train in one piece: a change to one changes the checkpoint of all.
    modules: BTreeMap<&'a str, ModulePart<'a>>,
    training: TrainingPart,
    /// The settings that matter, as the schedule itself says.
    schedule: Value,
    store: StorePart,
    input: Input<'a>,
}

#[derive(Serialize)]
struct ModulePart<'a> {
    /// The place in the stack, where several modules train in one piece.
    place: Option<usize>,
    layers: Vec<&'a dyn Layer>,
    epochs: usize,
    learning_rate: f64,
}

#[derive(Serialize)]
struct TrainingPart {
    batch: usize,
    micro_batch: Option<usize>,
    /// Only where the module reads stored activations.
    input_noise: Option<f64>,
}

#[derive(Serialize)]
struct StorePart {
    /// The number of generations to read, where older ones are replayed.
    keep_generations: Option<usize>,
}

#[derive(Serialize)]
struct Input<'a> {
    rows: &'a str,
    older: Vec<&'a str>,
    before: Option<&'a str>,
    /// Only where early stopping uses it.
    held_out: Option<&'a str>,
    /// Only where the loss reads labels: both splits determine the number of classes.
    test_samples: Option<&'a str>,
}

/// Makes the key of a module's training in a round.
pub(in crate::stage) fn train_key(pipeline: &Pipeline, at: At, reads: &Reads<'_>) -> Result<Key> {
    let Pipeline {
        name: _,
        file: _,
        seed,
        // This is in the key of the ingested samples.
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
        // The module's own values count.
        epochs: _,
        learning_rate: _,
        batch,
        micro_batch,
        input_noise,
        // These change no result.
        recompute: _,
        checkpoint_seconds: _,
        held_out: _,
    } = training;
    let Store {
        // The key of the input has what was stored.
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
    // Epochs are counted from the first round, so that more rounds go on from the existing ones.
    let part = ModulePart {
        epochs: pipeline.epochs_per_round(at.module) * (at.round + 1),
        ..ModulePart::of(module)
    };
    let replays = reads_stored && schedule.replay() > 0.0;
    let (replays, generations) = match schedule.publishing() {
        // The generations to replay come and go.
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
        // Whether its activations are stored does not change its training.
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
