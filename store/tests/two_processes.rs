//! Two processes write the same generation at the same time, many times: one commits it, and both
//! end well. Also when one of them dies on the way.

mod child;
mod read_back;
mod support;
mod tree;

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Stdio};

use gimlet_store::{Store, faults};
use read_back::assert_reads_back;
use support::*;
use tree::tree;

const ROWS: usize = 23;

/// Writes the generation once a line comes in, so that all begin at one time.
#[test]
fn in_another_process() {
    let Some(at_once) = child::role() else { return };
    let dataset = Store::new().dataset(std::env::var("PLACE").unwrap());
    std::io::stdin().read_exact(&mut [0]).unwrap();
    let written = generation(&dataset, spec(schema(), 5, 2), ROWS, at_once.parse().unwrap());
    assert_eq!(written.number(), 1);
    assert_reads_back(&written, ROWS);
}

fn writer(place: &Path, at_once: usize, fault: Option<String>) -> Child {
    writer_lacking(place, at_once, fault, None)
}

/// The same on a file system that lacks something.
fn writer_lacking(
    place: &Path,
    at_once: usize,
    fault: Option<String>,
    lacks: Option<&str>,
) -> Child {
    let mut process = child::again("in_another_process", &at_once.to_string());
    process.env("PLACE", place).envs(fault.map(|fault| ("GIMLET_FAULT", fault)));
    process.envs(lacks.map(|lacks| ("GIMLET_LACKS", lacks)));
    process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn race(writers: impl Fn(&Path) -> Vec<(Child, bool)>) {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    generation(&Store::new().dataset(&whole), spec(schema(), 5, 2), ROWS, 7);

    let place = folder.path().join("raced");
    let mut writers = writers(&place);
    for (writer, _) in &mut writers {
        writer.stdin.take().unwrap().write_all(b"\n").unwrap();
    }
    for (writer, dies) in writers {
        let output = writer.wait_with_output().unwrap();
        let died = output.status.code() == Some(faults::EXIT_CODE);
        assert!(output.status.success() || (dies && died), "{output:?}");
    }
    let dataset = Store::new().dataset(&place);
    assert_eq!(dataset.generations().unwrap(), [1]);
    dataset.generation(1).unwrap().verify().unwrap();
    let mut raced = tree(&place);
    raced.retain(|name, _| !name.ends_with(".tmp"));
    assert!(raced == tree(&whole), "{:?}", raced.keys());
}

#[test]
fn both_end_well() {
    for round in 0..40 {
        race(|place| (0..2).map(|it| (writer(place, 2 + round % 5 + it, None), false)).collect());
    }
}

#[test]
fn both_end_well_without_hard_links_and_without_locks() {
    if !faults::AVAILABLE {
        return skipped();
    }
    for round in 0..30 {
        let lacks = ["link", "link,move", "link,move,lock"][round % 3];
        let writer =
            |place: &Path, it| writer_lacking(place, 2 + round % 5 + it, None, Some(lacks));
        race(|place| (0..2).map(|it| (writer(place, it), false)).collect());
    }
}

#[test]
fn four_end_well() {
    for _ in 0..8 {
        race(|place| (2..6).map(|at_once| (writer(place, at_once, None), false)).collect());
    }
}

#[test]
fn one_ends_well_when_the_other_dies() {
    if !faults::AVAILABLE {
        return skipped();
    }
    for operation in 0..60 {
        race(|place| {
            let dies = writer(place, 3, Some(format!("{operation}:tear")));
            vec![(dies, true), (writer(place, 4, None), false)]
        });
    }
}

#[test]
fn one_ends_well_when_the_other_dies_with_a_claim() {
    if !faults::AVAILABLE {
        return skipped();
    }
    for operation in 0..80 {
        race(|place| {
            let fault = Some(format!("{operation}:tear"));
            let dies = writer_lacking(place, 3, fault, Some("link,move"));
            vec![(dies, true), (writer_lacking(place, 4, None, Some("link,move")), false)]
        });
    }
}

fn skipped() {
    // Past the test harness, which swallows what a test prints that passes.
    let skipped = "skipped: this build has no faults: writers that die, or lack something\n";
    std::io::stderr().write_all(skipped.as_bytes()).unwrap();
}
