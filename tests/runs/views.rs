//! Frozen views: several crops stored of every training sample, each row saying which it is.

use crate::tiny;
use serde_json::Value;
use tiny::{Tiny, three_modules};

/// Room for crops and flips, and three of them.
const VIEWS: [&str; 8] = [
    "--set",
    "data.textures.size=20",
    "--set",
    "view.crop=16",
    "--set",
    "view.views=3",
    "--set",
    "training.epochs=4",
];

fn inspect(tiny: &Tiny, folder: &str) -> Value {
    let mut gimlet = tiny::gimlet(&tiny.path("."));
    let output = gimlet.args(["inspect", "--json", "--rows", "1000", folder]).output().unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    document["datasets"][0].clone()
}

/// What a row says about itself: id, label, view, crop and flip.
fn keys(dataset: &Value) -> Vec<(i64, i64, [i64; 4])> {
    let rows = dataset["first_rows"].as_array().unwrap().iter();
    rows.map(|row| {
        let number = |name: &str| row[name].as_i64().unwrap();
        let attributes = ["view", "crop_top", "crop_left", "flip"].map(number);
        (number("id"), number("label"), attributes)
    })
    .collect()
}

#[test]
fn every_training_sample_is_stored_under_every_view_and_rows_say_which() {
    let tiny = Tiny::with(&three_modules());
    tiny.ok("run", &VIEWS);
    let a = inspect(&tiny, "runs/tiny/datasets/a/train");
    assert_eq!(a["attributes"], serde_json::json!(["view", "crop_top", "crop_left", "flip"]));
    let rows = keys(&a);
    assert_eq!(rows.len(), 3 * 48);
    let ids = |view: usize| -> Vec<i64> {
        rows[view * 48..(view + 1) * 48].iter().map(|row| row.0).collect()
    };
    assert_eq!((ids(0), ids(1)), (ids(1), ids(2)), "the views of a sample lie far apart");
    let mut frames = std::collections::BTreeSet::new();
    for (place, (id, label, [view, top, left, flip])) in rows.iter().enumerate() {
        assert_eq!(*view as usize, place / 48);
        assert_eq!(*label, id % 3, "a view has the label of its sample");
        assert!((0..=4).contains(top) && (0..=4).contains(left) && (0..=1).contains(flip));
        frames.insert((*top, *left, *flip));
    }
    assert!(frames.len() > 25, "{} frames", frames.len());
    let differ = (0..48).filter(|row| rows[*row].2[1..] != rows[row + 48].2[1..]).count();
    assert!(differ > 40, "{differ} of 48 samples have another frame in their second view");

    for module in ["b", "c"] {
        let later = inspect(&tiny, &format!("runs/tiny/datasets/{module}/train"));
        assert_eq!(keys(&later), rows, "{module}");
    }
    let centre = keys(&inspect(&tiny, "runs/tiny/datasets/a/test"));
    assert!(centre.len() == 24 && centre.iter().all(|row| row.2 == [0, 2, 2, 0]));
    let untrained = keys(&inspect(&tiny, "runs/tiny/untrained/b/train"));
    assert_eq!(untrained, rows[..48]);

    let (text, _) = tiny.ok("inspect", &VIEWS);
    assert!(text.contains("crop_top"), "{text}");
}

#[test]
fn more_views_make_more_rows_and_neither_more_steps_nor_another_first_module() {
    let tiny = Tiny::with(&three_modules());
    let one = [&VIEWS[..], &["--set", "view.views=1", "--run-dir", "one"]].concat();
    let three = [&VIEWS[..], &["--run-dir", "three"]].concat();
    tiny.ok("run", &one);
    tiny.ok("run", &three);
    assert!(tiny.tensors("one", "a") == tiny.tensors("three", "a"), "it draws its own crops");
    assert!(tiny.tensors("one", "b") != tiny.tensors("three", "b"));
    let first_view = |run_dir: &str| -> Vec<Value> {
        let rows = inspect(&tiny, &format!("{run_dir}/datasets/a/train"));
        rows["first_rows"].as_array().unwrap()[..48].to_vec()
    };
    assert_eq!(first_view("one"), first_view("three"), "view 0 is what a single one is");
    let steps = |run_dir: &str| {
        let log = std::fs::read_to_string(tiny.find(&format!("{run_dir}/modules/b"), "log.jsonl"));
        log.unwrap().lines().count()
    };
    assert_eq!((steps("one"), steps("three")), (24, 24));

    // Probes see one view of a sample, however many there are.
    let probe = |args: &[&str]| tiny.json("probe", args).as_array().unwrap()[0].clone();
    assert_eq!(probe(&one), probe(&three));

    let status = tiny.json("status", &[&one[..], &["--set", "view.views=2"]].concat());
    let why = |step: usize| status["stages"][step]["why"].as_str().unwrap().to_string();
    assert_eq!(status["stages"][2]["state"], "done", "train a");
    assert_eq!(why(3), "view.views: 1 -> 2");
}
