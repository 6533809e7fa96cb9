//! `gimlet init`: a pipeline for data that it looks at, and copies of recipes.

use std::collections::BTreeSet;
use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Int64Array};
use gimlet::pipeline::settings::Source;
use gimlet::pipeline::{Pipeline, Split};
use gimlet::source;
use image::{ImageFormat, Rgb, RgbImage};
use serde_json::Value;
use tempfile::TempDir;

use crate::parquet_file;
use crate::sound_files::save;
use crate::tiny::{gimlet, text};

/// Runs a command in `folder`; returns its exit code, stdout and stderr.
fn call(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let output = gimlet(folder).args(args).output().unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// Runs a command that must end well; returns its stdout.
fn ok(folder: &Path, args: &[&str]) -> String {
    let (code, out, err) = call(folder, args);
    assert_eq!(code, 0, "gimlet {args:?}: {err}");
    out
}

/// Stripes whose direction and colour are the class, and whose place is the number.
fn stripes(class: u32, number: u32, width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let along = [x, y, x + y][class as usize % 3] + number;
        let value = (along * 40 % 256) as u8;
        Rgb([value, value / 2 + 40 * class as u8, 255 - value])
    })
}

/// `FOLDER/{ant,bee,cat}/NN.png`, `count` of each class and of several sizes.
pub fn photos(folder: &Path, count: u32) {
    for (class, name) in ["ant", "bee", "cat"].into_iter().enumerate() {
        fs::create_dir_all(folder.join(name)).unwrap();
        for number in 0..count {
            let image = stripes(class as u32, number, 80 + number % 3 * 8, 72);
            image.save(folder.join(name).join(format!("{number:02}.png"))).unwrap();
        }
    }
}

/// `FOLDER/{c0,c1}/NN.wav`: 15 tones of each class, a little longer each.
pub fn words(folder: &Path) {
    for class in 0..2 {
        for number in 0..15 {
            let wave = (0..3000 + number * 40).map(|it| {
                let pitch = 0.05 * (1 + class) as f32;
                0.5 * (it as f32 * pitch + number as f32).sin()
            });
            save(
                &folder.join(format!("c{class}/{number:02}.wav")),
                8000,
                &wave.collect::<Vec<_>>(),
            );
        }
    }
}

/// Checks that a text holds each of these.
fn has_all(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
}

/// Runs what was written: it has to pass `plan`, and to run.
fn plan_and_run(folder: &Path, file: &str) {
    ok(folder, &["plan", file]);
    ok(folder, &["run", file, "--set", "training.epochs=1", "--set", "probe.epochs=5"]);
}

#[test]
fn a_folder_of_images_gets_a_pipeline_that_runs() {
    let folder = TempDir::new().unwrap();
    photos(&folder.path().join("photos"), 20);
    let told = ok(folder.path(), &["init", "photos"]);
    has_all(
        &told,
        &[
            "samples   48 images for training, 12 for the test split",
            "sizes     72x80 to 72x96 pixels (height x width), in colour",
            "labels    `label`: 3 classes (ant, bee, cat)",
            "wrote photos.toml; next:\n  gimlet plan photos.toml\n  gimlet run photos.toml",
        ],
    );
    let file = folder.path().join("photos.toml");
    has_all(
        &fs::read_to_string(&file).unwrap(),
        &[
            "#   gimlet run photos.toml\n",
            "# samples   48 images for training, 12 for the test split",
            "# takes     about ",
            "12 test samples are few",
            "name = \"photos\"\n",
            "root = \".\"\ntrain = \"photos\"\n",
            "\nhold_out = 5\n",
            "\nresize = 72\ncrop = 64\ngrayscale = false\nflip = true\npatch = 16\nstride = 8\n",
            "\nprediction_steps = 5\n",
            "\nbatch = 8\n",
        ],
    );
    plan_and_run(folder.path(), "photos.toml");

    let (code, _, err) = call(folder.path(), &["init", "photos"]);
    assert!(code == 2 && err.contains("`photos.toml` is there already"), "{code} {err}");
    assert!(err.contains("hint: name another file, or replace it with `--force`"), "{err}");
    let again = ok(
        folder.path(),
        &["init", "photos", "--force", "--name", "mine", "-o", "photos.toml", "--json"],
    );
    let again: Value = serde_json::from_str(&again).unwrap();
    assert_eq!((&again["name"], &again["file"]), (&"mine".into(), &"photos.toml".into()));
    assert_eq!(again["rows"], serde_json::json!({ "train": 48, "test": 12 }));
    assert_eq!(again["labels"][0]["classes"], serde_json::json!(["ant", "bee", "cat"]));
    assert_eq!(again["samples"]["largest"], serde_json::json!([72, 96]));

    // From elsewhere, paths are right as well.
    fs::create_dir(folder.path().join("runs-of-mine")).unwrap();
    ok(folder.path(), &["init", "photos", "-o", "runs-of-mine/p.toml"]);
    ok(&folder.path().join("runs-of-mine"), &["plan", "p.toml"]);
}

#[test]
fn folders_of_splits_are_taken_as_they_are() {
    let folder = TempDir::new().unwrap();
    photos(&folder.path().join("set/train"), 8);
    photos(&folder.path().join("set/val"), 4);
    ok(folder.path(), &["init", "set"]);
    let pipeline = Pipeline::load(&folder.path().join("set.toml"), &[]).unwrap();
    let Source::Files(files) = &pipeline.data.source else { panic!("no files") };
    assert_eq!(
        (&files.train[..], &files.test[..]),
        (&["train".to_owned()][..], &["val".to_owned()][..])
    );
    assert_eq!(files.hold_out, None);
    // Files of which none lies in a class.
    fs::create_dir(folder.path().join("flat")).unwrap();
    for number in 0..12 {
        stripes(0, number, 32, 32).save(folder.path().join(format!("flat/{number}.png"))).unwrap();
    }
    let told = ok(folder.path(), &["init", "flat"]);
    assert!(told.contains("no labels: they lie in no folder"), "{told}");
    plan_and_run(folder.path(), "flat.toml");
    let (code, _, err) = call(folder.path(), &["init", "."]);
    assert!(code == 0 || err.contains("hint: "), "{err}");
    let (code, _, err) = call(folder.path(), &["init", "nowhere"]);
    assert!(code == 2 && err.contains("there is no file or folder `nowhere`"), "{code} {err}");
    fs::create_dir(folder.path().join("empty")).unwrap();
    let (code, _, err) = call(folder.path(), &["init", "empty"]);
    assert!(code == 2 && err.contains("`empty` holds no images, recordings"), "{code} {err}");
}

#[test]
fn a_folder_of_recordings_gets_a_pipeline_that_runs() {
    let folder = TempDir::new().unwrap();
    words(&folder.path().join("words"));
    ok(folder.path(), &["init", "words"]);
    let file = folder.path().join("words.toml");
    has_all(
        &fs::read_to_string(&file).unwrap(),
        &[
            "24 recordings for training, 6 for the test split",
            "train = \"words\"\n",
            "\nhold_out = 5\n",
            "\nrate = 16000\nwindow = ",
            "\nhop = 160\n",
            "{ conv1d = { channels = 64, kernel = 10, stride = 5, padding = 2 } }, { relu = {} },",
            "layers = [{ gru = { channels = 64 } }]\n",
            "\nbatch = 4\n",
        ],
    );
    plan_and_run(folder.path(), "words.toml");
}

#[test]
fn parquet_files_get_a_pipeline_that_runs() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("shapes");
    fs::create_dir(&data).unwrap();
    for (split, rows) in [("train", 40), ("test", 20)] {
        let png = |number: i64| {
            let mut bytes = Cursor::new(Vec::new());
            let image = stripes(number as u32 % 3, number as u32, 28, 28);
            image.write_to(&mut bytes, ImageFormat::Png).unwrap();
            bytes.into_inner()
        };
        let images: Vec<Vec<u8>> = (0..rows).map(png).collect();
        let images: ArrayRef = Arc::new(BinaryArray::from_iter_values(&images));
        let classes: ArrayRef = Arc::new(Int64Array::from_iter_values((0..rows).map(|it| it % 3)));
        let index: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
        let number: ArrayRef = Arc::new(Int64Array::from_iter_values((0..rows).map(|it| it * 7)));
        let columns =
            vec![("picture", images), ("kind", classes), ("index", index), ("number", number)];
        parquet_file::write(
            &data.join(format!("{split}-00000-of-00001.parquet")),
            columns,
            None,
            16,
        );
    }
    let told = ok(folder.path(), &["init", "shapes"]);
    assert!(told.contains("`kind`: 3 classes (0, 1, 2)"), "{told}");
    assert!(told.contains("not read as labels: `number`"), "{told}");
    let pipeline = Pipeline::load(&folder.path().join("shapes.toml"), &[]).unwrap();
    let Source::Files(files) = &pipeline.data.source else { panic!("no files") };
    assert_eq!((files.column.as_str(), files.label.as_deref()), ("picture", Some("kind")));
    assert_eq!(files.test, ["test-00000-of-00001.parquet"]);
    plan_and_run(folder.path(), "shapes.toml");
    // A file alone knows its sibling; all alone, some of its rows are held out.
    ok(folder.path(), &["init", "shapes/train-00000-of-00001.parquet", "-o", "one.toml"]);
    let one = fs::read_to_string(folder.path().join("one.toml")).unwrap();
    assert!(one.contains("test = \"test-00000-of-00001.parquet\""), "{one}");
    fs::remove_file(data.join("test-00000-of-00001.parquet")).unwrap();
    ok(folder.path(), &["init", "shapes", "--force"]);
    let alone = fs::read_to_string(folder.path().join("shapes.toml")).unwrap();
    assert!(alone.contains("\nhold_out = 5\n"), "{alone}");
    plan_and_run(folder.path(), "shapes.toml");
}

#[test]
fn held_out_samples_are_those_that_are_not_trained_on() {
    let folder = TempDir::new().unwrap();
    photos(&folder.path().join("photos"), 20);
    ok(folder.path(), &["init", "photos"]);
    let file = folder.path().join("photos.toml");
    let pipeline = Pipeline::load(&file, &[]).unwrap();
    let mut seen = BTreeSet::new();
    for (split, rows) in [(Split::Train, 48), (Split::Test, 12)] {
        let source = source::open(&pipeline.data, split, 0).unwrap();
        assert_eq!(source.rows(), rows);
        let all: Vec<usize> = (0..rows).rev().collect();
        for (row, sample) in all.iter().zip(source.read(&all).unwrap()) {
            let sample = sample.unwrap();
            assert_eq!(sample.id, *row as i64);
            assert!(seen.insert(sample.source.clone()), "{} is in both splits", sample.source);
        }
        assert!(source.read(&[rows]).is_err());
    }
    assert_eq!(seen.len(), 60);
    let load = |setting: &str| Pipeline::load(&file, &[setting.to_owned()]).unwrap_err();
    let error = load("data.test=elsewhere");
    assert!(
        error.to_string().contains("`hold_out` takes the test split out of `train`"),
        "{error}"
    );
    assert!(load("data.hold_out=1").to_string().contains("must be at least 2"));
}

#[test]
fn every_recipe_is_carried_along_and_runs_where_it_is_copied() {
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
    let names: BTreeSet<String> = fs::read_dir(recipes)
        .unwrap()
        .map(|it| it.unwrap().path())
        .filter(|it| it.extension().is_some_and(|it| it == "toml"))
        .map(|it| it.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let folder = TempDir::new().unwrap();
    let listed: Value =
        serde_json::from_str(&ok(folder.path(), &["init", "--list", "--json"])).unwrap();
    let listed = listed["recipes"].as_array().unwrap().iter();
    let listed: BTreeSet<String> =
        listed.map(|it| it["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(listed, names);
    assert_eq!(
        ok(folder.path(), &["init", "--list"]),
        ok(folder.path(), &["init", "--from", "list"])
    );

    ok(folder.path(), &["init", "--from", "quickstart", "-o", "first.toml"]);
    ok(folder.path(), &["plan", "first.toml"]);
    assert!(
        fs::read_to_string(folder.path().join("first.toml"))
            .unwrap()
            .contains("gimlet run first.toml")
    );
    let (code, _, err) = call(folder.path(), &["init", "--from", "cifar10"]);
    assert!(code == 2 && err.contains("`gimlet init --from cifar10 FOLDER`"), "{code} {err}");
    assert!(!folder.path().join("cifar10.toml").exists());
    // Images of the recipe's size where it looks for them.
    fs::create_dir_all(folder.path().join("data/cifar10")).unwrap();
    let mut png = Cursor::new(Vec::new());
    stripes(1, 1, 32, 32).write_to(&mut png, ImageFormat::Png).unwrap();
    let images: ArrayRef = Arc::new(BinaryArray::from_iter_values(vec![png.into_inner(); 40]));
    let labels: ArrayRef = Arc::new(Int64Array::from_iter_values((0..40).map(|it| it % 2)));
    for split in ["train", "test"] {
        let path = folder.path().join(format!("data/cifar10/{split}-0.parquet"));
        let columns = vec![("image", images.clone()), ("label", labels.clone())];
        parquet_file::write(&path, columns, None, 16);
    }
    let told = ok(folder.path(), &["init", "--from", "cifar10", "data"]);
    assert!(told.contains("gimlet run cifar10.toml"), "{told}");
    ok(folder.path(), &["plan", "cifar10.toml"]);
    let (code, _, err) = call(folder.path(), &["init", "--from", "cifar"]);
    assert!(code == 2 && err.contains("the recipes are quickstart, cifar10"), "{code} {err}");
}
