//! What is broken is made again, that and nothing else, and ends as it was.

mod read_back;
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use gimlet_store::{DType, Damage, Dataset, ErrorKind, Rows, Schema, Spec, Store, Values};
use read_back::assert_reads_back;
use support::*;

const ROWS: usize = 43;

fn dataset() -> (tempfile::TempDir, Dataset) {
    let folder = tempfile::tempdir().unwrap();
    let dataset = Store::new().dataset(folder.path());
    generation(&dataset, spec(schema(), 10, 4), ROWS, 7);
    (folder, dataset)
}

fn part(dataset: &Dataset, index: usize) -> PathBuf {
    dataset.folder().path().join(&KEY[..16]).join(format!("part-{index:05}.parquet"))
}

fn note(dataset: &Dataset, damage: &Damage) -> gimlet_store::Result<()> {
    dataset.folder().store().note(damage)
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// Every file of the generation, and what is in it.
fn contents(dataset: &Dataset) -> BTreeMap<PathBuf, Vec<u8>> {
    let folder = dataset.folder().path().join(&KEY[..16]);
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// Goes on with the generation; gives how many rows had to be made.
fn repair(dataset: &Dataset) -> usize {
    let mut writer = dataset.begin(spec(schema(), 10, 4)).unwrap();
    let made = write_wanted(&mut writer, &schema(), ROWS, 5).unwrap();
    writer.commit(serde_json::json!({})).unwrap();
    made
}

#[test]
fn only_what_is_broken_is_made_again_and_the_notes_go() {
    let (_folder, dataset) = dataset();
    let whole = contents(&dataset);
    let generation = dataset.generation(1).unwrap();
    assert!(generation.is_whole().unwrap());
    flip(&part(&dataset, 1), 200);
    assert!(generation.is_whole().unwrap(), "nobody has looked yet");
    for damage in generation.check(&|_| {}).damage {
        note(&dataset, &damage).unwrap();
    }
    fs::remove_file(part(&dataset, 3)).unwrap();
    let short = fs::File::options().write(true).open(part(&dataset, 4)).unwrap();
    short.set_len(50).unwrap();
    let broken = [1, 3, 4].map(|index| Store::new().locate(part(&dataset, index)));
    assert_eq!(generation.broken_parts().unwrap(), broken);

    assert_eq!(repair(&dataset), 10 + 10 + 3);
    assert_eq!(contents(&dataset), whole);
    assert!(generation.is_whole().unwrap());
    assert_eq!(dataset.generations().unwrap(), [1]);
    assert_reads_back(&generation, ROWS);
}

#[test]
fn a_part_that_was_restored_is_not_made_again() {
    let (_folder, dataset) = dataset();
    let whole = contents(&dataset);
    note(&dataset, &Damage::of(&part(&dataset, 2), "it was once")).unwrap();
    assert!(!dataset.generation(1).unwrap().is_whole().unwrap());
    assert_eq!(repair(&dataset), 0);
    assert_eq!(contents(&dataset), whole);
}

#[test]
fn a_repair_that_stops_anywhere_is_not_taken_for_whole() {
    let (_folder, dataset) = dataset();
    let whole = contents(&dataset);
    flip(&part(&dataset, 1), 200);
    flip(&part(&dataset, 2), 200);
    note(&dataset, &Damage::of(&part(&dataset, 1), "a bit")).unwrap();
    // Part 2 is found when the repair begins.
    let mut writer = dataset.begin(spec(schema(), 10, 4)).unwrap();
    assert_eq!(dataset.generation(1).unwrap().broken_parts().unwrap().len(), 2);
    writer.skip(10).unwrap();
    write(&mut writer, &schema(), 10..30).unwrap();
    drop(writer);
    assert_eq!(dataset.generation(1).unwrap().broken_parts().unwrap().len(), 2);
    assert_eq!(repair(&dataset), 0);
    assert_eq!(contents(&dataset), whole);
}

#[test]
fn what_comes_out_different_is_refused_and_stays_broken() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = Store::new().dataset(folder.path());
    let columns = vec![column("x", DType::F32, &[4])];
    let schema = Schema { columns, source: false, label_names: None, attributes: vec![] };
    let spec = || spec(schema.clone(), 10, 4);
    let before = generation(&dataset, spec(), 25, 5);
    let path = part(&dataset, 1);
    let bytes = fs::read(&path).unwrap();
    flip(&path, 200);

    let mut writer = dataset.begin(spec()).unwrap();
    writer.skip(10).unwrap();
    // The last bits of another processor.
    let values: Vec<f32> = (10..20)
        .flat_map(|row| row_values(&schema.columns[0], row))
        .map(|value| value * 1.000_000_2)
        .collect();
    let ids: Vec<i64> = (10..20).map(id).collect();
    let labels: Vec<Option<i64>> = (10..20).map(label).collect();
    let tensors = &[Values::F32(&values)];
    let rows = Rows { ids: &ids, labels: &labels, sources: None, attributes: &[], tensors };
    let error = writer.write(&rows).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Differs, "{error}");
    assert!(error.to_string().contains("part-00001.parquet: was made again"), "{error}");
    drop(writer);
    assert_eq!(before.broken_parts().unwrap(), [before.dir().join("part-00001.parquet")]);
    assert!(dataset.newest().unwrap().unwrap().reader(&["x"]).is_err());

    // A copy puts it right.
    fs::write(&path, bytes).unwrap();
    let mut writer = dataset.begin(spec()).unwrap();
    writer.skip(25).unwrap();
    writer.commit(serde_json::json!({})).unwrap();
    assert!(before.is_whole().unwrap());
    before.verify().unwrap();
}

#[test]
fn a_damaged_manifest_is_passed_over_and_its_parts_are_committed_again() {
    let (_folder, dataset) = dataset();
    let other = Spec { key: "0".repeat(64), ..spec(schema(), 10, 4) };
    generation(&dataset, other, 5, 5);
    let first = dataset.generation(1).unwrap();
    let manifest = dataset.folder().path().join("00000001.json");
    // A digit of a statistic: nothing but the seal tells.
    let text = fs::read_to_string(&manifest).unwrap();
    let at = text.find("\"zero_fraction\": 0.").unwrap() + "\"zero_fraction\": 0.".len();
    flip(&manifest, at);
    assert_eq!(dataset.generation(1).unwrap_err().kind(), ErrorKind::Damaged);
    assert!(dataset.find(KEY).unwrap().is_none());
    let unreadable = dataset.unreadable().unwrap();
    assert_eq!(unreadable.len(), 1);
    assert_eq!(unreadable[0].damage().unwrap().file, manifest);
    assert_eq!(dataset.find(&"0".repeat(64)).unwrap().unwrap().number(), 2);
    assert_eq!(dataset.check(&|_| {}).damage.len(), 1, "the manifest, and not its parts");

    assert_eq!(repair(&dataset), 0, "the notes beside its parts say what they are");
    let again = dataset.find(KEY).unwrap().unwrap();
    assert_eq!(again.number(), 3);
    assert_eq!(again.manifest().parts, first.manifest().parts);
    assert_reads_back(&again, ROWS);
}

#[test]
fn a_manifest_of_a_later_version_is_not_passed_over() {
    let (_folder, dataset) = dataset();
    let manifest = dataset.folder().path().join("00000002.json");
    let text = fs::read_to_string(dataset.folder().path().join("00000001.json")).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    value["format_version"] = 99.into();
    fs::write(&manifest, value.to_string()).unwrap();
    for error in [
        dataset.find(KEY).unwrap_err(),
        dataset.begin(spec(schema(), 10, 4)).map(|_| ()).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Failed);
        assert!(error.to_string().contains("format version 99"), "{error}");
    }
    let checked = dataset.check(&|_| {});
    assert!(checked.damage.is_empty());
    assert!(checked.unchecked[0].what.contains("format version 99"), "{checked:?}");
}

#[test]
fn a_note_goes_with_forget() {
    let folder = tempfile::tempdir().unwrap();
    let file = Store::new().locate(folder.path().join("weights"));
    file.forget_damage().unwrap();
    assert!(!file.is_noted_as_damaged().unwrap());
    file.store().note(&Damage::of(file.path(), "gone")).unwrap();
    assert!(file.is_noted_as_damaged().unwrap());
    file.forget_damage().unwrap();
    assert!(!file.is_noted_as_damaged().unwrap());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
