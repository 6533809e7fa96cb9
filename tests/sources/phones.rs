//! Labels of hops and transcripts beside recordings: what fits, and what is told where nothing does.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use gimlet::pipeline::settings::{self, Data, Files, Medium, OnBadSample, Split};
use gimlet::source::{self, Source};

use crate::sound_files::{Coding, wav};

fn put(root: &Path, file: &str, bytes: impl AsRef<[u8]>) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Recordings of these paths, without the extension.
fn recordings(root: &Path, paths: &[&str]) {
    for path in paths {
        put(root, &format!("{path}.wav"), wav(8_000, 1, Coding::I16, &[0.5; 40]));
    }
}

fn data(root: &Path) -> Data {
    let files = Files {
        train: vec!["train".to_owned()],
        test: vec!["test".to_owned()],
        root: root.to_path_buf(),
        alignments: Some(vec!["phones.txt".to_owned()]),
        ..Files::of(Medium::Sound, "audio")
    };
    let source = settings::Source::Files(files);
    let on_bad_sample = OnBadSample::Fail;
    Data { source, subset: None, test_subset: None, on_bad_sample }
}

fn open(root: &Path, split: Split) -> gimlet::Result<Arc<dyn Source>> {
    source::open(&data(root), split, 0)
}

/// A line for each fault.
fn check(root: &Path) -> gimlet::Result<Vec<String>> {
    let unfit = source::open_splits(&data(root), 0)?.check_alignments()?;
    Ok(Split::ALL.into_iter().flat_map(|split| unfit.lines(split)).collect())
}

fn refused(root: &Path) -> String {
    let error = check(root).unwrap_err();
    format!("{error} hint: {}", error.hint_text().unwrap_or_default())
}

/// The labels of hops of all recordings of a split.
fn frames(root: &Path, split: Split) -> Vec<Option<Vec<u8>>> {
    let source = open(root, split).unwrap();
    let all: Vec<usize> = (0..source.rows()).collect();
    source.read(&all).unwrap().into_iter().map(|it| it.unwrap().frames).collect()
}

#[test]
fn what_does_not_fit_is_counted_over_both_splits() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    recordings(root, &["train/a", "train/b", "test/c", "test/d"]);
    put(root, "phones.txt", "a 0 1\nb 0\nc 1\nd 1\n");
    assert!(check(root).unwrap().is_empty());
    put(root, "phones.txt", "x 0\na 0 1\nc 1\ny 2\n");
    let lines = check(root).unwrap();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(
        lines[0].starts_with("2 of 4 alignments fit no recording of either split"),
        "{lines:?}"
    );
    assert!(lines[0].contains("`x` (line 1 of "), "{lines:?}");
    assert!(lines[1].starts_with("1 of 2 recordings have no"), "{lines:?}");
    assert!(lines[1].contains("b.wav") && lines[2].contains("d.wav"), "{lines:?}");
    // None at all, as where identifiers have an extension.
    put(root, "phones.txt", "a.wav 0 1\nc.wav 1\n");
    let told = refused(root);
    assert!(
        told.contains("none of 2 alignments fits") && told.contains("`a.wav` (line 1"),
        "{told}"
    );
    assert!(told.contains("a.wav`") && told.contains("without its extension"), "{told}");
}

#[test]
fn an_identifier_has_as_much_of_the_path_as_tells_recordings_apart() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    recordings(root, &["train/x/a", "train/y/a", "test/x/a", "test/b.c"]);
    put(root, "phones.txt", "a 1\nb.c 5\n");
    let told = refused(root);
    assert!(told.contains("`a` fits 3 recordings") && told.contains("folder/name"), "{told}");
    put(root, "phones.txt", "x/a 1\ny/a 2\nb.c 5\n");
    assert!(refused(root).contains("`x/a` fits 2 recordings"), "{}", refused(root));
    put(root, "phones.txt", "train/x/a 1\n./y/a 2\nb.c 5\ntest/x/a 3\n");
    assert!(check(root).unwrap().is_empty());
    assert_eq!(frames(root, Split::Train), [Some(vec![1]), Some(vec![2])]);
    assert_eq!(frames(root, Split::Test), [Some(vec![5]), Some(vec![3])]);
    // The rest keeps the shorter one.
    put(root, "phones.txt", "a 1\nb.c 5\ny/a 2\ntest/x/a 3\n");
    assert!(check(root).unwrap().is_empty());
    assert_eq!(frames(root, Split::Train), [Some(vec![1]), Some(vec![2])]);
}

#[test]
fn one_recording_of_both_splits_is_one() {
    let folder = tempfile::tempdir().unwrap();
    recordings(folder.path(), &["train/a", "train/b"]);
    put(folder.path(), "phones.txt", "a 1\nb 2\n");
    let mut data = data(folder.path());
    if let settings::Source::Files(files) = &mut data.source {
        files.test.clone_from(&files.train);
    }
    let unfit = source::open_splits(&data, 0).unwrap().check_alignments().unwrap();
    assert!(unfit.lines(Split::Train).is_empty());
}

#[test]
fn transcripts_and_alignments_are_text_as_it_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    recordings(root, &["train/1-2-0", "train/1-2-1", "test/c"]);
    put(root, "train/1-2.trans.txt", "\u{feff}1-2-0 HELLO\r\n1-2-1 YOU\r\n");
    put(root, "phones.txt", "1-2-0 1\nc 1\n");
    let source = open(root, Split::Train).unwrap();
    let texts: Vec<_> =
        source.read(&[0, 1]).unwrap().into_iter().map(|it| it.unwrap().text).collect();
    assert_eq!(texts, [Some("HELLO".to_owned()), Some("YOU".to_owned())]);
    assert!(source.passed_over().is_empty());
    put(root, "train/1-2.trans.txt", "1-2-9 NOT\n1-2-1 YOU\n1-2-7 THERE\n");
    let source = open(root, Split::Train).unwrap();
    let [over] = source.passed_over() else { panic!("{:?}", source.passed_over()) };
    assert_eq!((over.kind.as_str(), over.count), ("transcripts of no file", 2));
    assert!(over.first.ends_with("train/1-2-7"), "{}", over.first.display());
    let wide: Vec<u8> = "\u{feff}1-2-0 1\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (bytes, words) in [
        (&wide[..], ["UTF-16", "iconv -f UTF-16"]),
        (&wide[2..], ["UTF-16", "zero bytes"]),
        (b"caf\xe9 1\n", ["not UTF-8", "iconv -f LATIN1"]),
    ] {
        put(root, "phones.txt", bytes);
        let told = open(root, Split::Train).err().unwrap().to_string();
        assert!(
            words.iter().all(|word| told.contains(word)) && told.contains("phones.txt"),
            "{told}"
        );
        put(root, "phones.txt", "1-2-0 1\n");
        put(root, "train/1-2.trans.txt", bytes);
        let told = open(root, Split::Train).err().unwrap().to_string();
        assert!(
            words.iter().all(|word| told.contains(word)) && told.contains("trans.txt"),
            "{told}"
        );
        put(root, "train/1-2.trans.txt", "");
    }
}
