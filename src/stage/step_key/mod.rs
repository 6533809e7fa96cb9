//! The keys of steps: what each is made of.

use serde::Serialize;
use serde_json::{Value, json};

use super::boundary::Boundary;
use super::key::Key;
use super::plan::At;
use crate::pipeline::{Pipeline, Rounds, Schedule, Short, Split, View};
use crate::{Error, Result};

/// Raised when a step would compute something else from the same settings: what was made before is
/// stale then.
pub(super) const METHOD_VERSION: u32 = 4;

/// `value` as JSON, its numbers written as briefly as they were in the pipeline file.
pub(super) fn json_of<T: Serialize>(value: &T) -> Result<Value> {
    let text = serde_json::to_string(value).and_then(|text| serde_json::from_str(&text));
    text.map_err(|error| Error::failed(format!("could not describe the settings: {error}")))
}

/// What turns an ingested sample into what the first module sees.
pub(super) fn framing(view: &View) -> Result<Value> {
    Ok(match view {
        View::Images(view) => json!({
            "crop": view.crop, "flip": view.flip, "patch": view.patch, "stride": view.stride,
            "mean": json_of(&view.mean)?, "std": json_of(&view.std)?,
        }),
        View::Sound(view) => json!({
            "window": view.window, "hop": view.hop, "normalise": json_of(&view.normalise)?,
        }),
    })
}

/// `rows` are the keys of the generations that are read, `before` that of the round before, and `held_out`
/// that of the test split.
pub(super) fn train_key(
    pipeline: &Pipeline,
    at: At,
    view: &Value,
    rows: &[&Key],
    before: Option<&Key>,
    held_out: &Key,
) -> Result<Key> {
    let module = &pipeline.modules[at.module];
    let mut training = json!({ "batch": pipeline.training.batch });
    if let Some(samples) = pipeline.training.micro_batch {
        training["micro_batch"] = samples.into();
    }
    // What the first module reads is not stored activations.
    if at.module > 0 && pipeline.training.input_noise > 0.0 {
        training["input_noise"] = json_of(&pipeline.training.input_noise)?;
    }
    let mut settings = json_of(module)?;
    let mut key = json!({
        "step": "train", "method": METHOD_VERSION, "seed": pipeline.seed, "view": view,
        "loss": json_of(&pipeline.loss)?,
        "input": rows[0].hash,
    });
    match &pipeline.schedule {
        Schedule::Sequential { patience } => {
            if let Some(patience) = patience {
                training["patience"] = (*patience).into();
                key["input"] = json!({ "rows": rows[0].hash, "held_out": held_out.hash });
            }
        }
        Schedule::Rounds(Rounds { epochs_per_round, replay, .. }) => {
            // So that more rounds go on from those that are there.
            settings["epochs"] = (epochs_per_round * (at.round + 1)).into();
            key["schedule"] = json!({ "kind": "rounds", "epochs_per_round": epochs_per_round });
            key["input"] = json!({ "rows": rows[0].hash, "before": before.map(|it| &it.hash) });
            if let [_, older @ ..] = rows
                && !older.is_empty()
            {
                key["schedule"]["replay"] = json_of(replay)?;
                key["input"]["replayed"] = older.iter().map(|it| it.hash.as_str()).collect();
            }
        }
        Schedule::Simultaneous => {
            // One training, whose checkpoint has them all: what changes one changes it.
            let names = pipeline.modules.iter().map(|it| it.name.as_str()).collect::<Value>();
            key["schedule"] = json!({ "kind": "simultaneous", "modules": names });
            key["module"] = json!(module.name);
            for module in &pipeline.modules {
                key["modules"][&module.name] = json_of(module)?;
            }
        }
        Schedule::Async(_) => key["schedule"] = json_of(&pipeline.schedule)?,
    }
    if key["modules"].is_null() {
        key["modules"] = json!({ &module.name: settings });
    }
    key["training"] = training;
    Ok(Key::of(key))
}

/// `input` are the keys of the weights and of the rows.
pub(super) fn encode_key(
    pipeline: &Pipeline,
    at: At,
    boundary: &Boundary,
    view: &Value,
    split: Split,
    [weights, rows]: [&Key; 2],
) -> Result<Key> {
    let rows_per_part = pipeline.store.rows_per_part;
    let store = match boundary {
        Boundary { stored: true, relu, .. } => json!({
            "activations": "store", "relu": relu, "rows_per_part": rows_per_part,
            "dtype": json_of(&pipeline.store.dtype)?,
            "compression": json_of(&pipeline.store.compression)?,
        }),
        _ => json!({ "activations": "recompute", "rows_per_part": rows_per_part }),
    };
    let mut view = view.clone();
    if at.module == 0 {
        view["views"] = json!(pipeline.view.views_of(split));
        if at.round > 0 && split == Split::Train {
            view["drawn_before"] = json!(at.round * pipeline.view.views_of(split));
        }
    }
    Ok(Key::of(json!({
        "step": "encode", "method": METHOD_VERSION, "split": split.name(), "view": view,
        "store": store,
        "input": { "weights": weights.hash, "rows": rows.hash },
    })))
}

pub(super) fn ingest_key(pipeline: &Pipeline, split: Split, source: Value) -> Result<Key> {
    let data = &pipeline.data;
    let view = match &pipeline.view {
        View::Images(view) => json!({ "resize": view.resize, "grayscale": view.grayscale }),
        // What is too short for a window may be left out.
        View::Sound(view) => json!({
            "rate": view.rate, "clip": view.clip, "hop": view.hop,
            "window": (view.short == Short::Skip).then_some(view.window),
        }),
    };
    Ok(Key::of(json!({
        "step": "ingest", "method": METHOD_VERSION, "seed": pipeline.seed, "split": split.name(),
        "data": {
            "source": json_of(&data.source)?, "subset": data.subset_of(split),
            "on_bad_sample": json_of(&data.on_bad_sample)?,
        },
        "view": view,
        "store": { "rows_per_part": pipeline.store.rows_per_part },
        "source": source,
    })))
}
