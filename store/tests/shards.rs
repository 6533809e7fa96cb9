//! Writers of shards, however many and in whatever order, alone or at once, killed and begun again, end with
//! the parts that one writer makes alone.

mod read_back;
mod support;

use std::fs;
use std::path::Path;

use gimlet_store::{
    CompressionSetting, ErrorKind, Finished, Generation, Result, Shard, Spec, Store,
};
use proptest::prelude::*;
use read_back::assert_reads_back;
use serde_json::{Value, json};
use support::*;

fn spec_of(rows: usize, per_part: usize, per_group: usize) -> Spec {
    let compression = CompressionSetting::Auto;
    Spec { rows: Some(rows as u64), compression, ..spec(schema(), per_part, per_group) }
}

fn shard(index: usize, count: usize) -> Shard {
    Shard::new(index, count).unwrap()
}

/// Writes what the shard wants; dropped with `stop` rows made, like a writer that is killed.
fn work(folder: &Path, spec: &Spec, shard: Shard, stop: Option<usize>) -> Result<Option<Finished>> {
    let rows = spec.rows.unwrap() as usize;
    let mut writer = Store::new()
        .dataset(folder)
        .begin_shard(spec.clone(), shard)?
        .noting(|| json!({ "seconds": 1.0 }));
    let (mut row, mut made) = (0, 0);
    while row < rows {
        let end = rows.min(row + 3);
        if !writer.wants(row as u64..end as u64) {
            writer.skip((end - row) as u64)?;
        } else if stop.is_some_and(|stop| made >= stop) {
            return Ok(None);
        } else {
            write(&mut writer, &spec.schema, row..end)?;
            made += end - row;
        }
        row = end;
    }
    let sum = |parts: &[Value]| {
        json!(parts.iter().map(|it| it["seconds"].as_f64().unwrap_or(0.0)).sum::<f64>())
    };
    Ok(Some(writer.finish(sum)?))
}

fn alone(folder: &Path, spec: &Spec) -> Generation {
    generation(&Store::new().dataset(folder), spec.clone(), spec.rows.unwrap() as usize, 7)
}

fn assert_same(found: &Generation, expected: &Generation) {
    let (found, expected) = (found.manifest(), expected.manifest());
    assert_eq!(found.parts, expected.parts);
    assert!(found.compression.keys().eq(expected.compression.keys()));
    assert_eq!(found.schema, expected.schema);
    assert_eq!(found.statistics, expected.statistics);
    // Every part was noted by whoever wrote it.
    assert_eq!(found.summary, json!(found.parts.len() as f64));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn one_after_another_in_any_order_and_killed_on_the_way(
        rows in 1usize..60,
        per_part in 1usize..12,
        per_group in 1usize..6,
        count in 1usize..9,
        order in prop::collection::vec((0usize..9, prop::option::of(0usize..30)), 0..12),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let spec = spec_of(rows, per_part, per_group);
        let expected = alone(&folder.path().join("alone"), &spec);
        let place = folder.path().join("shards");
        // Some of them, killed or not, and then all of them.
        let all = (0..count).map(|index| (index, None));
        let mut committed = None;
        for (index, stop) in order.into_iter().map(|(at, stop)| (at % count, stop)).chain(all) {
            if let Some(Finished::Committed(found)) =
                work(&place, &spec, shard(index, count), stop).unwrap()
            {
                committed = Some(found);
            }
        }
        let committed = committed.unwrap();
        prop_assert_eq!(committed.number(), 1);
        assert_same(&committed, &expected);
        assert_reads_back(&committed, rows);
        prop_assert_eq!(Store::new().dataset(&place).generations().unwrap(), [1]);
    }

    #[test]
    fn all_at_once_with_and_without_one_that_writes_everything(
        rows in 1usize..60,
        per_part in 1usize..8,
        count in 1usize..6,
        another in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let spec = spec_of(rows, per_part, 2);
        let expected = alone(&folder.path().join("alone"), &spec);
        let place = folder.path().join("shards");
        let shards = (0..count).map(|index| shard(index, count));
        let shards: Vec<Shard> = shards.chain(another.then_some(Shard::WHOLE)).collect();
        let ended: Vec<Finished> = std::thread::scope(|scope| {
            let begin = |it: Shard| {
                let (place, spec) = (&place, &spec);
                scope.spawn(move || work(place, spec, it, None).unwrap().unwrap())
            };
            let working: Vec<_> = shards.iter().map(|it| begin(*it)).collect();
            working.into_iter().map(|it| it.join().unwrap()).collect()
        });
        let mut any = false;
        for ended in &ended {
            match ended {
                Finished::Committed(found) => {
                    any = true;
                    assert_same(found, &expected);
                }
                Finished::Waiting { done, parts } => assert!(done < parts),
            }
        }
        prop_assert!(any, "whoever ends last finds all parts");
        prop_assert_eq!(Store::new().dataset(&place).generations().unwrap(), [1]);
    }
}

#[test]
fn one_that_writes_everything_takes_what_shards_have_left() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec_of(23, 5, 2);
    let expected = alone(&folder.path().join("alone"), &spec);
    let place = folder.path().join("shards");
    let ended = work(&place, &spec, shard(1, 3), None).unwrap().unwrap();
    assert!(matches!(ended, Finished::Waiting { done: 2, parts: 5 }), "{ended:?}");
    assert_eq!(Store::new().dataset(&place).parts_on_disk(KEY).unwrap(), 2);
    let mut writer = Store::new().dataset(&place).begin(spec.clone()).unwrap();
    assert_eq!(writer.rows_done(), 5 + 3);
    assert_eq!(write_wanted(&mut writer, &spec.schema, 23, 1).unwrap(), 15);
    let committed = writer.commit(json!({})).unwrap();
    assert_eq!(committed.manifest().parts, expected.manifest().parts);
}

#[test]
fn a_shard_without_parts_ends_well_and_wants_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec_of(10, 5, 2);
    let writer =
        Store::new().dataset(folder.path()).begin_shard(spec.clone(), shard(6, 7)).unwrap();
    assert!(!writer.wants(0..10));
    let ended = work(folder.path(), &spec, shard(6, 7), None).unwrap().unwrap();
    assert!(matches!(ended, Finished::Waiting { done: 0, parts: 2 }), "{ended:?}");
    // It has a choice to make by the first rows only where it writes something.
    let writer = Store::new().dataset(folder.path()).begin_shard(spec, shard(1, 7)).unwrap();
    assert!(writer.wants(0..1) && !writer.wants(2..5) && writer.wants(5..6));
}

#[test]
fn damage_is_repaired_shard_by_shard() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec_of(23, 5, 2);
    let committed = alone(folder.path(), &spec);
    for index in [1, 2] {
        let part = committed.dir().path().join(format!("part-{index:05}.parquet"));
        let mut bytes = fs::read(&part).unwrap();
        bytes[100] ^= 1;
        fs::write(&part, bytes).unwrap();
    }
    let ended = work(folder.path(), &spec, shard(1, 3), None).unwrap().unwrap();
    assert!(matches!(ended, Finished::Waiting { done: 4, parts: 5 }), "{ended:?}");
    let ended = work(folder.path(), &spec, shard(0, 3), None).unwrap().unwrap();
    assert!(matches!(ended, Finished::Waiting { done: 4, parts: 5 }), "{ended:?}");
    match work(folder.path(), &spec, shard(2, 3), None).unwrap().unwrap() {
        Finished::Committed(found) => assert_eq!(found.number(), 1),
        waiting => panic!("{waiting:?}"),
    }
    let found = Store::new().dataset(folder.path()).generation(1).unwrap();
    found.verify().unwrap();
    assert!(found.is_whole().unwrap());
    assert_reads_back(&found, 23);
}

#[test]
fn a_damaged_part_of_another_shard_is_not_taken_for_complete() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec_of(20, 5, 2);
    work(folder.path(), &spec, shard(0, 2), None).unwrap();
    let mut parts = fs::read_dir(folder.path().join(&KEY[..16])).unwrap();
    let part = parts.find(|it| it.as_ref().unwrap().file_name() == "part-00002.parquet");
    let part = part.unwrap().unwrap().path();
    let mut bytes = fs::read(&part).unwrap();
    bytes[100] ^= 1;
    fs::write(&part, bytes).unwrap();
    let ended = work(folder.path(), &spec, shard(1, 2), None).unwrap().unwrap();
    assert!(matches!(ended, Finished::Waiting { done: 3, parts: 4 }), "{ended:?}");
    let ended = work(folder.path(), &spec, shard(0, 2), None).unwrap().unwrap();
    assert!(matches!(ended, Finished::Committed(_)), "{ended:?}");
}

#[test]
fn shards_of_an_unknown_number_of_rows_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let spec = Spec { rows: None, ..spec_of(20, 5, 2) };
    let error = Store::new().dataset(folder.path()).begin_shard(spec, shard(0, 2)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Failed);
    assert!(Shard::new(2, 2).is_none() && Shard::new(0, 0).is_none());
}
