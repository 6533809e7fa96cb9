//! TensorBoard's events files: they say what the logs say, also of trainings that were killed.

use crate::tiny;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tiny::{Tiny, walk};

/// CRC-32C, bit by bit: the polynomial 1edc6f41, mirrored.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

fn masked(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The records of a TFRecord file, their checksums checked.
fn records(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let (header, rest) = bytes.split_at(12);
        let length = u64::from_le_bytes(header[..8].try_into().unwrap()) as usize;
        assert_eq!(u32::from_le_bytes(header[8..].try_into().unwrap()), masked(&header[..8]));
        let (record, rest) = rest.split_at(length);
        let (crc, rest) = rest.split_at(4);
        assert_eq!(u32::from_le_bytes(crc.try_into().unwrap()), masked(record));
        all.push(record.to_vec());
        bytes = rest;
    }
    all
}

/// A field of a message in Protocol Buffers.
#[derive(Debug, Clone)]
enum Field {
    Varint(u64),
    Eight([u8; 8]),
    Four([u8; 4]),
    Bytes(Vec<u8>),
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        value |= u64::from(byte & 127) << shift;
        if byte < 128 {
            return value;
        }
    }
    unreachable!()
}

/// The fields of a message, in order.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Field)> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let mut take = |count: usize| {
            let (taken, rest) = bytes.split_at(count);
            bytes = rest;
            taken.to_vec()
        };
        let field = match key & 7 {
            0 => Field::Varint(varint(&mut bytes)),
            1 => Field::Eight(take(8).try_into().unwrap()),
            5 => Field::Four(take(4).try_into().unwrap()),
            2 => {
                let count = varint(&mut bytes) as usize;
                let (taken, rest) = bytes.split_at(count);
                bytes = rest;
                Field::Bytes(taken.to_vec())
            }
            other => panic!("wire type {other}"),
        };
        all.push((key >> 3, field));
    }
    all
}

/// An event: wall time, step, and its scalars by tag.
fn event(record: &[u8]) -> (f64, u64, BTreeMap<String, f32>) {
    let (mut wall_time, mut step, mut scalars) = (0.0, 0, BTreeMap::new());
    for (number, field) in fields(record) {
        match (number, field) {
            (1, Field::Eight(bytes)) => wall_time = f64::from_le_bytes(bytes),
            (2, Field::Varint(number)) => step = number,
            (5, Field::Bytes(summary)) => {
                for (_, value) in fields(&summary) {
                    let Field::Bytes(value) = value else { panic!("{value:?}") };
                    let (mut tag, mut scalar) = (String::new(), None);
                    for field in fields(&value) {
                        match field {
                            (1, Field::Bytes(name)) => tag = String::from_utf8(name).unwrap(),
                            (2, Field::Four(bytes)) => scalar = Some(f32::from_le_bytes(bytes)),
                            other => panic!("{other:?}"),
                        }
                    }
                    assert!(scalars.insert(tag, scalar.unwrap()).is_none());
                }
            }
            (3, Field::Bytes(version)) => assert_eq!(version, b"brain.Event:2"),
            (7, Field::Bytes(session)) => assert_eq!(session, [8, 1], "SessionLog.START"),
            other => panic!("{other:?}"),
        }
    }
    (wall_time, step, scalars)
}

/// The events files in a folder.
fn events_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(folder, &mut |path| {
        if path.file_name().is_some_and(|it| it.to_string_lossy().contains("tfevents")) {
            found.push(path.to_path_buf());
        }
    });
    found
}

/// What the log of a training says, as its events should.
fn logged(log: &Path) -> Vec<(u64, BTreeMap<String, f32>)> {
    let text = std::fs::read_to_string(log).unwrap();
    let of = |line: &str| {
        let entry: Value = serde_json::from_str(line).unwrap();
        let keys = [
            ("loss", "train/loss"),
            ("accuracy", "train/accuracy"),
            ("held_out", "held_out/loss"),
            ("held_out_accuracy", "held_out/accuracy"),
        ];
        let scalars = keys.into_iter().filter_map(|(key, tag)| {
            entry[key].as_f64().map(|value| (tag.to_string(), value as f32))
        });
        (entry["step"].as_u64().unwrap() + 1, scalars.collect())
    };
    text.lines().map(of).collect()
}

/// That the one events file of every training in a run says what its log says; returns the trainings.
fn check(tiny: &Tiny, run_dir: &str) -> usize {
    let mut logs = Vec::new();
    walk(&tiny.path(&format!("{run_dir}/modules")), &mut |path| {
        if path.ends_with("log.jsonl") {
            logs.push(path.to_path_buf());
        }
    });
    for log in &logs {
        let files = events_files(log.parent().unwrap());
        assert_eq!(files.len(), 1, "{files:?}");
        let events: Vec<_> =
            records(&std::fs::read(&files[0]).unwrap()).iter().map(|it| event(it)).collect();
        let times: Vec<f64> = events[2..].iter().map(|it| it.0).collect();
        assert!(times.is_sorted(), "{times:?}");
        assert!(times[0] > 1.6e9, "seconds since 1970");
        let found: Vec<_> = events[2..].iter().map(|it| (it.1, it.2.clone())).collect();
        assert_eq!(found, logged(log), "{}", log.display());
    }
    logs.len()
}

const KEPT: [&str; 4] = ["--set", "training.checkpoint_seconds=0", "--set", "training.epochs=30"];

#[test]
fn events_say_what_the_log_says_also_after_kills_in_rounds_and_of_modules_at_once() {
    let tiny = Tiny::new();
    let killed = [&KEPT[..], &["--run-dir", "killed"]].concat();
    let kills = tiny.killed_until_done(3, "run", &killed);
    assert!(kills >= 3, "only {kills} kills: the run is too short to show anything");
    assert_eq!(check(&tiny, "killed"), 2);
    let log = tiny.find("killed/modules/a", "log.jsonl");
    let logged = logged(&log);
    assert_eq!(logged.len(), 180);
    let held_out = logged.iter().filter(|(_, scalars)| scalars.contains_key("held_out/loss"));
    let steps: Vec<u64> = held_out.map(|(step, _)| *step).collect();
    assert_eq!(steps, (1..=30).map(|epoch| 6 * epoch).collect::<Vec<u64>>());
    check_with_tensorboard(&tiny, "killed");

    let rounds = ["--set", "schedule.kind=rounds", "--set", "schedule.rounds=2"];
    tiny.ok("run", &[&rounds[..], &["--run-dir", "rounds"]].concat());
    assert_eq!(check(&tiny, "rounds"), 4, "two modules, two rounds each");
    tiny.ok("run", &["--set", "schedule.kind=simultaneous", "--run-dir", "at-once"]);
    assert_eq!(check(&tiny, "at-once"), 2);
    tiny.ok("run", &["--set", "schedule.kind=async", "--run-dir", "async"]);
    assert_eq!(check(&tiny, "async"), 2);
}

#[test]
fn gc_removes_events_with_their_training_and_verify_passes_them_over() {
    let tiny = Tiny::new();
    tiny.ok("run", &[]);
    let events = |run_dir: &str| events_files(&tiny.path(&format!("{run_dir}/modules"))).len();
    assert_eq!(events("runs/tiny"), 2);
    tiny.ok("verify", &[]);
    let other = ["--set", "seed=9"];
    tiny.ok("run", &other);
    assert_eq!(events("runs/tiny"), 4);
    tiny.ok("gc", &[&other[..], &["--keep", "1"]].concat());
    assert_eq!(events("runs/tiny"), 2);
}

/// The real TensorBoard, where Python has it, finds a run for each training and the scalars of its log.
fn check_with_tensorboard(tiny: &Tiny, run_dir: &str) {
    let python = std::env::var("GIMLET_PYTHON").unwrap_or_else(|_| "python3".into());
    let import = Command::new(&python).args(["-c", "import tensorboard"]).output();
    if !import.is_ok_and(|import| import.status.success()) {
        // Past the test harness, which swallows what a test prints that passes.
        let skipped = format!("skipped: {python} cannot import tensorboard: it is not tested\n");
        std::io::stderr().write_all(skipped.as_bytes()).unwrap();
        return;
    }
    let script = r#"
import glob, json, os, sys
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
multiplexer = EventMultiplexer(size_guidance={"scalars": 0, "tensors": 0})
multiplexer.AddRunsFromDirectory(sys.argv[1])
multiplexer.Reload()
found = {}
for run, tags in multiplexer.Runs().items():
    for tag in tags["scalars"] + tags["tensors"]:
        scalars = multiplexer.Scalars(run, tag) if tag in tags["scalars"] else []
        found.setdefault(run, {})[tag] = [[it.step, it.value] for it in scalars]
json.dump(found, sys.stdout)
"#;
    let modules = tiny.path(&format!("{run_dir}/modules"));
    let output = Command::new(&python).args(["-c", script]).arg(&modules).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: BTreeMap<String, BTreeMap<String, Vec<(u64, f32)>>> =
        serde_json::from_slice(&output.stdout).unwrap();
    let mut runs = 0;
    walk(&modules, &mut |path| {
        if !path.ends_with("log.jsonl") {
            return;
        }
        let mut expected: BTreeMap<String, Vec<(u64, f32)>> = BTreeMap::new();
        for (step, scalars) in logged(path) {
            for (tag, value) in scalars {
                expected.entry(tag).or_default().push((step, value));
            }
        }
        let run = path.parent().unwrap().strip_prefix(&modules).unwrap().display().to_string();
        assert_eq!(expected.len(), 4);
        assert_eq!(found[&run], expected, "{run}");
        runs += 1;
    });
    assert_eq!(found.len(), runs);
}
