//! `gimlet compare`: variants and seeds in one table.

use crate::tiny;
use tiny::{Tiny, gimlet, text};

/// `gimlet compare ARGS` in the folder of `tiny`.
fn compare(tiny: &Tiny, args: &[&str]) -> std::process::Output {
    gimlet(&tiny.path(".")).arg("compare").args(args).output().unwrap()
}

const VARIANTS: [&str; 7] = [
    "tiny.toml",
    "--variant",
    "local:",
    "--variant",
    "end to end: split=end-to-end; training.epochs=1",
    "--seeds",
    "2",
];

#[test]
fn variants_are_trained_under_every_seed_and_only_once() {
    let tiny = Tiny::new();
    let output = compare(&tiny, &VARIANTS);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    for shown in ["variant", "local", "end to end", " ± ", "untrained", "m0"] {
        assert!(table.contains(shown), "{shown}: {table}");
    }
    let again = compare(&tiny, &[&VARIANTS[..], &["--json"]].concat());
    let err = text(&again.stderr);
    assert!(!err.contains("steps, loss"), "everything is there: {err}");
    let lines: serde_json::Value = serde_json::from_slice(&again.stdout).unwrap();
    let lines = lines.as_array().unwrap();
    assert_eq!(lines.len(), 2 * 2 + 2, "two modules, then one, each trained and not");
    for line in lines {
        assert_eq!(line["seeds"], 2);
        assert!(line["accuracy"]["deviation"].is_f64());
    }
    // A mean over what the runs themselves say.
    let of_seed = |seed: u64| {
        let seed = format!("seed={seed}");
        let run = tiny.json("run", &["--run-dir", "runs/compare/tiny", "--set", &seed]);
        run["probes"][0]["accuracy"].as_f64().unwrap()
    };
    let mean = (of_seed(5) + of_seed(6)) / 2.0;
    assert!((lines[0]["accuracy"]["mean"].as_f64().unwrap() - mean).abs() < 1e-12);

    let written = std::fs::read_to_string(tiny.path("runs/compare/compare.md")).unwrap();
    assert!(written.starts_with("| variant"), "{written}");
    assert!(tiny.path("runs/compare/compare.json").exists());
}

#[test]
fn several_pipelines_are_named_after_their_files_and_mistakes_come_before_any_work() {
    let tiny = Tiny::new();
    std::fs::copy(tiny.path("tiny.toml"), tiny.path("other.toml")).unwrap();
    let output = compare(&tiny, &["tiny.toml", "other.toml", "--set", "loss=supervised"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("other"));

    for (args, said) in [
        (&["tiny.toml", "tiny.toml"][..], "two variants are called `tiny`"),
        (&["tiny.toml", "--variant", "a: loss=guess"][..], "unknown value `guess` for `loss`"),
        (&["tiny.toml", "missing.toml"][..], "could not read the pipeline file `missing.toml`"),
    ] {
        let output = compare(&tiny, &[args, &["--run-dir", "none"]].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(text(&output.stderr).contains(said), "{}", text(&output.stderr));
    }
    assert!(!tiny.path("none").exists());
}

#[test]
fn a_variant_may_train_its_modules_at_once() {
    let tiny = Tiny::new();
    let variants = ["tiny.toml", "--variant", "in turn:", "--variant", "workers: schedule=async"];
    let output = compare(&tiny, &variants);
    let err = text(&output.stderr);
    assert!(output.status.success(), "{err}");
    assert!(err.contains("workers, seed 5 | b: train b"), "workers tell of themselves: {err}");
    let again = compare(&tiny, &variants);
    let err = text(&again.stderr);
    assert!(err.contains("2 of 2 runs done before"), "{err}");
    assert_eq!(output.stdout, again.stdout);
}
