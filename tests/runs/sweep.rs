//! `gimlet sweep`: variants and seeds that share what they have in common.

use crate::tiny;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, UInt64Type};
use gimlet::Kind;
use gimlet::sweep::{Seeds, Sweep};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use tiny::{Held, Tiny, gimlet, text};

/// Two losses, of which each has a first module that two runs share under each of two seeds.
const SWEEP: &str = r#"
name = "tiny-sweep"
pipeline = "tiny.toml"
seeds = 2
baseline = "infonce, modules.b.epochs=2"

[set]
training.epochs = 1

[grid]
modules.b.epochs = [1, 2]

[[variants]]
name = "infonce"

[[variants]]
name = "clapp"
set = { loss = { clapp = { prediction_steps = 1 } } }
"#;

const RUN_DIR: &str = "runs/sweeps/tiny";

fn tiny_with(sweep: &str) -> Tiny {
    let tiny = Tiny::new();
    std::fs::write(tiny.path("sweep.toml"), sweep).unwrap();
    tiny
}

/// `gimlet sweep sweep.toml ARGS`.
fn sweep(tiny: &Tiny, args: &[&str]) -> Output {
    gimlet(&tiny.path(".")).args(["sweep", "sweep.toml"]).args(args).output().unwrap()
}

/// The same, which must end well; what it printed.
fn ok(tiny: &Tiny, args: &[&str]) -> (String, String) {
    let output = sweep(tiny, args);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{args:?}: {err}");
    (out, err)
}

fn document(tiny: &Tiny, args: &[&str]) -> Value {
    serde_json::from_str(&ok(tiny, &[args, &["--json"]].concat()).0).unwrap()
}

/// The numbers of the records in a folder of the run directory.
fn records(tiny: &Tiny, folder: &str) -> Vec<u64> {
    let names = std::fs::read_dir(tiny.path(RUN_DIR).join(folder)).into_iter().flatten();
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
    let numbers =
        names.map(name).filter_map(|name| name.to_str()?.strip_suffix(".json")?.parse().ok());
    let mut numbers: Vec<u64> = numbers.collect();
    numbers.sort_unstable();
    numbers
}

/// What the file of results holds.
fn results(path: &Path) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    assert_eq!(batches.len(), 1);
    batches[0].clone()
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> &'a dyn Array {
    batch.column_by_name(name).unwrap_or_else(|| panic!("{name}: {:?}", batch.schema())).as_ref()
}

#[test]
fn what_runs_share_is_done_once_and_told_in_one_table() {
    let tiny = tiny_with(SWEEP);
    let (out, err) = ok(&tiny, &[]);
    assert_eq!(records(&tiny, "modules/a").len(), 4, "two losses and seeds: {err}");
    assert_eq!(records(&tiny, "modules/b").len(), 8, "every run has its own: {err}");
    assert_eq!(records(&tiny, "sweeps/results").len(), 8);
    assert!(err.contains("clapp, modules.b.epochs=2, seed 6 | train b"), "{err}");

    let lines: Vec<&str> = out.lines().collect();
    let header: Vec<&str> =
        lines[0].split("  ").map(str::trim).filter(|it| !it.is_empty()).collect();
    let expected = [
        "variant",
        "modules",
        "seeds",
        "accuracy",
        "k-NN",
        "difference",
        "loss",
        "seconds",
        "memory",
        "written",
    ];
    assert_eq!(header, expected);
    let variants: Vec<&str> = lines[1..5].iter().map(|it| it.split("  ").next().unwrap()).collect();
    let names = [
        "infonce, modules.b.epochs=1",
        "infonce, modules.b.epochs=2",
        "clapp, modules.b.epochs=1",
        "clapp, modules.b.epochs=2",
    ];
    assert_eq!(variants, names);
    assert_eq!(lines[1].matches(" ± ").count(), 4, "accuracy, k-NN, difference and loss: {out}");
    assert_eq!(lines[2].matches(" ± ").count(), 3, "of the baseline there is no difference: {out}");
    assert!(out.contains("difference: in points of accuracy from `infonce, modules.b.epochs=2`"));

    let folder = tiny.path(RUN_DIR).join("sweeps/tiny-sweep");
    let table = std::fs::read_to_string(folder.join("table.md")).unwrap();
    assert!(
        table.starts_with("| variant") && names.iter().all(|name| table.contains(name)),
        "{table}"
    );
    let plot = std::fs::read_to_string(folder.join("plot.svg")).unwrap();
    assert!(names.iter().all(|name| plot.contains(name)), "{plot}");
    assert_eq!(plot.matches("<circle").count(), 8, "a dot a run: {plot}");
    assert!(plot.contains("accuracy of the last module (%)"));

    // A second time nothing is to be done.
    let (again, err) = ok(&tiny, &["--all-modules"]);
    assert!(again.starts_with(&out), "{again}");
    assert_eq!(
        again.matches("  untrained ").count(),
        2 * 4,
        "every module of every variant: {again}"
    );
    assert!(err.contains("8 of 8 runs done before") && !err.contains(" | "), "{err}");
    assert_eq!(records(&tiny, "modules/b").len(), 8);
}

#[test]
fn the_file_of_results_says_what_the_document_says() {
    let tiny = tiny_with(SWEEP);
    let document = document(&tiny, &["--quiet"]);
    let batch = results(&tiny.path(RUN_DIR).join("sweeps/tiny-sweep/results.parquet"));
    let names: Vec<String> = batch.schema().fields().iter().map(|it| it.name().clone()).collect();
    let expected = [
        "sweep",
        "pipeline",
        "variant",
        "modules.b.epochs",
        "seed",
        "module",
        "module_index",
        "modules",
        "kind",
        "accuracy",
        "knn",
        "loss",
        "chance_loss",
        "seconds",
        "wait_share",
        "peak_memory",
        "bytes",
        "run_seconds",
        "settings",
    ];
    assert_eq!(names, expected);
    assert_eq!(batch.num_rows(), 8 * 2 * 2, "runs, modules, kinds");

    let texts = |name: &str| column(&batch, name).as_string::<i32>().clone();
    let numbers = |name: &str| column(&batch, name).as_primitive::<Float64Type>().clone();
    let (variants, modules, kinds) = (texts("variant"), texts("module"), texts("kind"));
    let (accuracy, seconds) = (numbers("accuracy"), numbers("seconds"));
    let seeds = column(&batch, "seed").as_primitive::<UInt64Type>().clone();
    // The accuracy of the last module under a seed, and the seconds of all.
    let of = |variant: &str, seed: u64| {
        let rows: Vec<usize> = (0..batch.num_rows())
            .filter(|row| variants.value(*row) == variant && seeds.value(*row) == seed)
            .filter(|row| kinds.value(*row) == "trained")
            .collect();
        assert_eq!(rows.len(), 2);
        assert_eq!((modules.value(rows[0]), modules.value(rows[1])), ("a", "b"));
        (accuracy.value(rows[1]), rows.iter().map(|row| seconds.value(*row)).sum::<f64>())
    };
    let found = document["variants"].as_array().unwrap();
    assert_eq!(found.len(), 4);
    for it in found {
        let name = it["variant"].as_str().unwrap();
        let near = |value: &Value, expected: f64| {
            let value = value.as_f64().unwrap();
            assert!((value - expected).abs() < 1e-9, "{name}: {value} {expected}");
        };
        let (five, six) = (of(name, 5), of(name, 6));
        near(&it["accuracy"]["mean"], (five.0 + six.0) / 2.0);
        near(&it["seconds"], (five.1 + six.1) / 2.0);
        assert!(five.1 > 0.0, "also where another run had trained the first module");
        if name == "infonce, modules.b.epochs=2" {
            assert!(it["difference"].is_null());
            continue;
        }
        let base = |seed| of("infonce, modules.b.epochs=2", seed).0;
        let (of_five, of_six) = (five.0 - base(5), six.0 - base(6));
        near(&it["difference"]["mean"], (of_five + of_six) / 2.0);
        near(&it["difference"]["deviation"], (of_five - of_six).abs() / 2f64.sqrt());
    }
    let settings = texts("settings");
    let settings: Vec<String> = serde_json::from_str(settings.value(batch.num_rows() - 1)).unwrap();
    assert_eq!(
        settings,
        [
            "training.epochs=1",
            "loss={ clapp = { prediction_steps = 1 } }",
            "modules.b.epochs=2",
            "seed=6"
        ]
    );
    let grid = texts("modules.b.epochs");
    assert_eq!((grid.value(0), grid.value(batch.num_rows() - 1)), ("1", "2"));
}

#[test]
fn two_at_once_find_what_one_after_the_other_find() {
    let tiny = tiny_with(SWEEP);
    let found = |args: &[&str]| -> Vec<(Value, Value, Value)> {
        let document = document(&tiny, args);
        let variants = document["variants"].as_array().unwrap();
        let found =
            |it: &Value| (it["variant"].clone(), it["accuracies"].clone(), it["losses"].clone());
        variants.iter().map(found).collect()
    };
    let together = found(&["--jobs", "3"]);
    assert_eq!(records(&tiny, "modules/a").len(), 4, "who comes second waits");
    assert_eq!(records(&tiny, "modules/b").len(), 8);
    assert_eq!(together, found(&["--run-dir", "one-by-one"]));
}

#[test]
fn datasets_go_when_no_run_still_to_come_needs_them() {
    let grid = "pipeline = \"tiny.toml\"\nseeds = 2\n[grid]\nmodules.b.epochs = [1, 2]\n";
    let tiny = tiny_with(grid);
    ok(&tiny, &[]);
    // One more would have been made if what the second variant shares had gone too early.
    for dataset in ["datasets/ingest/train", "datasets/a/train", "untrained/b/test"] {
        assert_eq!(records(&tiny, dataset), [2], "{dataset}");
    }
    assert_eq!(records(&tiny, "datasets/b/train"), [4]);
    assert_eq!(records(&tiny, "modules/b"), [1, 2, 3, 4], "trainings stay");

    let kept = tiny_with(grid);
    ok(&kept, &["--keep"]);
    assert_eq!(records(&kept, "datasets/a/train"), [1, 2]);
    assert_eq!(records(&kept, "datasets/b/train"), [1, 2, 3, 4]);
    // Later they may go as well.
    ok(&kept, &[]);
    assert_eq!(records(&kept, "datasets/b/train"), [4]);
}

#[test]
fn a_run_that_fails_keeps_none_of_the_others() {
    let tiny = tiny_with(
        r#"
        pipeline = "tiny.toml"
        baseline = "good"
        [[variants]]
        name = "too large"
        set = { store.max_bytes = 1000, training.epochs = 1 }
        [[variants]]
        name = "good"
        "#,
    );
    let output = sweep(&tiny, &[]);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("error: 1 of 2 runs failed:\ntoo large, seed 5: "), "{err}");
    assert!(err.contains("store.max_bytes"), "{err}");
    assert!(err.contains("run the same command again"), "{err}");
    assert!(out.contains("good") && !out.contains("too large"), "{out}");
    assert_eq!(results(&tiny.path(RUN_DIR).join("sweeps/sweep/results.parquet")).num_rows(), 4);

    let output = sweep(&tiny, &["--json", "--quiet"]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["failed"][0]["variant"], "too large");
    assert_eq!(document["variants"].as_array().unwrap().len(), 1);
    let err = text(&output.stderr);
    assert!(err.starts_with("error: 1 of 2 runs failed"), "quiet but for that: {err}");
}

#[test]
fn a_dry_run_tells_what_is_done_and_shared_and_leaves_nothing() {
    let tiny = tiny_with("pipeline = \"tiny.toml\"\n[grid]\nmodules.b.epochs = [1, 2]\n");
    let steps = |args: &[&str]| -> Vec<[u64; 4]> {
        let document = document(&tiny, &[args, &["--dry-run"]].concat());
        let runs = document["runs"].as_array().unwrap();
        let of = |run: &Value| {
            ["steps", "done", "shared", "left"].map(|name| run["steps"][name].as_u64().unwrap())
        };
        runs.iter().map(of).collect()
    };
    // The second run trains, encodes and probes another second module.
    assert_eq!(steps(&[]), [[8, 0, 0, 8], [8, 0, 5, 3]]);
    assert!(!tiny.path("runs").exists(), "looking leaves nothing behind");
    let (out, _) = ok(&tiny, &["--dry-run"]);
    assert!(out.contains("2 of 2 runs to do, with 11 steps"), "{out}");

    tiny.ok("run", &["--run-dir", RUN_DIR, "--set", "modules.b.epochs=1"]);
    assert_eq!(steps(&[]), [[8, 8, 0, 0], [8, 5, 0, 3]]);
    let (_, err) = ok(&tiny, &[]);
    assert_eq!(records(&tiny, "modules/b").len(), 2, "{err}");
    assert_eq!(records(&tiny, "modules/a").len(), 1, "{err}");
    assert_eq!(steps(&[]), [[8, 8, 0, 0], [8, 8, 0, 0]]);
}

/// A sweep that is held at some operation of its own, or of one of its runs.
#[cfg(unix)]
fn held(tiny: &Tiny, at: &str) -> Option<Held> {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("gimlet"));
    command.current_dir(tiny.path(".")).args(["--threads", "1", "sweep", "sweep.toml"]);
    command.args(["--jobs", "2"]).stdout(Stdio::null()).stderr(Stdio::null());
    Held::begin(&mut command, at)
}

#[cfg(unix)]
const LONG: &str = "pipeline = \"tiny.toml\"\nseeds = 2\n[set]\ntraining.epochs = 8\n\
                    training.checkpoint_seconds = 0\n[grid]\nmodules.b.epochs = [6, 7, 8]\n";

/// Every training and probe of [`LONG`] is there, and none twice.
#[cfg(unix)]
fn assert_once(tiny: &Tiny) {
    assert_eq!(records(tiny, "modules/a"), [1, 2]);
    assert_eq!(records(tiny, "modules/b"), [1, 2, 3, 4, 5, 6]);
    assert_eq!(records(tiny, "probes/b"), [1, 2, 3, 4, 5, 6]);
    assert_eq!(records(tiny, "sweeps/results"), [1, 2, 3, 4, 5, 6]);
    for dataset in ["datasets/ingest/train", "datasets/a/train", "untrained/a/train"] {
        assert_eq!(records(tiny, dataset), [2], "{dataset}");
    }
}

#[cfg(unix)]
#[test]
fn a_sweep_that_is_killed_goes_on_where_it_was() {
    let tiny = tiny_with(LONG);
    let Some(sweep) = held(&tiny, "link sweeps/results/00000003") else { return };
    sweep.kill();
    let before = records(&tiny, "sweeps/results").len();
    assert_eq!(before, 2);
    // Runs that were at work end by themselves; those of the new sweep wait for them.
    let (_, err) = ok(&tiny, &[]);
    assert!(err.contains(&format!("{before} of 6 runs done before")), "{err}");
    assert_once(&tiny);
}

#[cfg(unix)]
#[test]
fn a_sweep_that_is_asked_to_stop_asks_its_runs() {
    let tiny = tiny_with(LONG);
    // Each of its runs is held there, until it is asked to stop.
    let Some(sweep) = held(&tiny, "create log.jsonl") else { return };
    sweep.signal(rustix::process::Signal::TERM);
    assert_eq!(sweep.output().status.code(), Some(75));
    let locks = std::fs::read_dir(tiny.path(RUN_DIR).join("locks")).unwrap();
    let names = locks.map(|it| it.unwrap().file_name().into_string().unwrap());
    let at_work: Vec<String> = names.filter(|it| it.starts_with("needs-")).collect();
    assert!(at_work.is_empty(), "it waits for its runs: {at_work:?}");
    ok(&tiny, &[]);
    assert_once(&tiny);
}

#[test]
fn a_sweep_file_becomes_variants() {
    let parse = |text: &str| Sweep::parse(text, Path::new("sweeps/one.toml"), &[]).unwrap();
    let bare = parse("pipeline = \"../x.toml\"");
    assert_eq!(bare.name, "one");
    assert_eq!(bare.pipeline, Path::new("sweeps/../x.toml"));
    assert_eq!((bare.seeds, bare.baseline), (Seeds::Count(1), 0));
    assert_eq!((bare.variants.len(), bare.variants[0].name.as_str()), (1, "one"));
    assert!(bare.variants[0].overrides.is_empty());

    let text = r#"
        name = "all"
        pipeline = "x.toml"
        seeds = [3, 0x10]
        baseline = "b, split=[2, 1], training.batch=8"

        [grid]
        split = ["each", [2,
            1]]
        "training.batch" = [8]

        [set.training]
        epochs = 4
        [set]
        view.normalise = { mean = [0.5], std = [0.5] }

        [[variants]]
        name = "a"
        set = { loss = { clapp = { negatives = 2 } }, probe.epochs = 1_0 }

        [[variants]]
        name = "b"
        set.data.root = '/a b'
    "#;
    let sweep = parse(text);
    assert_eq!(sweep.seeds, Seeds::These(vec![3, 16]));
    assert_eq!(sweep.grid, ["split", "training.batch"]);
    let names: Vec<&str> = sweep.variants.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "a, split=each, training.batch=8",
            "a, split=[2, 1], training.batch=8",
            "b, split=each, training.batch=8",
            "b, split=[2, 1], training.batch=8",
        ]
    );
    assert_eq!(sweep.baseline, 3);
    assert_eq!(sweep.variants[3].grid, ["[2, 1]", "8"]);
    let common = ["training.epochs=4", "view.normalise={ mean = [0.5], std = [0.5] }"];
    let first = &sweep.variants[0].overrides;
    assert_eq!(first[..2], common);
    assert_eq!(
        first[2..],
        [
            "loss={ clapp = { negatives = 2 } }",
            "probe.epochs=1_0",
            "split=\"each\"",
            "training.batch=8"
        ]
    );
    let last = &sweep.variants[3].overrides;
    assert_eq!(last[2], "data.root='/a b'");
    // Also what stands on several lines is one value.
    let split = last.iter().find_map(|it| it.strip_prefix("split=")).unwrap();
    let value: toml::Value =
        toml::from_str::<toml::Table>(&format!("x = {split}")).unwrap()["x"].clone();
    assert_eq!(value, toml::Value::from(vec![2, 1]));

    let overrides = ["training.epochs=9".to_owned()];
    let sweep = Sweep::parse(text, Path::new("one.toml"), &overrides).unwrap();
    assert_eq!(sweep.variants[0].overrides[2], overrides[0], "after [set], before the variant's");
    let error = Sweep::parse(text, Path::new("one.toml"), &["split=2".to_owned()]).unwrap_err();
    assert!(error.to_string().contains("`--set split=2` sets what [grid] sets"), "{error}");
}

#[test]
fn mistakes_in_a_sweep_file_are_shown_where_they_are() {
    let said = |text: &str| {
        let error = Sweep::parse(text, Path::new("one.toml"), &[]).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        format!("{error}\nhint: {}", error.hint_text().unwrap_or("none"))
    };
    let body = |rest: &str| said(&format!("pipeline = \"x.toml\"\n{rest}"));
    insta::assert_snapshot!(body("seds = 3\nvariant = 1"), @"
    unknown key `seds`
     --> one.toml:2:1
      |
    2 | seds = 3
      | ^^^^
    hint: did you mean `seeds`?
    ");
    for (found, parts) in [
        (said(""), ["missing key `pipeline`", "write `pipeline = "]),
        (said("pipeline = 3"), ["`pipeline` must be a string", "pipeline = 3"]),
        (body("name = \"../up\""), ["no sweep can be called `../up`", "letters, digits"]),
        (body("name = \"results\""), ["no sweep can be called `results`", "not `results`"]),
        (body("seeds = 0"), ["`seeds` must be a list", "seeds = [1, 2, 3]"]),
        (body("seeds = [1, -2]"), ["`seeds` must be a list", "-2"]),
        (body("seeds = [1, 1]"), ["the seed 1 is there twice", "name each seed once"]),
        (body("set = 3"), ["`set` must be a table", "training.epochs = 4"]),
        (body("[set]\nseed = 3"), ["`seed` is set for each run", "`seeds`"]),
        (body("[grid]\nname = [\"a\"]"), ["`name` cannot be set", "of its own"]),
        (body("[grid]\nsplit = 3"), ["`split` in [grid] must be a list", "\"each\", 2, 1"]),
        (body("[grid]\nsplit = []"), ["`split` in [grid] must be a list", "split = []"]),
        (body("[grid]\nsplit = [1, 1]"), ["`split` has the value 1 twice", "each value once"]),
        (
            body("[set]\nsplit = 1\n[grid]\nsplit = [2]"),
            ["`split` is also in [grid]", "one of them"],
        ),
        (
            body("[[variants]]\nset = {}"),
            ["missing key `name` in [[variants]]", "write `[[variants]]`"],
        ),
        (
            body("[[variants]]\nname = \"a\"\n[[variants]]\nname = \"a\""),
            ["two variants are called `a`", "of its own"],
        ),
        (
            body("[[variants]]\nname = \"a\"\nsets = {}"),
            ["unknown key `sets` in [[variants]]", "did you mean `set`?"],
        ),
        (
            body("baseline = \"split=3\"\n[grid]\nsplit = [1, 2]"),
            ["there is no variant `split=3`", "did you mean `split="],
        ),
        (body("seeds = 10001"), ["10001 runs, more than 10000", "take fewer"]),
        (body("[grid"), ["this is not TOML", "one.toml"]),
    ] {
        for part in parts {
            assert!(found.contains(part), "{part}: {found}");
        }
    }
}

#[test]
fn mistakes_are_told_before_any_work() {
    let sweep_of = |rest: &str| {
        let tiny = tiny_with(&format!("pipeline = \"tiny.toml\"\n{rest}"));
        let output = sweep(&tiny, &[]);
        assert_eq!(output.status.code(), Some(2), "{rest}");
        assert!(!tiny.path("runs").exists());
        text(&output.stderr)
    };
    let err = sweep_of("[grid]\nsplit = [1, 9]");
    assert!(err.contains("error: variant `split=9`: `--set split=9`: `split` asks for 9"), "{err}");
    let err = sweep_of("[[variants]]\nname = \"slip\"\nset.training.epoch = 3");
    assert!(err.contains("variant `slip`: `--set training.epoch=3`: unknown key"), "{err}");
    assert!(err.contains("hint: did you mean `epochs`?"), "{err}");
    let err = sweep_of("seed = 3");
    assert!(err.contains("unknown key `seed`") && err.contains("did you mean `seeds`?"), "{err}");

    let tiny = Tiny::new();
    let output = sweep(&tiny, &[]);
    assert!(text(&output.stderr).contains("could not read the sweep file `sweep.toml`"));
    assert_eq!(output.status.code(), Some(2));
}
