//! Generations: when they become visible, how they are resumed, who wins.

mod read_back;
mod support;

use std::fs;
use std::path::Path;

use gimlet_store::{
    Compression, CompressionSetting, DType, Error, ErrorKind, Rows, Schema, Spec, Store, Values,
    Writer,
    faults::{self, Operation},
};
use read_back::assert_reads_back;
use support::*;

const ROWS: usize = 23;

fn parts(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut parts: Vec<_> = fs::read_dir(folder.join(&KEY[..16]))
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    parts.sort();
    parts
}

#[test]
fn a_resumed_writer_ends_with_the_same_bytes() {
    let whole = tempfile::tempdir().unwrap();
    let uninterrupted =
        generation(&Store::new().dataset(whole.path()), spec(schema(), 10, 4), ROWS, 5);

    let folder = tempfile::tempdir().unwrap();
    let dataset = Store::new().dataset(folder.path());
    for (stop, found) in [(7, 0), (13, 0), (22, 10)] {
        let mut writer = dataset.begin(spec(schema(), 10, 4)).unwrap();
        assert_eq!(writer.rows_done(), found);
        assert_eq!(write_wanted(&mut writer, &schema(), stop, 5).unwrap(), stop - found as usize);
        assert!(dataset.generations().unwrap().is_empty());
        drop(writer);
        assert!(parts(folder.path()).iter().all(|(name, _)| !name.ends_with(".tmp")));
    }
    assert!(dataset.newest().unwrap().is_none());
    let resumed = generation(&dataset, spec(schema(), 10, 4), ROWS, 3);
    assert_eq!(parts(folder.path()), parts(whole.path()));
    assert_eq!(resumed.manifest().parts, uninterrupted.manifest().parts);
    assert_eq!(resumed.manifest().statistics, uninterrupted.manifest().statistics);
    assert_reads_back(&resumed, ROWS);
}

#[test]
fn what_a_killed_writer_leaves_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = Store::new().dataset(folder.path());
    let living = folder.path().join(&KEY[..16]);
    let mut writer = dataset.begin(spec(schema(), 10, 4)).unwrap();
    write(&mut writer, &schema(), 0..7).unwrap();
    let dead = living.join(".part-00000.parquet.0123456789abcdef.tmp");
    fs::write(&dead, "half a part").unwrap();
    // Another writer of the same key removes what is dead, and not what is being written.
    let second = generation(&dataset, spec(schema(), 10, 4), ROWS, 5);
    assert!(!dead.exists());
    write(&mut writer, &schema(), 7..ROWS).unwrap();
    let first = writer.commit(serde_json::json!("late")).unwrap();
    assert_eq!(first.number(), second.number());
    assert_eq!(first.manifest(), second.manifest());
}

#[test]
fn of_two_writers_at_once_one_commits_and_both_end_well() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = Store::new().dataset(folder.path());
    let numbers: Vec<u64> = std::thread::scope(|scope| {
        let writers: Vec<_> = (2..6)
            .map(|at_once| {
                let dataset = dataset.clone();
                scope.spawn(move || generation(&dataset, spec(schema(), 5, 2), ROWS, at_once))
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().unwrap().number()).collect()
    });
    assert_eq!(numbers, [1; 4]);
    assert_reads_back(&dataset.newest().unwrap().unwrap(), ROWS);
}

#[test]
fn another_key_is_another_generation() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = Store::new().dataset(folder.path());
    let first = generation(&dataset, spec(schema(), 10, 4), ROWS, 5);
    let other = "0".repeat(64);
    let second =
        generation(&dataset, gimlet_store::Spec { key: other, ..spec(schema(), 10, 4) }, 5, 5);
    assert_eq!(dataset.generations().unwrap(), [2, 1]);
    assert_eq!(dataset.newest().unwrap().unwrap().number(), second.number());
    assert_eq!(dataset.find(KEY).unwrap().unwrap().number(), first.number());
    assert_reads_back(&first, ROWS);
    assert_reads_back(&second, 5);
}

#[test]
fn a_key_that_leaves_something_out_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = Store::new().dataset(folder.path());
    generation(&dataset, spec(schema(), 10, 4), ROWS, 5);
    // The same key with another cut, and so with other bytes.
    let mut writer = dataset.begin(spec(schema(), 30, 4)).unwrap();
    write(&mut writer, &schema(), 0..ROWS).unwrap();
    let committed = writer.commit(serde_json::json!({})).map(|_| ());
    assert_failed(committed, "the key leaves out something");
    let kept = dataset.newest().unwrap().unwrap();
    assert_reads_back(&kept, ROWS);
    kept.verify().unwrap();
}

#[test]
fn a_damaged_part_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = Store::new().dataset(folder.path());
    let before = generation(&dataset, spec(schema(), 10, 4), ROWS, 5);
    let path = before.dir().path().join("part-00001.parquet");
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(before.verify().is_err());
    let mut writer = dataset.begin(spec(schema(), 10, 4)).unwrap();
    assert_eq!(writer.rows_done(), 13);
    // Only that part is made again.
    assert_eq!(write_wanted(&mut writer, &schema(), ROWS, 5).unwrap(), 10);
    let after = writer.commit(serde_json::json!({})).unwrap();
    assert_eq!(after.number(), before.number());
    after.verify().unwrap();
    assert_reads_back(&after, ROWS);
}

#[test]
fn a_resumed_writer_keeps_what_auto_chose() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = Store::new().dataset(folder.path());
    let auto = || {
        let columns = vec![column("x", DType::F32, &[300])];
        let schema = Schema { columns, source: false, label_names: None, attributes: vec![] };
        Spec { compression: CompressionSetting::Auto, ..spec(schema, 10, 4) }
    };
    let write = |writer: &mut Writer, rows: std::ops::Range<usize>, random: bool| {
        for row in rows {
            let value = |at: usize| if random { (at * at + 7 * row) as f32 * 1.37 } else { 1.0 };
            let values: Vec<f32> = (0..300).map(value).collect();
            let (ids, labels) = (&[row as i64][..], &[None][..]);
            let tensors = &[Values::F32(&values)][..];
            writer.write(&Rows { ids, labels, sources: None, attributes: &[], tensors }).unwrap();
        }
    };
    let mut writer = dataset.begin(auto()).unwrap();
    assert!(writer.compression().is_empty());
    write(&mut writer, 0..13, false);
    let choice = writer.compression()["x"];
    assert_eq!(choice.rows, 4);
    assert_ne!(choice.chosen, Compression::None);
    assert!(choice.lz4 < 0.2 && choice.zstd < 0.2, "{choice}");
    drop(writer);
    // What comes later would not have been worth compressing.
    let mut writer = dataset.begin(auto()).unwrap();
    assert_eq!(writer.compression()["x"], choice);
    writer.skip(10).unwrap();
    write(&mut writer, 10..23, true);
    let done = writer.commit(serde_json::json!({})).unwrap();
    assert_eq!(done.manifest().schema.columns[0].compression, choice.chosen);
    assert_eq!(done.manifest().compression["x"], choice);
    done.verify().unwrap();
    let reader = done.reader(&["x"]).unwrap();
    let mut values = vec![0.0; 600];
    reader.read_f32("x", &[2, 22], &mut values).unwrap();
    assert_eq!(values[..300], [1.0; 300]);
    assert_eq!(values[302], (4 + 7 * 22) as f32 * 1.37);
}

#[test]
fn rows_are_written_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = Store::new().dataset(folder.path());
    let mut writer = dataset.begin(spec(schema(), 10, 4)).unwrap();
    assert_eq!(writer.position(), 0);
    assert!(writer.wants(0..1) && !writer.wants(5..5));
    assert_failed(writer.skip(1), "not all there");
    write(&mut writer, &schema(), 0..12).unwrap();
    assert!(!writer.wants(3..10) && writer.wants(3..11));
    assert_eq!(writer.position(), 12);
    drop(writer);
    let mut writer = dataset.begin(spec(schema(), 10, 4)).unwrap();
    writer.skip(10).unwrap();
    assert_failed(writer.skip(1), "not all there");
}

#[test]
fn what_cannot_be_stored_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = Store::new().dataset(folder.path());
    for (dtype, value, fits) in [
        (DType::F32, f32::NAN, false),
        (DType::F32, f32::INFINITY, false),
        (DType::F32, f32::MAX, true),
        (DType::F16, f32::NAN, false),
        (DType::F16, 65_504.0, true),
        (DType::F16, 65_520.0, false),
        (DType::F16, f32::NEG_INFINITY, false),
        (DType::Bf16, f32::NAN, false),
        (DType::Bf16, 3.38e38, true),
        (DType::Bf16, f32::MAX, false),
        (DType::I8, 1e30, true),
        (DType::I8, f32::NAN, false),
        (DType::I8, f32::INFINITY, false),
    ] {
        let columns = vec![column("x", dtype, &[3])];
        let schema = Schema { columns, source: false, label_names: None, attributes: vec![] };
        let mut writer = dataset.begin(spec(schema, 10, 4)).unwrap();
        let values = [0.0, 1.0, 2.0, 3.0, value, 5.0];
        let rows = Rows {
            ids: &[41, 42],
            labels: &[None, None],
            sources: None,
            attributes: &[],
            tensors: &[Values::F32(&values)],
        };
        let written = writer.write(&rows);
        if fits {
            written.unwrap();
        } else {
            assert_failed(written, "row with id 42, column `x`, value 1");
            assert_failed(writer.write(&rows), "an earlier write failed");
            assert!(writer.commit(serde_json::json!({})).is_err());
        }
    }
    assert!(dataset.newest().unwrap().is_none());
}

#[test]
fn rows_that_do_not_fit_the_schema_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = Store::new().dataset(folder.path());
    let columns = vec![column("x", DType::F32, &[2])];
    let schema = Schema {
        columns,
        source: false,
        label_names: Some(vec!["cat".into()]),
        attributes: vec![],
    };
    let good = Rows {
        ids: &[1, 2],
        labels: &[Some(0), None],
        sources: None,
        attributes: &[],
        tensors: &[Values::F32(&[0.0; 4])],
    };
    for (rows, what) in [
        (Rows { labels: &[None], ..good }, "1 labels"),
        (Rows { labels: &[Some(1), None], ..good }, "label 1 has no name"),
        (Rows { labels: &[Some(-1), None], ..good }, "label -1 has no name"),
        (Rows { sources: Some(&[]), ..good }, "the sources"),
        (Rows { attributes: &[&[1, 2]], ..good }, "the attributes"),
        (Rows { tensors: &[], ..good }, "0 tensor columns"),
        (Rows { tensors: &[Values::F32(&[0.0; 3])], ..good }, "3 values"),
        (Rows { tensors: &[Values::U8(&[0; 4])], ..good }, "of type F32"),
    ] {
        let mut writer = dataset.begin(spec(schema.clone(), 10, 4)).unwrap();
        assert_failed(writer.write(&rows), what);
    }
    let mut announced = spec(schema.clone(), 10, 4);
    announced.rows = Some(3);
    let mut writer = dataset.begin(announced.clone()).unwrap();
    writer.write(&good).unwrap();
    assert_failed(writer.commit(serde_json::json!({})).map(|_| ()), "2 rows, not 3");
    let empty = dataset.begin(spec(schema.clone(), 10, 4)).unwrap();
    assert_failed(empty.commit(serde_json::json!({})).map(|_| ()), "no rows");
    // A commit that was refused leaves nothing that stands in the way of the right one.
    let mut writer = dataset.begin(announced).unwrap();
    writer.write(&good).unwrap();
    writer
        .write(&Rows { ids: &[3], labels: &[None], tensors: &[Values::F32(&[1.0; 2])], ..good })
        .unwrap();
    writer.commit(serde_json::json!({})).unwrap();
}

#[test]
fn a_dataset_that_is_not_there_has_no_generations() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = Store::new().dataset(folder.path().join("nothing/here"));
    assert_eq!(dataset.generations().unwrap(), [0u64; 0]);
    assert!(dataset.newest().unwrap().is_none());
    assert!(dataset.find(KEY).unwrap().is_none());
    assert_eq!(dataset.generation(1).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(!dataset.folder().path().exists());
}

#[test]
fn records_are_numbered_and_never_change() {
    let folder = tempfile::tempdir().unwrap();
    let records = Store::new().records(folder.path().join("weights"));
    assert_eq!(records.commit(|number| number * 10).unwrap(), 1);
    assert_eq!(records.commit(|number| number * 10).unwrap(), 2);
    assert!(!records.try_commit(2, &99).unwrap());
    fs::write(records.folder().path().join("latest.json"), "7").unwrap();
    fs::write(records.folder().path().join("3.json"), "7").unwrap();
    assert_eq!(records.numbers().unwrap(), [2, 1]);
    assert_eq!(records.read::<u64>(2).unwrap(), 20);
    assert_eq!(records.read::<u64>(3).unwrap_err().kind(), ErrorKind::NotFound);
    fs::write(records.path(2).path(), "{").unwrap();
    assert_eq!(records.read::<u64>(2).unwrap_err().kind(), ErrorKind::Damaged);
}

#[test]
fn files_are_written_in_one_step() {
    let folder = tempfile::tempdir().unwrap();
    let path = Store::new().locate(folder.path().join("checkpoint"));
    assert!(path.create(b"one").unwrap());
    assert!(!path.create(b"two").unwrap());
    assert_eq!(fs::read(path.path()).unwrap(), b"one");
    path.replace(b"three").unwrap();
    assert_eq!(fs::read(path.path()).unwrap(), b"three");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let nowhere = Store::new().locate(folder.path().join("nowhere/file"));
    assert_eq!(nowhere.replace(b"").unwrap_err().kind(), ErrorKind::Failed);
}

/// Where there are neither hard links nor locks, nobody can tell whether who was about to name a file has died.
#[test]
fn a_claim_that_nobody_can_take_is_told() {
    if !faults::AVAILABLE {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new();
    let path = store.locate(folder.path().join("00000001.json"));
    let claim = folder.path().join(".00000001.json.claim.tmp");
    fs::write(&claim, "").unwrap();
    let lacks = [Operation::Link, Operation::Move, Operation::Lock];
    let lacking = store.faults().lacking(folder.path(), &lacks);
    assert_failed(path.create(b"one").map(|_| ()), ".00000001.json.claim.tmp");
    assert!(!path.is_file().unwrap());
    drop(lacking);
    // With locks it is that of a dead process.
    let _lacking = store.faults().lacking(folder.path(), &lacks[..2]);
    assert!(path.create(b"one").unwrap());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

fn assert_failed(result: Result<(), Error>, what: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Failed, "{error}");
    assert!(error.to_string().contains(what), "{error}");
}
