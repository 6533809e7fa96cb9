//! Whoever asks for a stop, by a signal or by time, finds what was done on disk and an exit code that says
//! what to do: 75 to run the same command again, 130 after Ctrl-C.

use crate::tiny;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tiny::{Held, Tiny, text};

const LONG: [&str; 2] = ["--set", "training.epochs=100000"];

/// A training that is held before its first step, with no checkpoint due before its end: what is saved is saved because
/// it was asked to stop.
const BEFORE_A_STEP: &str = "create log.jsonl";

fn steps(tiny: &Tiny) -> String {
    let status = tiny.json("status", &LONG);
    status["stages"][2]["why"].as_str().unwrap().to_owned()
}

#[test]
fn a_signal_that_is_sent_to_the_process_and_to_its_group_is_one() {
    let tiny = Tiny::new();
    tiny.ok("ingest", &[]);
    let train = [&["a"], &LONG[..]].concat();
    let Some(held) = tiny.held(BEFORE_A_STEP, "train", &train) else { return };
    (0..3).for_each(|_| held.signal(Signal::USR1));
    let ended = held.output();
    assert_eq!(ended.status.code(), Some(75));
    let err = text(&ended.stderr);
    assert!(err.contains("stopped by SIGUSR1"), "it ended at once: {err}");
}

#[test]
fn each_signal_saves_a_checkpoint_and_has_its_exit_code() {
    let tiny = Tiny::new();
    tiny.ok("ingest", &[]);
    for (signal, code, says) in [
        (Signal::TERM, 75, "stopped by SIGTERM; what was done is kept"),
        (Signal::USR1, 75, "stopped by SIGUSR1; what was done is kept"),
        (Signal::USR2, 75, "stopped by SIGUSR2; what was done is kept"),
        (Signal::HUP, 75, "stopped by SIGHUP; what was done is kept"),
        (Signal::XCPU, 75, "stopped by SIGXCPU, the limit on processor time (`ulimit -t`); what"),
        (Signal::INT, 130, "stopped; what was done is kept"),
    ] {
        let before = steps(&tiny);
        let train = [&["a"], &LONG[..]].concat();
        let Some(held) = tiny.held(BEFORE_A_STEP, "train", &train) else { return };
        held.signal(signal);
        let ended = held.output();
        let err = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(code), "{err}");
        assert!(err.contains(says), "{err}");
        let again = format!("gimlet --threads 2 train tiny.toml {}`", train.join(" "));
        let hint = err.lines().find(|it| it.contains("run the same command again to go on"));
        assert!(hint.is_some_and(|it| it.ends_with(&again)), "{again}: {err}");
        assert!(err.contains("kept: `train a` up to step "), "{err}");
        let after = steps(&tiny);
        assert!(after.starts_with("checkpoint at step ") && after != before, "{after}");
    }
}

#[test]
fn a_terminal_that_is_closed_takes_no_more_than_the_words() {
    let tiny = Tiny::new();
    tiny.ok("ingest", &[]);
    let mut train = tiny.process("train", &[&["a"], &LONG[..]].concat());
    train.stdout(Stdio::piped());
    let Some(mut held) = Held::begin(&mut train, BEFORE_A_STEP) else { return };
    // Nothing can be written any more; the terminal, and its shell, say that they are gone.
    drop((held.child.stdout.take(), held.child.stderr.take()));
    (0..3).for_each(|_| held.signal(Signal::HUP));
    assert_eq!(held.output().status.code(), Some(75));
    assert!(steps(&tiny).starts_with("checkpoint at step "), "{}", steps(&tiny));
}

#[test]
fn the_workers_of_a_run_whose_terminal_is_closed_stop_with_it() {
    let tiny = Tiny::new();
    let schedule = ["--set", "schedule.kind=async"];
    let Some(held) = tiny.held(BEFORE_A_STEP, "run", &schedule) else { return };
    held.signal(Signal::HUP);
    let ended = held.output();
    let err = text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(75), "{err}");
    assert!(err.contains("stopped by SIGHUP"), "{err}");
    tiny.ok("run", &schedule);
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_that_is_started_to_outlive_its_terminal_does() {
    let tiny = Tiny::new();
    let gimlet = assert_cmd::cargo::cargo_bin!("gimlet").display();
    let script = format!("trap '' HUP; exec '{gimlet}' --threads 2 run tiny.toml");
    let mut nohup = Command::new("sh");
    nohup.current_dir(tiny.path(".")).args(["-c", &script]).stderr(Stdio::piped());
    let Some(held) = Held::begin(&mut nohup, BEFORE_A_STEP) else { return };
    held.signal(Signal::HUP);
    held.release();
    let ended = held.output();
    assert!(ended.status.success(), "{}", text(&ended.stderr));
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
    let place = format!("stopped/datasets/{folder}/train");
    let Some(held) = tiny.held("create .part-00002.parquet", command, &stopped) else { return };
    held.signal(Signal::USR1);
    let ended = held.output();
    let err = text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(75), "{err}");
    let part = tiny.find(&place, "part-00001.parquet");
    let written = part.metadata().unwrap().modified().unwrap();
    assert!(tiny.output("status", &stopped[args.len()..]).status.success());
    tiny.ok(command, &stopped);
    assert_eq!(part.metadata().unwrap().modified().unwrap(), written, "it stays");
    assert_eq!(tiny.contents("stopped"), tiny.contents("whole"));
}

/// Enough rows for some parts.
const MANY: [&str; 6] = [
    "--set",
    "data.textures.train=400",
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
        // The first is over before any process is.
        let limit = format!("{}ms", 1 + 40 * stops);
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
    // Last first, and with no stdin: it waits for what the other has not begun to make.
    let args = |module| [&["--module", module], &schedule[..]].concat();
    let last = tiny.process("worker", &args("b")).spawn().unwrap();
    let lock = || {
        let locks = std::fs::read_dir(tiny.path("runs/tiny/locks")).unwrap();
        let mut names = locks.map(|it| it.unwrap().file_name().into_string().unwrap());
        names.any(|it| it.starts_with("b-"))
    };
    while !lock() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let first = tiny.process("worker", &args("a")).spawn().unwrap();
    for worker in [last, first] {
        let ended = worker.wait_with_output().unwrap();
        assert!(ended.status.success(), "{}", text(&ended.stderr));
    }
    let (_, err) = tiny.ok("run", &[&["-v"][..], &schedule].concat());
    assert!(err.contains("train b                done before"), "{err}");
}
