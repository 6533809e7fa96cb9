//! Room is made, and nothing goes that somebody needs.

use crate::tiny;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use gimlet::random::generator;
use gimlet_store::{Dataset, Store};
use insta::assert_snapshot;
use serde_json::Value;
use tiny::{Tiny, killed};

const RUN: &str = "runs/tiny";

/// A run under several seeds, one after another; that of the pipeline is 5.
fn with_seeds(seeds: &[u32]) -> Tiny {
    let tiny = Tiny::new();
    for seed in seeds {
        tiny.ok("run", &["--set", &format!("seed={seed}")]);
    }
    tiny
}

/// Every file of a run but the locks: its size, and when it was written.
fn tree(tiny: &Tiny) -> BTreeMap<PathBuf, (u64, SystemTime)> {
    let mut all = BTreeMap::new();
    tiny::walk(&tiny.path(RUN), &mut |path| {
        if !path.starts_with(tiny.path(RUN).join("locks")) {
            let metadata = path.metadata().unwrap();
            all.insert(path.to_path_buf(), (metadata.len(), metadata.modified().unwrap()));
        }
    });
    all
}

fn nothing_to_do(tiny: &Tiny, args: &[&str]) {
    let (_, err) = tiny.ok("run", args);
    assert!(err.contains("all 8 steps are done"), "{err}");
}

/// Of what `gc` lists, the paths that go or those that stay.
fn paths(document: &Value, goes: bool) -> Vec<&str> {
    let all = document["leftovers"].as_array().unwrap().iter();
    all.filter(|it| it["goes"] == goes).map(|it| it["path"].as_str().unwrap()).collect()
}

/// Why something that `gc` lists stays.
fn stays<'a>(document: &'a Value, path: &str) -> &'a str {
    let mut all = document["leftovers"].as_array().unwrap().iter();
    let found = all.find(|it| it["path"] == path);
    found.and_then(|it| it["stays"].as_str()).unwrap_or_else(|| panic!("{path}: {document:#}"))
}

fn dataset(tiny: &Tiny, name: &str) -> Dataset {
    Store::new().dataset(tiny.path(RUN).join(name))
}

/// A process that trains for long under a seed.
fn long_training(tiny: &Tiny, seed: u32) -> Child {
    let set = format!("seed={seed}");
    tiny.ok("ingest", &["--set", &set]);
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("gimlet"))
        .current_dir(tiny.path("."))
        .args(["--threads", "2", "run", "tiny.toml", "--set", &set])
        .args(["--set", "modules.a.epochs=100000", "--set", "training.checkpoint_seconds=0"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let checkpoints = || {
        let mut found = 0;
        tiny::walk(&tiny.path(RUN).join("modules/a"), &mut |path| {
            found += usize::from(path.ends_with("checkpoint.safetensors"));
        });
        found
    };
    while checkpoints() == 0 {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

#[test]
fn a_dry_run_shows_what_would_go_and_changes_nothing() {
    let tiny = with_seeds(&[5, 6, 7, 8]);
    let before = tree(&tiny);
    let shown = tiny.json("gc", &["--dry-run", "--keep", "1"]);
    assert_eq!(tree(&tiny), before);
    assert_eq!(shown["dry_run"], true);
    // Of five datasets of two splits, and of the trainings of two modules, those of seeds 6 and 7.
    assert_eq!(paths(&shown, true).len(), 2 * (5 * 2 + 2));
    assert!(paths(&shown, true).contains(&"datasets/a/train/00000003.json"));
    assert!(stays(&shown, "modules/b/00000004.json").contains("newest"));

    let gone = tiny.json("gc", &["--keep", "1"]);
    assert_eq!(gone["leftovers"], shown["leftovers"]);
    let after = tree(&tiny);
    let freed = before.iter().filter(|(path, _)| !after.contains_key(*path));
    assert_eq!(gone["bytes"], freed.map(|(_, (size, _))| size).sum::<u64>());
    assert!(after.iter().all(|(path, it)| before.get(path) == Some(it)), "the rest is untouched");
    assert_eq!(dataset(&tiny, "datasets/a/train").generations().unwrap(), [4, 1]);
    nothing_to_do(&tiny, &[]);
    nothing_to_do(&tiny, &["--set", "seed=8"]);
    tiny.ok("verify", &[]);
    assert_eq!(tiny.json("gc", &["--keep", "1"])["bytes"], 0);
    // What has gone can be made again, under a number of its own. The probe of it is still known.
    let (_, err) = tiny.ok("run", &["-v", "--set", "seed=6"]);
    assert_eq!(err.matches("nothing changed").count(), 2, "{err}");
    assert_eq!(dataset(&tiny, "datasets/a/train").generations().unwrap(), [5, 4, 1]);
}

#[test]
fn what_gc_says_to_people() {
    let tiny = Tiny::new();
    for seed in [6, 7, 5] {
        tiny.ok("ingest", &["--set", &format!("seed={seed}")]);
    }
    let (out, _) = tiny.ok("gc", &["--dry-run"]);
    let nothing = Tiny::new().ok("gc", &[]).0;
    insta::with_settings!({filters => vec![(r"\d+\.\d+ kB", "<size>"), (r"[0-9a-f]{16}", "<key>")]}, {
        assert_snapshot!(out, @r#"
                  what           bytes  path                                 why
        stays     generation  <size>  datasets/ingest/test/00000002.json   made with other settings or inputs, but it is one of the newest 2
        would go  generation  <size>  datasets/ingest/test/00000001.json   made with other settings or inputs
        stays     generation  <size>  datasets/ingest/train/00000002.json  made with other settings or inputs, but it is one of the newest 2
        would go  generation  <size>  datasets/ingest/train/00000001.json  made with other settings or inputs

        2 would go: <size>
        "#);
        assert_snapshot!(nothing, @"nothing is superseded or left over");
    });
}

#[test]
fn the_pipeline_says_how_much_stays() {
    let tiny = with_seeds(&[5, 6, 7, 8]);
    let going = |args: &[&str]| {
        let mut all = vec!["--dry-run"];
        all.extend(args);
        paths(&tiny.json("gc", &all), true).len()
    };
    // Those of seeds 7 and 8, the newest two, stay by default.
    assert_eq!(going(&[]), 12);
    assert_eq!(going(&["--set", "store.keep_generations=1"]), 24);
    assert_eq!(going(&["--set", "store.keep_generations=1", "--keep", "3"]), 0);
    // The newest stays in any case; and 5, as the settings need it.
    assert_eq!(going(&["--keep", "0"]), 24);
    assert_eq!(going(&["--set", "seed=8", "--keep", "0"]), 36);
    nothing_to_do(&tiny, &["--set", "store.keep_generations=1"]);
}

#[test]
fn what_a_reader_in_another_process_has_open_stays() {
    let tiny = with_seeds(&[6, 5]);
    let generation = dataset(&tiny, "datasets/a/train").generation(1).unwrap();
    let reader = generation.reader(&["pooled"]).unwrap();
    let gone = tiny.json("gc", &["--keep", "1"]);
    assert_eq!(paths(&gone, true).len(), 11);
    assert!(stays(&gone, "datasets/a/train/00000001.json").contains("it is in use"));
    let mut values = vec![0.0; 48 * 9 * 4];
    reader.read_f32("pooled", &(0..48).collect::<Vec<_>>(), &mut values).unwrap();
    drop(reader);
    // A process that another test begins just now has what we have open until it is another program.
    let goes = |_| paths(&tiny.json("gc", &["--keep", "1"]), true).len() == 1;
    assert!((0..100).any(goes));
}

#[test]
fn what_a_process_at_work_needs_stays_whatever_its_settings() {
    let tiny = Tiny::new();
    let mut child = long_training(&tiny, 6);
    // Newer ones, so that what the process reads is superseded and not the newest.
    tiny.ok("ingest", &[]);
    tiny.ok("ingest", &["--set", "seed=7"]);
    tiny.ok("ingest", &["--set", "seed=8"]);
    let limits = ["--keep", "0", "--grace", "0"];
    let gone = tiny.json("gc", &limits);
    assert_eq!(
        paths(&gone, true),
        ["datasets/ingest/test/00000003.json", "datasets/ingest/train/00000003.json"]
    );
    assert!(child.try_wait().unwrap().is_none(), "it goes on");
    child.kill().unwrap();
    child.wait().unwrap();

    let gone = tiny.json("gc", &limits);
    let (going, staying) = (paths(&gone, true), paths(&gone, false));
    // Of the untrained stack that of seed 6 is the newest.
    assert_eq!(going.len(), 2 + 1, "the images of seed 6 and its attempt: {gone:#}");
    assert!(going.iter().any(|path| path.starts_with("modules/a/")), "{gone:#}");
    assert!(staying.iter().all(|path| path.contains("0000000")), "the newest: {gone:#}");
    tiny.ok("verify", &[]);
    tiny.ok("run", &[]);
}

#[test]
fn an_attempt_stays_for_its_time_and_as_long_as_its_settings_are_the_present_ones() {
    let tiny = Tiny::new();
    let mut child = long_training(&tiny, 5);
    child.kill().unwrap();
    child.wait().unwrap();
    let own = ["--set", "modules.a.epochs=100000"];
    let attempt = |document: &Value, goes: bool| {
        paths(document, goes).iter().filter(|path| path.starts_with("modules/a/")).count()
    };
    let shown = tiny.json("gc", &["--dry-run"]);
    assert_eq!((attempt(&shown, true), attempt(&shown, false)), (0, 1));
    let shown = tiny.json("gc", &["--dry-run", "--grace", "0", own[0], own[1]]);
    assert_eq!((attempt(&shown, true), attempt(&shown, false)), (0, 0), "it is not even listed");
    let gone = tiny.json("gc", &["--grace", "0s"]);
    assert_eq!(attempt(&gone, true), 1);
    let status = tiny.json("status", &own);
    assert_eq!(status["stages"][2]["state"], "missing");
    let err = tiny.output("gc", &["--grace", "soon"]);
    assert_eq!(err.status.code(), Some(2));
}

#[test]
fn killed_at_any_moment_it_leaves_nothing_damaged_and_the_next_one_ends_its_work() {
    let tiny = with_seeds(&[6, 7, 5]);
    let args = ["--keep", "1", "--grace", "0"];
    let template = tiny.path("template");
    tiny::copy(&tiny.path(RUN), &template);
    tiny.ok("gc", &args);
    let clean: Vec<PathBuf> = tree(&tiny).into_keys().collect();
    let mut draws = generator(17, "kills", &[]);
    let mut kills = 0;
    for _ in 0..30 {
        std::fs::remove_dir_all(tiny.path(RUN)).unwrap();
        tiny::copy(&template, &tiny.path(RUN));
        let mut gc = tiny.process("gc", &args);
        kills += usize::from(killed(gc.stderr(Stdio::null()), kills, &mut draws));
        // Whatever there is of a generation that has a manifest is whole.
        tiny.ok("verify", &[]);
        tiny.ok("gc", &args);
        assert_eq!(tree(&tiny).into_keys().collect::<Vec<_>>(), clean);
    }
    assert!(kills >= 3, "only {kills} kills: it is too short to show anything");
    nothing_to_do(&tiny, &[]);
}
