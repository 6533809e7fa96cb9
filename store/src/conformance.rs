//! The test suite that every backend must pass. It makes the same calls on all of them.
//!
//! Mount your own backend and call [`run`] on a folder below it:
//!
//! ```no_run
//! # fn mine() -> std::sync::Arc<dyn gimlet_store::backend::Backend> { unimplemented!() }
//! let store = gimlet_store::Store::new();
//! store.mount("mine://a", mine());
//! gimlet_store::conformance::run(&store.locate("mine://a/suite"));
//! ```
//!
//! Checks panic when something fails, as tests do.

use std::sync::Barrier;
use std::time::Duration;

use serde_json::json;

use crate::gc::{Kind, Policy, Shelf};
use crate::{
    Appending, Column, DType, Dataset, ErrorKind, Finished, Generation, Lease, Location, Records,
    Result, Rows, Schema, Shard, Spec, Values, Writer, key_of,
};

/// Values per row: enough that a few rows are larger than a single put.
const WIDE: usize = 3 << 20;

/// A check of a backend, which gets a folder of its own.
pub type Check = fn(&Location);

/// All checks, by name.
pub const CHECKS: &[(&str, Check)] = &[
    ("what is not there", what_is_not_there),
    ("a generation, written and read", a_generation),
    ("a key that is there already", a_key_that_is_there),
    ("other bytes under one key", other_bytes),
    ("an attempt that is gone on with", an_attempt),
    ("records created at once", records_at_once),
    ("one key written at once", one_key_at_once),
    ("shards", shards),
    ("a part of many pages", a_large_part),
    ("damage", damage),
    ("leases", leases),
    ("removal", removal),
    ("a file that grows", growing),
    ("names", names),
];

/// Runs all checks and prints their names. Each check has a folder of its own below `root`.
#[allow(clippy::print_stderr)]
pub fn run(root: &Location) {
    for (place, (name, check)) in CHECKS.iter().enumerate() {
        eprintln!("{name}");
        check(&root.join(format!("check-{place}")));
    }
}

/// A test key; each `name` gives a different one.
pub fn key(name: char) -> String {
    key_of(name.to_string())
}

/// The spec of a generation with `rows` rows of `values` values.
fn spec(key: &str, values: usize, rows: usize) -> Spec {
    Spec {
        settings: json!({ "of": "the suite" }),
        rows: Some(rows as u64),
        rows_per_part: 4,
        rows_per_group: 2,
        ..Spec::new(Schema::of([Column::new("x", DType::F32, [values])]), key)
    }
}

/// The test value at `place` in `row`.
fn value(row: u64, place: usize) -> f32 {
    (row * 7 + place as u64 % 1000) as f32
}

fn give(writer: &mut Writer, rows: std::ops::Range<u64>, values: usize) -> Result<()> {
    for row in rows {
        let x: Vec<f32> = (0..values).map(|place| value(row, place)).collect();
        writer.write(&Rows {
            ids: &[row as i64],
            labels: &[Some(row as i64 % 3)],
            sources: None,
            attributes: &[],
            tensors: &[Values::F32(&x)],
        })?;
    }
    Ok(())
}

/// Writes and commits a generation of `rows` rows.
///
/// # Errors
/// The errors of the store.
pub fn write(dataset: &Dataset, key: &str, rows: u64) -> Result<Generation> {
    let mut writer = dataset.begin(spec(key, 6, rows as usize))?;
    give(&mut writer, 0..rows, 6)?;
    writer.commit(json!({}))
}

/// Reads a whole generation from [`write`] and compares it with what was written.
pub fn assert_reads_back(generation: &Generation, rows: u64) {
    let reader = generation.reader(&["x"]).unwrap();
    assert_eq!(reader.rows(), rows);
    let keys = reader.keys().unwrap();
    assert_eq!(keys.ids, (0..rows as i64).collect::<Vec<_>>());
    let backwards: Vec<u64> = (0..rows).rev().collect();
    let mut out = vec![0.0; 6 * rows as usize];
    reader.will_need("x", &backwards).unwrap();
    reader.read_f32("x", &backwards, &mut out).unwrap();
    for (place, got) in out.iter().enumerate() {
        assert_eq!(*got, value(backwards[place / 6], place % 6), "value {place}");
    }
}

fn what_is_not_there(root: &Location) {
    let dataset = Dataset::at(root.join("nothing"));
    assert!(dataset.newest().unwrap().is_none());
    assert!(dataset.find(&key('a')).unwrap().is_none());
    assert!(!dataset.was_begun().unwrap());
    assert_eq!(dataset.parts_on_disk(&key('a')).unwrap(), 0);
    assert_eq!(dataset.generation(1).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(root.join("nothing").list().unwrap().is_empty());
    assert_eq!(root.join("nothing/file").size().unwrap(), None);
    let error = root.join("nothing/file").read().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    root.join("nothing/file").remove().unwrap();
}

fn a_generation(root: &Location) {
    let dataset = Dataset::at(root.join("train"));
    let first = write(&dataset, &key('a'), 10).unwrap();
    let second = write(&dataset, &key('b'), 5).unwrap();
    assert_eq!((first.number(), second.number()), (1, 2));
    assert_eq!(dataset.generations().unwrap(), [2, 1]);
    assert_eq!(dataset.newest().unwrap().unwrap().number(), 2);
    assert_eq!(dataset.find(&key('a')).unwrap().unwrap().number(), 1);
    for (generation, rows) in [(&first, 10), (&second, 5)] {
        assert!(generation.is_whole().unwrap());
        assert_reads_back(generation, rows);
        generation.verify().unwrap();
    }
    // A glob over the folder gives the parts and nothing else.
    let names = first.dir().names().unwrap();
    let parts: Vec<&String> = names.iter().filter(|it| it.ends_with(".parquet")).collect();
    assert_eq!(parts, ["part-00000.parquet", "part-00001.parquet", "part-00002.parquet"]);
    assert!(first.manifest().parts.iter().map(|it| &it.file).eq(parts));
}

fn a_key_that_is_there(root: &Location) {
    let dataset = Dataset::at(root.join("train"));
    let first = write(&dataset, &key('a'), 10).unwrap();
    let again = write(&dataset, &key('a'), 10).unwrap();
    assert_eq!((first.number(), again.number()), (1, 1));
    assert_eq!(dataset.generations().unwrap(), [1]);
}

fn other_bytes(root: &Location) {
    let dataset = Dataset::at(root.join("train"));
    let mut writer = dataset.begin(spec(&key('a'), 6, 4)).unwrap();
    give(&mut writer, 0..4, 6).unwrap();
    drop(writer);
    // Without its note the part is written again; other bytes have taken its name.
    let folder = dataset.folder().join(&key('a')[..16]);
    folder.join(".part-00000.parquet.json").remove().unwrap();
    folder.join("part-00000.parquet").replace(b"something else").unwrap();
    let mut writer = dataset.begin(spec(&key('a'), 6, 4)).unwrap();
    let error = give(&mut writer, 0..4, 6).unwrap_err();
    assert!(error.to_string().contains("with other bytes"), "{error}");
    assert_eq!(folder.join("part-00000.parquet").read().unwrap(), b"something else");
    assert!(dataset.generations().unwrap().is_empty());
}

fn an_attempt(root: &Location) {
    let dataset = Dataset::at(root.join("train"));
    let mut writer = dataset.begin(spec(&key('a'), 6, 10)).unwrap();
    give(&mut writer, 0..9, 6).unwrap();
    drop(writer);
    assert!(dataset.newest().unwrap().is_none());
    assert!(dataset.was_begun().unwrap());
    let mut writer = dataset.begin(spec(&key('a'), 6, 10)).unwrap();
    assert_eq!(writer.rows_done(), 8);
    assert!(!writer.wants(0..8) && writer.wants(8..10));
    writer.skip(8).unwrap();
    give(&mut writer, 8..10, 6).unwrap();
    let generation = writer.commit(json!({})).unwrap();
    assert_reads_back(&generation, 10);
    let whole = write(&Dataset::at(root.join("whole")), &key('a'), 10).unwrap();
    assert_eq!(generation.manifest().parts, whole.manifest().parts);
}

/// Calls `commit` on `writers` threads at once; returns the numbers that they got.
fn at_once(writers: usize, commit: impl Fn(usize) -> u64 + Sync) -> Vec<u64> {
    let start = Barrier::new(writers);
    let run = &|writer| {
        start.wait();
        commit(writer)
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..writers).map(|it| scope.spawn(move || run(it))).collect();
        running.into_iter().map(|it| it.join().unwrap()).collect()
    })
}

fn records_at_once(root: &Location) {
    let records = Records::at(root.join("records"));
    let numbers = at_once(12, |writer| {
        records.commit(|number| json!({ "writer": writer, "number": number })).unwrap()
    });
    let mut sorted = numbers.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (1..=12).collect::<Vec<_>>());
    // Each writer finds its own record under its number.
    for (writer, number) in numbers.iter().enumerate() {
        let found: serde_json::Value = records.read(*number).unwrap();
        assert_eq!(found["writer"], writer);
    }
    assert!(!records.try_commit(3, &json!({ "writer": 99 })).unwrap());
}

fn one_key_at_once(root: &Location) {
    let dataset = Dataset::at(root.join("train"));
    let found = at_once(6, |_| write(&dataset, &key('c'), 9).unwrap().number());
    assert!(found.iter().all(|number| *number == 1), "{found:?}");
    assert_eq!(dataset.generations().unwrap(), [1]);
    let generation = dataset.newest().unwrap().unwrap();
    generation.verify().unwrap();
    assert_reads_back(&generation, 9);
}

fn shards(root: &Location) {
    let dataset = Dataset::at(root.join("train"));
    let mut committed = 0;
    for index in [2, 0, 1] {
        let shard = Shard::new(index, 3).unwrap();
        let mut writer = dataset.begin_shard(spec(&key('d'), 6, 18), shard).unwrap();
        for part in (0..18).step_by(4) {
            let rows = part..18.min(part + 4);
            match writer.wants(rows.clone()) {
                true => give(&mut writer, rows, 6).unwrap(),
                false => writer.skip(rows.end - rows.start).unwrap(),
            }
        }
        committed +=
            usize::from(matches!(writer.finish(|_| json!({})).unwrap(), Finished::Committed(_)));
    }
    assert_eq!(committed, 1);
    let generation = dataset.newest().unwrap().unwrap();
    assert_reads_back(&generation, 18);
    let whole = write(&Dataset::at(root.join("whole")), &key('d'), 18).unwrap();
    assert_eq!(generation.manifest().parts, whole.manifest().parts);
}

fn a_large_part(root: &Location) {
    let dataset = Dataset::at(root.join("train"));
    let mut writer = dataset.begin(spec(&key('e'), WIDE, 3)).unwrap();
    give(&mut writer, 0..3, WIDE).unwrap();
    let generation = writer.commit(json!({})).unwrap();
    assert!(generation.bytes() > 32 << 20);
    let reader = generation.reader(&["x"]).unwrap();
    let mut out = vec![0.0; WIDE];
    for row in [2, 0, 1] {
        reader.read_f32("x", &[row], &mut out).unwrap();
        for place in [0, 1, WIDE / 2, WIDE - 1] {
            assert_eq!(out[place], value(row, place), "row {row}, value {place}");
        }
    }
    generation.verify().unwrap();
    let left = generation.dir().names().unwrap();
    assert!(left.iter().all(|name| !name.ends_with(".tmp")), "{left:?}");
}

fn damage(root: &Location) {
    let dataset = Dataset::at(root.join("train"));
    let generation = write(&dataset, &key('a'), 10).unwrap();
    let part = generation.dir().join("part-00001.parquet");
    let good = part.read().unwrap();
    let mut bad = good.clone();
    bad[good.len() / 3] ^= 1;
    part.replace(&bad).unwrap();
    let error = generation.verify().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert_eq!(error.damage().unwrap().file, part.path());
    assert!(generation.is_whole().unwrap(), "nobody has noted it");
    root.store().note(error.damage().unwrap()).unwrap();
    assert_eq!(generation.broken_parts().unwrap(), std::slice::from_ref(&part));
    part.remove().unwrap();
    assert_eq!(generation.broken_parts().unwrap(), std::slice::from_ref(&part));
    // The same writer makes the generation again as it was.
    assert_eq!(write(&dataset, &key('a'), 10).unwrap().number(), 1);
    assert!(generation.is_whole().unwrap());
    assert_eq!(part.read().unwrap(), good);
    // A manifest that no longer matches its seal.
    let path = dataset.folder().join("00000001.json");
    let mut text = path.read().unwrap();
    text[5] ^= 1;
    path.replace(&text).unwrap();
    assert_eq!(dataset.generation(1).unwrap_err().kind(), ErrorKind::Damaged);
    assert!(dataset.find(&key('a')).unwrap().is_none());
    assert_eq!(write(&dataset, &key('a'), 10).unwrap().number(), 2);
}

fn leases(root: &Location) {
    let path = root.join("00000001.json");
    root.create_folder().unwrap();
    path.create(b"{}").unwrap();
    let shared = Lease::share(&path).unwrap();
    let second = Lease::share(&path).unwrap();
    assert!(Lease::take(&path, "me").unwrap().is_err());
    drop((shared, second));
    let lock = root.join("lock");
    let alone = Lease::take(&lock, "me").unwrap().unwrap();
    assert!(Lease::is_held(&lock).unwrap());
    assert_eq!(Lease::take(&lock, "you").unwrap().unwrap_err(), "me");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| Lease::share(&lock).unwrap());
        std::thread::sleep(Duration::from_millis(300));
        assert!(!waiting.is_finished(), "it waits for who has it alone");
        drop(alone);
        drop(waiting.join().unwrap());
    });
    assert!(!Lease::is_held(&lock).unwrap());
    // When many threads want the lease alone, one has it at a time.
    let inside = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let alone = Lease::wait_alone(&lock).unwrap();
                assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                std::thread::sleep(Duration::from_millis(20));
                inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                drop(alone);
            });
        }
    });
}

fn removal(root: &Location) {
    let dataset = Dataset::at(root.join("train"));
    for digit in ['a', 'b', 'c'] {
        write(&dataset, &key(digit), 6).unwrap();
    }
    let mut begun = dataset.begin(spec(&key('d'), 6, 8)).unwrap();
    give(&mut begun, 0..5, 6).unwrap();
    let read = dataset.generation(1).unwrap();
    let reader = read.reader(&["x"]).unwrap();
    let shelf = Shelf::of(&dataset);
    let policy = Policy { needed: [key('b')].into(), keep: 1, grace: Duration::ZERO };
    let remove = || {
        let found = shelf.survey(&policy).unwrap();
        for leftover in found.iter().filter(|it| it.stays.is_none()) {
            assert_eq!(shelf.remove(leftover, &policy).unwrap(), None);
        }
        found
    };
    // What is being read or written stays.
    let found = remove();
    let attempt = found.iter().find(|it| it.kind == Kind::Attempt).unwrap();
    assert!(attempt.stays.is_some() && attempt.bytes > 0, "{attempt:?}");
    assert_eq!(dataset.generations().unwrap(), [3, 2, 1]);
    let mut out = vec![0.0; 6];
    reader.read_f32("x", &[5], &mut out).unwrap();
    drop((reader, begun));
    remove();
    assert_eq!(dataset.generations().unwrap(), [3, 2]);
    assert!(!read.dir().is_folder().unwrap());
    assert!(!dataset.folder().join(&key('d')[..16]).is_folder().unwrap());
    assert_eq!(read.reader(&["x"]).unwrap_err().kind(), ErrorKind::NotFound);
    // A long grace period keeps what was written just now.
    let mut begun = dataset.begin(spec(&key('d'), 6, 8)).unwrap();
    give(&mut begun, 0..5, 6).unwrap();
    drop(begun);
    let policy = Policy { grace: Duration::from_secs(3600), ..policy };
    let found = shelf.survey(&policy).unwrap();
    assert!(found.iter().any(|it| it.kind == Kind::Attempt && it.stays.is_some()), "{found:?}");
    assert_reads_back(&dataset.generation(2).unwrap(), 6);
}

fn growing(root: &Location) {
    root.create_folder().unwrap();
    let path = root.join("log");
    let mut log = Appending::begin(&path, b"one\n".to_vec()).unwrap();
    log.push(b"two\n").unwrap();
    log.flush().unwrap();
    assert_eq!(path.read().unwrap(), b"one\ntwo\n");
    assert_eq!(path.read_up_to(3).unwrap(), b"one");
    path.rename(&root.join("old")).unwrap();
    assert_eq!(path.size().unwrap(), None);
    assert_eq!(root.join("old").size().unwrap(), Some(8));
    path.replace(b"").unwrap();
    assert_eq!(path.read_up_to(3).unwrap(), b"");
}

fn names(root: &Location) {
    // Spaces, percent signs and letters beyond ASCII.
    for name in ["a b", "50%", "ä", "a+b&c=d"] {
        let folder = root.join(name);
        folder.create_folder().unwrap();
        assert!(folder.join("file").create(name.as_bytes()).unwrap());
        assert!(!folder.join("file").create(b"other").unwrap());
        assert_eq!(folder.join("file").read().unwrap(), name.as_bytes());
        assert_eq!(folder.names().unwrap(), ["file"]);
        assert!(folder.is_folder().unwrap());
    }
    let mut names = ["a b", "50%", "ä", "a+b&c=d"];
    names.sort_unstable();
    assert_eq!(root.names().unwrap(), names);
    assert!(root.list().unwrap().iter().all(|it| it.is_folder));
}
