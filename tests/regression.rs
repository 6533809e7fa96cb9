//! Faults that were found once, by number, so that they are not found again.

mod jpeg_file;
mod notes;
mod parquet_file;
mod sound_files;
mod tiny;
mod torch_file;

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Int64Array};
use gimlet::source::sound;
use image::{DynamicImage, GrayImage, ImageFormat, Luma, RgbImage};
use jpeg_file::Component;
use serde_json::Value;
use sound_files::riff::Riff;
use sound_files::{flac, hum, scaled};
use tiny::{PIPELINE, Tiny};
use torch_file::{View, checkpoint_of_views};

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
}

/// A pipeline of one convolution.
const ONE: &str = r#"
name = "tiny"
[data.textures]
classes = 2
size = 16
train = 8
test = 4
[view]
patch = 8
stride = 4
[[modules]]
name = "a"
layers = [{ conv = { channels = 4, kernel = 3 } }]
[loss.infonce]
prediction_steps = 1
negatives = 4
[training]
epochs = 1
batch = 4
"#;

/// The tensors of its module in a checkpoint, with something in front of their names; the kernel as a view of
/// these values, with these strides.
fn of_one(prefix: &str, kernel: &[f32], strides: &[i64]) -> Vec<u8> {
    let one = |name: &str, values: &[f32], dims: &[usize], strides: &[i64]| {
        (format!("{prefix}{name}"), View::of(values, 0, dims, strides))
    };
    checkpoint_of_views(&[
        one("model.Conv1.weight", kernel, &[4, 3, 3, 3], strides),
        one("model.Conv1.bias", &[0.5; 4], &[4], &[1]),
        one("loss.W_k.0.weight", &[0.25; 16], &[4, 4, 1, 1], &[4, 1, 1, 1]),
    ])
}

/// 40: a safetensors file whose offsets fit neither shapes nor types, or overlap, was imported with the bytes of
/// other tensors.
#[test]
fn r40_safetensors_that_overlap_are_not_imported() {
    let tiny = Tiny::with(ONE);
    let file = |kernel: [u64; 2], predictor: [u64; 2]| {
        let header = format!(
            r#"{{"model.Conv1.bias":{{"dtype":"F32","shape":[4],"data_offsets":[0,16]}},
            "model.Conv1.weight":{{"dtype":"F32","shape":[4,3,3,3],"data_offsets":{kernel:?}}},
            "loss.W_k.0.weight":{{"dtype":"F32","shape":[4,4,1,1],"data_offsets":{predictor:?}}}}}"#
        );
        let bytes =
            [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 512]].concat();
        std::fs::write(tiny.path("file.safetensors"), bytes).unwrap();
    };
    for (kernel, predictor, said) in [
        ([16, 448], [0, 64], "overlap"),
        ([16, 512], [448, 512], "takes 432 bytes, its place has 496"),
        ([16, 80], [80, 512], "takes 432 bytes, its place has 64"),
        ([80, 512], [16, 32], "takes 64 bytes, its place has 16"),
    ] {
        file(kernel, predictor);
        let err = tiny.fails(1, "import", &["file.safetensors"]);
        assert!(err.contains("`file.safetensors`") && err.contains(said), "{said}: {err}");
    }
    file([16, 448], [448, 512]);
    tiny.ok("import", &["file.safetensors"]);
}

/// 41: checkpoints of compiled models (`_orig_mod.`) were refused, with a hint at layers that were right. 42: so
/// were those whose values do not follow each other, as after `to(memory_format=torch.channels_last)`.
#[test]
fn r41_r42_checkpoints_of_compiled_and_channels_last_models_are_imported() {
    let tiny = Tiny::with(ONE);
    let kernel: Vec<f32> = (0..108u8).map(|it| f32::from(it) / 64.0).collect();
    let mut last = vec![0.0; 108];
    for (at, value) in kernel.iter().enumerate() {
        let [out, channel, place] = [at / 27, at / 9 % 3, at % 9];
        last[27 * out + 3 * place + channel] = *value;
    }
    let weights = |name: &str, bytes: Vec<u8>| {
        std::fs::write(tiny.path(name), bytes).unwrap();
        tiny.ok("import", &[name, "--run-dir", &format!("run-{name}")]);
        tiny.weights(&format!("run-{name}"), "a")
    };
    let plain = weights("plain", of_one("", &kernel, &[27, 9, 3, 1]));
    assert!(weights("compiled", of_one("module._orig_mod.", &kernel, &[27, 9, 3, 1])) == plain);
    assert!(weights("last", of_one("", &last, &[27, 1, 9, 3])) == plain);
}

/// 43: `import` wanted images to be ingested first, also where the view says all shapes.
#[test]
fn r43_weights_are_imported_before_images_are_ingested() {
    let tiny = Tiny::with(ONE);
    std::fs::write(tiny.path("a.ckpt"), of_one("", &[0.5; 108], &[27, 9, 3, 1])).unwrap();
    tiny.ok("import", &["a.ckpt"]);
    let status = tiny.json("status", &[]);
    assert_eq!(status["stages"][2]["state"], "done", "{status}");
    tiny.ok("run", &[]);
}

/// 44: a module whose channels are all dead trained on to its end without a word, its loss just that of a guess.
#[test]
fn r44_a_training_without_a_living_channel_is_told_of() {
    let layers = "layers = [{ conv = { channels = 2, kernel = 3 } }, { relu = {} }]";
    let tiny = Tiny::with(
        &ONE.replace("layers = [{ conv = { channels = 4, kernel = 3 } }]", layers)
            .replace("epochs = 1", "epochs = 50\nlearning_rate = 10.0")
            .replace("name = \"tiny\"", "name = \"tiny\"\nseed = 3"),
    );
    tiny.ok("ingest", &[]);
    let (_, err) = tiny.ok("train", &["a"]);
    assert_eq!(err.matches("`train a` learns nothing: ").count(), 1, "{err}");
    assert!(err.contains("all channels are dead: 0 for every sample"), "{err}");
    assert!(err.contains("`training.learning_rate` (10.0)"), "{err}");
}

/// The state of each step of a run, and why.
fn states(tiny: &Tiny, args: &[&str]) -> Vec<(String, String)> {
    let status = tiny.json("status", args);
    let stages = status["stages"].as_array().unwrap().iter();
    let of = |stage: &serde_json::Value, key: &str| stage[key].as_str().unwrap().to_owned();
    stages.map(|stage| (of(stage, "state"), of(stage, "why"))).collect()
}

/// 60: the classifier of the loss `supervised` has as many classes as both splits tell apart, but a training did
/// not notice when the test split was another.
#[test]
fn r60_weights_are_stale_where_the_test_split_says_how_many_classes_there_are() {
    let tiny = Tiny::new();
    let supervised = ["--set", "loss=supervised"];
    tiny.ok("ingest", &supervised);
    tiny.ok("train", &["a", "--set", "loss=supervised"]);
    let other = ["--set", "loss=supervised", "--set", "data.test_subset=12"];
    let found = states(&tiny, &other);
    assert_eq!((found[2].0.as_str(), found[2].1.as_str()), ("stale", "`ingest` is not done"));
    // Other losses have no part in it.
    tiny.ok("train", &["a"]);
    assert_eq!(states(&tiny, &["--set", "data.test_subset=12"])[2].0, "done");
}

/// 61: a stack that was drawn with its modules in another order counted as the same.
#[test]
fn r61_the_order_of_modules_is_part_of_the_untrained_stack() {
    let module =
        |name: &str| format!("{{name=\"{name}\",layers=[{{conv={{channels=1,kernel=3}}}}]}}");
    let [one, other] = [["a", "b"], ["b", "a"]].map(|names| {
        let modules: Vec<String> = names.into_iter().map(module).collect();
        format!("modules=[{}]", modules.join(","))
    });
    let tiny = Tiny::new();
    tiny.ok("ingest", &[]);
    tiny.ok("encode", &["untrained", "--set", &one]);
    let found = &states(&tiny, &["--set", &other])[1];
    let why = "modules.a.place: 0 -> 1; modules.b.place: 1 -> 0";
    assert_eq!((found.0.as_str(), found.1.as_str()), ("stale", why));
}

/// A pipeline of sound in folders, with two classes.
fn sound() -> Tiny {
    let text = "seed = 3\n[data]\ntrain = 'sounds'\ntest = 'sounds'\n[view]\nrate = 8000\nwindow = 160\n\
                hop = 40\n[[modules]]\nname = 'a'\nlayers = [{ conv1d = { channels = 4, kernel = 4, \
                stride = 2 } }]\n[loss.infonce1d]\nprediction_steps = 1\nnegatives = 2\n[training]\n\
                epochs = 1\nbatch = 4\n";
    let tiny = Tiny::with(text);
    for row in 0..12usize {
        let samples = sound_files::scaled(&sound_files::hum(200 + 10 * row));
        let louder = samples.iter().map(|it| it * (1.0 + row as f32 / 12.0));
        let class = ["one", "two"][row % 2];
        let path = tiny.path(&format!("sounds/{class}/{row}.wav"));
        sound_files::save(&path, 8_000, &louder.collect::<Vec<_>>());
    }
    tiny
}

/// 62: test samples are normalised as the training split has it, but those of the untrained stack stayed when that
/// was another.
#[test]
fn r62_what_normalises_the_test_split_is_part_of_the_untrained_stack() {
    let tiny = sound();
    tiny.ok("ingest", &[]);
    tiny.ok("encode", &["untrained"]);
    let less = ["--set", "data.subset=4"];
    tiny.ok("ingest", &less);
    tiny.ok("encode", &["untrained", "--set", "data.subset=4"]);
    let generations = |split: &str| {
        let files =
            std::fs::read_dir(tiny.path(&format!("runs/tiny/untrained/a/{split}"))).unwrap();
        let names = files.map(|it| it.unwrap().file_name().into_string().unwrap());
        names.filter(|it| it.ends_with(".json") && !it.starts_with('.')).count()
    };
    assert_eq!([generations("train"), generations("test")], [2, 2]);
}

/// 63: where a setting of the test split alone had changed, `status` told of an attempt that nobody had made.
#[test]
fn r63_a_changed_test_split_is_named() {
    let tiny = Tiny::new();
    tiny.ok("ingest", &[]);
    let found = states(&tiny, &["--set", "data.test_subset=12"]);
    let why = "data.test_subset: not set -> 12";
    assert_eq!((found[0].0.as_str(), found[0].1.as_str()), ("stale", why));
}

/// 64: a number of test images was part of the training images, which were ingested and trained on again.
#[test]
fn r64_what_is_made_of_the_training_split_stays_when_the_test_split_changes() {
    let tiny = Tiny::new();
    tiny.ok("ingest", &[]);
    tiny.ok("train", &["a"]);
    let found = states(&tiny, &["--set", "data.textures.test=16"]);
    let why = "data.textures.test: 24 -> 16";
    assert_eq!((found[0].0.as_str(), found[0].1.as_str()), ("stale", why));
    assert_eq!(found[2].0, "done");
}

/// 65: recordings without a label for every hop were ingested again when the hop was another.
#[test]
fn r65_a_hop_is_no_part_of_recordings_without_labels_of_hops() {
    let tiny = sound();
    tiny.ok("ingest", &[]);
    assert_eq!(states(&tiny, &["--set", "view.hop=20"])[0].0, "done");
}

/// 66: how many generations an `async` training replays was part of nothing.
#[test]
fn r66_generations_that_are_replayed_are_part_of_a_training() {
    let tiny = Tiny::with(&format!("{PIPELINE}\n[schedule]\nkind = \"async\"\nreplay = 0.5\n"));
    tiny.ok("run", &["--set", "training.epochs=1"]);
    let more = ["--set", "training.epochs=1", "--set", "store.keep_generations=3"];
    let found = states(&tiny, &more);
    let train_b = &found[4];
    let why = "store.keep_generations: 2 -> 3";
    assert_eq!((train_b.0.as_str(), train_b.1.as_str()), ("stale", why), "{found:?}");
}

/// The tiny pipeline on files.
fn on_files(data: &str) -> Tiny {
    let (head, rest) = PIPELINE.split_once("[data.textures]").unwrap();
    let (_, rest) = rest.split_once("[view]").unwrap();
    Tiny::with(&format!("{head}[data]\n{data}\n[view]\n{rest}"))
}

/// An image that no other number makes.
fn shot(number: u8, format: ImageFormat) -> Vec<u8> {
    let shade = |x: u32, y: u32| [number * 9 + (x * y) as u8 / 4, x as u8 * 9, y as u8 * 9];
    let image = RgbImage::from_fn(16, 16, |x, y| image::Rgb(shade(x, y)));
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::from(image).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn put(path: &Path, bytes: impl AsRef<[u8]>) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// A Parquet file of images of one class.
fn put_parquet(path: &Path, images: &[Vec<u8>]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let labels: ArrayRef = Arc::new(Int64Array::from(vec![0; images.len()]));
    let images: ArrayRef = Arc::new(BinaryArray::from_iter_values(images));
    parquet_file::write(path, vec![("image", images), ("label", labels)], None, 8);
}

/// Decodes an image through the library.
fn decoded(bytes: &[u8]) -> RgbImage {
    gimlet::source::decode::decode(bytes).unwrap().image.to_rgb8()
}

/// 10: in class folders, all but PNG and JPEG were left out without a word: "24 images" of 48, one class.
#[test]
fn r10_class_folders_of_other_formats_are_read_and_those_without_an_image_refused() {
    let tiny = on_files("train = 'images'\ntest = 'images'");
    let formats =
        [("png", ImageFormat::Png), ("webp", ImageFormat::WebP), ("TIF", ImageFormat::Tiff)];
    for number in 0..18u8 {
        let (ending, format) = formats[usize::from(number % 3)];
        let place = tiny.path("images").join(ending).join(format!("{number}.{ending}"));
        put(&place, shot(number, format));
    }
    let (_, told) = tiny.ok("ingest", &[]);
    assert!(told.contains("18 images"), "{told}");
    put(&tiny.path("images/heic/1.heic"), b"\0\0\0\x18ftypheic");
    let told = tiny.fails(1, "ingest", &["--run-dir", "other"]);
    assert!(told.contains("images/heic` has no image: it holds `1.heic`"), "{told}");
    std::fs::remove_dir_all(tiny.path("images/heic")).unwrap();
    tiny.ok("ingest", &["--run-dir", "other"]);
}

/// 11: a baseline JPEG with a scan for each component and vertical subsampling was decoded to green noise.
#[test]
fn r11_a_jpeg_with_a_scan_for_each_component_is_read_right() {
    fn luma(x: usize, y: usize) -> u8 {
        (60 + (x * 37 + y * 53) % 130) as u8
    }
    for blocks in [(1, 1), (2, 1), (1, 2), (2, 2), (4, 1), (4, 2)] {
        for size in [(64, 48), (61, 45), (17, 100)] {
            let parts = [
                Component { blocks, value: luma },
                Component { blocks: (1, 1), value: |x, _| 90 + 5 * x as u8 },
                Component { blocks: (1, 1), value: |_, y| 160 - 3 * y as u8 },
            ];
            let of = |scans: &[&[usize]]| decoded(&jpeg_file::jpeg(size.0, size.1, &parts, scans));
            let whole = of(&[&[0, 1, 2]]);
            for scans in [&[&[0][..], &[1], &[2]][..], &[&[2], &[0], &[1]], &[&[0], &[1, 2]]] {
                let apart = of(scans);
                let far =
                    whole.iter().zip(apart.iter()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
                assert!(far <= 12, "{blocks:?} {size:?} {scans:?}: {far} apart");
            }
        }
    }
}

/// 12: an orientation in EXIF was not applied, and nobody said so.
#[test]
fn r12_an_image_is_turned_as_its_exif_says() {
    let lying = RgbImage::from_fn(24, 16, |x, y| image::Rgb([x as u8 * 10, y as u8 * 10, 0]));
    let mut png = Cursor::new(Vec::new());
    lying.write_to(&mut png, ImageFormat::Png).unwrap();
    let mut png = png.into_inner();
    // One entry, the orientation: to be turned by a quarter, clockwise.
    let exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let mut chunk = b"eXIf".to_vec();
    chunk.extend(exif);
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, &chunk) as u32;
    let chunk = [&(exif.len() as u32).to_be_bytes()[..], &chunk, &crc.to_be_bytes()].concat();
    png.splice(33..33, chunk);
    let turned = gimlet::source::decode::decode(&png).unwrap();
    assert!(turned.turned);
    assert_eq!(turned.image.to_rgb8(), image::imageops::rotate90(&lying));
    assert_eq!(gimlet::source::decode::size(&png), Some((24, 16)));
}

/// An IDX file, and one in gzip.
fn idx(header: &[u32], values: &[u8], packed: bool) -> Vec<u8> {
    let mut bytes: Vec<u8> = header.iter().flat_map(|it| it.to_be_bytes()).collect();
    bytes.extend(values);
    if !packed {
        return bytes;
    }
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(&bytes).unwrap();
    writer.finish().unwrap()
}

/// 13: MNIST's files as they are downloaded, or named with dots, or by their folder, were "not Parquet".
#[test]
fn r13_mnist_is_read_as_it_is_downloaded() {
    let tiny = on_files("train = 'MNIST'\ntest = 'MNIST'");
    let mut rest = vec!["--set".to_owned(), "view.grayscale=true".into(), "--run-dir".into()];
    rest.push(String::new());
    let ingest = |run: &str, data: [&str; 2]| {
        let mut args: Vec<&str> = rest[..3].iter().map(String::as_str).collect();
        let [train, test] = [("train", data[0]), ("test", data[1])]
            .map(|(split, value)| format!("data.{split}={value}"));
        args.extend([run, "--set", &train, "--set", &test]);
        tiny.ok("ingest", &args).1
    };
    for (split, rows) in [("train", 30u32), ("t10k", 20)] {
        let pixels: Vec<u8> = (0..rows * 256).map(|at| (at * 7 / 3) as u8).collect();
        let labels: Vec<u8> = (0..rows as u8).map(|row| row % 10).collect();
        let images = |packed| idx(&[0x0803, rows, 16, 16], &pixels, packed);
        let labels = |packed| idx(&[0x0801, rows], &labels, packed);
        let at = |name: String| tiny.path(&name);
        // As torchvision leaves them: both.
        for (ending, packed) in [("", false), (".gz", true)] {
            put(&at(format!("MNIST/raw/{split}-images-idx3-ubyte{ending}")), images(packed));
            put(&at(format!("MNIST/raw/{split}-labels-idx1-ubyte{ending}")), labels(packed));
        }
        put(&at(format!("a/{split}-images.idx3-ubyte.gz")), images(true));
        put(&at(format!("a/{split}-labels.idx1-ubyte")), labels(false));
        put(&at(format!("b/{split}-images-idx3-ubyte.gz")), images(true));
        put(&at(format!("b/{split}-labels-idx1-ubyte.gz")), labels(true));
    }
    let ways = [
        ["MNIST", "MNIST"],
        ["MNIST/raw", "MNIST/raw"],
        ["MNIST/raw/train-*", "MNIST/raw/t10k-*"],
        ["a/train-images.idx3-ubyte.gz", "a/t10k-images.idx3-ubyte.gz"],
        ["a", "b"],
        ["b/train-*", "b/*t10k*"],
    ];
    for (number, way) in ways.into_iter().enumerate() {
        let told = ingest(&format!("r{number}"), way);
        assert!(told.contains("30 images") && told.contains("20 images"), "{way:?}: {told}");
    }
}

/// 14: what macOS and Synology leave in folders was a class, or an image.
#[test]
fn r14_clutter_is_no_class_and_no_image() {
    let tiny = on_files("train = 'images'\ntest = 'images'");
    for number in 0..12u8 {
        let class = ["cat", "dog"][usize::from(number % 2)];
        let place = tiny.path("images").join(class).join(format!("{number}.png"));
        put(&place, shot(number, ImageFormat::Png));
    }
    put(&tiny.path("images/__MACOSX/cat/._0.png"), b"\0\x05\x16\x07");
    put(&tiny.path("images/cat/@eaDir/SYNOPHOTO_THUMB.jpg"), b"no image");
    put(&tiny.path("images/cat/Thumbs.db"), b"");
    put(&tiny.path("images/cat/._0.png"), b"\0\x05\x16\x07");
    std::fs::create_dir_all(tiny.path("images/hollow/within")).unwrap();
    tiny.ok("ingest", &[]);
    let dataset = &tiny.json("inspect", &[])["datasets"][0];
    assert_eq!(dataset["rows"], 12, "{dataset}");
    let text = dataset.to_string();
    assert!(text.contains("cat") && !text.contains("MACOSX") && !text.contains("hollow"), "{text}");
}

/// 15: photos of 60 megapixels, and ones longer than 16,384, were "too large", and no limit was named.
#[test]
fn r15_large_photos_are_read_and_the_limit_is_named() {
    let long = RgbImage::from_fn(17_000, 16, |x, y| image::Rgb([x as u8, y as u8, 9]));
    let mut jpeg = Cursor::new(Vec::new());
    long.write_to(&mut jpeg, ImageFormat::Jpeg).unwrap();
    let mut jpeg = jpeg.into_inner();
    assert_eq!(decoded(&jpeg).dimensions(), (17_000, 16));
    let frame = jpeg.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 7].copy_from_slice(&20_000u16.to_be_bytes());
    let told = gimlet::source::decode::decode(&jpeg).unwrap_err();
    assert!(told.contains("340000000 pixels; 178956970 are read"), "{told}");
}

/// 16: a folder of Parquet files that was named by itself had "no image"; an LFS pointer, an HTML page and
/// half a file were "not Parquet", each with the hint that data files are Parquet.
#[test]
fn r16_what_a_download_leaves_is_read_or_named() {
    let tiny = on_files("train = 'data'\ntest = 'data'");
    let images: Vec<Vec<u8>> = (0..12).map(|number| shot(number, ImageFormat::Png)).collect();
    put_parquet(&tiny.path("data/train-0.parquet"), &images);
    put_parquet(&tiny.path("data/train-1.parquet"), &images);
    put_parquet(&tiny.path("data/test-0.parquet"), &images[..8]);
    put(&tiny.path("data/._train-0.parquet"), b"\0\x05\x16\x07");
    let (_, told) = tiny.ok("ingest", &[]);
    assert!(told.contains("24 images") && told.contains("8 images"), "{told}");

    let whole = std::fs::read(tiny.path("data/train-0.parquet")).unwrap();
    let lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 123456\n";
    let cases: [(&[u8], &str, &str); 6] = [
        (lfs, "a Git LFS pointer", "`git lfs pull`"),
        (b"<!DOCTYPE html><html><body>404", "is an HTML page", "in a browser"),
        (b"", "is empty", "get it again"),
        (&whole[..whole.len() / 2], "is cut off, or damaged, after", "get it again"),
        (b"PK\x03\x04 and so on", "is a ZIP archive", "unpack it"),
        (&images[0], "is a PNG image", "by their folder"),
    ];
    for (bytes, what, advice) in cases {
        put(&tiny.path("one.parquet"), bytes);
        let args = ["--run-dir", "r", "--set", "data.train=one.parquet"];
        let told = tiny.fails(1, "ingest", &args);
        assert!(told.contains("one.parquet") && told.contains(what), "{what}: {told}");
        assert!(told.contains(advice), "{advice}: {told}");
    }
    // Of a folder that has them deeper, the hint says how to name them.
    put_parquet(&tiny.path("hub/plain/train-0.parquet"), &images);
    let told = tiny.fails(1, "ingest", &["--run-dir", "r", "--set", "data.train=hub"]);
    let pattern = told.split("write `").nth(1).unwrap().split('`').next().unwrap();
    assert!(pattern.ends_with("hub/plain/*.parquet"), "{told}");
    tiny.ok("ingest", &["--run-dir", "r", "--set", &format!("data.train={pattern}")]);
}

/// Records of CIFAR: labels, then pixels.
fn cifar(rows: usize, labels: impl Fn(usize) -> Vec<u8>) -> Vec<u8> {
    (0..rows)
        .flat_map(|row| {
            let mut record = labels(row);
            record.extend((0..3072).map(|at| (at * 7 + row * 31) as u8));
            record
        })
        .collect()
}

/// 17: a file of CIFAR-100 was "cut off", labels from 0 were "10 labels from 1, not 10", a label without a
/// name had neither file nor row, and Python's batches were "not Parquet".
#[test]
fn r17_binary_files_are_read_or_named() {
    let tiny = on_files("train = 'c100/train.bin'\ntest = 'c100/test.bin'");
    let labels = |row: usize| vec![row as u8 % 20, row as u8 % 100];
    put(&tiny.path("c100/train.bin"), cifar(30, labels));
    put(&tiny.path("c100/test.bin"), cifar(20, labels));
    for (file, count) in [("fine", 100), ("coarse", 20)] {
        let names: String = (0..count).map(|class| format!("{file} {class}\n")).collect();
        put(&tiny.path(&format!("c100/{file}_label_names.txt")), names);
    }
    let fails = |root: &str, files: [&str; 2]| {
        let [root, train, test] = [("root", root), ("train", files[0]), ("test", files[1])]
            .map(|(key, value)| format!("data.{key}={value}"));
        let args = ["--run-dir", "r", "--set", &root, "--set", &train, "--set", &test];
        tiny.fails(1, "ingest", &args)
    };
    tiny.ok("ingest", &[]);
    for (run, label) in [("r1", "'coarse_label'"), ("r2", "['fine_label', 'coarse_label']")] {
        let label = format!("data.label={label}");
        tiny.ok("ingest", &["--run-dir", run, "--set", &label]);
    }
    let told = tiny.fails(1, "ingest", &["--run-dir", "r3", "--set", "data.label='breed'"]);
    assert!(told.contains("`fine_label`, to `coarse_label`"), "{told}");

    put(&tiny.path("c10/train.bin"), cifar(20, |row| vec![if row == 7 { 200 } else { 1 }]));
    put(&tiny.path("c10/test.bin"), cifar(20, |_| vec![1]));
    put(&tiny.path("c10/batches.meta.txt"), "cat\ndog\n");
    let told = fails("c10", ["train.bin", "test.bin"]);
    assert!(told.contains("train.bin`: the label of image 7 is class 200"), "{told}");
    assert!(told.contains("batches.meta.txt` names 2 classes"), "{told}");

    put(&tiny.path("stl/train_X.bin"), vec![9; 3 * 27648]);
    put(&tiny.path("stl/train_y.bin"), [1, 0, 2]);
    let told = fails("stl", ["train_X.bin", "train_X.bin"]);
    assert!(told.contains("train_y.bin`: the label of image 1 is 0"), "{told}");
    assert!(told.contains("begin at 1"), "{told}");

    put(&tiny.path("py/data_batch_1"), b"\x80\x02}q\0(U\x0bbatch_label");
    let told = fails("py", ["data_batch_*", "data_batch_1"]);
    assert!(told.contains("data_batch_1` is a Python pickle"), "{told}");
    assert!(told.contains("`data_batch_1.bin`"), "{told}");
}

/// 18: class folders whose names are not UTF-8 were merged, and those that differ by Unicode form were two
/// classes that look alike.
#[cfg(unix)]
#[test]
fn r18_classes_that_cannot_be_told_apart_are_refused() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let tiny = on_files("train = 'images'\ntest = 'images'");
    let add = |class: &OsStr, number: u8| {
        let place = tiny.path("images").join(class).join(format!("{number}.png"));
        put(&place, shot(number, ImageFormat::Png));
    };
    (0..10).for_each(|number| add(OsStr::new("dog"), number));
    for (number, name) in [b"caf\xe9", b"caf\xe8"].into_iter().enumerate() {
        add(OsStr::from_bytes(name), number as u8);
    }
    let told = tiny.fails(1, "ingest", &[]);
    assert!(told.contains(r#""caf\xE"#) && told.contains("not UTF-8"), "{told}");
    for name in [b"caf\xe9", b"caf\xe8"] {
        std::fs::remove_dir_all(tiny.path("images").join(OsStr::from_bytes(name))).unwrap();
    }
    add(OsStr::new("caf\u{e9}"), 1);
    add(OsStr::new("cafe\u{301}"), 2);
    let told = tiny.fails(1, "ingest", &[]);
    assert!(told.contains(r"caf\u{e9}") && told.contains(r"cafe\u{301}"), "{told}");
}

/// 19: a link that leads to nothing ended a run, whatever `on_bad_sample` said.
#[cfg(unix)]
#[test]
fn r19_a_broken_link_is_passed_over_where_bad_samples_are_skipped() {
    let tiny = on_files("train = 'images'\ntest = 'images'");
    for number in 0..10u8 {
        put(&tiny.path(&format!("images/cat/{number}.png")), shot(number, ImageFormat::Png));
    }
    std::os::unix::fs::symlink("gone.png", tiny.path("images/cat/a.png")).unwrap();
    let told = tiny.fails(1, "ingest", &[]);
    assert!(
        told.contains("images/cat/a.png` is a link that leads to nothing (`gone.png`)"),
        "{told}"
    );
    assert!(told.contains("data.on_bad_sample = \"skip\""), "{told}");
    tiny.ok("ingest", &["--set", "data.on_bad_sample=skip"]);
}

/// 30: WAV whose size its writer did not know was "cut off", or lost its end.
#[test]
fn r30_a_sound_from_a_pipe_is_read_to_its_end() {
    let samples = hum(1_000);
    let heard = |riff: &Riff| sound::decode(&riff.bytes()).map(|it| it.samples);
    // The sizes of all, and of the samples: of ffmpeg, SoX, arecord, of who never comes back to write them,
    // and of who counts a byte that makes the size even.
    for (all, data) in [
        (0xffff_ffff, 0xffff_ffff),
        (0x7fff_f024, 0x7fff_f000),
        (0x8000_0024, 0x8000_0000),
        (0x7fff_ffff, 0x7fff_ffff - 36),
        (0xffff_fff8, 0xffff_fff0),
        (0, 0),
        (36, 0),
        (2_037, 2_001),
        (0, 2_000),
        (0xffff_ffff, 2_000),
    ] {
        let mut riff = Riff::of(&samples);
        riff.sizes = (Some(all), Some(data));
        assert_eq!(heard(&riff), Ok(scaled(&samples)), "{all:x} {data:x}");
        let length = sound::length(&riff.bytes()).unwrap();
        assert_eq!((length.samples, length.rate), (1_000, 8_000), "{all:x} {data:x}");
    }
    // Of eight bits, of which a byte is a sample.
    let mut bytes = Riff::new(1, 8, vec![200; 1_000]);
    bytes.sizes = (None, Some(1_001));
    assert_eq!(heard(&bytes).unwrap().len(), 1_000);
    // What is shorter than any other size is cut off.
    for (size, of) in [(2_002, 1_001), (1 << 20, 1 << 19), (0x0fff_f000, 0x07ff_f800)] {
        let mut riff = Riff::of(&samples);
        riff.sizes = (None, Some(size));
        assert_eq!(heard(&riff), Err(format!("cut off: 1000 of {of} samples")));
    }
}

/// 31: samples of 24 bits in four bytes each were read as noise of three bytes each.
#[test]
fn r31_a_byte_beside_24_bits_is_no_sample() {
    let samples = hum(500);
    let bytes = |shift: u32| {
        samples.iter().flat_map(|it| (i32::from(*it) << shift).to_le_bytes()).collect()
    };
    for valid in [None, Some(24)] {
        let mut riff = Riff::new(1, 24, bytes(16));
        (riff.block, riff.valid) = (4, valid);
        assert_eq!(sound::decode(&riff.bytes()).map(|it| it.samples), Ok(scaled(&samples)));
        // Where the header cannot be right, it is not said which samples these are.
        let low = samples.iter().flat_map(|it| ((i32::from(*it) << 8) + 37).to_le_bytes());
        riff.data = low.collect();
        let told = sound::decode(&riff.bytes()).unwrap_err();
        assert!(told.contains("contradicts its samples: numbers of 24 bits"), "{told}");
    }
}

/// 32: samples in floating point that were never divided by 32768 were clipped to a square wave.
#[test]
fn r32_floats_in_the_range_of_integers_are_refused_with_what_to_do() {
    let tiny = notes::notes();
    let path = tiny.path("train/0_v0_1.wav");
    let note = notes::note(0, 0, 1, 900);
    for scale in [32_768.0, 2_147_483_648.0, 8.0] {
        let loud: Vec<f32> = note.iter().map(|it| it * scale).collect();
        std::fs::write(&path, Riff::float(&loud).bytes()).unwrap();
        let err = tiny.fails(1, "ingest", &[]);
        assert!(err.contains("0_v0_1.wav") && err.contains("divide them by"), "{err}");
    }
    // Quiet ones, too: their numbers are integers.
    let quiet: Vec<f32> = note.iter().map(|it| (it * 2.5).round()).collect();
    let told = sound::decode(&Riff::float(&quiet).bytes()).unwrap_err();
    assert!(told.contains("numbers up to 2,"), "{told}");
    // As the message says.
    let divided: Vec<f32> = note.iter().map(|it| it * 32_768.0 / 32_768.0).collect();
    std::fs::write(&path, Riff::float(&divided).bytes()).unwrap();
    tiny.ok("ingest", &[]);
}

/// 33: a FLAC file with an ID3 tag behind it was "cut off", and with one in front "neither WAV nor FLAC".
#[test]
fn r33_tags_around_a_sound_are_no_part_of_it() {
    let tiny = notes::notes();
    let take = |samples: usize| -> Vec<i16> {
        notes::note(0, 0, 1, samples).iter().map(|it| (it * 32_768.0) as i16).collect()
    };
    let tag = [&b"ID3\x03\0\0\0\0\0\x40"[..], &[0; 64]].concat();
    let behind = [&b"TAG"[..], &[0; 125]].concat();
    for (name, bytes) in [
        ("0_v0_11", [&tag[..], &flac(8_000, 1, &take(900))].concat()),
        ("0_v0_12", [&flac(8_000, 1, &take(900))[..], &behind].concat()),
    ] {
        std::fs::write(tiny.path(&format!("train/{name}.flac")), bytes).unwrap();
    }
    let (_, err) = tiny.ok("ingest", &[]);
    assert!(err.contains("26 recordings"), "{err}");
}

/// 34: alignments that fitted no recording were ignored, and one that fitted three labelled each of them.
#[test]
fn r34_alignments_fit_one_recording_each() {
    let tiny = notes::notes();
    let set = ["--set", "data.alignments=hops.txt"];
    let mut stems = Vec::new();
    for split in ["train", "test"] {
        tiny::walk(&tiny.path(split), &mut |path| {
            let samples = (std::fs::metadata(path).unwrap().len() as usize - 44) / 2;
            let stem = path.file_stem().unwrap().to_str().unwrap().to_string();
            stems.push((split, stem, samples / 50));
        });
    }
    let line = |id: &str, hops: usize| format!("{id}{}\n", " 1".repeat(hops));
    let write = |lines: &[String]| std::fs::write(tiny.path("hops.txt"), lines.concat()).unwrap();
    let whole: Vec<String> = stems.iter().map(|(_, stem, hops)| line(stem, *hops)).collect();
    // Of none.
    let of_none: Vec<String> =
        stems.iter().map(|(_, stem, hops)| line(&format!("x{stem}"), *hops)).collect();
    write(&of_none);
    let err = tiny.fails(1, "ingest", &set);
    assert!(err.contains("none of 36 alignments fits a recording"), "{err}");
    // Of hops of another length.
    let halves: Vec<String> = stems.iter().map(|(_, stem, hops)| line(stem, hops / 2)).collect();
    write(&halves);
    let err = tiny.fails(1, "ingest", &set);
    assert!(err.contains("do not fit their recordings") && err.contains("24 of 24"), "{err}");
    assert!(err.contains("labels of a hop of 50 samples at 8000 Hz"), "{err}");
    // Of three recordings, until the path says which.
    for folder in ["train/one", "train/two"] {
        std::fs::create_dir(tiny.path(folder)).unwrap();
        std::fs::copy(tiny.path("train/0_v0_1.wav"), tiny.path(folder).join("0_v0_1.wav")).unwrap();
    }
    write(&whole);
    let err = tiny.fails(1, "ingest", &set);
    assert!(err.contains("`0_v0_1` fits 3 recordings") && err.contains("one/0_v0_1.wav"), "{err}");
    let mut lines = whole.clone();
    lines.extend([line("one/0_v0_1", 18), line("./two/0_v0_1", 18)]);
    lines.push(line("unused", 3));
    lines[1] = line(&stems[1].1, stems[1].2 - 7);
    write(&lines);
    let (_, err) = tiny.ok("ingest", &set);
    assert!(err.contains("1 of 39 alignments fit no recording of either split"), "{err}");
    assert!(
        err.contains("1 of 26 recordings have over 4 labels of hops too many or too few"),
        "{err}"
    );
    assert!(err.contains(&format!("{}.wav", stems[1].1)), "{err}");
}

/// 35: the mark that Windows puts in front of text was taken for a part of the first utterance's name.
#[test]
fn r35_the_first_utterance_keeps_its_labels_behind_a_mark_of_the_byte_order() {
    let tiny = notes::notes();
    let mut lines = "\u{feff}".to_string();
    for split in ["train", "test"] {
        tiny::walk(&tiny.path(split), &mut |path| {
            let stem = path.file_stem().unwrap().to_str().unwrap();
            lines += &format!("{stem}{}\r\n", " 0".repeat(18));
        });
    }
    std::fs::write(tiny.path("hops.txt"), lines).unwrap();
    let (_, err) = tiny.ok("ingest", &["--set", "data.alignments=hops.txt"]);
    assert!(!err.contains("alignment"), "{err}");
}
