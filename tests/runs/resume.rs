//! A run that is stopped, however it is stopped, ends as one that was not.

use crate::tiny;
use std::process::{Command, Stdio};

use tiny::{Held, Tiny};

/// More steps than the other tests take, and a checkpoint after each.
const ARGS: [&str; 4] = ["--set", "training.epochs=12", "--set", "training.checkpoint_seconds=0"];

fn gimlet(tiny: &Tiny, command: &str, more: &[&str], run_dir: &str) -> Command {
    let mut gimlet = Command::new(assert_cmd::cargo::cargo_bin!("gimlet"));
    gimlet
        .current_dir(tiny.path("."))
        .args(["--threads", "2", command, "tiny.toml"])
        .args(more)
        .args(ARGS)
        .args(["--run-dir", run_dir])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    gimlet
}

#[test]
fn a_run_that_is_killed_again_and_again_ends_bit_for_bit_as_one_that_is_not() {
    let tiny = Tiny::new();
    assert!(gimlet(&tiny, "run", &[], "whole").status().unwrap().success());
    let whole = tiny.contents("whole");
    assert!(whole.iter().any(|(name, _)| name.ends_with("weights.safetensors")));
    tiny::walk(&tiny.path("whole"), &mut |path| {
        assert!(!path.ends_with("checkpoint.safetensors"), "{path:?} stays after the end");
    });

    let args = [&ARGS[..], &["--run-dir", "killed"]].concat();
    let kills = tiny.killed_until_done(11, "run", &args);
    assert!(kills >= 3, "only {kills} kills: the run is too short to show anything");
    assert_eq!(tiny.contents("killed"), whole, "after {kills} kills");
}

#[cfg(unix)]
#[test]
fn an_interrupt_saves_a_checkpoint_and_ends_with_130() {
    let tiny = Tiny::new();
    let long = ["a", "--set", "training.epochs=2000"];
    assert!(gimlet(&tiny, "ingest", &[], "runs/tiny").status().unwrap().success());
    // Before its first step, and with no checkpoint due: what is saved is saved for the signal.
    let Some(held) = tiny.held("create log.jsonl", "train", &long) else { return };
    held.signal(rustix::process::Signal::INT);
    assert_eq!(held.output().status.code(), Some(130));
    let status = tiny.json("status", &long[1..]);
    assert_eq!(status["stages"][2]["state"], "partial");
    assert!(status["stages"][2]["why"].as_str().unwrap().starts_with("checkpoint at step "));
}

#[test]
fn a_damaged_checkpoint_gives_way_to_the_one_before() {
    let tiny = Tiny::new();
    assert!(gimlet(&tiny, "ingest", &[], "whole").status().unwrap().success());
    assert!(gimlet(&tiny, "train", &["a"], "whole").status().unwrap().success());

    assert!(gimlet(&tiny, "ingest", &[], "damaged").status().unwrap().success());
    // Held once the third checkpoint is there, and the second one beside it.
    let mut train = gimlet(&tiny, "train", &["a"], "damaged");
    let Some(held) = Held::begin(&mut train, "3 remove .checkpoint.safetensors") else { return };
    held.kill();
    assert!(tiny.find("damaged", "checkpoint-previous.safetensors").exists());
    std::fs::write(tiny.find("damaged", "checkpoint.safetensors"), b"torn").unwrap();
    assert!(gimlet(&tiny, "train", &["a"], "damaged").status().unwrap().success());
    let weights = |run_dir: &str| std::fs::read(tiny.find(run_dir, "weights.safetensors")).unwrap();
    assert!(weights("damaged") == weights("whole"));
}
