//! Faults that were found once, by number, so that they are not found again.

mod parquet_file;
mod tiny;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Int64Array};
use image::{GrayImage, Luma};
use serde_json::Value;
mod labelled;
mod parquet_file;
mod tiny;

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, NullArray, StringArray, UInt64Array,
};
use arrow::datatypes::DataType;
use tiny::{PIPELINE, Tiny};

/// The pipeline over files, with this table of data.
fn over(data: &str) -> Tiny {
    let (head, rest) = PIPELINE.split_once("[data.textures]").unwrap();
    let (_, rest) = rest.split_once("[view]").unwrap();
    Tiny::with(&format!("{head}[data]\n{data}\n[view]\ngrayscale = true\n{rest}"))
}

/// An image that no other number has.
fn picture(number: usize) -> GrayImage {
    let shade = |x: u32, y: u32| (number * 37) as u8 ^ (x * 11 + y * 7 + x * y) as u8;
    GrayImage::from_fn(16, 16, |x, y| Luma([shade(x, y)]))
}

/// `FOLDER/{cat,dog}/N.png`, as many as `count` of both together.
fn class_folders(folder: &Path, count: usize) {
    for number in 0..count {
        let folder = folder.join(["cat", "dog"][number % 2]);
        fs::create_dir_all(&folder).unwrap();
        picture(number).save(folder.join(format!("{number}.png"))).unwrap();
    }
}

/// A Parquet file with the labels in front of the images, of which each takes some kilobytes.
fn labels_and_images(path: &Path, labels: &[i64]) {
    let noise = |number: usize| {
        let mut draws = gimlet::random::generator(number as u64, "noise", &[]);
        GrayImage::from_fn(64, 64, |_, _| Luma([draws.below(256) as u8]))
    };
    let png = |number: usize| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        noise(number).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        bytes.into_inner()
    };
    let images: Vec<Vec<u8>> = (0..labels.len()).map(png).collect();
    let images: ArrayRef = Arc::new(BinaryArray::from_iter_values(&images));
    let labels: ArrayRef = Arc::new(Int64Array::from(labels.to_vec()));
    let columns = vec![("label", labels), ("image", images)];
    parquet_file::write(path, columns, None, 1000);
}

/// The state of `ingest`, and why.
fn ingest(tiny: &Tiny, args: &[&str]) -> (String, String) {
    let status = tiny.json("status", args);
    let told = |key: &str| status["stages"][0][key].as_str().unwrap().to_owned();
    (told("state"), told("why"))
}

/// 1: settings that are f32 in the program were named with the digits of their f64 neighbours:
/// `view.mean: 0.4120000123977661`.
#[test]
fn r1_a_changed_number_is_named_as_it_was_written() {
    let tiny = Tiny::new();
    tiny.ok("ingest", &[]);
    tiny.ok("train", &["a"]);
    let change = ["--set", "view.normalise={ mean = [0.3], std = [0.25] }"];
    let status = tiny.json("status", &change);
    let why = status["stages"][2]["why"].as_str().unwrap();
    assert_eq!(why, "view.mean: [0.412] -> [0.3]; view.std: [0.257] -> [0.25]");
}

/// 2: a data set that was moved or deleted after it had been ingested stopped the whole run.
#[test]
fn r2_what_was_ingested_stands_for_a_source_that_is_gone() {
    let (head, rest) = PIPELINE.split_once("[data.textures]").unwrap();
    let (_, rest) = rest.split_once("[view]").unwrap();
    let data = "[data]\ntrain = \"images\"\ntest = \"images\"";
    let tiny = Tiny::with(&format!("{head}{data}\n[view]\n{rest}"));
    for n in 0..20u8 {
        let folder = tiny.path("images").join(["cat", "dog"][usize::from(n % 2)]);
        std::fs::create_dir_all(&folder).unwrap();
        let image =
            image::GrayImage::from_fn(16, 16, |x, y| image::Luma([n * 9 + (x * y) as u8 / 4]));
        image.save(folder.join(format!("{n}.png"))).unwrap();
    }
    tiny.ok("ingest", &[]);
    std::fs::rename(tiny.path("images"), tiny.path("moved")).unwrap();
    let (_, err) = tiny.ok("train", &["a"]);
    assert_eq!(err.matches("stands for it").count(), 1, "{err}");
    let status = tiny.json("status", &[]);
    assert_eq!(status["stages"][0]["state"], "done");
    assert!(status["stands_in"].as_str().unwrap().contains("images"), "{status}");
    // What other settings ask for was not ingested.
    let err = tiny.fails(5, "run", &["--set", "seed=6"]);
    assert!(err.contains("images") && err.contains("no ingest"), "{err}");
    std::fs::rename(tiny.path("moved"), tiny.path("images")).unwrap();
    assert_eq!(tiny.json("status", &[])["stands_in"], serde_json::Value::Null);
}

/// 3: the probe of a stack whose untrained twin had been interrupted between two modules.
#[test]
fn r3_an_untrained_stack_that_is_half_committed_is_completed() {
    let tiny = Tiny::new();
    tiny.ok("ingest", &[]);
    tiny.ok("encode", &["untrained"]);
    let folder = tiny.path("runs/tiny/untrained/b/train");
    std::fs::remove_dir_all(&folder).unwrap();
    let status = tiny.json("status", &[]);
    assert_eq!(status["stages"][1]["state"], "partial", "{status}");
    tiny.ok("encode", &["untrained"]);
    assert_eq!(tiny.json("status", &[])["stages"][1]["state"], "done");
}

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
/// Rows that the probe of the last module has judged, by its confusion matrix.
fn judged(tiny: &Tiny, run_dir: &str) -> u64 {
    let probes = tiny.json("probe", &["--run-dir", run_dir]);
    let trained = probes.as_array().unwrap().iter().filter(|it| it["kind"] == "trained");
    let rows = trained.last().unwrap()["confusion"].as_array().unwrap().clone();
    rows.iter().flat_map(|it| it.as_array().unwrap()).map(|it| it.as_u64().unwrap()).sum()
}

/// The labels of a split of a run, by row of the source.
fn stored(tiny: &Tiny, run_dir: &str, split: &str) -> Vec<Option<i64>> {
    let mut rows = Vec::new();
    tiny::walk(&tiny.path(&format!("{run_dir}/ingest/{split}")), &mut |path| {
        if path.extension().is_some_and(|it| it == "parquet") {
            rows.extend(labelled::ids_and_labels(path));
        }
    });
    rows.sort_unstable();
    rows.into_iter().map(|(_, label)| label).collect()
}

/// The names of the classes of a run's split.
fn names(tiny: &Tiny, run_dir: &str, split: &str) -> Vec<String> {
    let shown = tiny.json("inspect", &["ingest", "--run-dir", run_dir, "--split", split]);
    let names = shown["datasets"][0]["label_names"].as_array().cloned().unwrap_or_default();
    names.iter().map(|it| it.as_str().unwrap().to_owned()).collect()
}

/// 20: images of which some have no label (null, or -1 as Hugging Face has it) were refused, where sounds were
/// read.
#[test]
fn r20_rows_without_a_label_train_and_the_probe_leaves_them_out() {
    let tiny = labelled::parquet();
    let known = |row: i64| (row % 3 > 0).then_some(row % 4);
    let nulls: ArrayRef = Arc::new(Int64Array::from_iter((0..40).map(known)));
    let minus: ArrayRef = Arc::new(Int64Array::from_iter((0..40).map(|it| known(it).or(Some(-1)))));
    let floats = (0..40).map(|it| known(it).map_or(f64::NAN, |it| it as f64));
    let floats: ArrayRef = Arc::new(Float64Array::from_iter_values(floats));
    for (name, labels) in [("nulls", nulls), ("minus", minus), ("floats", floats)] {
        for split in ["train", "test"] {
            let path = tiny.path(&format!("{split}.parquet"));
            labelled::write(&path, labels.clone(), Some(&["a", "b", "c", "d"]));
        }
        let command = if name == "nulls" { "run" } else { "ingest" };
        let (_, told) = tiny.ok(command, &["--run-dir", name]);
        assert!(!told.contains("warning"), "{told}");
        let labels = stored(&tiny, name, "test");
        let expected: Vec<_> = (0..40).map(known).collect();
        assert_eq!(labels, expected, "{name}");
    }
    assert_eq!(judged(&tiny, "nulls"), 26);
}

/// 21: booleans, whole floats and dictionaries of integers were refused as labels; integers that are no numbers of
/// classes were taken for such, so that the probe left out those of 2^32 and more without a word.
#[test]
fn r21_any_integers_are_labels_and_none_is_dropped() {
    let tiny = labelled::parquet();
    let rows = 0..40;
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.clone().map(|it| it % 4)));
    let dictionary = DataType::Dictionary(DataType::Int32.into(), DataType::Int64.into());
    let large = rows.clone().map(|it| [u64::MAX, 1 << 40, 17, 5_000_000_000][it as usize % 4]);
    let below = rows.clone().map(|it| [-7, -1, 0, 3][it as usize % 4]);
    let signs = rows.clone().map(|it| [1, -1][it as usize % 2]);
    let four = |values: [i64; 4]| -> Vec<Option<i64>> {
        rows.clone().map(|it| Some(values[it as usize % 4])).collect()
    };
    let cases: [(&str, ArrayRef, Vec<Option<i64>>, &[&str]); 6] = [
        (
            "bool",
            Arc::new(BooleanArray::from_iter(rows.clone().map(|it| Some(it % 2 == 1)))),
            four([0, 1, 0, 1]),
            &["false", "true"],
        ),
        (
            "float",
            Arc::new(Float64Array::from_iter_values(rows.clone().map(|it| (it % 4) as f64))),
            four([0, 1, 2, 3]),
            &[],
        ),
        (
            "dictionary",
            arrow::compute::cast(&numbers, &dictionary).unwrap(),
            four([0, 1, 2, 3]),
            &[],
        ),
        (
            "large",
            Arc::new(UInt64Array::from_iter_values(large)),
            four([3, 2, 0, 1]),
            &["17", "5000000000", "1099511627776", "18446744073709551615"],
        ),
        (
            "below",
            Arc::new(Int64Array::from_iter_values(below)),
            four([0, 1, 2, 3]),
            &["-7", "-1", "0", "3"],
        ),
        ("signs", Arc::new(Int64Array::from_iter_values(signs)), four([1, 0, 1, 0]), &["-1", "1"]),
    ];
    for (name, labels, expected, of_classes) in cases {
        for split in ["train", "test"] {
            labelled::write(&tiny.path(&format!("{split}.parquet")), labels.clone(), None);
        }
        let command = if name == "large" { "run" } else { "ingest" };
        let (_, told) = tiny.ok(command, &["--run-dir", name]);
        assert_eq!(told.contains("warning"), name == "below", "{told}");
        assert_eq!(stored(&tiny, name, "train"), expected, "{name}");
        assert_eq!(names(&tiny, name, "test"), of_classes, "{name}");
    }
    assert_eq!(judged(&tiny, "large"), 40);
    let halves: ArrayRef = Arc::new(Float64Array::from(vec![0.0, 1.0, 0.5]));
    labelled::write(&tiny.path("train.parquet"), halves, None);
    let told = tiny.fails(1, "plan", &[]);
    assert!(told.contains("row 2 of ") && told.contains("is 0.5"), "{told}");
    tiny.ok("ingest", &["--run-dir", "off", "--set", "data.label=false"]);
}

/// 22: a test split that lacks a class, a shard whose metadata was lost, and a split without names were refused;
/// classes that differ in the Unicode form alone were, with a message in which they look alike.
#[test]
fn r22_classes_are_those_of_both_splits() {
    let tiny = labelled::tiny("train = \"train*.parquet\"\ntest = \"test.parquet\"");
    let text = |names: &[&str]| -> ArrayRef {
        Arc::new(StringArray::from_iter_values((0..20).map(|it| names[it % names.len()])))
    };
    let numbers = || -> ArrayRef { Arc::new(Int64Array::from_iter_values((0..20).map(|it| it % 4))) };
    let four = Some(["a", "b", "c", "d"].as_slice());
    let write = |file: &str, labels: ArrayRef, names: Option<&[&str]>| {
        labelled::write(&tiny.path(file), labels, names);
    };
    write("train.parquet", text(&["d", "b", "a", "c"]), None);
    write("test.parquet", text(&["a", "b", "d"]), None);
    tiny.ok("ingest", &["--run-dir", "rare"]);
    assert_eq!(names(&tiny, "rare", "test"), ["a", "b", "c", "d"]);
    assert_eq!(stored(&tiny, "rare", "test")[..3], [Some(0), Some(1), Some(3)]);

    write("train.parquet", numbers(), None);
    write("train-1.parquet", numbers(), four);
    write("test.parquet", numbers(), None);
    let (_, told) = tiny.ok("ingest", &["--run-dir", "shard"]);
    assert!(!told.contains("warning"), "{told}");
    assert_eq!(names(&tiny, "shard", "train"), ["a", "b", "c", "d"]);
    assert_eq!(names(&tiny, "shard", "test"), ["a", "b", "c", "d"]);
    write("test.parquet", numbers(), Some(&["a", "c", "b", "d"]));
    let told = tiny.fails(1, "plan", &["--run-dir", "other"]);
    assert!(told.contains("class 1 is called `b` in") && told.contains("and `c` in"), "{told}");

    std::fs::remove_file(tiny.path("train-1.parquet")).unwrap();
    write("train.parquet", text(&["caf\u{e9}", "dog"]), None);
    write("test.parquet", text(&["cafe\u{301}", "dog"]), None);
    let (_, told) = tiny.ok("ingest", &["--run-dir", "forms"]);
    let seen = "`cafe\\u{301}` and `caf\\u{e9}` are the one class";
    assert!(told.contains("warning") && told.contains(seen), "{told}");
    assert_eq!(names(&tiny, "forms", "test"), ["caf\u{e9}", "dog"]);
}

/// 23: where no label of the test split is among those of the training split, accuracies of 0 came without a word.
#[test]
fn r23_test_labels_that_no_probe_can_find_are_told() {
    let tiny = labelled::parquet();
    let numbers = |first: i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values((0..20).map(|it| first + it % 3)))
    };
    labelled::write(&tiny.path("train.parquet"), numbers(0), None);
    labelled::write(&tiny.path("test.parquet"), numbers(3), None);
    let no_other = "accuracies of `label` cannot be other than 0";
    for command in ["plan", "ingest"] {
        let (_, told) = tiny.ok(command, &[]);
        assert!(told.contains(no_other), "{command}: {told}");
    }
    labelled::write(&tiny.path("test.parquet"), numbers(1), None);
    let (_, told) = tiny.ok("ingest", &["--run-dir", "some"]);
    assert!(told.contains("6 of 20 labelled rows") && told.contains(": `3`"), "{told}");
}

/// 24: rows that name a file beside the Parquet file were "null".
#[test]
fn r24_files_that_rows_name_are_read() {
    let tiny = labelled::parquet();
    std::fs::create_dir(tiny.path("imgs")).unwrap();
    let rows = |from: &str| -> Vec<(Option<Vec<u8>>, String)> {
        (0..20).map(|it| (None, format!("{from}{it}.png"))).collect()
    };
    (0..20).for_each(|it| {
        std::fs::write(tiny.path(&format!("imgs/{it}.png")), labelled::png(it)).unwrap();
    });
    let labels = || -> ArrayRef { Arc::new(Int64Array::from_iter_values((0..20).map(|it| it % 4))) };
    let write = |images: ArrayRef| {
        let columns = vec![("image", images), ("label", labels())];
        parquet_file::write(&tiny.path("train.parquet"), columns, None, 7);
    };
    labelled::write(&tiny.path("test.parquet"), labels(), None);
    let paths: ArrayRef =
        Arc::new(StringArray::from_iter_values(rows("imgs/").iter().map(|it| &it.1)));
    for (name, images) in [("struct", labelled::media(&rows("imgs/"))), ("text", paths)] {
        write(images);
        tiny.ok("plan", &["--run-dir", name]);
        tiny.ok("ingest", &["--run-dir", name]);
    }
    for (from, told) in [
        ("gone/", "only a path is there, `gone/"),
        ("../imgs/", "leads out of the Parquet file's folder"),
        ("http://here/", "is an address and not a file"),
    ] {
        write(labelled::media(&rows(from)));
        for command in ["plan", "ingest"] {
            let error = tiny.fails(1, command, &["--run-dir", "wrong"]);
            assert!(error.contains(told) && error.contains("embed"), "{command}: {error}");
        }
    }
    // Some are there.
    let mut some = rows("imgs/");
    some[3].1 = "imgs/none.png".to_owned();
    some[4].0 = Some(labelled::png(99));
    write(labelled::media(&some));
    tiny.fails(1, "ingest", &["--run-dir", "some"]);
    let skip = ["--run-dir", "some", "--set", "data.on_bad_sample=\"skip\""];
    let (_, told) = tiny.ok("ingest", &skip);
    assert!(told.contains("1 skipped"), "{told}");
}

/// 25: CSV files of other kinds were "without a column", and lines and files that do not meet were ignored.
#[test]
fn r25_a_csv_file_says_what_is_wrong_with_it() {
    let tiny = labelled::tiny("train = \"train\"\ntest = \"test\"\nlabels = \"labels.csv\"");
    let mut lines = vec!["file_name,label".to_owned()];
    for (split, rows) in [("train", 16), ("test", 8)] {
        std::fs::create_dir(tiny.path(split)).unwrap();
        for row in 0..rows {
            // As macOS writes the name, and as a person does.
            std::fs::write(tiny.path(&format!("{split}/e\u{301}{row}.png")), labelled::png(row))
                .unwrap();
            lines.push(format!("{split}/\u{e9}{row}.png,{}", ["cat", "dog"][row % 2]));
        }
    }
    let csv = tiny.path("labels.csv");
    let write = |text: &str| std::fs::write(&csv, text).unwrap();
    write(&format!("\u{feff}{}", lines.join("\r\n")));
    let (_, told) = tiny.ok("ingest", &["--run-dir", "right"]);
    assert!(!told.contains("warning"), "{told}");
    assert_eq!(stored(&tiny, "right", "test")[..3], [Some(0), Some(1), Some(0)]);

    let mut some = lines.clone();
    some[3] = "train/other.png,dog".to_owned();
    write(&some.join("\n"));
    let (_, told) = tiny.ok("ingest", &["--run-dir", "some"]);
    assert!(told.contains("1 of 16 images of the train split have no line"), "{told}");
    assert!(told.contains("1 line is of `data.labels`") || told.contains("1 line"), "{told}");
    assert!(told.contains("about `train/other.png`"), "{told}");
    assert_eq!(stored(&tiny, "some", "train").iter().filter(|it| it.is_none()).count(), 1);

    let text = lines.join("\n");
    for (sign, told) in [(";", "separated by semicolons"), ("\t", "separated by tabs")] {
        write(&text.replace(',', sign));
        let error = tiny.fails(1, "plan", &["--run-dir", "wrong"]);
        assert!(error.contains(told), "{error}");
    }
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for front in [&[0xff, 0xfe][..], &[]] {
        std::fs::write(&csv, [front, &utf16].concat()).unwrap();
        let error = tiny.fails(1, "plan", &["--run-dir", "wrong"]);
        assert!(error.contains("UTF-16"), "{error}");
    }
    write(&format!("{text}\n{}", lines[1]));
    assert!(tiny.fails(1, "plan", &["--run-dir", "wrong"]).contains("a second line for"));
}

/// 26: ids as labels were met when the probe was, after all the work; a label without a name when its row was.
#[test]
fn r26_labels_that_are_no_classes_are_refused_before_the_work() {
    let tiny = labelled::parquet();
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values((0..120).map(|it| it * 1000)));
    let few = |last: i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values((0..40).map(|it| if it == 33 { last } else { it % 4 })))
    };
    labelled::write(&tiny.path("train.parquet"), ids, None);
    labelled::write(&tiny.path("test.parquet"), few(0), None);
    for command in ["plan", "run"] {
        let told = tiny.fails(1, command, &[]);
        assert!(told.contains("look like ids") && told.contains("120 different"), "{told}");
        assert!(!tiny.path("runs/tiny/ingest/train/g1").exists());
    }
    tiny.ok("plan", &["--set", "data.label=false"]);
    labelled::write(&tiny.path("train.parquet"), few(4), Some(&["a", "b", "c", "d"]));
    for command in ["plan", "run"] {
        let told = tiny.fails(1, command, &[]);
        assert!(told.contains("row 33 of ") && told.contains("is 4"), "{told}");
    }
    let some: ArrayRef = Arc::new(Int64Array::from_iter_values(0..40));
    labelled::write(&tiny.path("train.parquet"), some, None);
    let (_, told) = tiny.ok("plan", &[]);
    assert!(told.contains("look like ids"), "{told}");
}

/// 27: rows without labels, or with labels that no pipeline reads, could not be embedded.
#[test]
fn r27_what_is_embedded_needs_no_labels() {
    let tiny = labelled::parquet();
    let four = || -> ArrayRef { Arc::new(Int64Array::from_iter_values((0..40).map(|it| it % 4))) };
    labelled::write(&tiny.path("train.parquet"), four(), None);
    labelled::write(&tiny.path("test.parquet"), four(), None);
    tiny.ok("run", &[]);
    let nulls: ArrayRef = Arc::new(Int64Array::from(vec![None; 5]));
    let nothing: ArrayRef = Arc::new(NullArray::new(5));
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values((0..5).map(|it| it << 40)));
    let halves: ArrayRef = Arc::new(Float64Array::from(vec![0.5; 5]));
    let kept = (0..5).map(|it| Some(it << 40)).collect();
    for (name, labels, expected, warned) in [
        ("nulls", nulls, vec![None; 5], false),
        ("nothing", nothing, vec![None; 5], false),
        ("ids", ids, kept, false),
        ("halves", halves, vec![None; 5], true),
    ] {
        let (input, output) = (format!("{name}.parquet"), format!("{name}-out.parquet"));
        labelled::write(&tiny.path(&input), labels, None);
        let (_, told) = tiny.ok("embed", &["--input", &input, "--output", &output]);
        assert_eq!(told.contains("labels are left out"), warned, "{told}");
        let found = labelled::ids_and_labels(&tiny.path(&output));
        assert_eq!(found.into_iter().map(|it| it.1).collect::<Vec<_>>(), expected, "{name}");
    }
    let out_of_range: ArrayRef = Arc::new(Int64Array::from(vec![9; 5]));
    labelled::write(&tiny.path("named.parquet"), out_of_range, Some(&["a"]));
    let (_, told) = tiny.ok("embed", &["--input", "named.parquet", "--output", "named-out.parquet"]);
    assert!(told.contains("is 9") && told.contains("labels are left out"), "{told}");
}
