//! What goes and what stays, and that nothing that is in use goes.

mod read_back;
mod support;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use gimlet_store::gc::{Kind, Leftover, Policy, Shelf};
use gimlet_store::{Dataset, ErrorKind, Spec, Store};
use proptest::prelude::*;
use read_back::assert_reads_back;
use support::*;

const ROWS: usize = 12;

fn key(number: usize) -> String {
    format!("{number:02x}").repeat(32)
}

fn with_key(number: usize) -> Spec {
    Spec { key: key(number), ..spec(schema(), 5, 4) }
}

fn commit(dataset: &Dataset, number: usize) {
    generation(dataset, with_key(number), ROWS, 4);
}

/// Leaves the complete parts of an attempt.
fn attempt(dataset: &Dataset, number: usize) -> PathBuf {
    let mut writer = dataset.begin(with_key(number)).unwrap();
    write(&mut writer, &schema(), 0..7).unwrap();
    folder(dataset, number)
}

fn folder(dataset: &Dataset, number: usize) -> PathBuf {
    dataset.folder().path().join(&key(number)[..16])
}

fn policy(needed: &[usize], keep: usize) -> Policy {
    Policy { needed: needed.iter().map(|it| key(*it)).collect(), keep, grace: Duration::ZERO }
}

fn survey(dataset: &Dataset, policy: &Policy) -> Vec<Leftover> {
    Shelf::of(dataset).survey(policy).unwrap()
}

/// Removes what may go; gives what went and what stayed.
fn collect(dataset: &Dataset, policy: &Policy) -> (Vec<Leftover>, Vec<Leftover>) {
    let shelf = Shelf::of(dataset);
    let (going, mut stay): (Vec<_>, Vec<_>) =
        shelf.survey(policy).unwrap().into_iter().partition(|it| it.stays.is_none());
    let mut gone = Vec::new();
    for mut leftover in going {
        leftover.stays = shelf.remove(&leftover, policy).unwrap();
        if leftover.stays.is_none() { gone.push(leftover) } else { stay.push(leftover) }
    }
    (gone, stay)
}

fn why(leftovers: &[Leftover], path: &Path) -> String {
    let found = leftovers.iter().find(|it| it.at.path() == path).expect("it is listed");
    found.stays.clone().unwrap_or_default()
}

#[test]
fn what_is_needed_and_the_newest_stay_and_the_rest_goes() {
    let root = tempfile::tempdir().unwrap();
    let dataset = Store::new().dataset(root.path());
    (1..=6).for_each(|number| commit(&dataset, number));
    let policy = policy(&[2], 2);
    let before = survey(&dataset, &policy);
    assert_eq!(before, survey(&dataset, &policy), "looking changes nothing");
    let bytes: u64 = before.iter().filter(|it| it.stays.is_none()).map(|it| it.bytes).sum();
    let size = |folder: &Path| -> u64 {
        let files = fs::read_dir(folder).unwrap().map(|it| it.unwrap().metadata().unwrap());
        files.filter(|it| it.is_file()).map(|it| it.len()).sum()
    };
    let all = |numbers: &[u64]| -> u64 {
        let of = |it: &u64| size(&folder(&dataset, *it as usize));
        let manifest = |it: &u64| dataset.folder().path().join(format!("{it:08}.json"));
        numbers.iter().map(|it| of(it) + manifest(it).metadata().unwrap().len()).sum()
    };
    assert_eq!(bytes, all(&[1, 3, 4]));

    let (gone, stay) = collect(&dataset, &policy);
    let numbers = |of: &[Leftover]| -> Vec<Kind> { of.iter().map(|it| it.kind).collect() };
    assert_eq!(numbers(&gone), [4, 3, 1].map(Kind::Record));
    assert_eq!(numbers(&stay), [6, 5].map(Kind::Record));
    assert!(why(&stay, &root.path().join("00000006.json")).contains("number must not be used"));
    assert!(why(&stay, &root.path().join("00000005.json")).contains("one of the newest 2"));
    assert_eq!(dataset.generations().unwrap(), [6, 5, 2]);
    for number in [1, 3, 4] {
        assert!(!folder(&dataset, number).exists());
    }
    for number in [2, 5, 6] {
        assert_reads_back(&dataset.generation(number).unwrap(), ROWS);
    }
    // Whatever is committed next has a number of its own.
    commit(&dataset, 1);
    assert_eq!(dataset.generations().unwrap(), [7, 6, 5, 2]);
}

#[test]
fn of_some_keys_what_there_is_goes_and_everything_else_stays() {
    let root = tempfile::tempdir().unwrap();
    let dataset = Store::new().dataset(root.path());
    (1..=5).for_each(|number| commit(&dataset, number));
    let of_others = attempt(&dataset, 8);
    let left = [7, 4].map(|number| attempt(&dataset, number));
    // As a removal leaves it that is cut short after the record has gone.
    fs::remove_file(root.path().join("00000004.json")).unwrap();
    let shelf = Shelf::of(&dataset);
    let keys = [1, 3, 4, 5, 7, 9].map(key).into_iter().collect();
    let read = dataset.generation(3).unwrap();
    let reader = read.reader(&[]).unwrap();
    let mut stay = shelf.remove_keys(&keys).unwrap();
    stay.sort_by_key(|it| it.at.path().to_path_buf());
    assert_eq!(stay.iter().map(|it| it.kind).collect::<Vec<_>>(), [3, 5].map(Kind::Record));
    assert!(stay[0].stays.as_ref().unwrap().contains("in use"), "{stay:?}");
    assert!(stay[1].stays.as_ref().unwrap().contains("newest"), "{stay:?}");
    drop(reader);
    assert_eq!(shelf.remove_keys(&keys).unwrap().len(), 1);
    assert_eq!(dataset.generations().unwrap(), [5, 2]);
    assert!(of_others.exists() && left.iter().all(|it| !it.exists()));
    assert_eq!(shelf.keys().unwrap(), [2, 5].map(key).into_iter().collect());
    assert!(shelf.has_folder(&key(2)) && !shelf.has_folder(&key(1)));
    assert_reads_back(&dataset.generation(2).unwrap(), ROWS);
}

#[test]
fn a_generation_that_a_reader_has_open_stays_until_it_is_closed() {
    let root = tempfile::tempdir().unwrap();
    let dataset = Store::new().dataset(root.path());
    (1..=3).for_each(|number| commit(&dataset, number));
    let generation = dataset.generation(1).unwrap();
    let reader = generation.reader(&["pooled"]).unwrap();
    let (gone, stay) = collect(&dataset, &policy(&[], 0));
    assert_eq!(gone.len(), 1);
    assert!(why(&stay, &root.path().join("00000001.json")).contains("in use"));
    reader.read_f32("pooled", &[11], &mut [0.0; 15]).unwrap();
    drop(reader);
    assert_eq!(collect(&dataset, &policy(&[], 0)).0.len(), 1);
    let error = generation.reader(&["pooled"]).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[test]
fn what_comes_into_use_after_it_was_listed_stays() {
    let root = tempfile::tempdir().unwrap();
    let dataset = Store::new().dataset(root.path());
    (1..=2).for_each(|number| commit(&dataset, number));
    attempt(&dataset, 3);
    let policy = policy(&[], 0);
    let shelf = Shelf::of(&dataset);
    let listed = shelf.survey(&policy).unwrap();
    let of = |kind: Kind| listed.iter().find(|it| it.kind == kind).unwrap();
    let (record, dead) = (of(Kind::Record(1)), of(Kind::Attempt));
    assert!(record.stays.is_none() && dead.stays.is_none());

    let reader = dataset.generation(1).unwrap().reader(&[]).unwrap();
    assert!(shelf.remove(record, &policy).unwrap().is_some());
    drop(reader);
    // A repair.
    let writer = dataset.begin(with_key(1)).unwrap();
    assert!(shelf.remove(record, &policy).unwrap().is_some());
    drop(writer);
    let writer = dataset.begin(with_key(3)).unwrap();
    assert!(shelf.remove(dead, &policy).unwrap().is_some());
    drop(writer);
    commit(&dataset, 3);
    assert_eq!(shelf.remove(dead, &policy).unwrap().unwrap(), "it was committed meanwhile");
    for number in 1..=3 {
        assert_reads_back(&dataset.generation(number).unwrap(), ROWS);
    }
}

#[test]
fn attempts_go_when_they_are_dead_old_and_of_no_use() {
    let root = tempfile::tempdir().unwrap();
    let dataset = Store::new().dataset(root.path());
    commit(&dataset, 1);
    let [young, needed, written, old] = [2, 3, 4, 5].map(|number| attempt(&dataset, number));
    let yesterday = SystemTime::now() - Duration::from_secs(24 * 3600);
    for folder in [&needed, &written, &old] {
        for entry in fs::read_dir(folder).unwrap() {
            let file = fs::File::options().append(true).open(entry.unwrap().path()).unwrap();
            file.set_modified(yesterday).unwrap();
        }
    }
    let writer = dataset.begin(with_key(4)).unwrap();
    let policy = Policy { grace: Duration::from_secs(3600), ..policy(&[1, 3], 2) };
    let (gone, stay) = collect(&dataset, &policy);
    assert_eq!(gone.iter().map(|it| it.at.path()).collect::<Vec<_>>(), [&old]);
    assert!(!old.exists());
    assert!(why(&stay, &young).contains("seconds ago"));
    assert!(why(&stay, &written).contains("in use"));
    assert!(stay.iter().all(|it| it.at.path() != needed), "it is not even listed");
    drop(writer);
    // Whoever goes on with an attempt that was left finds its parts.
    assert_eq!(dataset.begin(with_key(3)).unwrap().rows_done(), 5);
}

#[test]
fn temporary_files_of_the_dead_go_and_of_the_living_stay() {
    let root = tempfile::tempdir().unwrap();
    let dataset = Store::new().dataset(root.path());
    commit(&dataset, 1);
    let dead = [
        root.path().join(".00000002.json.0123456789abcdef.tmp"),
        folder(&dataset, 1).join(".part-00009.parquet.0123456789abcdef.tmp"),
    ];
    // A writer that begins would remove the one beside the manifests.
    let mut writer = dataset.begin(with_key(2)).unwrap();
    dead.iter().for_each(|path| fs::write(path, "half").unwrap());
    write(&mut writer, &schema(), 0..4).unwrap();
    let (gone, _) = collect(&dataset, &policy(&[1, 2], 2));
    assert_eq!(gone.iter().map(|it| it.at.path().to_path_buf()).collect::<Vec<_>>(), dead);
    assert!(dead.iter().all(|path| !path.exists()));
    write(&mut writer, &schema(), 4..ROWS).unwrap();
    writer.commit(serde_json::json!({})).unwrap();
}

#[test]
fn a_killed_collection_leaves_attempts_that_the_next_one_removes() {
    // After the manifest, and after any number of the files in the folder.
    for left in 0..8 {
        let root = tempfile::tempdir().unwrap();
        let dataset = Store::new().dataset(root.path());
        (1..=3).for_each(|number| commit(&dataset, number));
        fs::remove_file(root.path().join("00000001.json")).unwrap();
        let files = fs::read_dir(folder(&dataset, 1)).unwrap().map(|it| it.unwrap().path());
        let mut files: Vec<_> = files.collect();
        files.sort();
        files.iter().skip(left).for_each(|path| fs::remove_file(path).unwrap());
        assert_eq!(dataset.generations().unwrap(), [3, 2]);
        assert!(dataset.check(&|_| {}).unchecked.is_empty());
        if left % 2 == 0 {
            // What is left serves whoever needs the key again.
            commit(&dataset, 1);
            assert_reads_back(&dataset.find(&key(1)).unwrap().unwrap(), ROWS);
            continue;
        }
        let (gone, _) = collect(&dataset, &policy(&[2, 3], 2));
        assert_eq!(gone.len(), 1);
        assert!(!folder(&dataset, 1).exists());
    }
}

#[test]
fn a_damaged_manifest_goes_and_until_then_keeps_what_may_be_its_own() {
    let root = tempfile::tempdir().unwrap();
    let dataset = Store::new().dataset(root.path());
    (1..=4).for_each(|number| commit(&dataset, number));
    let manifest = root.path().join("00000002.json");
    fs::write(&manifest, "").unwrap();
    // Among the newest three it stays, and so do the parts without a manifest.
    let (gone, stay) = collect(&dataset, &policy(&[], 3));
    assert_eq!(gone.iter().map(|it| it.kind).collect::<Vec<_>>(), [Kind::Record(1)]);
    assert!(why(&stay, &folder(&dataset, 2)).contains("00000002.json"));
    // Made anew, it is of no use any more.
    commit(&dataset, 2);
    let (gone, _) = collect(&dataset, &policy(&[2, 4], 2));
    assert_eq!(gone.len(), 2, "{gone:?}");
    assert!(!manifest.exists());
    assert_eq!(dataset.generations().unwrap(), [5, 4]);
    assert_reads_back(&dataset.generation(5).unwrap(), ROWS);
    // The newest stays also when it is damaged: the next one has the number after.
    fs::write(root.path().join("00000005.json"), "").unwrap();
    let (gone, stay) = collect(&dataset, &policy(&[4], 0));
    assert!(gone.is_empty());
    assert!(why(&stay, &root.path().join("00000005.json")).contains("number"));
}

#[test]
fn what_is_not_of_the_store_stays() {
    let root = tempfile::tempdir().unwrap();
    let dataset = Store::new().dataset(root.path());
    commit(&dataset, 1);
    let with_folder = attempt(&dataset, 2);
    fs::create_dir(with_folder.join("mine")).unwrap();
    fs::write(with_folder.join("mine/notes.txt"), "precious").unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("part-00000.parquet"), "precious").unwrap();
    let others = [root.path().join("README.md"), root.path().join("papers")];
    fs::write(&others[0], "precious").unwrap();
    fs::create_dir(&others[1]).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(elsewhere.path(), folder(&dataset, 3)).unwrap();
    let later = root.path().join("00000001.json");
    let mut value: serde_json::Value = serde_json::from_slice(&fs::read(later).unwrap()).unwrap();
    value["format_version"] = 99.into();
    fs::write(root.path().join("00000002.json"), value.to_string()).unwrap();
    fs::write(root.path().join("00000003.json"), "").unwrap();

    let (gone, stay) = collect(&dataset, &policy(&[1], 0));
    assert!(gone.is_empty(), "{gone:?}");
    assert!(why(&stay, &with_folder).contains("not of the store"));
    assert!(why(&stay, &root.path().join("00000002.json")).contains("another version"));
    #[cfg(unix)]
    assert!(why(&stay, &folder(&dataset, 3)).contains("link"));
    assert!(elsewhere.path().join("part-00000.parquet").exists());
    assert!(others.iter().all(|path| path.exists()));
}

/// Ends the loops of other threads when it is dropped.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn readers_writers_and_collections_at_once_lose_nothing() {
    let root = tempfile::tempdir().unwrap();
    let dataset = Store::new().dataset(root.path());
    commit(&dataset, 1);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Also when a thread fails: the others would go on for ever.
        let stops = Stops(&stop);
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut read = 0;
                    while !stop.load(Ordering::Relaxed) {
                        for number in dataset.generations().unwrap() {
                            let reader =
                                dataset.generation(number).and_then(|it| it.reader(&["pooled"]));
                            let reader = match reader {
                                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                                reader => reader.unwrap(),
                            };
                            let positions: Vec<u64> = (0..ROWS as u64).collect();
                            reader.read_f32("pooled", &positions, &mut [0.0; 15 * ROWS]).unwrap();
                            read += 1;
                        }
                    }
                    read
                })
            })
            .collect();
        let collector = scope.spawn(|| {
            let mut gone = 0;
            while !stop.load(Ordering::Relaxed) {
                gone += collect(&dataset, &policy(&[], 1)).0.len();
            }
            gone
        });
        // Two writers, now and then of the same key.
        let writers: Vec<_> = [3, 5]
            .into_iter()
            .map(|step| {
                let dataset = &dataset;
                scope.spawn(move || {
                    for turn in 0..30 {
                        let number = 10 + turn * step % 7;
                        // What a collection takes away between commit and look is no damage.
                        let mut writer = dataset.begin(with_key(number)).unwrap();
                        write_wanted(&mut writer, &schema(), ROWS, 4).unwrap();
                        match writer.commit(serde_json::json!({})) {
                            Ok(_) => {}
                            Err(error) => {
                                assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
                            }
                        }
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        drop(stops);
        assert!(collector.join().unwrap() > 0);
        readers.into_iter().for_each(|reader| assert!(reader.join().unwrap() > 0));
    });
    let newest = dataset.newest().unwrap().unwrap();
    assert_reads_back(&newest, ROWS);
    let checked = dataset.check(&|_| {});
    assert!(checked.damage.is_empty() && checked.unchecked.is_empty(), "{checked:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn whatever_the_policy_what_must_stay_stays(
        steps in prop::collection::vec((0usize..6, any::<bool>()), 1..8),
        needed in prop::collection::hash_set(0usize..6, 0..4),
        keep in 0usize..4,
    ) {
        let root = tempfile::tempdir().unwrap();
        let dataset = Store::new().dataset(root.path());
        for (number, whole) in steps {
            if whole { commit(&dataset, number) } else { drop(attempt(&dataset, number)) }
        }
        let before = dataset.generations().unwrap();
        let keys: HashMap<u64, String> = before
            .iter()
            .map(|number| (*number, dataset.generation(*number).unwrap().manifest().key.clone()))
            .collect();
        let needed: Vec<usize> = needed.into_iter().collect();
        let policy = policy(&needed, keep);
        let (gone, stay) = collect(&dataset, &policy);
        let after = dataset.generations().unwrap();
        prop_assert_eq!(before.first(), after.first());
        for (place, number) in before.iter().enumerate() {
            let must_stay =
                place == 0 || place < keep || policy.needed.contains(&keys[number]);
            prop_assert_eq!(after.contains(number), must_stay, "{} of {:?}", number, before);
        }
        for number in &after {
            prop_assert!(dataset.generation(*number).unwrap().verify().is_ok());
        }
        for number in needed.iter().filter(|number| folder(&dataset, **number).exists()) {
            prop_assert!(dataset.begin(with_key(*number)).unwrap().rows_done() >= 5);
        }
        // Nothing is left that may go, and nothing is both.
        let gone: HashSet<PathBuf> = gone.into_iter().map(|it| it.at.path().to_path_buf()).collect();
        prop_assert!(stay.iter().all(|it| !gone.contains(it.at.path())));
        prop_assert!(gone.iter().all(|path| !path.exists()));
        prop_assert!(survey(&dataset, &policy).iter().all(|it| it.stays.is_some()));
    }
}
