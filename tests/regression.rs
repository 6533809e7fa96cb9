//! Faults that were found once, by number, so that they are not found again.

mod parquet_file;
mod tiny;
mod torch_file;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Int64Array};
use image::{GrayImage, Luma};
use serde_json::Value;
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
