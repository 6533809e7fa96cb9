//! Encoding in shards, each a process, ends with what one process ends with; so does a sweep.

use crate::tiny;
use std::process::{Command, Stdio};

use serde_json::Value;
use tiny::{THIRD, Tiny, text, walk};

/// Several parts of both splits, and a compression that is chosen by the first rows.
const SETTINGS: [&str; 4] = ["--set", "store.rows_per_part=5", "--set", "store.compression=auto"];
const AT_ONCE: [&str; 2] = ["--set", "schedule.kind=simultaneous"];

fn in_dir<'a>(run_dir: &'a str, args: &[&'a str]) -> Vec<&'a str> {
    [args, &SETTINGS, &["--run-dir", run_dir]].concat()
}

/// Of every generation its parts and its schema.
fn manifests(tiny: &Tiny, run_dir: &str) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    walk(&tiny.path(run_dir), &mut |path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".json") && name.len() == 13 && path.to_str().unwrap().contains("/train/")
            || name == "00000001.json" && path.to_str().unwrap().contains("/test/")
        {
            let manifest: Value =
                serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
            let place = path.strip_prefix(tiny.path(run_dir)).unwrap().display().to_string();
            let seconds = manifest["summary"]["seconds"].as_f64().unwrap();
            assert!(seconds > 0.0, "{place}: {manifest}");
            found.push((
                place,
                serde_json::json!([manifest["key"], manifest["parts"], manifest["schema"],]),
            ));
        }
    });
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

fn shard(tiny: &Tiny, stage: &str, shard: &str, args: &[&str]) -> String {
    tiny.ok("encode", &[&[stage, "--shard", shard], args].concat()).1
}

#[test]
fn shards_one_after_another_end_with_what_one_process_ends_with() {
    let tiny = Tiny::new();
    for run_dir in ["whole", "shards"] {
        tiny.ok("ingest", &in_dir(run_dir, &[]));
    }
    let (whole, shards) = (in_dir("whole", &[]), in_dir("shards", &[]));
    tiny.ok("run", &whole);
    for order in [["2/3", "0/3", "1/3"], ["1/3", "2/3", "0/3"]] {
        for stage in ["untrained", "a"] {
            if stage == "a" && order[0] == "2/3" {
                tiny.ok("train", &[&["a"], &shards[..]].concat());
            }
            if stage == "untrained" && order[0] == "1/3" {
                continue;
            }
            if stage == "a" && order[0] == "1/3" {
                tiny.ok("train", &[&["b"], &shards[..]].concat());
            }
            let stage = if order[0] == "1/3" { "b" } else { stage };
            let said = shard(&tiny, stage, order[0], &shards);
            assert!(said.contains("of 10 parts are there"), "{said}");
            shard(&tiny, stage, order[1], &shards);
            let err = tiny.ok("encode", &[&[stage, "--shard", order[2]], &shards[..]].concat()).1;
            assert!(err.contains("rows"), "{err}");
        }
    }
    tiny.ok("probe", &shards);
    assert_eq!(manifests(&tiny, "shards"), manifests(&tiny, "whole"));
    assert_eq!(tiny.contents("shards"), tiny.contents("whole"));
    tiny.ok("verify", &shards);
    let said = shard(&tiny, "b", "0/3", &shards);
    assert!(said.contains("done before"), "{said}");
}

#[test]
fn more_shards_than_parts_at_the_same_time_and_gc_beside_them() {
    let tiny = Tiny::new();
    let args = in_dir("runs/tiny", &AT_ONCE);
    tiny.ok("ingest", &args);
    tiny.ok("train", &[&["a"], &args[..]].concat());
    let shards: Vec<_> = (0..12)
        .map(|index| {
            let mut gimlet = Command::new(assert_cmd::cargo::cargo_bin!("gimlet"));
            gimlet.current_dir(tiny.path(".")).args([
                "encode",
                "tiny.toml",
                "a",
                "--shard",
                "auto",
            ]);
            gimlet.args(["--threads", "1"]).args(&args);
            gimlet.env("JOB_COMPLETION_INDEX", index.to_string()).env("JOB_COMPLETIONS", "12");
            gimlet.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
            gimlet.spawn().unwrap()
        })
        .collect();
    tiny.ok("gc", &[&args[..], &["--grace", "0s", "--keep", "0"]].concat());
    for shard in shards {
        let ended = shard.wait_with_output().unwrap();
        assert!(ended.status.success(), "{}", text(&ended.stderr));
    }
    let (_, err) = tiny.ok("run", &[&["-v"][..], &args].concat());
    assert!(err.contains("encode a, b            done before"), "{err}");
    let whole = in_dir("whole", &AT_ONCE);
    tiny.ok("run", &whole);
    assert_eq!(manifests(&tiny, "runs/tiny"), manifests(&tiny, "whole"));
}

#[test]
fn a_run_takes_what_shards_have_left_and_shards_mend_damage() {
    let tiny = Tiny::new();
    let (whole, shards) = (in_dir("whole", &[]), in_dir("shards", &[]));
    tiny.ok("run", &whole);
    tiny.ok("ingest", &shards);
    tiny.ok("train", &[&["a"], &shards[..]].concat());
    shard(&tiny, "a", "1/2", &shards);
    tiny.ok("run", &shards);
    assert_eq!(tiny.contents("shards"), tiny.contents("whole"));

    let parts = tiny.path("shards/datasets/a/train");
    walk(&parts, &mut |path| {
        if path.ends_with("part-00001.parquet") || path.ends_with("part-00002.parquet") {
            let mut bytes = std::fs::read(path).unwrap();
            bytes[200] ^= 1;
            std::fs::write(path, bytes).unwrap();
        }
    });
    tiny.fails(4, "verify", &shards);
    shard(&tiny, "a", "0/2", &shards);
    tiny.fails(4, "verify", &shards);
    shard(&tiny, "a", "1/2", &shards);
    tiny.ok("verify", &shards);
    assert_eq!(tiny.contents("shards"), tiny.contents("whole"));
}

#[test]
fn wrong_shards_are_mistakes_of_usage() {
    let tiny = Tiny::new();
    for wrong in ["8/8", "0/0", "x", "1"] {
        tiny.fails(2, "encode", &["a", "--shard", wrong]);
    }
    let ended = tiny.command("encode", &["a", "--shard", "auto"]).env("HQ_TASK_ID", "3").output();
    let ended = ended.unwrap();
    let err = text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(2), "{err}");
    assert!(err.contains("HQ_TASK_ID=3") && err.contains("GIMLET_SHARDS"), "{err}");
}

#[test]
fn shards_of_a_sweep_end_with_one_table_of_all_runs() {
    let tiny =
        Tiny::with(&tiny::PIPELINE.replace("[loss.infonce]", &format!("{THIRD}\n[loss.infonce]")));
    let file = "name = \"few\"\npipeline = \"tiny.toml\"\nseeds = [1, 2]\n[grid]\ntraining.epochs = [1, 2]\n";
    std::fs::write(tiny.path("sweep.toml"), file).unwrap();
    let begin = |run_dir: &str, shard: &[&str]| {
        let mut gimlet = Command::new(assert_cmd::cargo::cargo_bin!("gimlet"));
        gimlet.current_dir(tiny.path(".")).args(["sweep", "sweep.toml", "--run-dir", run_dir]);
        gimlet.args(shard).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        gimlet.spawn().unwrap()
    };
    let shards = ["0/2", "1/2"].map(|it| begin("shards", &["--shard", it]));
    for shard in shards {
        let ended = shard.wait_with_output().unwrap();
        assert!(ended.status.success(), "{}", text(&ended.stderr));
    }
    assert!(begin("whole", &[]).wait().unwrap().success());
    let table = |run_dir: &str| {
        let text = std::fs::read_to_string(tiny.path(run_dir).join("sweeps/few/table.md")).unwrap();
        // Without the times.
        text.lines().map(|line| line.split('|').take(5).collect::<String>()).collect::<Vec<_>>()
    };
    assert_eq!(table("shards"), table("whole"));
}

/// Found by CI: of processes that begin at once, one saw what another had just made, and took it for a stranger's.
#[test]
fn a_directory_is_claimed_by_many_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for attempt in 0..200 {
        let path = folder.path().join(attempt.to_string());
        let start = std::sync::Barrier::new(4);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    start.wait();
                    gimlet::stage::RunDir::at(path.clone()).claim("tiny").unwrap();
                    // What a run puts there next.
                    let _ = std::fs::create_dir(path.join("locks"));
                });
            }
        });
    }
}
