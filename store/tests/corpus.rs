//! Files made to harm: an error or the rows, never a panic, never more memory than allowed. What the
//! fuzz targets in `fuzz/` do, over crafted cases, the committed corpus, and a few thousand mutations
//! that are the same every time.

#[path = "../../fuzz/src/crafted.rs"]
mod crafted;
#[path = "../../fuzz/src/memory.rs"]
mod memory;
#[path = "../../fuzz/src/mutate.rs"]
mod mutate;
#[path = "../../fuzz/src/store.rs"]
mod store;
mod support;
#[path = "../../fuzz/src/tree.rs"]
mod tree;

use std::fs;
use std::path::{Path, PathBuf};

use gimlet_store::{Compression, ErrorKind, Result};
use mutate::Random;
use store::{Fixture, Fixtures};

/// Mutations of each kind of file.
const MUTATIONS: usize = 4000;

/// Set, the corpus is made anew of the crafted cases. For when the format has changed.
const WRITE: &str = "GIMLET_WRITE_CORPUS";

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target)
}

/// Crafted cases are refused, but for those that are no damage; nothing in the corpus does harm.
fn check(target: &str, crafted: &[(String, Vec<u8>)], read: impl Fn(&[u8]) -> Result<()>) {
    for (name, bytes) in crafted {
        match read(bytes) {
            Ok(()) => assert!(name.starts_with("fine_"), "{target} {name}: it was taken for whole"),
            Err(error) => {
                assert!(!name.starts_with("fine_"), "{target} {name}: {error}");
                assert_ne!(error.kind(), ErrorKind::NotFound, "{target} {name}: {error}");
            }
        }
    }
    if std::env::var_os(WRITE).is_some() {
        write_corpus(target, crafted);
    }
    let mut files = 0;
    for entry in fs::read_dir(folder(target)).unwrap() {
        let _ = read(&fs::read(entry.unwrap().path()).unwrap());
        files += 1;
    }
    assert!(files > 0, "the corpus of {target} is empty");
}

/// Writes every so many of the crafted cases, so that they are 50 KB together. What was found by
/// fuzzing stays.
fn write_corpus(target: &str, crafted: &[(String, Vec<u8>)]) {
    const TOGETHER: usize = 50_000;
    fs::create_dir_all(folder(target)).unwrap();
    for entry in fs::read_dir(folder(target)).unwrap() {
        let path = entry.unwrap().path();
        if !path.file_name().unwrap().display().to_string().starts_with("found_") {
            fs::remove_file(path).unwrap();
        }
    }
    let short: Vec<_> = crafted.iter().filter(|(_, bytes)| bytes.len() < 10_000).collect();
    let bytes: usize = short.iter().map(|(_, bytes)| bytes.len()).sum();
    for (name, bytes) in short.into_iter().step_by(bytes.div_ceil(TOGETHER).max(1)) {
        fs::write(folder(target).join(name), bytes).unwrap();
    }
}

#[test]
fn manifests() {
    let fixture = Fixture::new(Compression::None);
    let crafted = crafted::manifests(&fixture);
    check("manifest", &crafted, |bytes| fixture.read_with_manifest(bytes));
    let whole = fixture.manifest().to_string();
    for length in 0..whole.len() {
        let read = fixture.read_with_manifest(&whole.as_bytes()[..length]);
        assert!(read.is_err(), "a manifest cut to {length} bytes was taken for whole");
    }
    let mut random = Random(1);
    for _ in 0..MUTATIONS {
        let [seed, other] = [0; 2].map(|_| &random.one_of(&crafted).1);
        let bytes = match random.below(2) {
            0 => mutate::words(&mut random, seed),
            _ => mutate::bytes(&mut random, seed, other),
        };
        let _ = fixture.read_with_manifest(&bytes);
    }
}

#[test]
fn part_footers() {
    let fixture = Fixture::new(Compression::None);
    let crafted = crafted::indexes(&fixture);
    check("part_footer", &crafted, |bytes| fixture.read_with_index(bytes));
    let mut random = Random(2);
    let (_, whole) = fixture.index();
    for length in 0..whole.len() {
        let read = fixture.read_with_index(&whole[..length]);
        assert!(read.is_err(), "an index cut to {length} bytes was taken for whole");
    }
    let footer = tree::footer(whole).unwrap();
    for _ in 0..MUTATIONS {
        let [seed, other] = [0; 2].map(|_| &random.one_of(&crafted).1);
        let bytes = match random.below(3) {
            0 => mutate::bytes(&mut random, seed, other),
            1 => mutate::bytes(&mut random, whole, other),
            _ => tree::with_footer(whole, &mutate::tree(&mut random, &footer)),
        };
        let _ = fixture.read_with_index(&bytes);
    }
}

#[test]
fn pages() {
    let fixtures = Fixtures::new();
    let crafted = crafted::pages(&fixtures);
    check("page", &crafted, |bytes| fixtures.read_with_pages(bytes));
    let mut random = Random(3);
    for _ in 0..MUTATIONS {
        let [seed, other] = [0; 2].map(|_| &random.one_of(&crafted).1);
        let _ = fixtures.read_with_pages(&mutate::bytes(&mut random, seed, other));
    }
}
