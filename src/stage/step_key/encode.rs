//! The keys of what a module writes: by `encode`, or by a worker that publishes while it trains.

use serde::Serialize;
use serde_json::Value;

use super::METHOD_VERSION;
use crate::pipeline::{ActivationType, Compression, Pipeline, Split, Store};
use crate::schedule::At;
use crate::stage::boundary::Boundary;
use crate::stage::key::Key;
use crate::{Result, media};

/// Name of the step in the [`Key::settings`] of a published generation.
const PUBLISH: &str = "publish";

#[derive(Serialize)]
struct EncodeKey<'a> {
    step: &'static str,
    method: u32,
    split: &'static str,
    /// Only where the module reads samples; other modules have it in the key of their input.
    view: Option<FramesPart>,
    store: StorePart,
    input: Input<'a>,
}

#[derive(Serialize)]
struct PublishKey<'a> {
    step: &'static str,
    method: u32,
    split: &'static str,
    /// The key of the training that publishes it. That key has the framing of samples.
    training: &'a str,
    steps: u64,
    view: Option<ViewsPart>,
    store: StorePart,
    input: Input<'a>,
}

#[derive(Serialize)]
struct FramesPart {
    #[serde(flatten)]
    framing: Value,
    #[serde(flatten)]
    views: ViewsPart,
}

/// Which of the endless frozen views of a sample are stored.
#[derive(Serialize)]
struct ViewsPart {
    views: usize,
    /// Views that earlier generations have stored.
    drawn_before: Option<u64>,
}

#[derive(Serialize)]
struct StorePart {
    activations: &'static str,
    /// Only where activations are stored; pooled vectors are f32.
    relu: Option<bool>,
    dtype: Option<ActivationType>,
    compression: Option<Compression>,
    rows_per_part: usize,
}

#[derive(Serialize)]
struct Input<'a> {
    weights: &'a str,
    rows: &'a str,
}

/// Makes the key of one split of a module's `encode` in a round, from the keys of its `weights` and its input `rows`.
pub(in crate::stage) fn encode_key(
    pipeline: &Pipeline,
    at: At,
    boundary: &Boundary,
    split: Split,
    [weights, rows]: [&Key; 2],
) -> Result<Key> {
    let Pipeline {
        name: _,
        file: _,
        // These are in the keys of weights and rows.
        seed: _,
        data: _,
        modules: _,
        loss: _,
        training: _,
        schedule: _,
        view,
        store,
        probe: _,
        slurm: _,
    } = pipeline;
    let views = view.views_of(split);
    let is_newer = at.round > 0 && split == Split::Train;
    let drawn_before = is_newer.then_some((at.round * views) as u64);
    let framing = (at.module == 0).then(|| media::of(view).framing_key()).transpose()?;
    Key::of(&EncodeKey {
        step: "encode",
        method: METHOD_VERSION,
        split: split.name(),
        view: framing
            .map(|framing| FramesPart { framing, views: ViewsPart { views, drawn_before } }),
        store: StorePart::of(store, boundary),
        input: Input { weights: &weights.hash, rows: &rows.hash },
    })
}

/// Makes the key of what the training with the key `training` publishes of a split after `steps` steps. `weights` and
/// `rows` are the hashes of the weights and of the input rows; `drawn_before` counts the frozen views of each sample
/// that earlier generations have stored.
pub(in crate::stage) fn publish_key(
    pipeline: &Pipeline,
    at: At,
    boundary: &Boundary,
    split: Split,
    (training, steps): (&str, u64),
    drawn_before: u64,
    [weights, rows]: [&str; 2],
) -> Result<Key> {
    let Pipeline {
        name: _,
        file: _,
        // These are in the key of the training.
        seed: _,
        data: _,
        modules: _,
        loss: _,
        training: _,
        schedule: _,
        view,
        store,
        probe: _,
        slurm: _,
    } = pipeline;
    let views = view.views_of(split);
    Key::of(&PublishKey {
        step: PUBLISH,
        method: METHOD_VERSION,
        split: split.name(),
        training,
        steps,
        view: (at.module == 0).then_some(ViewsPart { views, drawn_before: Some(drawn_before) }),
        store: StorePart::of(store, boundary),
        input: Input { weights, rows },
    })
}

/// The step after which the training with the key `training` has published the generation with these settings; `None`
/// where another step or another training has written it.
pub(in crate::stage) fn published(settings: &Value, training: &str) -> Option<u64> {
    let is_ours = settings["step"] == PUBLISH && settings["training"] == training;
    settings["steps"].as_u64().filter(|_| is_ours)
}

impl StorePart {
    fn of(store: &Store, boundary: &Boundary) -> Self {
        let Store {
            dtype,
            compression,
            rows_per_part,
            // The boundary has what follows from these.
            relu: _,
            activations: _,
            max_bytes: _,
            // These change no row.
            read_memory: _,
            keep_generations: _,
            url: _,
            cache_bytes: _,
        } = store;
        let Boundary { stored, relu, why: _ } = boundary;
        Self {
            activations: if *stored { "store" } else { "recompute" },
            relu: stored.then_some(*relu),
            dtype: stored.then_some(*dtype),
            compression: stored.then_some(*compression),
            rows_per_part: *rows_per_part,
        }
    }
}
