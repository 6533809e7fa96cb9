//! Damage is found, named, and healed by the next run; nothing else changes.

use crate::tiny;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use serde_json::Value;
use tiny::{Tiny, gimlet, text};

const RUN: &str = "runs/tiny";

/// Every file that was committed, and what is in it. Records and logs tell the time.
fn contents(tiny: &Tiny) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    tiny::walk(&tiny.path(RUN), &mut |path| {
        let name = path.strip_prefix(tiny.path(RUN)).unwrap().display().to_string();
        assert!(!name.ends_with(".damaged"), "{name} stays");
        if name.ends_with(".parquet") || name.ends_with(".safetensors") {
            all.insert(name, std::fs::read(path).unwrap());
        }
    });
    all
}

/// The parts of a dataset, in order.
fn parts(tiny: &Tiny, dataset: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    tiny::walk(&tiny.path(RUN).join(dataset), &mut |path| {
        if path.extension().is_some_and(|it| it == "parquet") {
            found.push(path.to_path_buf());
        }
    });
    found.sort();
    found
}

/// Flips a bit, a share of the way through a file.
fn flip(path: &Path, share: f64) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = (bytes.len() as f64 * share) as usize;
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

/// `gimlet verify tiny.toml --json`, which ends with `code`.
fn verify(tiny: &Tiny, code: i32) -> Value {
    let output = tiny.output("verify", &["--json"]);
    assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The damaged files that `verify` names, relative to the run.
fn damaged(document: &Value) -> Vec<String> {
    let run = format!("{RUN}/");
    let damage = document["damage"].as_array().unwrap().iter();
    let names =
        damage.map(|it| it["file"].as_str().unwrap().strip_prefix(&run).unwrap().to_owned());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names.dedup();
    names
}

fn state(tiny: &Tiny, stage: usize) -> (String, String) {
    let status = tiny.json("status", &[]);
    let it = &status["stages"][stage];
    let field = |name: &str| it[name].as_str().unwrap().to_owned();
    (field("state"), field("why"))
}

#[test]
fn damage_everywhere_is_named_at_once_and_the_next_run_heals_it() {
    let tiny = Tiny::new();
    tiny.ok("run", &[]);
    let whole = contents(&tiny);
    let clean = verify(&tiny, 0);
    assert_eq!(clean["damage"], serde_json::json!([]));
    assert!(clean["files"].as_u64().unwrap() > whole.len() as u64);
    let bytes: usize = whole.values().map(Vec::len).sum();
    assert!(clean["bytes"].as_u64().unwrap() > bytes as u64);

    let activations = parts(&tiny, "datasets/a/train");
    let images = parts(&tiny, "datasets/ingest/test");
    let drawn = parts(&tiny, "untrained/b/train");
    let weights = tiny.find("runs/tiny/modules/a", "weights.safetensors");
    let kept: Vec<_> =
        activations.iter().map(|it| it.metadata().unwrap().modified().unwrap()).collect();
    flip(&activations[1], 0.3);
    flip(&activations[1], 0.6);
    flip(&images[0], 0.5);
    std::fs::remove_file(&drawn[2]).unwrap();
    flip(&weights, 0.9);

    let found = verify(&tiny, 4);
    let mut expected: Vec<String> = [&activations[1], &images[0], &drawn[2], &weights]
        .map(|path| path.strip_prefix(tiny.path(RUN)).unwrap().display().to_string())
        .to_vec();
    expected.sort();
    assert_eq!(damaged(&found), expected);
    let pages = found["damage"].as_array().unwrap().iter();
    let pages = pages.filter(|it| it["column"] == "activation").count();
    assert_eq!(pages, 2, "both rows of one part: {found}");
    assert_eq!(state(&tiny, 3).0, "damaged");
    let (run, why) = state(&tiny, 0);
    assert_eq!(run, "damaged");
    assert!(why.starts_with("the next `run` rebuilds datasets/ingest/test/"), "{why}");

    let (_, err) = tiny.ok("run", &["-v"]);
    assert_eq!(err.matches("is damaged: it is rebuilt").count(), 4, "{err}");
    // Those whose own files were whole have nothing to do.
    assert_eq!(err.matches("nothing changed").count(), 4, "{err}");
    assert_eq!(contents(&tiny), whole);
    assert_eq!(verify(&tiny, 0)["files"], clean["files"]);
    let after = activations.iter().map(|it| it.metadata().unwrap().modified().unwrap());
    let changed: Vec<bool> = after.zip(kept).map(|(after, before)| after != before).collect();
    assert_eq!(changed, [false, true, false], "only the damaged part is written");
    let (_, err) = tiny.ok("run", &[]);
    assert!(err.contains("all 8 steps are done"), "{err}");
}

#[test]
fn damage_that_a_step_meets_is_healed_by_the_next_run() {
    let tiny = Tiny::new();
    tiny.ok("run", &[]);
    let whole = contents(&tiny);
    // Trains b again, on activations that nobody has verified.
    let again = ["--set", "modules.b.epochs=3"];
    let part = &parts(&tiny, "datasets/a/train")[2];
    flip(part, 0.3);
    let err = tiny.fails(4, "run", &again);
    assert!(err.contains("part-00002.parquet: damaged: row group 0, row "), "{err}");
    assert!(err.contains("hint: the next `gimlet run` rebuilds the file"), "{err}");
    let err = tiny.fails(4, "train", &["b", again[0], again[1]]);
    assert!(err.contains("needs `") && err.contains("hint: run `gimlet encode a`"), "{err}");
    tiny.ok("encode", &["a"]);
    assert_eq!(contents(&tiny), whole);

    let part = &parts(&tiny, "datasets/ingest/train")[0];
    flip(part, 0.5);
    tiny.fails(4, "run", &["--set", "modules.a.epochs=3"]);
    tiny.ok("run", &[]);
    assert_eq!(contents(&tiny), whole);

    // Weights are met when something is encoded with them.
    let weights = tiny.find("runs/tiny/modules/a", "weights.safetensors");
    flip(&weights, 0.9);
    let part = &parts(&tiny, "datasets/a/test")[0];
    std::fs::remove_file(part).unwrap();
    let err = tiny.fails(4, "run", &[]);
    assert!(err.contains("weights.safetensors: damaged: its BLAKE3"), "{err}");
    tiny.ok("run", &[]);
    assert_eq!(contents(&tiny), whole);
}

#[test]
fn damaged_records_are_passed_over_and_made_again() {
    let tiny = Tiny::new();
    tiny.ok("run", &[]);
    let whole = contents(&tiny);
    let records = [
        "datasets/a/train/00000001.json",
        "datasets/ingest/test/00000001.json",
        "modules/b/00000001.json",
        "probes/a/00000001.json",
    ];
    for record in records {
        // A digit, a brace or a letter: whatever it is, the seal is broken.
        flip(&tiny.path(RUN).join(record), 0.7);
    }
    assert_eq!(damaged(&verify(&tiny, 4)), records);
    let (_, err) = tiny.ok("run", &[]);
    assert_eq!(err.matches("is passed over, and `gimlet gc` removes it").count(), 4, "{err}");
    assert_eq!(contents(&tiny), whole, "no part and no weights are other than before");
    let status = tiny.json("status", &[]);
    assert_eq!(status["stages"][3]["generation"], 2);
    assert!(status["stages"].as_array().unwrap().iter().all(|it| it["state"] == "done"));
    // They are still there, until they are removed.
    assert_eq!(damaged(&verify(&tiny, 4)), records);
    let gone = tiny.json("gc", &[]);
    assert_eq!(gone["leftovers"].as_array().unwrap().len(), 4, "{gone:#}");
    verify(&tiny, 0);
}

#[test]
fn a_broken_mark_of_the_run_says_how_to_mend_it() {
    let tiny = Tiny::new();
    tiny.ok("ingest", &[]);
    let mark = tiny.path(RUN).join("run.json");
    let whole = std::fs::read(&mark).unwrap();
    std::fs::write(&mark, "{").unwrap();
    assert_eq!(damaged(&verify(&tiny, 4)), ["run.json"]);
    let err = tiny.fails(4, "run", &[]);
    assert!(err.contains(r#"write {"pipeline": "tiny"} into it"#), "{err}");
    std::fs::write(&mark, r#"{"pipeline": "tiny"}"#).unwrap();
    tiny.ok("train", &["a"]);
    std::fs::write(&mark, whole).unwrap();
    verify(&tiny, 0);
}

#[test]
fn weights_that_do_not_come_out_again_are_not_taken_for_the_same() {
    let tiny = Tiny::new();
    tiny.ok("run", &[]);
    let whole = contents(&tiny);
    let weights = tiny.find("runs/tiny/modules/b", "weights.safetensors");
    std::fs::remove_file(&weights).unwrap();
    let mut other = std::process::Command::new(assert_cmd::cargo::cargo_bin!("gimlet"));
    other.current_dir(tiny.path(".")).args(["train", "tiny.toml", "b", "--threads", "1"]);
    let output = other.output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    let err = text(&output.stderr);
    assert!(err.contains("run with `--threads 2 --device cpu`, or restore the file"), "{err}");
    tiny.ok("run", &[]);
    assert_eq!(contents(&tiny), whole);

    // As on another processor: what the record asks for is not what comes out.
    let record = tiny.path(RUN).join("modules/b/00000001.json");
    let mut value: Value = serde_json::from_slice(&std::fs::read(&record).unwrap()).unwrap();
    value["blake3"] = "0".repeat(64).into();
    std::fs::write(&record, value.to_string()).unwrap();
    verify(&tiny, 4);
    let err = tiny.fails(4, "run", &[]);
    assert!(err.contains("`train b` was done again, and has not ended with what `"), "{err}");
    assert!(err.contains("hint: another processor"), "{err}");
    assert_eq!(tiny.weights(RUN, "b"), whole[&name_in_run(&tiny, &weights)], "nothing is replaced");
}

fn name_in_run(tiny: &Tiny, path: &Path) -> String {
    path.strip_prefix(tiny.path(RUN)).unwrap().display().to_string()
}

#[test]
fn a_dataset_and_a_run_are_verified_as_folders_too() {
    let tiny = Tiny::new();
    tiny.ok("ingest", &[]);
    let verify = |target: &str| {
        let output = gimlet(&tiny.path(".")).args(["verify", "--json", target]).output().unwrap();
        (output.status.code(), serde_json::from_slice::<Value>(&output.stdout).ok())
    };
    let (code, run) = verify(RUN);
    assert_eq!(code, Some(0));
    let (code, dataset) = verify("runs/tiny/datasets/ingest/train");
    assert_eq!(code, Some(0));
    // A manifest and three parts of sixteen rows; the run has those of the test split, its mark, and what was ingested.
    assert_eq!(dataset.unwrap()["files"], 4);
    assert_eq!(run.unwrap()["files"], 4 + 3 + 1 + 1);
    for nothing in ["runs", "nowhere", "runs/tiny/locks"] {
        assert_eq!(verify(nothing).0, Some(5), "{nothing}");
    }
    flip(&parts(&tiny, "datasets/ingest/train")[0], 0.5);
    assert_eq!(verify("runs/tiny/datasets/ingest/train").0, Some(4));
    assert_eq!(state(&tiny, 0).0, "damaged");
}

#[test]
fn a_note_that_cannot_be_written_is_a_warning() {
    let tiny = Tiny::new();
    tiny.ok("ingest", &[]);
    let part = &parts(&tiny, "datasets/ingest/train")[0];
    flip(part, 0.5);
    std::fs::create_dir_all(part.with_file_name(".part-00000.parquet.damaged/taken")).unwrap();
    let err = tiny.fails(4, "verify", &[]);
    assert!(err.contains("warning") && err.contains("`run` will not know of the damage"), "{err}");
}

#[test]
fn what_verify_says_to_people() {
    let tiny = Tiny::new();
    tiny.ok("ingest", &[]);
    let part = &parts(&tiny, "datasets/ingest/train")[1];
    let sound = tiny.ok("verify", &[]).0;
    flip(part, 0.3);
    std::fs::write(part.with_file_name("part-00009.parquet"), "PAR1").unwrap();
    let output = tiny.output("verify", &[]);
    assert_eq!(output.status.code(), Some(4));
    insta::with_settings!({filters => vec![
        (r"[0-9a-f]{16}", "<key>"),
        (r"\d+\.\d+ kB", "<size>"),
        (r"\d+\.\d s", "<time>"),
        (r"verify +\d+ files +\(<time>\)\n", ""),
    ]}, {
        assert_snapshot!(sound, @"9 files, <size>, in <time>: all as they were written");
        assert_snapshot!(text(&output.stdout), @r#"
        file                                                       row group  row  column  damage
        datasets/ingest/train/<key>/part-00001.parquet          0    3  image   its page has another CRC-32 than was written
        datasets/ingest/train/<key>/part-00009.parquet          -    -  -       it is no part of the generation, but readers take it for one: remove it

        9 files, <size>, in <time>: 2 damaged
        "#);
        assert_snapshot!(text(&output.stderr), @r#"
        error: 2 files are damaged in `runs/tiny`
        hint: `gimlet run` rebuilds what its settings need; what other settings made stays as it is until `gimlet gc` removes it
        "#);
    });
}
