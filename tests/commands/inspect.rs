//! `gimlet inspect`: statistics, samples and pictures of datasets, and what it says of bad input.

use crate::sound_files;
use crate::tiny;
use std::path::{Path, PathBuf};

use gimlet_store::Store;
use insta::assert_snapshot;
use serde_json::{Value, json};
use sound_files::save;
use tiny::{PIPELINE, Tiny, gimlet, text};

/// `gimlet inspect TARGET ARGS`, and how it ended.
fn inspect(tiny: &Tiny, target: &str, args: &[&str]) -> (i32, String, String) {
    let mut command = gimlet(&tiny.path("."));
    command.env_remove("CLICOLOR_FORCE").env_remove("NO_COLOR");
    let output = command.args(["inspect", target]).args(args).output().unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn document(tiny: &Tiny, target: &str, args: &[&str]) -> Value {
    let (code, out, err) = inspect(tiny, target, &[&["--json"], args].concat());
    assert_eq!(code, 0, "{err}");
    serde_json::from_str(&out).unwrap()
}

/// Rows of a dataset's column, as a program that reads it gets them.
fn values(tiny: &Tiny, folder: &str, column: &str) -> Vec<Vec<f32>> {
    let generation = Store::new().dataset(tiny.path(folder)).newest().unwrap().unwrap();
    let size = generation.manifest().schema.column(column).unwrap().values();
    let reader = generation.reader(&[column]).unwrap();
    let row = |row| {
        let mut values = vec![0.0; size];
        reader.read_f32(column, &[row], &mut values).unwrap();
        values
    };
    (0..reader.rows()).map(row).collect()
}

/// The first row of a sample.
fn row_of(tiny: &Tiny, folder: &str, id: i64) -> usize {
    let generation = Store::new().dataset(tiny.path(folder)).newest().unwrap().unwrap();
    let keys = generation.reader(&[]).unwrap().keys().unwrap();
    keys.ids.iter().position(|it| *it == id).unwrap()
}

#[test]
fn statistics_are_those_of_the_values() {
    let tiny = Tiny::new();
    tiny.ok("run", &["--set", "store.dtype=\"int8\""]);
    let folder = "runs/tiny/datasets/a/train";
    let dataset = &document(&tiny, folder, &["--stats"])["datasets"][0];
    assert_eq!(dataset["first_rows"], json!([]));
    let rows = values(&tiny, folder, "activation");
    let all: Vec<f64> = rows.iter().flatten().map(|it| f64::from(*it)).collect();
    let column = &dataset["columns"][0];
    let number = |it: &Value| it.as_f64().unwrap();
    assert_eq!(
        (column["name"].as_str(), column["dtype"].as_str()),
        (Some("activation"), Some("i8"))
    );
    // A scale of 4 bytes for each of 4 channels.
    assert_eq!(column["raw_bytes"], 48 * (9 * 8 * 8 * 4 + 4 * 4));
    let stored = number(&column["stored_bytes"]);
    assert!(stored > 0.0 && stored < number(&dataset["bytes"]));
    assert!((number(&column["ratio"]) - stored / number(&column["raw_bytes"])).abs() < 1e-12);
    assert_eq!(column["rows_read"], 48, "few enough for all");
    let counts = column["histogram"]["counts"].as_array().unwrap();
    assert_eq!(counts.iter().map(|it| it.as_u64().unwrap()).sum::<u64>(), all.len() as u64);
    assert_eq!(number(&column["histogram"]["from"]) as f32, number(&column["min"]) as f32);
    let (from, to) = (number(&column["histogram"]["from"]), number(&column["histogram"]["to"]));
    let half = all.iter().filter(|it| **it < (from + to) / 2.0).count() as f64;
    let lower: u64 = counts[..counts.len() / 2].iter().map(|it| it.as_u64().unwrap()).sum();
    assert!((half - lower as f64).abs() <= 2.0, "{half} {lower}");

    let channels = column["channels"].as_array().unwrap();
    assert_eq!(channels.len(), 4);
    for (channel, found) in channels.iter().enumerate() {
        let own: Vec<f64> = all.iter().skip(channel).step_by(4).copied().collect();
        let mean = own.iter().sum::<f64>() / own.len() as f64;
        let variance = own.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / own.len() as f64;
        assert!((number(&found["mean"]) - mean).abs() < 1e-9);
        assert!((number(&found["std"]) - variance.sqrt()).abs() < 1e-6);
        assert_eq!(number(&found["max"]), own.iter().copied().fold(f64::MIN, f64::max));
        let zeros = own.iter().filter(|it| **it == 0.0).count() as f64 / own.len() as f64;
        assert!((number(&found["zero_fraction"]) - zeros).abs() < 1e-12);
    }
    let widest: Vec<u64> = column["widest_channels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it.as_u64().unwrap())
        .collect();
    let std = |channel: u64| number(&channels[channel as usize]["std"]);
    assert!(widest.len() == 4 && widest.windows(2).all(|it| std(it[0]) >= std(it[1])));

    let (_, out, _) = inspect(&tiny, folder, &["--stats"]);
    for said in
        ["activation  i8", "before compression: ratio", "log of counts, all rows", "█", "widest"]
    {
        assert!(out.contains(said), "{said}: {out}");
    }
}

#[test]
fn a_sample_is_found_by_its_id_in_every_dataset_and_view() {
    let tiny = Tiny::new();
    let views = ["--set", "view.views=2", "--set", "view.crop=12", "--set", "view.stride=2"];
    tiny.ok("run", &views);
    let found = document(&tiny, "tiny.toml", &[&["--sample", "7"], &views[..]].concat());
    let datasets = found["datasets"].as_array().unwrap();
    let of = |end: &str| {
        let ends = |it: &&Value| {
            let path = Path::new(it["path"].as_str().unwrap()).parent().unwrap();
            path.ends_with(end)
        };
        datasets.iter().find(ends).unwrap_or_else(|| panic!("{end}"))["sample"].as_array().unwrap()
    };
    // Ids count within a split.
    assert_eq!(datasets.len(), 2 * 5, "{datasets:#?}");
    let images = of("ingest/train");
    assert_eq!(images.len(), 1);
    assert_eq!(
        (images[0]["id"].as_i64(), images[0]["source"].as_str()),
        (Some(7), Some("train 7"))
    );
    assert!(images[0]["label_name"].is_string(), "{images:?}");
    let both = of("datasets/a/train");
    let view = |it: &Value| it["view"].as_i64();
    assert_eq!(both.iter().map(view).collect::<Vec<_>>(), [Some(0), Some(1)]);
    assert_eq!(of("datasets/a/test").len(), 1);
    assert_eq!(of("untrained/b/train").len(), 1, "the first view alone");
    let rows = values(&tiny, "runs/tiny/datasets/a/train", "activation");
    let second = &both[1]["columns"][0];
    let most = rows[48 + row_of(&tiny, "runs/tiny/datasets/a/train", 7)]
        .iter()
        .copied()
        .fold(f32::MIN, f32::max);
    assert_eq!(second["max"].as_f64().unwrap() as f32, most);
    assert_eq!(second["shape"], json!([9, 8, 8, 4]));
}

#[test]
fn what_a_sample_looks_like_in_a_terminal() {
    let tiny = Tiny::new();
    tiny.ok("run", &[]);
    let folder = "runs/tiny/datasets/ingest/test";
    let (_, plain, _) = inspect(&tiny, folder, &["--sample", "3"]);
    assert!(!plain.contains('\x1b'), "{plain}");
    insta::with_settings!({filters => vec![(r"[0-9a-f]{16}", "<key>"), (r"\d+\.\d+ kB", "<size>")]}, {
        assert_snapshot!(plain, @"
        runs/tiny/datasets/ingest/test/<key>/*.parquet
          generation 1, 24 rows, <size>, 2 files

          id 3, label 0 bright lines 5.5 px 20 deg, source test 3
          column  shape         mean    std  min  max  zeros
          image   [16, 16, 1]  129.7  46.32   29  255  0.0 %

          ▒▓▓█▒▒▒▓▓█▓▒░▒▒▓
          ▒▓█▓▒░▒▓██▓▒▒▒▓▓
          ▓▓▒░░░▒█▓▒░░▒▒▓▓
          ▓▓░░░░▓█▒░░░▒▒░░
          ▓▒▒░▒▓█▒▒░░░▒░░░
          ▓▒▒▒▓█▒░░░▒▓▒░░░
          ▒░░▒█▓▒░░▒▒▓▓░░▒
          ▒▒▒▓▒░░░░▒▓▒▒░░▒
        ");
    });
    let coloured = |variable: &str, value: &str| {
        let mut command = gimlet(&tiny.path("."));
        command.env("CLICOLOR_FORCE", "1").env_remove("NO_COLOR").env(variable, value);
        text(&command.args(["inspect", folder, "--sample", "3"]).output().unwrap().stdout)
    };
    let colours = coloured("CLICOLOR_FORCE", "1");
    assert_eq!(colours.matches('▀').count(), 16 * 8, "{colours}");
    let image = &values(&tiny, folder, "image")[row_of(&tiny, folder, 3)];
    let (above, below) = (image[0] as u8, image[16] as u8);
    let first = format!("\x1b[38;2;{above};{above};{above};48;2;{below};{below};{below}m▀");
    assert!(colours.contains(&first), "{first:?}: {colours:?}");

    let (_, maps, _) = inspect(&tiny, "runs/tiny/datasets/a/test", &["--sample", "3"]);
    assert!(maps.contains("channels 0 1 2 3 of 4; each on a scale of its own"), "{maps}");
    assert!(maps.contains('█'), "{maps}");
}

/// Height and width of a PNG file, and its pixels.
fn png(path: &Path) -> image::RgbaImage {
    image::load_from_memory(&std::fs::read(path).unwrap()).unwrap().to_rgba8()
}

#[test]
fn a_picture_of_a_sample_is_the_image_or_the_maps_of_its_channels() {
    let tiny = Tiny::new();
    tiny.ok("run", &[]);
    let draw = |target: &str, name: &str, args: &[&str]| -> image::RgbaImage {
        let all = [&["--png", name], args].concat();
        let (code, _, err) = inspect(&tiny, target, &all);
        assert_eq!(code, 0, "{err}");
        assert!(err.contains(&format!("the picture is in {name}")), "{err}");
        png(&tiny.path(name))
    };
    let image = draw("runs/tiny/datasets/ingest/test", "image.png", &["--sample", "3"]);
    // 16 pixels, each a square of 8.
    assert_eq!(image.dimensions(), (128, 128));
    let row = row_of(&tiny, "runs/tiny/datasets/ingest/test", 3);
    let pixels = &values(&tiny, "runs/tiny/datasets/ingest/test", "image")[row];
    for (x, y) in [(0, 0), (5, 9), (15, 15)] {
        let value = pixels[(y * 16 + x) as usize] as u8;
        assert_eq!(image.get_pixel(8 * x + 4, 8 * y + 4).0, [value, value, value, 255]);
    }

    // Two by two channels of 3x3 patches of 8, which overlap by half: 16 pixels, and one between.
    let maps = draw("runs/tiny/datasets/a/test", "maps.png", &["--sample", "3"]);
    assert_eq!(maps.dimensions(), (7 * 33, 7 * 33));
    let row = &values(&tiny, "runs/tiny/datasets/a/test", "activation")[row];
    let at = |patch: usize, y: usize, x: usize, channel: usize| {
        row[((patch * 8 + y) * 8 + x) * 4 + channel]
    };
    // What is zero is white; the corner has one patch, the middle four.
    for channel in 0..4 {
        let (left, top) = (channel % 2 * 17, channel / 2 * 17);
        let colour = |x: usize, y: usize| {
            maps.get_pixel((7 * (left + x) + 3) as u32, (7 * (top + y) + 3) as u32).0
        };
        assert_eq!(colour(0, 0) == [255; 4], at(0, 0, 0, channel) == 0.0, "channel {channel}");
        let four = [
            at(0, 5, 5, channel),
            at(1, 5, 1, channel),
            at(3, 1, 5, channel),
            at(4, 1, 1, channel),
        ];
        assert_eq!(colour(5, 5) == [255; 4], four == [0.0; 4], "channel {channel}: {four:?}");
    }

    let first = draw("runs/tiny/datasets/ingest/test", "rows.png", &["--rows", "2"]);
    assert_eq!(first.dimensions(), (128, 2 * 128 + 8));
    let pooled = draw("runs/tiny/untrained/b/test", "pooled.png", &["--sample", "3"]);
    assert!(pooled.width() > 8, "pooled vectors stand in for activations that are not stored");
    let all = draw("tiny.toml", "all.png", &["--sample", "3"]);
    assert!(all.height() > 10 * 64, "every dataset that has it: {:?}", all.dimensions());
}

#[test]
fn sound_is_drawn_over_time() {
    let (_, rest) = PIPELINE.split_once("[view]").unwrap();
    let (_, rest) = rest.split_once("[training]").unwrap();
    let tiny = Tiny::with(&format!(
        r#"name = "tiny"
[data]
train = "train"
test = "test"
[view]
rate = 8000
window = 800
hop = 50
[[modules]]
name = "a"
layers = [{{ conv1d = {{ channels = 8, kernel = 10, stride = 50, padding = 2 }} }}, {{ relu = {{}} }}]
[loss.infonce1d]
prediction_steps = 3
negatives = 4
[training]{rest}"#
    ));
    for (split, count) in [("train", 12), ("test", 4)] {
        for take in 0..count {
            let wave = |at: usize| (0.05 * (1 + take % 3) as f32 * at as f32).sin();
            let samples: Vec<f32> = (0..900 + 10 * take).map(wave).collect();
            save(&tiny.path(&format!("{split}/{}/{take}.wav", take % 2)), 8000, &samples);
        }
    }
    tiny.ok("run", &[]);
    let dataset =
        &document(&tiny, "runs/tiny/datasets/ingest/test", &["--rows", "1"])["datasets"][0];
    let id = dataset["first_rows"][0]["id"].to_string();
    let (code, out, err) = inspect(&tiny, "tiny.toml", &["--sample", &id, "--png", "sound.png"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("8 channels from the bottom up, over 16 steps"), "{out}");
    let own = dataset["first_rows"][0]["samples"].as_u64().unwrap();
    assert!(out.contains(&format!("{own} samples")), "without the silence behind it: {out}");
    assert!(png(&tiny.path("sound.png")).width() >= 256);
}

#[test]
fn every_generation_is_listed_on_demand() {
    let tiny = Tiny::new();
    tiny.ok("run", &[]);
    tiny.ok("run", &["--set", "modules.b.epochs=3"]);
    let of = |document: &Value, end: &str| -> Vec<(u64, Value)> {
        let datasets = document["datasets"].as_array().unwrap().iter();
        let of_b = datasets.filter(|it| it["path"].as_str().unwrap().contains(end));
        of_b.map(|it| (it["generation"].as_u64().unwrap(), it["standing"].clone())).collect()
    };
    let newest = document(&tiny, "tiny.toml", &[]);
    assert_eq!(of(&newest, "datasets/b/train"), [(1, Value::Null)]);
    let all = document(&tiny, "tiny.toml", &["--all"]);
    assert_eq!(of(&all, "datasets/b/train"), [(2, json!("superseded")), (1, json!("current"))]);
    assert_eq!(of(&all, "datasets/a/train"), [(1, json!("current"))]);
    let folder = document(&tiny, "runs/tiny/datasets/b/train", &["--generations"]);
    assert_eq!(of(&folder, "datasets/b/train"), [(2, Value::Null), (1, Value::Null)]);
    let (_, out, _) = inspect(&tiny, "tiny.toml", &["--all"]);
    assert!(out.contains("generation 2 (superseded), 48 rows"), "{out}");
}

#[test]
fn bad_input_is_refused_with_what_to_do() {
    let tiny = Tiny::new();
    tiny.ok("ingest", &[]);
    let folder = "runs/tiny/datasets/ingest/test";
    let fails = |expected: i32, args: &[&str], message: &str, hint: &str| {
        let (code, out, err) = inspect(&tiny, folder, args);
        assert_eq!((code, out.as_str()), (expected, ""), "{args:?}: {err}");
        assert!(err.contains(message) && err.contains(hint) && err.contains("hint: "), "{err}");
    };
    let none = "there is no sample with the id 24";
    fails(2, &["--sample", "24"], none, "ids lie between 0 and 23");
    fails(2, &["--sample", "-1"], "the id -1", "ids lie between");
    fails(2, &["--sample", "1", "--png", "no/x.png"], "no folder `no`", "make it");
    std::fs::write(tiny.path("taken.png"), "mine").unwrap();
    fails(2, &["--sample", "1", "--png", "taken.png"], "`taken.png` is there already", "--force");
    assert_eq!(std::fs::read(tiny.path("taken.png")).unwrap(), b"mine");
    let (code, ..) = inspect(&tiny, folder, &["--sample", "1", "--png", "taken.png", "--force"]);
    assert_eq!(code, 0);
    assert_eq!(png(&tiny.path("taken.png")).width(), 128);
    for args in [&["--sample", "x"][..], &["--sample", "1", "--stats"], &["--force"]] {
        assert_eq!(inspect(&tiny, folder, args).0, 2, "{args:?}");
    }

    // Damage is named, and how it is mended.
    let mut parts: Vec<PathBuf> = Vec::new();
    tiny::walk(&tiny.path(folder), &mut |path| {
        parts.extend((path.extension().is_some_and(|it| it == "parquet")).then(|| path.into()));
    });
    parts.sort();
    let whole = std::fs::read(&parts[0]).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    std::fs::write(&parts[0], flipped).unwrap();
    fails(4, &["--stats"], "part-00000.parquet: damaged", "`gimlet verify` notes the damage");
    std::fs::write(&parts[0], &whole[..whole.len() / 2]).unwrap();
    fails(4, &["--sample", "1"], "part-00000.parquet: damaged", "`gimlet run` rebuilds it");
}

#[test]
fn a_dataset_of_others_that_has_no_pictures_says_so() {
    use gimlet_store::{
        Column, Compression, CompressionSetting, DType, Rows, Schema, Spec, Values,
    };
    let tiny = Tiny::new();
    let column = Column {
        name: "weights".into(),
        dtype: DType::F32,
        shape: vec![2, 2],
        dims: vec![],
        compression: Compression::None,
    };
    let schema =
        Schema { columns: vec![column], source: false, label_names: None, attributes: vec![] };
    let spec = Spec {
        key: "0".repeat(64),
        settings: json!({}),
        rows: Some(1),
        rows_per_part: 4,
        rows_per_group: 4,
        compression: CompressionSetting::Fixed(Compression::None),
        schema,
    };
    let mut writer = Store::new().dataset(tiny.path("other")).begin(spec).unwrap();
    let rows = Rows {
        ids: &[5],
        labels: &[None],
        sources: None,
        attributes: &[],
        tensors: &[Values::F32(&[0.0; 4])],
    };
    writer.write(&rows).unwrap();
    writer.commit(json!({})).unwrap();
    let (code, out, err) = inspect(&tiny, "other", &["--sample", "5"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("id 5, label -"), "{out}");
    let (code, _, err) = inspect(&tiny, "other", &["--sample", "5", "--png", "x.png"]);
    assert_eq!(code, 2);
    assert!(err.contains("there is nothing to draw") && err.contains("hint: "), "{err}");
    assert!(!tiny.path("x.png").exists());
    let (code, out, err) = inspect(&tiny, "other", &["--stats"]);
    assert_eq!(code, 0, "one value alone has a histogram, too: {err}");
    assert!(!out.contains("NaN") && !out.contains("channels:"), "{out}");
}
