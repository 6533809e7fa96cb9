//! Runs on a real Slurm, of three nodes on this machine: `cargo test --test cluster -- --ignored`.
//!
//! It needs root, and Debian's packages `slurm-wlm` and `munge`; where these are missing the tests say that they
//! are skipped. Every test starts a cluster of its own, and ends it.
#![cfg(target_os = "linux")]

mod daemons;
#[path = "../tiny/mod.rs"]
mod tiny;

use std::path::PathBuf;

use daemons::{Cluster, wait_for};
use gimlet_store::{Store, faults};
use tiny::{PIPELINE, Tiny, text, three_modules, walk};

/// Where a run on the cluster is, and the same on one machine.
const RUN: &str = "runs/tiny";
const HERE: &str = "here";

/// Six parts of three modules.
fn three() -> String {
    three_modules().replace("train = 48", "train = 96")
}

/// Two modules, of which the training of the first is held once it has left a checkpoint: in each start of its job, or
/// in the first, until [`hold`] of that start is there, or it is asked to stop. So it does not end before the test has
/// done what it is about, on however fast a machine.
fn held(tiny_toml: &str, in_each_start: bool) -> Option<Tiny> {
    if !faults::AVAILABLE {
        eprintln!("skipped: this build has no faults, and so nothing that holds a job");
        return None;
    }
    let tiny = Tiny::new();
    let hold = tiny.path("hold");
    let which = if in_each_start { "" } else { "&& [ \"${SLURM_RESTART_COUNT:-0}\" = 0 ]" };
    let setup = format!(
        "if [ \"$SLURM_JOB_NAME\" = tiny.train-a ] {which}; then export \
         GIMLET_FAULT=\"remove checkpoint:wait\" \
         GIMLET_HOLD={}-${{SLURM_RESTART_COUNT:-0}}; fi",
        hold.display()
    );
    let epochs = std::env::var("GIMLET_CLUSTER_EPOCHS").unwrap_or_else(|_| "20".into());
    let pipeline = PIPELINE
        .replacen("name = \"a\"", &format!("name = \"a\"\nepochs = {epochs}"), 1)
        .replace("batch = 8", "batch = 8\ncheckpoint_seconds = 0");
    let text = format!("{pipeline}\n[slurm]\nsetup = ['{setup}']\n{tiny_toml}");
    std::fs::write(tiny.path("tiny.toml"), text).unwrap();
    Some(tiny)
}

/// The file that lets go of a held training, of the n-th start of its job from 0.
fn hold(tiny: &Tiny, start: usize) -> PathBuf {
    tiny.path(&format!("hold-{start}"))
}

/// Waits until the training of a start is held.
fn wait_until_held(tiny: &Tiny, start: usize) {
    let held = hold(tiny, start).with_extension("held");
    wait_for(&format!("start {start} of a training"), || held.exists());
}

/// `gimlet --threads 1 COMMAND FILE ARGS`; its weights are those of one thread.
fn gimlet(cluster: &Cluster, tiny: &Tiny, command: &str, args: &[&str]) -> (bool, String, String) {
    let mut gimlet = cluster.command(assert_cmd::cargo::cargo_bin!("gimlet"));
    gimlet.current_dir(tiny.path(".")).args(["--threads", "1", command]).args(args);
    let output = gimlet.output().unwrap();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

fn ok(cluster: &Cluster, tiny: &Tiny, command: &str, args: &[&str]) -> String {
    let (well, out, err) = gimlet(cluster, tiny, command, args);
    assert!(well, "gimlet {command} {args:?}: {err}");
    out
}

/// Submits; the jobs' numbers and titles.
fn submit(cluster: &Cluster, tiny: &Tiny, args: &[&str]) -> Vec<(String, String)> {
    let out = ok(cluster, tiny, "slurm", &[args, &["--submit"]].concat());
    let jobs = out.lines().filter_map(|line| line.split_once('\t'));
    jobs.map(|(id, title)| (id.to_string(), title.to_string())).collect()
}

fn ids(jobs: &[(String, String)]) -> Vec<String> {
    jobs.iter().map(|(id, _)| id.clone()).collect()
}

fn job<'a>(jobs: &'a [(String, String)], title: &str) -> &'a str {
    &jobs.iter().find(|(_, it)| it == title).unwrap_or_else(|| panic!("{title}: {jobs:?}")).0
}

/// Waits for jobs that all end well.
fn wait(cluster: &Cluster, tiny: &Tiny, jobs: &[(String, String)]) {
    for (states, (id, title)) in cluster.wait(&ids(jobs)).iter().zip(jobs) {
        let well = !states.is_empty() && states.iter().all(|state| state == "COMPLETED");
        assert!(well, "{id}, {title}: {states:?}\n{}", logs(tiny));
    }
}

/// What the jobs have said.
fn logs(tiny: &Tiny) -> String {
    let mut all = String::new();
    walk(&tiny.path("runs"), &mut |path| {
        if path.extension().is_some_and(|it| it == "out") {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            all += &format!("== {}\n{text}", path.display());
        }
    });
    all
}

/// Whether the run on the cluster has what the same has found on this machine: weights, parts, probes.
fn check_same(cluster: &Cluster, tiny: &Tiny, args: &[&str]) {
    ok(cluster, tiny, "run", &[args, &["--run-dir", HERE]].concat());
    let made = |run: &str| {
        let mut all = tiny.contents(run);
        all.retain(|(name, _)| !name.ends_with("log.jsonl"));
        all
    };
    let (there, here) = (made(RUN), made(HERE));
    let names = |all: &[(String, String)]| all.iter().map(|it| it.0.clone()).collect::<Vec<_>>();
    assert_eq!(names(&there), names(&here));
    assert_eq!(there, here);
    assert_eq!(parts(tiny, RUN), parts(tiny, HERE), "manifests");
    let probes = |run| ok(cluster, tiny, "probe", &[args, &["--json", "--run-dir", run]].concat());
    assert_eq!(probes(RUN), probes(HERE));
    ok(cluster, tiny, "verify", &[args, &["--run-dir", RUN]].concat());
}

/// The parts that each generation of each dataset names.
fn parts(tiny: &Tiny, run: &str) -> Vec<String> {
    let mut folders: Vec<PathBuf> = Vec::new();
    walk(&tiny.path(run), &mut |path| {
        if path.extension().is_some_and(|it| it == "parquet") {
            folders.extend(path.parent().and_then(|it| it.parent()).map(Into::into));
        }
    });
    folders.sort();
    folders.dedup();
    let mut all = Vec::new();
    for folder in folders {
        for generation in Store::new().dataset(&folder).readable().unwrap() {
            let generation = generation.unwrap();
            let name = folder.strip_prefix(tiny.path(run)).unwrap().display().to_string();
            all.push(format!("{name} {} {:?}", generation.number(), generation.manifest().parts));
        }
    }
    all
}

#[test]
#[ignore = "starts a Slurm cluster"]
fn a_staged_run_on_three_nodes_ends_as_on_one_machine() {
    let Some(cluster) = Cluster::start() else { return };
    let tiny = Tiny::new();
    // Until all that is asked of the queue has been asked.
    let begin = tiny.path("begin");
    let setup = format!("until [ -e {} ]; do sleep 0.1; done", begin.display());
    let text = format!("{}\n[slurm]\nsetup = ['{setup}']\n", three());
    std::fs::write(tiny.path("tiny.toml"), text).unwrap();
    let jobs = submit(&cluster, &tiny, &["tiny.toml", "--shards", "3"]);
    assert_eq!(jobs.len(), 9, "{jobs:?}");
    let encode = format!("--jobs={}", job(&jobs, "encode a"));
    let tasks = cluster.say("squeue", &["--noheader", "--array", "--format=%i", &encode]);
    assert_eq!(tasks.lines().count(), 3, "{tasks}");

    let (well, _, err) = gimlet(&cluster, &tiny, "slurm", &["tiny.toml", "--submit"]);
    assert!(!well && err.contains("of an earlier submission"), "{err}");
    let out = ok(&cluster, &tiny, "status", &["tiny.toml"]);
    assert!(out.contains("pending (Dependency)"), "{out}");

    std::fs::write(begin, "").unwrap();
    wait(&cluster, &tiny, &jobs);
    check_same(&cluster, &tiny, &["tiny.toml"]);
    let out = ok(&cluster, &tiny, "slurm", &["tiny.toml", "--submit"]);
    assert_eq!(out, "", "nothing is left to do");
}

#[test]
#[ignore = "starts a Slurm cluster"]
fn an_async_run_trains_all_modules_in_one_job() {
    let Some(cluster) = Cluster::start() else { return };
    let tiny = Tiny::with(&format!("schedule = \"async\"\n{}", three()));
    let jobs = submit(&cluster, &tiny, &["tiny.toml", "--shards", "2"]);
    wait(&cluster, &tiny, &jobs);
    let train = tiny.path("runs/tiny.slurm");
    assert!(train.is_dir());
    let status = ok(&cluster, &tiny, "status", &["tiny.toml"]);
    assert_eq!(status.matches(" done ").count(), 11, "{status}");
    ok(&cluster, &tiny, "verify", &["tiny.toml"]);
    // What the others end with depends on when they read; the first one reads samples.
    ok(&cluster, &tiny, "run", &["tiny.toml", "--run-dir", HERE]);
    assert!(tiny.tensors(RUN, "a") == tiny.tensors(HERE, "a"));
}

#[test]
#[ignore = "starts a Slurm cluster"]
fn a_run_in_rounds_ends_as_on_one_machine() {
    let Some(cluster) = Cluster::start() else { return };
    let tiny = Tiny::with(&format!("schedule = \"rounds\"\n{PIPELINE}"));
    let jobs = submit(&cluster, &tiny, &["tiny.toml", "--shards", "2"]);
    wait(&cluster, &tiny, &jobs);
    check_same(&cluster, &tiny, &["tiny.toml"]);
}

#[test]
#[ignore = "starts a Slurm cluster"]
fn a_sweep_is_an_array() {
    let Some(cluster) = Cluster::start() else { return };
    let tiny = Tiny::new();
    let sweep = "pipeline = \"tiny.toml\"\nseeds = 2\n[set]\ntraining.epochs = 1\n\
                 [grid]\nmodules.b.epochs = [1, 2]\n";
    std::fs::write(tiny.path("sweep.toml"), sweep).unwrap();
    let jobs = submit(&cluster, &tiny, &["sweep.toml", "--throttle", "3"]);
    wait(&cluster, &tiny, &jobs);
    let found = |run: &str| {
        let out = ok(&cluster, &tiny, "sweep", &["sweep.toml", "--json", "--run-dir", run]);
        let document: serde_json::Value = serde_json::from_str(&out).unwrap();
        let variants = document["variants"].as_array().unwrap().clone();
        let found = |it: &serde_json::Value| {
            format!("{} {} {} {}", it["name"], it["accuracy"], it["loss"], it["seeds"])
        };
        variants.iter().map(found).collect::<Vec<_>>()
    };
    let there = found("runs/sweeps/tiny");
    assert_eq!(there.len(), 2, "{there:?}");
    assert_eq!(there, found(HERE));
}

#[test]
#[ignore = "starts a Slurm cluster"]
fn a_job_whose_node_dies_runs_again_beside_its_orphan() {
    let Some(mut cluster) = Cluster::start() else { return };
    let Some(tiny) = held("", true) else { return };
    let jobs = submit(&cluster, &tiny, &["tiny.toml", "--shards", "2"]);
    wait_until_held(&tiny, 0);
    let train = job(&jobs, "train a");
    let of_train = format!("--jobs={train}");
    let node = cluster.say("squeue", &["--noheader", "--format=%N", &of_train]);
    cluster.kill_node(node.trim());
    // As on machines whose file system has no locks for all of them: the two do not see each other.
    std::fs::remove_dir_all(tiny.path(&format!("{RUN}/locks"))).unwrap();
    wait_for("the job to run again", || {
        cluster.hurry();
        hold(&tiny, 1).with_extension("held").exists()
    });
    let told = cluster.say("scontrol", &["show", "job", train]);
    assert!(told.split_whitespace().any(|it| it == "Restarts=1"), "{told}");
    // Both have a checkpoint, and more to do.
    (0..2).for_each(|start| std::fs::write(hold(&tiny, start), "").unwrap());
    wait(&cluster, &tiny, &jobs);
    check_same(&cluster, &tiny, &["tiny.toml"]);
}

#[test]
#[ignore = "starts a Slurm cluster"]
fn a_run_that_was_cancelled_goes_on_when_it_is_submitted_again() {
    let Some(cluster) = Cluster::start() else { return };
    let Some(tiny) = held("", true) else { return };
    let jobs = submit(&cluster, &tiny, &["tiny.toml"]);
    wait_until_held(&tiny, 0);
    for id in ids(&jobs) {
        cluster.say("scancel", &[&id]);
    }
    let states = cluster.wait(&ids(&jobs));
    assert_eq!(states[2], ["CANCELLED"], "and not back in the queue: {states:?}");
    let out = ok(&cluster, &tiny, "status", &["tiny.toml"]);
    let line = out.lines().find(|it| it.starts_with("a ") && it.contains(" train ")).unwrap();
    assert!(line.contains(" partial ") && line.contains("checkpoint"), "{out}");
    assert!(line.contains("cancelled"), "{out}");

    std::fs::write(hold(&tiny, 0), "").unwrap();
    let jobs = submit(&cluster, &tiny, &["tiny.toml"]);
    assert!(jobs.iter().all(|(_, title)| title != "ingest"), "that is done: {jobs:?}");
    wait(&cluster, &tiny, &jobs);
    check_same(&cluster, &tiny, &["tiny.toml"]);
}

#[test]
#[ignore = "starts a Slurm cluster"]
fn a_job_goes_back_to_the_queue_before_its_time_is_over() {
    let Some(cluster) = Cluster::start() else { return };
    let Some(tiny) = held("time = \"1\"\ngrace_seconds = 50\n", false) else { return };
    let jobs = submit(&cluster, &tiny, &["tiny.toml"]);
    wait(&cluster, &tiny, &jobs);
    let told = cluster.say("scontrol", &["show", "job", job(&jobs, "train a")]);
    let restarts = told.split_whitespace().find_map(|it| it.strip_prefix("Restarts="));
    assert!(restarts.is_some_and(|it| it != "0"), "{told}");
    check_same(&cluster, &tiny, &["tiny.toml"]);
}

#[test]
#[ignore = "starts a Slurm cluster"]
fn a_shard_that_fails_cancels_what_needs_it() {
    let Some(cluster) = Cluster::start() else { return };
    // The second task of every array ends before its work.
    let setup = "[slurm]\nsetup = ['[ \"${SLURM_ARRAY_TASK_ID:-0}\" != 1 ] || exit 3']\n";
    let tiny = Tiny::with(&format!("{}\n{setup}", three()));
    let jobs = submit(&cluster, &tiny, &["tiny.toml", "--shards", "3"]);
    let states = cluster.wait(&ids(&jobs));
    let of = |title: &str| {
        let place = jobs.iter().position(|(_, it)| it == title).unwrap();
        let mut states = states[place].clone();
        states.sort();
        states
    };
    assert_eq!(of("encode a"), ["COMPLETED", "COMPLETED", "FAILED"], "{}", logs(&tiny));
    for title in ["train b", "encode b", "train c", "encode c", "probe a, b, c"] {
        assert!(of(title).iter().all(|it| it == "CANCELLED"), "{title}: {states:?}");
    }
    let out = ok(&cluster, &tiny, "status", &["tiny.toml"]);
    let line = out.lines().find(|it| it.starts_with("a") && it.contains(" encode ")).unwrap();
    assert!(line.contains(" partial "), "{out}");

    let mended = ["tiny.toml", "--set", "slurm.setup=[]"];
    let jobs = submit(&cluster, &tiny, &[&mended[..], &["--shards", "3"]].concat());
    assert!(jobs.iter().all(|(_, title)| title != "train a"), "that is done: {jobs:?}");
    wait(&cluster, &tiny, &jobs);
    check_same(&cluster, &tiny, &mended);
}
