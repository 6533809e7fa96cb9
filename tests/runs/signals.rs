//! Whoever asks for a stop, by a signal or by time, finds what was done on disk and an exit code that says
//! what to do: 75 to run the same command again, 130 after Ctrl-C.

use crate::tiny;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tiny::{Tiny, text, walk};

const LONG: [&str; 2] = ["--set", "training.epochs=100000"];

fn begin(tiny: &Tiny, command: &str, args: &[&str]) -> Child {
    let mut gimlet = Command::new(assert_cmd::cargo::cargo_bin!("gimlet"));
    gimlet.current_dir(tiny.path(".")).args([command, "tiny.toml"]).args(args);
    gimlet.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_signal_that_is_sent_to_the_process_and_to_its_group_is_one() {
    let tiny = Tiny::new();
    tiny.ok("ingest", &[]);
    let mut child = begin(&tiny, "train", &[&["a"], &LONG[..]].concat());
    wait_for(&tiny, "runs/tiny/modules", "log.jsonl", &mut child);
    for _ in 0..3 {
        // It may have ended by the third.
        let _ = kill_process(Pid::from_child(&child), Signal::USR1);
        std::thread::sleep(Duration::from_millis(1));
    }
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(75));
    let err = text(&ended.stderr);
    assert!(err.contains("stopped by SIGUSR1"), "it ended at once: {err}");
}

/// Until a file of this name is below `folder`.
fn wait_for(tiny: &Tiny, folder: &str, name: &str, child: &mut Child) {
    loop {
        let mut found = false;
        if tiny.path(folder).exists() {
            walk(&tiny.path(folder), &mut |path: &Path| {
                found |= path.file_name().is_some_and(|it| it == name);
            });
        }
        if found {
            return;
        }
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn end(child: Child, signal: Signal) -> Output {
    kill_process(Pid::from_child(&child), signal).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn each_signal_saves_a_checkpoint_and_has_its_exit_code() {
    let tiny = Tiny::new();
    tiny.ok("ingest", &[]);
    for (signal, code, says) in [
        (Signal::TERM, 75, "stopped by SIGTERM; what was done is kept"),
        (Signal::USR1, 75, "stopped by SIGUSR1; what was done is kept"),
        (Signal::INT, 130, "stopped; what was done is kept"),
    ] {
        let steps = || {
            let status = tiny.json("status", &LONG);
            status["stages"][2]["why"].as_str().unwrap().to_owned()
        };
        let before = steps();
        let mut child = begin(&tiny, "train", &[&["a"], &LONG[..]].concat());
        wait_for(&tiny, "runs/tiny/modules", "log.jsonl", &mut child);
        std::thread::sleep(Duration::from_millis(300));
        let ended = end(child, signal);
        let err = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(code), "{err}");
        assert!(err.contains(says), "{err}");
        assert!(err.contains("run the same command again to go on"), "{err}");
        assert!(steps().starts_with("checkpoint at step ") && steps() != before, "{}", steps());
    }
}

#[test]
fn the_time_of_max_runtime_is_kept_by_every_command_that_works() {
    let tiny = Tiny::new();
    for (command, args) in [
        ("train", &["a"][..]),
        ("run", &[]),
        ("worker", &["--module", "a", "--set", "schedule.kind=async"]),
    ] {
        tiny.ok("ingest", &[]);
        let args = [args, &LONG, &["--max-runtime", "1s"]].concat();
        let ended = tiny.output(command, &args);
        let err = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(75), "{command}: {err}");
        let says = "stopped after 1s, `--max-runtime`; what was done is kept";
        assert!(err.contains(says), "{command}: {err}");
    }
    for (wrong, says) in [("soon", "55m"), ("0s", "no time"), ("-1s", "55m")] {
        let err = tiny.fails(2, "run", &[&format!("--max-runtime={wrong}")]);
        assert!(err.contains(says), "{err}");
    }
}

/// Stops a command when half of its work is there, and has it go on; what it ends with is what it ends with
/// in one go.
fn stopped_in_the_middle(command: &str, args: &[&str], folder: &str, settings: &[&str]) {
    let tiny = Tiny::new();
    for run_dir in ["whole", "stopped"] {
        let place = ["--run-dir", run_dir];
        let settings = [settings, &place].concat();
        if command == "encode" {
            tiny.ok("ingest", &settings);
            tiny.ok("train", &[&["a"], &settings[..]].concat());
        }
    }
    tiny.ok(command, &[args, settings, &["--run-dir", "whole"]].concat());
    let stopped = [args, settings, &["--run-dir", "stopped"]].concat();
    let mut child = begin(&tiny, command, &stopped);
    let place = format!("stopped/datasets/{folder}/train");
    wait_for(&tiny, &place, "part-00001.parquet", &mut child);
    let ended = end(child, Signal::USR1);
    let err = text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(75), "{err}");
    let part = tiny.find(&place, "part-00001.parquet");
    let written = part.metadata().unwrap().modified().unwrap();
    assert!(tiny.output("status", &stopped[args.len()..]).status.success());
    tiny.ok(command, &stopped);
    assert_eq!(part.metadata().unwrap().modified().unwrap(), written, "it stays");
    assert_eq!(tiny.contents("stopped"), tiny.contents("whole"));
}

/// Enough rows that nobody is done before it is asked to stop.
const MANY: [&str; 6] = [
    "--set",
    "data.textures.train=4000",
    "--set",
    "training.epochs=1",
    "--set",
    "store.rows_per_part=64",
];

#[test]
fn an_ingest_that_is_stopped_goes_on_from_its_parts() {
    stopped_in_the_middle("ingest", &[], "ingest", &MANY);
}

#[test]
fn an_encoding_that_is_stopped_goes_on_from_its_parts() {
    stopped_in_the_middle("encode", &["a"], "a", &MANY);
}

#[test]
fn a_run_that_is_stopped_by_its_time_again_and_again_comes_to_its_end() {
    let tiny = Tiny::new();
    tiny.ok("run", &["--run-dir", "whole"]);
    let mut stops = 0;
    loop {
        let limit = format!("{}ms", 60 + 40 * stops);
        let ended = tiny.output("run", &["--run-dir", "stopped", "--max-runtime", &limit]);
        match ended.status.code() {
            Some(0) => break,
            code => assert_eq!(code, Some(75), "{}", text(&ended.stderr)),
        }
        stops += 1;
        assert!(stops < 200, "it does not come to its end");
    }
    assert!(stops > 0, "the first limit is too long to show anything");
    assert_eq!(tiny.contents("stopped"), tiny.contents("whole"));
}

#[test]
fn workers_that_are_started_by_hand_in_any_order_train_all() {
    let tiny = Tiny::new();
    let schedule = ["--set", "schedule.kind=async"];
    tiny.ok("ingest", &schedule);
    // Last first, and with no stdin.
    let workers: Vec<Child> = ["b", "a"]
        .iter()
        .map(|module| {
            let child = begin(&tiny, "worker", &[&["--module", module], &schedule[..]].concat());
            std::thread::sleep(Duration::from_millis(300));
            child
        })
        .collect();
    for worker in workers {
        let ended = worker.wait_with_output().unwrap();
        assert!(ended.status.success(), "{}", text(&ended.stderr));
    }
    let (_, err) = tiny.ok("run", &schedule);
    assert!(err.contains("train b                done before"), "{err}");
}
