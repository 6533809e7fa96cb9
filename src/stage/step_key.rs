//! The keys of steps, and what each key is made of.
//!
//! A function for each struct of settings takes it apart without `..`: a new setting does not compile until it is said
//! there which keys hold it. Settings that change no result, bit for bit, are in no key.

use serde_json::{Map, Value, json};

use super::boundary::Boundary;
use super::key::Key;
use crate::loss::Recipe;
use crate::pipeline::settings::{ActivationFiles, RowLabels};
use crate::pipeline::{
    Data, Files, Medium, Module, PerSplit, Pipeline, Probe, Source, Split, Store, Textures,
    Training, View, json_of,
};
use crate::schedule::{At, Schedule};
use crate::{Result, media};

/// Version of the methods of all steps. Raise it when a step would compute something else from the same settings: then
/// earlier results become stale.
const METHOD_VERSION: u32 = 4;

/// Name of the step in the [`Key::settings`] of a published generation.
const PUBLISH: &str = "publish";

/// Makes the key of one split of `ingest`; `source` describes the content of its source.
pub(super) fn ingest_key(pipeline: &Pipeline, split: Split, source: Value) -> Result<Key> {
    let Held { seed, data, view, store, .. } = held(pipeline);
    Key::of(&json!({
        "step": "ingest",
        "method": METHOD_VERSION,
        "split": split.name(),
        "seed": seed,
        "data": of_data(data, split)?,
        "view": media::of(view).ingest_key(&data.source),
        "store": of_store(store, None),
        "source": source,
    }))
}

/// Makes the key of one split of `untrained`, from the keys of the ingested samples. `computes` says of each module what
/// it computes.
pub(super) fn untrained_key(
    pipeline: &Pipeline,
    computes: &[Value],
    split: Split,
    ingest: &PerSplit<Key>,
) -> Result<Key> {
    let Held { seed, view, modules, store, .. } = held(pipeline);
    let mut stack = Map::new();
    for (place, (module, computes)) in modules.iter().zip(computes).enumerate() {
        // Each module reads what its predecessor makes.
        let mut of_module = computes.clone();
        of_module["place"] = place.into();
        stack.insert(module.name.clone(), of_module);
    }
    // The training split, where samples are normalised by its statistics.
    let by_training = media::of(view).is_normalised_by_training() && split == Split::Test;
    Key::of(&json!({
        "step": "untrained",
        "method": METHOD_VERSION,
        "split": split.name(),
        "seed": seed,
        "view": media::of(view).framing_key()?,
        "modules": stack,
        "store": of_store(store, None),
        "input": {
            "rows": ingest[split].hash,
            "normalised_by": by_training.then_some(&ingest.train.hash),
        },
    }))
}

/// The keys of what a training reads.
pub(super) struct Reads<'a> {
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

/// Makes the key of a module's training in a round. `computes` says of each module what it computes.
pub(super) fn train_key(
    pipeline: &Pipeline,
    computes: &[Value],
    at: At,
    reads: &Reads<'_>,
) -> Result<Key> {
    let Held { seed, view, modules, loss, training, schedule, store, .. } = held(pipeline);
    let (module, reads_stored) = (&modules[at.module], at.module > 0);
    let in_one_piece = schedule.is_in_one_pass();
    let mut trained = Map::new();
    if in_one_piece {
        // A change to one module changes the checkpoint of all.
        for (place, (module, computes)) in modules.iter().zip(computes).enumerate() {
            let of_module = of_module(module, computes, Some(place), module.epochs);
            trained.insert(module.name.clone(), of_module);
        }
    } else {
        // Epochs are counted from the first round, so that more rounds go on from the existing ones.
        let epochs = pipeline.epochs_per_round(at.module) * (at.round + 1);
        let computes = &computes[at.module];
        trained.insert(module.name.clone(), of_module(module, computes, None, epochs));
    }
    let older: Vec<&str> = reads.older.iter().map(|it| it.hash.as_str()).collect();
    let generations = match schedule.publishing() {
        // The generations to replay come and go.
        Some(_) => (reads_stored && schedule.replay() > 0.0).then_some(store.keep_generations),
        None => (!older.is_empty()).then_some(older.len() + 1),
    };
    // Other modules have the view in the key of their input.
    let reads_samples = !reads_stored || in_one_piece;
    Key::of(&json!({
        "step": "train",
        "method": METHOD_VERSION,
        "seed": seed,
        "view": reads_samples.then(|| media::of(view).framing_key()).transpose()?,
        "loss": json_of(loss)?,
        "module": in_one_piece.then_some(&module.name),
        "modules": trained,
        "training": of_training(training, reads_stored),
        "schedule": schedule.key(generations.is_some()),
        "store": { "keep_generations": generations },
        "input": {
            "rows": reads.rows.hash,
            "older": older,
            "before": reads.before.map(|it| &it.hash),
            // Only where early stopping uses it.
            "held_out": schedule.patience().map(|_| &reads.held_out.hash),
            // Both splits determine the number of classes.
            "test_samples": pipeline.reads_labels().then_some(&reads.test_samples.hash),
        },
    }))
}

/// Makes the key of one split of a module's `encode` in a round, from the keys of its `weights` and its input `rows`.
pub(super) fn encode_key(
    pipeline: &Pipeline,
    at: At,
    boundary: &Boundary,
    split: Split,
    [weights, rows]: [&Key; 2],
) -> Result<Key> {
    let Held { view, store, .. } = held(pipeline);
    // Only where the module reads samples; other modules have it in the key of their input.
    let mut framed = Value::Null;
    if at.module == 0 {
        let views = view.views_of(split);
        let is_newer = at.round > 0 && split == Split::Train;
        framed = media::of(view).framing_key()?;
        framed["views"] = views.into();
        framed["drawn_before"] = json!(is_newer.then_some(at.round * views));
    }
    Key::of(&json!({
        "step": "encode",
        "method": METHOD_VERSION,
        "split": split.name(),
        "view": framed,
        "store": of_store(store, Some(boundary)),
        "input": { "weights": weights.hash, "rows": rows.hash },
    }))
}

/// Makes the key of what the training with the key `training` publishes of a split after `steps` steps. `weights` and
/// `rows` are the hashes of the weights and of the input rows; `drawn_before` counts the frozen views of each sample
/// that earlier generations have stored.
pub(super) fn publish_key(
    pipeline: &Pipeline,
    at: At,
    boundary: &Boundary,
    split: Split,
    (training, steps): (&str, u64),
    drawn_before: u64,
    [weights, rows]: [&str; 2],
) -> Result<Key> {
    // The key of the training has the framing of samples.
    let Held { view, store, .. } = held(pipeline);
    let views = json!({ "views": view.views_of(split), "drawn_before": drawn_before });
    Key::of(&json!({
        "step": PUBLISH,
        "method": METHOD_VERSION,
        "split": split.name(),
        "training": training,
        "steps": steps,
        "view": (at.module == 0).then_some(views),
        "store": of_store(store, Some(boundary)),
        "input": { "weights": weights, "rows": rows },
    }))
}

/// The step after which the training with the key `training` has published the generation with these settings; `None`
/// where another step or another training has written it.
pub(super) fn published(settings: &Value, training: &str) -> Option<u64> {
    let is_ours = settings["step"] == PUBLISH && settings["training"] == training;
    settings["steps"].as_u64().filter(|_| is_ours)
}

/// Makes the key of a module's probe, from the keys of its datasets and those of the untrained stack.
pub(super) fn probe_key(
    pipeline: &Pipeline,
    encoded: &PerSplit<Key>,
    untrained: &PerSplit<Key>,
) -> Result<Key> {
    let Held { seed, loss, training, probe, .. } = held(pipeline);
    let Probe { epochs, batch, learning_rate } = probe;
    Key::of(&json!({
        "step": "probe",
        "method": METHOD_VERSION,
        "seed": seed,
        "probe": { "epochs": epochs, "batch": batch, "learning_rate": learning_rate },
        // The module's own loss is computed on batches of this size.
        "loss": json_of(loss)?,
        "training": { "batch": training.batch },
        "input": {
            "train": encoded.train.hash,
            "test": encoded.test.hash,
            "untrained_train": untrained.train.hash,
            "untrained_test": untrained.test.hash,
        },
    }))
}

/// The settings of a pipeline that keys hold. What a step does not find here is in the keys of its inputs.
struct Held<'a> {
    seed: u64,
    data: &'a Data,
    view: &'a View,
    modules: &'a [Module],
    loss: &'a dyn Recipe,
    training: &'a Training,
    schedule: &'a dyn Schedule,
    store: &'a Store,
    probe: &'a Probe,
}

fn held(pipeline: &Pipeline) -> Held<'_> {
    let Pipeline {
        // Where something is stored does not change its content.
        name: _,
        file: _,
        text: _,
        seed,
        data,
        view,
        modules,
        loss,
        training,
        schedule,
        store,
        probe,
        // The resources that a cluster is asked for.
        slurm: _,
    } = pipeline;
    let (loss, schedule) = (loss.as_ref(), schedule.as_ref());
    Held { seed: *seed, data, view, modules, loss, training, schedule, store, probe }
}

/// What the key of `ingest` holds of the data.
fn of_data(data: &Data, split: Split) -> Result<Value> {
    let Data { source, subset, test_subset, on_bad_sample } = data;
    let of_split = |split_of: Split, value: usize| (split_of == split).then_some(value);
    let mut held = match source {
        Source::Files(files) => of_files(files),
        Source::Textures(textures) => {
            let Textures { classes, size, train, test, noise } = textures;
            json!({
                "textures": {
                    "classes": classes,
                    "size": size,
                    "train": of_split(Split::Train, *train),
                    "test": of_split(Split::Test, *test),
                    "noise": json_of(noise)?,
                },
            })
        }
        Source::Activations(files) => of_activations(files),
        // Everything else is in `source`.
        Source::Own(_) => json!({ "own": source.further() }),
    };
    held["subset"] = json!(subset.and_then(|it| of_split(Split::Train, it)));
    held["test_subset"] = json!(test_subset.and_then(|it| of_split(Split::Test, it)));
    held["on_bad_sample"] = json!(on_bad_sample);
    Ok(held)
}

/// What the key of `ingest` holds of activations.
fn of_activations(files: &ActivationFiles) -> Value {
    let ActivationFiles {
        // The paths of the data. The files themselves are in `source`.
        train: _,
        test: _,
        hold_out,
        root: _,
        column,
        labels,
    } = files;
    let labels = match labels {
        RowLabels::IfThere => json!("if there"),
        RowLabels::Without => json!(false),
        RowLabels::Column(name) => json!(name),
        RowLabels::Csv(_) => json!("a CSV file"),
    };
    json!({ "activations": column, "label": labels, "hold_out": hold_out })
}

/// What the key of `ingest` holds of files of samples.
fn of_files(files: &Files) -> Value {
    let Files {
        // The paths of the data. The files themselves are in `source`.
        train: _,
        test: _,
        hold_out,
        root: _,
        medium,
        column,
        label,
        further,
        frames,
        alignments,
        labels,
        names,
    } = files;
    let column = |of: Medium| (*medium == of).then_some(column);
    // As a pipeline file has the columns of the labels. Their order is that of the probes.
    let label = match (label, further.as_slice()) {
        (None, _) => json!(false),
        (Some(first), []) => json!(first),
        (Some(first), further) => json!([std::slice::from_ref(first), further].concat()),
    };
    json!({
        "image": column(Medium::Image),
        "audio": column(Medium::Sound),
        "label": label,
        "frames": frames,
        "alignments": alignments.as_ref().map(|_| "text files"),
        "labels": labels.as_ref().map(|_| "a CSV file"),
        "names": names,
        "hold_out": hold_out,
    })
}

/// What the key of `train` holds of a module that trains for `epochs`. `place` is its place in the stack, where several
/// modules train in one piece.
fn of_module(module: &Module, computes: &Value, place: Option<usize>, epochs: usize) -> Value {
    // `computes` has the body. Whether its activations are stored does not change its training.
    let Module { name: _, body: _, epochs: _, learning_rate, activations: _ } = module;
    let mut held = computes.clone();
    held["place"] = json!(place);
    held["epochs"] = json!(epochs);
    held["learning_rate"] = json!(learning_rate);
    held
}

/// What the key of `train` holds of the training. `reads_stored`: the module reads stored activations.
fn of_training(training: &Training, reads_stored: bool) -> Value {
    let Training {
        // The modules' own values count.
        epochs: _,
        learning_rate: _,
        batch,
        micro_batch,
        input_noise,
        // How the work is done.
        recompute: _,
        checkpoint_seconds: _,
        // What is logged during a training.
        held_out: _,
    } = training;
    let input_noise = (reads_stored && *input_noise > 0.0).then_some(input_noise);
    json!({ "batch": batch, "micro_batch": micro_batch, "input_noise": input_noise })
}

/// What the key of a dataset holds of the store. `boundary` says whether its activations are stored, where it is made
/// of a module's output. Samples are stored as they are, and pooled vectors are f32.
fn of_store(store: &Store, boundary: Option<&Boundary>) -> Value {
    let Store {
        dtype,
        compression,
        rows_per_part,
        // The boundary has what follows from these.
        relu: _,
        activations: _,
        max_bytes: _,
        // What is cleaned up. The key of `train` has it, where older generations are replayed.
        keep_generations: _,
        // How the work is done, and where its results lie.
        read_memory: _,
        cache_bytes: _,
        url: _,
    } = store;
    let Some(Boundary { stored, relu, why: _ }) = boundary else {
        return json!({ "rows_per_part": rows_per_part });
    };
    json!({
        "activations": if *stored { "store" } else { "recompute" },
        "relu": stored.then_some(relu),
        "dtype": stored.then_some(dtype),
        "compression": stored.then_some(compression),
        "rows_per_part": rows_per_part,
    })
}
