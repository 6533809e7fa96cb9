//! The keys of what a module makes of its input: of `encode`, and of what a worker publishes as it trains.

use serde::Serialize;
use serde_json::Value;

use super::METHOD_VERSION;
use crate::pipeline::{ActivationType, Compression, Pipeline, Split, Store};
use crate::schedule::At;
use crate::stage::boundary::Boundary;
use crate::stage::key::Key;
use crate::{Result, media};

/// What [`Key::settings`] of a published generation call the step that wrote it.
const PUBLISH: &str = "publish";

#[derive(Serialize)]
struct EncodeKey<'a> {
    step: &'static str,
    method: u32,
    split: &'static str,
    /// Of what reads samples; others meet it in the key of their input.
    view: Option<FramesPart>,
    store: StorePart,
    input: Input<'a>,
}

#[derive(Serialize)]
struct PublishKey<'a> {
    step: &'static str,
    method: u32,
    split: &'static str,
    /// The key of the training that publishes it, and the steps that it had taken. The key has what frames
    /// samples.
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
    /// Those that earlier generations have had.
    drawn_before: Option<u64>,
}

#[derive(Serialize)]
struct StorePart {
    activations: &'static str,
    /// Where activations are stored; pooled vectors are f32.
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

/// The key of one split of a module's `encode` in a round; `weights` and `rows` are the keys of those.
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
        // They are in the keys of weights and rows.
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

/// The key of what a training (of such a key) publishes of a split after so many `steps`, with `weights` and `rows` of such
/// hashes, when as many frozen views as `drawn_before` have been stored of each sample.
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
        // They are in the key of the training.
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

/// The steps after which a training of this key has published what has such settings; `None` where another step
/// has written it, or another training.
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
            // What came of them is the boundary.
            relu: _,
            activations: _,
            max_bytes: _,
            // They change no row.
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
