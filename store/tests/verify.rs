//! All damage is found and named, wherever it is and however much there is.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use gimlet_store::{Checked, Damage, Dataset, Spec, Store};
use proptest::prelude::*;
use support::*;

const ROWS: usize = 23;

fn key(digit: char) -> String {
    digit.to_string().repeat(64)
}

fn with_key(key: String) -> Spec {
    Spec { key, ..spec(schema(), 10, 4) }
}

/// Two generations, and an attempt at a third.
fn dataset(folder: &Path) -> Dataset {
    let dataset = Store::new().dataset(folder);
    generation(&dataset, with_key(key('a')), ROWS, 7);
    generation(&dataset, with_key(key('b')), ROWS, 7);
    let mut writer = dataset.begin(with_key(key('c'))).unwrap();
    write(&mut writer, &schema(), 0..12).unwrap();
    dataset
}

fn check(dataset: &Dataset) -> Checked {
    let heard = AtomicU64::new(0);
    let checked = dataset.check(&|it| {
        heard.fetch_add(it.files, Ordering::Relaxed);
    });
    assert_eq!(heard.into_inner(), checked.files, "every file is told of");
    checked
}

fn part(dataset: &Dataset, key: &str, index: usize) -> PathBuf {
    dataset.folder().path().join(&key[..16]).join(format!("part-{index:05}.parquet"))
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// Where the values of a row of `pooled` lie in a part.
fn place_of(path: &Path, row: usize) -> usize {
    let values = row_values(&schema().columns[1], row);
    let values: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let bytes = fs::read(path).unwrap();
    bytes.windows(values.len()).position(|bytes| bytes == values).unwrap()
}

fn files(checked: &Checked) -> BTreeSet<PathBuf> {
    checked.damage.iter().map(|damage| damage.file.clone()).collect()
}

fn tree(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(tree(&path));
        }
        all.push(path);
    }
    all.sort();
    all
}

#[test]
fn what_is_whole_is_said_to_be_and_nothing_changes() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    let before = tree(folder.path());
    let checked = check(&dataset);
    assert!(checked.damage.is_empty() && checked.unchecked.is_empty(), "{checked:?}");
    // Two manifests, three parts each, and the complete part of the attempt.
    assert_eq!(checked.files, 2 + 6 + 1);
    let sizes = |end: &str| -> u64 {
        let all = tree(folder.path()).into_iter();
        let named = all.filter(|path| path.to_string_lossy().ends_with(end));
        named.map(|path| path.metadata().unwrap().len()).sum()
    };
    assert_eq!(checked.bytes, sizes(".parquet") + sizes("01.json") + sizes("02.json"));
    assert_eq!(tree(folder.path()), before);
}

#[test]
fn every_kind_of_damage_is_named_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    // In a page of the second generation, a row; and the ids of a row group.
    let in_pages = part(&dataset, &key('b'), 1);
    let row = place_of(&in_pages, 15);
    change(&in_pages, |bytes| {
        bytes[row + 3] ^= 16;
        bytes[40] ^= 1;
    });
    let cut = part(&dataset, &key('a'), 0);
    change(&cut, |bytes| bytes.truncate(100));
    let missing = part(&dataset, &key('a'), 1);
    fs::remove_file(&missing).unwrap();
    let footer = part(&dataset, &key('a'), 2);
    change(&footer, |bytes| *bytes.iter_mut().rev().nth(20).unwrap() ^= 1);
    let magic = part(&dataset, &key('b'), 0);
    change(&magic, |bytes| bytes[0] ^= 1);
    let stranger = part(&dataset, &key('b'), 7);
    fs::write(&stranger, "PAR1").unwrap();
    let attempt = part(&dataset, &key('c'), 0);
    change(&attempt, |bytes| bytes[40] ^= 1);
    let manifest = folder.path().join("00000003.json");
    fs::write(&manifest, "{").unwrap();

    let checked = check(&dataset);
    assert!(checked.unchecked.is_empty(), "{checked:?}");
    let all = [&in_pages, &cut, &missing, &footer, &magic, &stranger, &attempt, &manifest];
    assert_eq!(files(&checked), all.into_iter().cloned().collect());
    let of = |file: &Path| -> Vec<String> {
        let all = checked.damage.iter().filter(|damage| damage.file == file);
        all.map(|it| it.to_string().split_once(": damaged: ").unwrap().1.to_owned()).collect()
    };
    let wrong_crc = "its page has another CRC-32 than was written";
    assert_eq!(
        of(&in_pages),
        [
            format!("row group 0, column `id`: {wrong_crc}"),
            format!("row group 1, row 1, column `pooled`: {wrong_crc}"),
        ]
    );
    assert!(of(&cut)[0].contains("100 bytes, not"));
    assert_eq!(of(&missing), ["the file is missing"]);
    assert_eq!(of(&footer), ["its index or footer is not what was written"]);
    assert_eq!(of(&magic), ["its BLAKE3 is not what was written"]);
    assert!(of(&stranger)[0].contains("no part of the generation"));
    assert_eq!(of(&attempt), [format!("row group 0, column `id`: {wrong_crc}")]);
}

#[test]
fn rows_in_one_piece_are_named_in_one_piece() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = Store::new().dataset(folder.path());
    let schema = gimlet_store::Schema {
        columns: vec![column("x", gimlet_store::DType::F32, &[50])],
        source: false,
        label_names: None,
        attributes: vec![],
    };
    let generation = generation(&dataset, spec(schema.clone(), 40, 20), 40, 10);
    let path = generation.dir().path().join("part-00000.parquet");
    let row = |row: usize| {
        let values = row_values(&schema.columns[0], row);
        let values: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let bytes = fs::read(&path).unwrap();
        bytes.windows(values.len()).position(|bytes| bytes == values).unwrap()
    };
    // A block of a disk, in the values of rows 3 to 9.
    let (from, to) = (row(3) + 10, row(9) + 10);
    let single = row(25);
    change(&path, |bytes| {
        bytes[from..to].fill(0);
        bytes[single] ^= 1;
    });
    let checked = check(&dataset);
    let places: Vec<_> = checked
        .damage
        .iter()
        .map(|it| (it.row_group.unwrap(), it.row.unwrap(), it.last_row.unwrap()))
        .collect();
    // Row 3 keeps its header; those after it have lost theirs too, and so something else is wrong.
    assert_eq!(places.first().map(|it| (it.0, it.1)), Some((0, 3)));
    assert_eq!(places.last(), Some(&(1, 5, 5)));
    let rows: Vec<usize> =
        places.iter().filter(|it| it.0 == 0).flat_map(|it| it.1..=it.2).collect();
    assert_eq!(rows, (3..=9).collect::<Vec<_>>());
    assert!(places.len() < rows.len(), "{places:?}");
}

#[test]
fn damage_that_is_written_down_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    let path = part(&dataset, &key('b'), 1);
    change(&path, |bytes| bytes[40] ^= 1);
    let damage = check(&dataset).damage.remove(0);
    dataset.folder().store().note(&damage).unwrap();
    let note = path.with_file_name(".part-00001.parquet.damaged");
    let read: Damage = serde_json::from_slice(&fs::read(note).unwrap()).unwrap();
    assert_eq!(read, damage);
    // A note is not data.
    assert_eq!(check(&dataset).damage, [damage]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whichever_bits_flip_the_files_are_named(flips in prop::collection::vec((0usize..6, any::<prop::sample::Index>(), 0u8..8), 1..6)) {
        let folder = tempfile::tempdir().unwrap();
        let dataset = dataset(folder.path());
        let parts: Vec<PathBuf> = ['a', 'b']
            .iter()
            .flat_map(|digit| (0..3).map(|index| part(&dataset, &key(*digit), index)))
            .collect();
        let whole: Vec<Vec<u8>> = parts.iter().map(|path| fs::read(path).unwrap()).collect();
        for (at, place, bit) in flips {
            change(&parts[at], |bytes| {
                let place = place.index(bytes.len());
                bytes[place] ^= 1 << bit;
            });
        }
        let changed = parts.iter().zip(&whole).filter(|(path, whole)| fs::read(path).unwrap() != **whole);
        let changed: BTreeSet<PathBuf> = changed.map(|(path, _)| path.clone()).collect();
        prop_assert_eq!(files(&check(&dataset)), changed);
    }
}
