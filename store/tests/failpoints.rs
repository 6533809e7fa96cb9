//! Every single operation that changes the disk fails once, and is once where the process ends:
//! nothing that was committed is lost, nothing is taken for whole that is not, and whoever comes
//! next ends with the same bytes as if nothing had happened.

mod child;
mod read_back;
mod support;
mod tree;

use std::fs;
use std::io::{ErrorKind as IoKind, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::RwLock;
use std::time::Duration;

use gimlet_store::faults::{self, Fault, Operation};
use gimlet_store::gc::{Policy, Shelf};
use gimlet_store::{Dataset, Error, ErrorKind, Location, Records, Result, Spec, Store};
use read_back::assert_reads_back;
use support::*;
use tree::tree;

const ROWS: usize = 23;

/// Something that changes a folder, and can be begun again wherever it stopped.
struct Work {
    /// Makes what is there before.
    prepare: fn(&Location),
    run: fn(&Location) -> Result<()>,
    /// What holds at any moment.
    always: fn(&Location),
    /// What holds at the end, however often it was begun.
    after: fn(&Location),
    /// Whether the folder ends with the same files however often it was begun.
    same_files: bool,
    /// Of those the ones that nobody makes again, as nothing depends on them any more.
    may_lack: &'static [&'static str],
}

fn work(name: &str) -> Work {
    match name {
        "generation" => Work {
            prepare: |folder| {
                generation(&Dataset::at(folder), other_spec(), 5, 5);
            },
            run: |folder| {
                let mut writer = Dataset::at(folder).begin(spec(schema(), 10, 4))?;
                write_wanted(&mut writer, &schema(), ROWS, 5)?;
                writer.commit(serde_json::json!({})).map(|_| ())
            },
            always: |folder| {
                let dataset = Dataset::at(folder);
                let numbers = dataset.generations().unwrap();
                assert!(numbers.ends_with(&[1]));
                for number in numbers {
                    let generation = dataset.generation(number).unwrap();
                    generation.verify().unwrap();
                    assert_reads_back(&generation, if number == 1 { 5 } else { ROWS });
                }
            },
            after: |folder| {
                let committed = Dataset::at(folder).find(KEY).unwrap().unwrap();
                assert_eq!(committed.number(), 2);
            },
            same_files: true,
            may_lack: &[],
        },
        "repair" => Work {
            prepare: |folder| {
                let committed = generation(&Dataset::at(folder), spec(schema(), 10, 4), ROWS, 5);
                let part = committed.dir().path().join("part-00001.parquet");
                let mut bytes = fs::read(&part).unwrap();
                bytes[100] ^= 1;
                fs::write(&part, bytes).unwrap();
            },
            run: work("generation").run,
            always: |folder| {
                let committed = Dataset::at(folder).generation(1).unwrap();
                match committed.verify() {
                    Ok(()) => assert_reads_back(&committed, ROWS),
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
                        assert!(error.to_string().contains("part-00001.parquet"), "{error}");
                    }
                }
            },
            after: |folder| Dataset::at(folder).generation(1).unwrap().verify().unwrap(),
            same_files: true,
            // That the part is whole is said by the manifest.
            may_lack: &["3f9ac2d1e0b4a7c8/.part-00001.parquet.json"],
        },
        "collection" => Work {
            prepare: |folder| {
                let dataset = Dataset::at(folder);
                generation(&dataset, other_spec(), 5, 5);
                generation(&dataset, spec(schema(), 10, 4), ROWS, 5);
                let attempt = Spec { key: "1".repeat(64), ..spec(schema(), 10, 4) };
                let mut writer = dataset.begin(attempt).unwrap();
                write(&mut writer, &schema(), 0..15).unwrap();
                drop(writer);
                generation(&dataset, Spec { key: "2".repeat(64), ..other_spec() }, 5, 5);
            },
            run: |folder| {
                let shelf = Shelf::of(&Dataset::at(folder));
                let needed = [KEY.to_owned()].into();
                let policy = Policy { needed, keep: 0, grace: Duration::ZERO };
                for leftover in shelf.survey(&policy)?.iter().filter(|it| it.stays.is_none()) {
                    assert_eq!(shelf.remove(leftover, &policy)?, None);
                }
                Ok(())
            },
            always: |folder| {
                let dataset = Dataset::at(folder);
                assert!(dataset.generations().unwrap().starts_with(&[3, 2]));
                assert_reads_back(&dataset.generation(3).unwrap(), 5);
                assert_reads_back(&dataset.generation(2).unwrap(), ROWS);
                let checked = dataset.check(&|_| {});
                assert!(checked.damage.is_empty() && checked.unchecked.is_empty(), "{checked:?}");
            },
            after: |folder| assert_eq!(Dataset::at(folder).generations().unwrap(), [3, 2]),
            same_files: true,
            may_lack: &[],
        },
        "record" => Work {
            prepare: |folder| {
                Records::at(folder.join("records")).commit(|_| "first").unwrap();
            },
            run: |folder| {
                Records::at(folder.join("records")).commit(|_| "second")?;
                Records::at(folder.join("more/records")).commit(|_| "another").map(|_| ())
            },
            always: |folder| {
                let records = Records::at(folder.join("records"));
                let text = |number| records.read::<String>(number).unwrap();
                let numbers = records.numbers().unwrap();
                assert_eq!(text(1), "first");
                assert!(numbers.iter().all(|number| *number == 1 || text(*number) == "second"));
            },
            after: |folder| {
                assert!(Records::at(folder.join("records")).numbers().unwrap()[0] > 1);
                let more = Records::at(folder.join("more/records"));
                assert_eq!(more.read::<String>(1).unwrap(), "another");
            },
            // An error after the link leaves a record; whoever asks again commits another.
            same_files: false,
            may_lack: &[],
        },
        "checkpoint" => Work {
            prepare: |folder| {
                folder.join("newest").replace(&[1; 1000]).unwrap();
                folder.join("previous").replace(&[0; 1000]).unwrap();
            },
            // As a training run does it.
            run: |folder| {
                let (newest, previous) = (folder.join("newest"), folder.join("previous"));
                folder.remove_dead_temps()?;
                if newest.read().is_ok_and(|it| it == [1; 1000]) {
                    newest.rename(&previous)?;
                }
                newest.replace(&[2; 2000])
            },
            always: |folder| {
                let there = |name| folder.join(name).read().unwrap_or_default();
                match &there("newest")[..] {
                    [] => assert_eq!(there("previous"), [1; 1000]),
                    [1, ..] => assert_eq!(there("newest"), [1; 1000]),
                    _ => assert_eq!(there("newest"), [2; 2000]),
                }
            },
            after: |folder| assert_eq!(folder.join("newest").read().unwrap(), [2; 2000]),
            same_files: true,
            may_lack: &[],
        },
        other => panic!("no work is called {other}"),
    }
}

fn other_spec() -> Spec {
    Spec { key: "0".repeat(64), ..spec(schema(), 10, 4) }
}

/// A folder in which the work stands before its beginning.
fn prepared(work: &Work) -> (tempfile::TempDir, Location) {
    let folder = tempfile::tempdir().unwrap();
    let place = Store::new().locate(folder.path().join("place"));
    place.create_folder().unwrap();
    (work.prepare)(&place);
    (folder, place)
}

/// Ends what a fault stopped; the result is as if it had not been.
fn ends_well(work: &Work, place: &Location, undisturbed: &Location, what: &str) {
    (work.always)(place);
    (work.run)(place).unwrap_or_else(|error| panic!("{what}, begun again: {error}"));
    (work.always)(place);
    (work.after)(place);
    let (ended, mut whole) = (tree(place.path()), tree(undisturbed.path()));
    whole.retain(|name, _| ended.contains_key(name) || !work.may_lack.contains(&name.as_str()));
    assert!(!ended.keys().any(|name| name.ends_with(".tmp")), "{what}: {:?}", ended.keys());
    if work.same_files {
        assert!(ended.keys().eq(whole.keys()), "{what}: {:?}", ended.keys());
        assert!(ended == whole, "{what}: the bytes of a file differ");
    }
}

/// Calls `meet` with every number below `count`; faults wait for the disk, not for each other.
fn for_each(count: usize, meet: impl Fn(usize) + Sync) {
    let threads = 4;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let meet = &meet;
            scope.spawn(move || (thread..count).step_by(threads).for_each(meet));
        }
    });
}

/// A process that is about to become another has, for a moment, copies of all files that are open
/// here, and so their locks: no writer may work in that moment, or it takes dead files for living.
static OPEN_FILES: RwLock<()> = RwLock::new(());

fn in_process(work: &str, place: &Path, fault: &str, lacks: &[Operation]) -> Output {
    let mut process = child::again("in_another_process", work);
    process.env("PLACE", place).env("GIMLET_FAULT", fault);
    if !lacks.is_empty() {
        process.env("GIMLET_LACKS", if lacks == NO_LINKS { "link" } else { "link,move" });
    }
    let alone = OPEN_FILES.write().unwrap();
    let process = process.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(alone);
    process.wait_with_output().unwrap()
}

/// File systems without hard links, of which one knows how to rename a file to a free name.
const NO_LINKS: &[Operation] = &[Operation::Link];
const NEITHER: &[Operation] = &[Operation::Link, Operation::Move];

fn every_operation_of(name: &str, expected: Range<usize>) {
    every_operation_on(name, expected, &[]);
}

/// The same on a file system that lacks some operations.
fn every_operation_on(name: &str, expected: Range<usize>, lacks: &[Operation]) {
    if !faults::AVAILABLE {
        // Past the test harness, which swallows what a test prints that passes.
        let skipped = format!("skipped: this build has no faults: {name} is not tested\n");
        return std::io::stderr().write_all(skipped.as_bytes()).unwrap();
    }
    let work = work(name);
    let (_whole, undisturbed) = prepared(&work);
    let watch = undisturbed.store().faults().watch(undisturbed.path(), None);
    let lacking = undisturbed.store().faults().lacking(undisturbed.path(), lacks);
    (work.run)(&undisturbed).unwrap();
    let operations = watch.operations();
    drop((watch, lacking));
    (work.after)(&undisturbed);
    assert!(expected.contains(&operations.len()), "{} operations", operations.len());
    assert_in_durable_order(&operations);

    for_each(operations.len(), |at| {
        let operation = operations[at].0;
        for fault in [
            Fault::Fails(IoKind::StorageFull),
            Fault::FailsFromThere(IoKind::StorageFull),
            Fault::Fails(IoKind::Other),
        ] {
            let what = format!("{name}, operation {at}, {operation:?}: {fault:?}");
            let _files = OPEN_FILES.read().unwrap();
            let (_folder, place) = prepared(&work);
            let lacking = place.store().faults().lacking(place.path(), lacks);
            let watch = place.store().faults().watch(place.path(), Some((at, fault)));
            let result = (work.run)(&place);
            assert_eq!(watch.operations()[at].0, operation, "{what}");
            drop(watch);
            match result {
                // A temporary name that stays is the next writer's to remove.
                Ok(()) => assert_eq!(operation, Operation::Remove, "{what}: no error"),
                Err(error) => assert_says(&error, fault, place.path(), &what),
            }
            ends_well(&work, &place, &undisturbed, &what);
            drop(lacking);
        }
        for fault in ["die", "tear"] {
            if fault == "tear" && operation != Operation::Write {
                continue;
            }
            let what = format!("{name}, operation {at}, {operation:?}: {fault}");
            let (_folder, place) = prepared(&work);
            let output = in_process(name, place.path(), &format!("{at}:{fault}"), lacks);
            assert_eq!(output.status.code(), Some(faults::EXIT_CODE), "{what}: {output:?}");
            let _files = OPEN_FILES.read().unwrap();
            let _lacking = place.store().faults().lacking(place.path(), lacks);
            ends_well(&work, &place, &undisturbed, &what);
        }
    });
}

/// Every operation on a bucket fails once, or from there on; it is never left with half of anything.
fn every_operation_on_a_bucket(name: &str, expected: Range<usize>) {
    if !faults::AVAILABLE {
        return eprintln!("skipped: this build has no faults: {name} is not tested on a bucket");
    }
    let work = work(name);
    let prepared = || {
        let store = Store::new();
        store.keep_at_most(0);
        let place = store.locate("memory://bucket/place");
        (work.prepare)(&place);
        place
    };
    let undisturbed = prepared();
    let watch = undisturbed.store().faults().watch(undisturbed.path(), None);
    (work.run)(&undisturbed).unwrap();
    let operations = watch.operations();
    assert!(expected.contains(&operations.len()), "{operations:?}");
    for (at, operation) in operations.iter().enumerate() {
        for fault in [Fault::Fails(IoKind::Other), Fault::FailsFromThere(IoKind::Other)] {
            let what = format!("{name} on a bucket, operation {at}, {operation:?}");
            let place = prepared();
            let watch = place.store().faults().watch(place.path(), Some((at, fault)));
            let _ = (work.run)(&place);
            assert_eq!(watch.operations()[at].0, operation.0, "{what}");
            drop(watch);
            (work.always)(&place);
            (work.run)(&place).unwrap_or_else(|error| panic!("{what}, begun again: {error}"));
            (work.always)(&place);
            (work.after)(&place);
        }
    }
}

#[test]
fn what_fails_on_a_bucket_loses_nothing() {
    every_operation_on_a_bucket("generation", 5..40);
    every_operation_on_a_bucket("collection", 5..60);
    every_operation_on_a_bucket("record", 2..10);
    every_operation_on_a_bucket("checkpoint", 2..5);
}

fn assert_says(error: &Error, fault: Fault, place: &Path, what: &str) {
    let full = fault != Fault::Fails(IoKind::Other);
    let kind = if full { ErrorKind::NoSpace } else { ErrorKind::Failed };
    assert_eq!(error.kind(), kind, "{what}: {error}");
    assert!(error.to_string().contains(&place.display().to_string()), "{what}: {error}");
    if cfg!(unix) {
        assert_eq!(error.free().is_some(), full, "{what}: {error}");
    }
}

/// What a name is given to was synced before, and the name is synced before the next is given: so
/// a power cut leaves nothing that a kill does not.
fn assert_in_durable_order(operations: &[(Operation, PathBuf)]) {
    for (at, (operation, path)) in operations.iter().enumerate() {
        let synced = match operation {
            Operation::CreateFolder => path.parent().unwrap(),
            Operation::Link | Operation::Move => {
                let name = path.file_name().unwrap().to_str().unwrap();
                let temp = |path: &Path| {
                    let temp = path.file_name().unwrap().to_str().unwrap();
                    temp.starts_with(&format!(".{name}."))
                };
                let last = operations[..at].iter().rfind(|(operation, path)| {
                    matches!(operation, Operation::Write | Operation::Sync) && temp(path)
                });
                assert_eq!(last.unwrap().0, Operation::Sync, "{path:?} was not synced");
                path.parent().unwrap()
            }
            _ => continue,
        };
        let next = operations[at + 1..].iter().find(|(operation, _)| {
            matches!(operation, Operation::Link | Operation::CreateFolder | Operation::SyncFolder)
        });
        assert_eq!(next, Some(&(Operation::SyncFolder, synced.to_path_buf())), "after {path:?}");
    }
}

#[test]
fn writing_and_committing_a_generation() {
    every_operation_of("generation", 40..120);
}

/// Each name is given by a rename to a free name.
#[test]
fn writing_and_committing_a_generation_without_hard_links() {
    every_operation_on("generation", 40..120, NO_LINKS);
}

/// Each name is given by a claim.
#[test]
fn writing_and_committing_a_generation_by_claims() {
    every_operation_on("generation", 60..160, NEITHER);
}

#[test]
fn committing_a_record_by_claims() {
    every_operation_on("record", 10..40, NEITHER);
}

#[test]
fn writing_a_damaged_part_again() {
    every_operation_of("repair", 10..60);
}

#[test]
fn removing_what_nothing_needs() {
    every_operation_of("collection", 10..60);
}

#[test]
fn committing_a_record() {
    every_operation_of("record", 10..30);
}

#[test]
fn replacing_a_checkpoint() {
    every_operation_of("checkpoint", 5..10);
}

#[test]
fn in_another_process() {
    let Some(name) = child::role() else { return };
    (work(&name).run)(&Store::new().locate(std::env::var("PLACE").unwrap())).unwrap();
}

#[test]
fn a_fault_that_is_misspelt_is_not_passed_over() {
    if !faults::AVAILABLE {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for misspelt in ["7:dye", "lnik x:wait", "7"] {
        let output = in_process("checkpoint", folder.path(), misspelt, &[]);
        assert_eq!(output.status.code(), Some(101), "{misspelt}: {output:?}");
    }
}
