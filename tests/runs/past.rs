//! Noise on what later modules train on, and rows of older generations among it: which weights they
//! change, and that a run that is stopped ends with the same.

use crate::tiny;
use tiny::{Tiny, three_modules};

const NOISE: [&str; 2] = ["--set", "training.input_noise=0.25"];
const ROUNDS: [&str; 6] = [
    "--set",
    "schedule.kind=rounds",
    "--set",
    "schedule.rounds=3",
    "--set",
    "schedule.epochs_per_round=2",
];
const REPLAY: [&str; 2] = ["--set", "schedule.replay=0.5"];
const RECOMPUTED: [&str; 2] = ["--set", "modules.a.activations=recompute"];
const OFTEN: [&str; 2] = ["--set", "training.checkpoint_seconds=0"];

/// Arguments, and the run directory.
fn with<'a>(args: &[&[&'a str]], run_dir: &'a str) -> Vec<&'a str> {
    [&args.concat()[..], &["--run-dir", run_dir]].concat()
}

/// Hashes of all weights that a module has been committed with, sorted.
fn weights(tiny: &Tiny, run_dir: &str, module: &str) -> Vec<String> {
    let mut all = Vec::new();
    tiny::walk(&tiny.path(&format!("{run_dir}/modules/{module}")), &mut |path| {
        if path.ends_with("weights.safetensors") {
            let bytes = std::fs::read(path).unwrap();
            let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            all.push(blake3::hash(&bytes[8 + header..]).to_string());
        }
    });
    all.sort();
    all
}

#[test]
fn noise_changes_later_modules_and_only_their_training() {
    let tiny = Tiny::with(&three_modules());
    tiny.ok("run", &with(&[], "plain"));
    tiny.ok("run", &with(&[&NOISE], "noisy"));
    assert!(tiny.tensors("plain", "a") == tiny.tensors("noisy", "a"), "it reads samples");
    assert!(tiny.tensors("plain", "b") != tiny.tensors("noisy", "b"));
    assert!(tiny.tensors("plain", "c") != tiny.tensors("noisy", "c"));
    let parts = |run_dir: &str| -> Vec<String> {
        let all = tiny.contents(run_dir).into_iter();
        all.filter(|(name, _)| name.starts_with("datasets/a/")).map(|(_, hash)| hash).collect()
    };
    assert_eq!(parts("plain"), parts("noisy"));

    // What `c` reads is what `b` makes of its input without noise: b's weights in a run that trains
    // nothing with noise make the same of it.
    let b = tiny.path("b.safetensors");
    let b = b.to_str().unwrap();
    tiny.ok("export", &[&with(&[&NOISE], "noisy")[..], &["--output", b]].concat());
    tiny.ok("ingest", &with(&[], "imported"));
    tiny.ok("import", &[&[b], &with(&[], "imported")[..]].concat());
    tiny.ok("run", &with(&[], "imported"));
    let pooled = |run_dir: &str| {
        tiny.json("probe", &with(&[if run_dir == "noisy" { &NOISE } else { &[] }], run_dir))
    };
    assert_eq!(pooled("imported"), pooled("noisy"));
}

#[test]
fn noise_is_the_same_however_a_boundary_is_read_back() {
    let tiny = Tiny::with(&three_modules());
    // Where z is stored, and in f32, that is the same as what is recomputed.
    let exact = ["--set", "store.dtype=f32", "--set", "store.relu=false"];
    tiny.ok("run", &with(&[&NOISE, &exact], "stored"));
    tiny.ok("run", &with(&[&NOISE, &exact, &RECOMPUTED], "recomputed"));
    for module in ["b", "c"] {
        assert!(tiny.tensors("stored", module) == tiny.tensors("recomputed", module), "{module}");
    }
}

#[test]
fn replay_changes_later_modules_in_later_rounds() {
    let tiny = Tiny::with(&three_modules());
    // Otherwise the first round would have gone when the last has come.
    let keep = ["--set", "store.keep_generations=4"];
    tiny.ok("run", &with(&[&ROUNDS, &keep], "newest"));
    tiny.ok("run", &with(&[&ROUNDS, &keep, &REPLAY], "replayed"));
    let of = |run_dir: &str, module: &str| weights(&tiny, run_dir, module);
    assert_eq!(of("newest", "a").len(), 3, "a round each");
    assert_eq!(of("newest", "a"), of("replayed", "a"), "it reads samples");
    let alike = |module: &str| {
        let (newest, replayed) = (of("newest", module), of("replayed", module));
        newest.iter().filter(|it| replayed.contains(it)).count()
    };
    assert_eq!(alike("b"), 1, "in the first round nothing is older");
    assert_eq!(alike("c"), 1);
}

#[test]
fn older_generations_are_recomputed_where_they_are_not_stored() {
    let tiny = Tiny::with(&three_modules());
    let exact = ["--set", "store.dtype=f32"];
    tiny.ok("run", &with(&[&ROUNDS, &REPLAY, &exact], "stored"));
    tiny.ok("run", &with(&[&ROUNDS, &REPLAY, &exact, &RECOMPUTED], "recomputed"));
    for module in ["a", "b", "c"] {
        assert_eq!(weights(&tiny, "stored", module), weights(&tiny, "recomputed", module));
    }
}

#[test]
fn a_run_with_a_past_that_is_killed_again_and_again_ends_as_one_that_is_not() {
    let tiny = Tiny::new();
    tiny.ok("run", &with(&[&ROUNDS, &REPLAY, &NOISE, &OFTEN], "whole"));
    let args = with(&[&ROUNDS, &REPLAY, &NOISE, &OFTEN], "killed");
    let kills = tiny.killed_until_done(13, "run", &args);
    assert!(kills >= 3, "only {kills} kills: the run is too short to show anything");
    assert_eq!(tiny.contents("killed"), tiny.contents("whole"), "after {kills} kills");
}
