//! The key of `probe`: everything that determines the findings for a module and for its untrained twin.

use serde::Serialize;

use super::METHOD_VERSION;
use crate::Result;
use crate::loss::Recipe;
use crate::pipeline::{PerSplit, Pipeline, Probe, Training};
use crate::stage::key::Key;

#[derive(Serialize)]
struct ProbeKey<'a> {
    step: &'static str,
    method: u32,
    seed: u64,
    probe: ProbePart,
    /// The module's own loss, which is computed on the test split.
    loss: &'a dyn Recipe,
    training: TrainingPart,
    input: Input<'a>,
}

#[derive(Serialize)]
struct ProbePart {
    epochs: usize,
    batch: usize,
    learning_rate: f64,
}

#[derive(Serialize)]
struct TrainingPart {
    /// Samples that the loss is computed on at a time.
    batch: usize,
}

#[derive(Serialize)]
struct Input<'a> {
    train: &'a str,
    test: &'a str,
    untrained_train: &'a str,
    untrained_test: &'a str,
}

/// Makes the key of a module's probe, from the keys of its datasets and those of the untrained stack.
pub(in crate::stage) fn probe_key(
    pipeline: &Pipeline,
    PerSplit { train, test }: &PerSplit<Key>,
    untrained: &PerSplit<Key>,
) -> Result<Key> {
    let Pipeline {
        name: _,
        file: _,
        seed,
        // These are in the keys of what was encoded.
        data: _,
        view: _,
        modules: _,
        schedule: _,
        store: _,
        loss,
        training,
        probe,
        slurm: _,
    } = pipeline;
    let Training {
        batch,
        // These are in the keys of the weights.
        epochs: _,
        micro_batch: _,
        learning_rate: _,
        input_noise: _,
        // These change no result.
        recompute: _,
        checkpoint_seconds: _,
        held_out: _,
    } = training;
    let Probe { epochs, batch: of_probe, learning_rate } = probe;
    Key::of(&ProbeKey {
        step: "probe",
        method: METHOD_VERSION,
        seed: *seed,
        probe: ProbePart { epochs: *epochs, batch: *of_probe, learning_rate: *learning_rate },
        loss: loss.as_ref(),
        training: TrainingPart { batch: *batch },
        input: Input {
            train: &train.hash,
            test: &test.hash,
            untrained_train: &untrained.train.hash,
            untrained_test: &untrained.test.hash,
        },
    })
}
