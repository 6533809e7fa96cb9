//! 4 to 9: what tells a source from any other, and what may stand for it.

use std::fs;

use serde_json::Value;

use super::tiny;
use super::{class_folders, ingest, labels_and_images, over, picture};

/// 4: a Parquet file was known by its name, its size and its last 64 KiB: a label that was mended in place changed
/// nothing.
#[test]
fn r4_a_label_that_is_mended_in_a_parquet_file_is_noticed() {
    let tiny = over("train = 'train.parquet'\ntest = 'test.parquet'");
    let mut labels: Vec<i64> = (0..40).map(|it| it % 4).collect();
    labels_and_images(&tiny.path("train.parquet"), &labels);
    labels_and_images(&tiny.path("test.parquet"), &labels[..24]);
    tiny.ok("ingest", &["--set", "view.resize=16"]);
    let before = fs::read(tiny.path("train.parquet")).unwrap();
    labels[5] = 2;
    labels_and_images(&tiny.path("train.parquet"), &labels);
    let after = fs::read(tiny.path("train.parquet")).unwrap();
    let end = after.len() - (64 << 10);
    assert!(before != after && before.len() == after.len() && before[end..] == after[end..]);
    let (state, why) = ingest(&tiny, &["--set", "view.resize=16"]);
    assert_eq!((state.as_str(), why.as_str()), ("stale", "train: `train.parquet`: other content"));
}

/// 5: the file of labels beside binary images was in no identity.
#[test]
fn r5_a_label_that_is_mended_beside_the_images_is_noticed() {
    let tiny = over("train = 'train-images-idx3-ubyte'\ntest = 't10k-images-idx3-ubyte'");
    let idx = |name: &str, dims: &[u32], values: Vec<u8>| {
        let mut bytes = vec![0, 0, 8, dims.len() as u8];
        dims.iter().for_each(|it| bytes.extend(it.to_be_bytes()));
        bytes.extend(values);
        fs::write(tiny.path(name), bytes).unwrap();
    };
    for (split, count) in [("train", 40), ("t10k", 24)] {
        let pixels = (0..count).flat_map(|it| picture(it).into_raw()).collect();
        idx(&format!("{split}-images-idx3-ubyte"), &[count as u32, 16, 16], pixels);
        let labels = (0..count).map(|it| (it % 4) as u8).collect();
        idx(&format!("{split}-labels-idx1-ubyte"), &[count as u32], labels);
    }
    tiny.ok("ingest", &[]);
    assert_eq!(ingest(&tiny, &[]).0, "done");
    idx("train-labels-idx1-ubyte", &[40], vec![1; 40]);
    let (state, why) = ingest(&tiny, &[]);
    assert_eq!(state, "stale");
    assert_eq!(why, "train: `train-labels-idx1-ubyte`: other content");
    let out = tiny.output("verify", &["--source"]);
    let told = tiny::text(&out.stdout);
    assert_eq!(out.status.code(), Some(1), "{told}");
    assert!(told.contains("train: `train-labels-idx1-ubyte`: other content"), "{told}");
    tiny.ok("ingest", &[]);
    tiny.ok("verify", &["--source"]);
}

/// 6: a folder that was copied without its times was another source; and one whose file had changed and taken its
/// old time back was the same.
#[test]
fn r6_a_file_is_known_by_its_content_and_not_by_its_times() {
    let tiny = over("train = 'train'\ntest = 'test'");
    class_folders(&tiny.path("train"), 40);
    class_folders(&tiny.path("test"), 24);
    tiny.ok("ingest", &[]);
    let mut copied = Vec::new();
    tiny::walk(&tiny.path("train"), &mut |path| copied.push(path.to_path_buf()));
    for path in &copied {
        let bytes = fs::read(path).unwrap();
        fs::remove_file(path).unwrap();
        fs::write(path, bytes).unwrap();
    }
    assert_eq!(ingest(&tiny, &[]), ("done".into(), String::new()));

    let path = tiny.path("train/cat/0.png");
    let (bytes, times) =
        (fs::read(&path).unwrap(), fs::metadata(&path).unwrap().modified().unwrap());
    let mut changed = bytes.clone();
    *changed.last_mut().unwrap() ^= 1;
    fs::write(&path, &changed).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(times).unwrap();
    assert_eq!(ingest(&tiny, &[]), ("stale".into(), "train: `cat/0.png`: other content".into()));
    fs::write(&path, &bytes).unwrap();
    fs::rename(tiny.path("train/dog/1.png"), tiny.path("train/dog/x.png")).unwrap();
    assert_eq!(ingest(&tiny, &[]).1, "train: `dog/1.png`: is gone; train: `dog/x.png`: is new");
}

/// 7: how a path was spelled, and where a command was called from, made another source; a file named by a path and
/// by a glob was read twice.
#[test]
fn r7_spelling_is_in_no_identity_and_each_file_is_read_once() {
    let tiny = over("train = 'data/train.parquet'\ntest = 'data/test.parquet'");
    fs::create_dir(tiny.path("data")).unwrap();
    let labels: Vec<i64> = (0..40).map(|it| it % 4).collect();
    labels_and_images(&tiny.path("data/train.parquet"), &labels);
    labels_and_images(&tiny.path("data/test.parquet"), &labels[..24]);
    let resize = ["--set", "view.resize=16"];
    tiny.ok("ingest", &resize);
    let here = tiny.path(".").canonicalize().unwrap();
    let of = |file: &str, root: Option<&str>, sets: &[String]| {
        let mut gimlet = tiny::gimlet(&here);
        gimlet.args(["status", file, "--json"]).args(resize);
        gimlet.args(sets.iter().flat_map(|it| ["--set", it.as_str()]));
        gimlet.envs(root.map(|it| ("GIMLET_DATA", it)));
        let out = gimlet.output().unwrap();
        let status: Value = serde_json::from_slice(&out.stdout).unwrap();
        status["stages"][0]["state"].as_str().unwrap().to_owned()
    };
    let whole = here.join("tiny.toml").display().to_string();
    assert_eq!(of(&whole, None, &[]), "done");
    assert_eq!(of("./tiny.toml", Some("."), &[]), "done");
    assert_eq!(of("tiny.toml", Some(&here.display().to_string()), &[]), "done");
    for train in ["./data/train.parquet", "data/../data/train.parquet", "data/tr*.parquet"] {
        assert_eq!(of("tiny.toml", None, &[format!("data.train={train}")]), "done", "{train}");
    }
    let absolute = here.join("data/train.parquet").display().to_string();
    let twice = format!("data.train=['{absolute}', 'data/train.parquet', 'data/t*n.parquet']");
    assert_eq!(of("tiny.toml", None, &[twice]), "done");
}

/// 8: where the source could not be opened, the newest dataset that had been ingested stood for it, whatever that
/// was made of, for each split by itself.
#[test]
fn r8_nothing_stands_for_what_is_there_and_cannot_be_read() {
    let tiny = over("train = 'a-train.parquet'\ntest = 'a-test.parquet'");
    let labels: Vec<i64> = (0..40).map(|it| it % 4).collect();
    for name in ["a-train", "a-test", "b-train", "b-test"] {
        labels_and_images(&tiny.path(&format!("{name}.parquet")), &labels);
    }
    let resize = ["--set", "view.resize=16"];
    let b = ["--set", "data.train=b-train.parquet", "--set", "data.test=b-test.parquet"];
    tiny.ok("ingest", &resize);
    tiny.ok("ingest", &[&resize[..], &b].concat());
    // A column that is not there.
    tiny.fails(1, "run", &[&resize[..], &["--set", "data.image=picture"]].concat());
    // A file that is cut off.
    let path = tiny.path("a-test.parquet");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
    let err = tiny.fails(1, "run", &resize);
    assert!(err.contains("a-test.parquet"), "{err}");
    tiny.fails(1, "status", &resize);
    // Files that are gone: both ingests were of the same settings, and what lies there is that of neither.
    fs::remove_file(&path).unwrap();
    let (_, err) = tiny.ok("status", &resize);
    assert!(err.contains("stands for it"), "{err}");
    labels_and_images(&tiny.path("a-train.parquet"), &labels[..30]);
    let err = tiny.fails(5, "run", &resize);
    assert!(err.contains("a-test.parquet"), "{err}");
    // A root that is not there.
    let mut gimlet = tiny.command("run", &[&resize[..], &["--set", "data.label=false"]].concat());
    let out = gimlet.env("GIMLET_DATA", "nowhere").output().unwrap();
    assert_eq!(out.status.code(), Some(5), "{}", tiny::text(&out.stderr));
}

/// 9: `status` of a run that nothing was begun of read all of its data.
#[test]
fn r9_what_a_file_holds_is_not_read_before_anything_could_have_been_made_of_it() {
    let tiny = over("train = 'train'\ntest = 'test'");
    class_folders(&tiny.path("train"), 40);
    class_folders(&tiny.path("test"), 24);
    let (state, why) = ingest(&tiny, &[]);
    assert_eq!((state.as_str(), why.as_str()), ("missing", "not run yet"));
    assert!(!tiny.path("runs").exists());
    tiny.ok("ingest", &[]);
    assert_eq!(ingest(&tiny, &[]).0, "done");
}
