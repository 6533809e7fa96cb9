//! Weights in and out: `gimlet export`, `import` and `embed`.

use crate::tiny;
use crate::torch_file;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Float32Array, Int64Array, RecordBatch};
use arrow::datatypes::{Float32Type, Int64Type};
use candle_core::{DType, Device, Tensor};
use gimlet::layer::{Bottleneck, Layer};
use gimlet::module::Module;
use gimlet::parameters::Parameters;
use gimlet::stage::RunDir;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tiny::{PIPELINE, Tiny, text};
use torch_file::*;

/// The state dict of a golden case: what the published code saves of one module.
fn state(case: &Tensors) -> Tensors {
    let named = case.iter().filter_map(|(k, v)| Some((k.strip_prefix("param.")?, v)));
    named.map(|(name, tensor)| (name.to_string(), tensor.clone())).collect()
}

/// The two golden modules of the published ResNet-50, on images that cost nothing.
const RESNET: &str = r#"
name = "tiny"
[data.textures]
classes = 2
size = 64
train = 8
test = 4
[view]
grayscale = true
patch = 16
stride = 8
normalise = { mean = [0.5], std = [0.25] }
[[modules]]
name = "a"
layers = [{ conv = { channels = 4, kernel = 5 } }, { bottleneck = { planes = 4, blocks = 2 } }]
[[modules]]
name = "b"
layers = [{ bottleneck = { planes = 8, blocks = 2, stride = 2 } }]
[training]
epochs = 1
batch = 4
"#;

/// What a run has as the weights of a module, by our names.
pub fn weights(tiny: &Tiny, run_dir: &str, module: &str) -> Parameters {
    let path = tiny.find(&format!("{run_dir}/modules/{module}"), "weights.safetensors");
    Parameters::from_safetensors(&std::fs::read(&path).unwrap(), &path).unwrap().0
}

/// A pipeline of the golden modules that has its images, and their checkpoints.
fn resnet() -> (Tiny, [Tensors; 2]) {
    let tiny = Tiny::with(RESNET);
    tiny.ok("ingest", &[]);
    let cases = [0, 1].map(|module| golden(&format!("resnet50_small_module{module}")));
    for (name, case) in ["a.ckpt", "b.ckpt"].iter().zip(&cases) {
        std::fs::write(tiny.path(name), checkpoint(&state(case))).unwrap();
    }
    (tiny, cases)
}

#[test]
fn what_is_exported_and_imported_is_the_same_stack() {
    let tiny = Tiny::new();
    let err = tiny.fails(5, "export", &["--output", "stack.safetensors"]);
    assert!(!tiny.path("stack.safetensors").exists(), "{err}");
    tiny.ok("run", &[]);
    tiny.ok("export", &["--output", "stack.safetensors"]);
    let exported = std::fs::read(tiny.path("stack.safetensors")).unwrap();
    let err = tiny.fails(2, "export", &["--output", "stack.safetensors"]);
    assert!(err.contains("--force"), "{err}");
    tiny.ok("export", &["--output", "stack.safetensors", "--force"]);
    assert!(exported == std::fs::read(tiny.path("stack.safetensors")).unwrap());

    let fresh = ["--run-dir", "fresh"];
    let import = ["stack.safetensors", "--run-dir", "fresh"];
    let (_, err) = tiny.ok("import", &import);
    assert_eq!(err.matches(" imported").count(), 2, "{err}");
    tiny.ok("ingest", &fresh);
    assert!(!err.contains("another view"), "{err}");
    for module in ["a", "b"] {
        assert!(tiny.weights("runs/tiny", module) == tiny.weights("fresh", module));
    }
    let status = tiny.json("status", &fresh);
    for train in [2, 5] {
        let stage = &status["stages"][train];
        assert_eq!(stage["step"], "train");
        assert_eq!(stage["state"], "done", "{stage}");
        assert_eq!(stage["why"], "imported from stack.safetensors");
    }
    assert_eq!(status["stages"][3]["state"], "missing");
    let (_, err) = tiny.ok("import", &import);
    assert_eq!(err.matches("has these weights already").count(), 2, "{err}");

    let probes = |args: &[&str]| -> Vec<serde_json::Value> {
        let run = tiny.json("run", args);
        let probes = run["probes"].as_array().unwrap().clone();
        probes
            .iter()
            .map(|it| serde_json::json!([it["kind"], it["accuracy"], it["loss"]]))
            .collect()
    };
    let trained = probes(&[]);
    assert_eq!(trained.len(), 4);
    assert_eq!(probes(&fresh), trained);
}

#[test]
fn an_exported_file_says_what_made_it_and_a_changed_one_is_refused() {
    let tiny = Tiny::with(RESNET);
    tiny.ok("run", &[]);
    tiny.ok("export", &["--output", "stack.safetensors"]);
    let path = tiny.path("stack.safetensors");
    let about = Parameters::about(&gimlet_store::Store::new().locate(&path)).unwrap();
    assert_eq!(about["format"], 1);
    assert_eq!(about["view"]["patch"], 16);
    assert_eq!(about["view"]["std"], serde_json::json!([0.25]));
    assert_eq!(about["loss"]["infonce"]["prediction_steps"], 5);
    assert_eq!(about["modules"][1]["in_channels"], 16);
    assert_eq!(about["modules"][0]["layers"][0]["conv"]["kernel"], 5);

    // The names and shapes of the published code, which the golden files have from it.
    let shapes = |tensors: &Tensors| -> BTreeMap<String, Vec<usize>> {
        tensors.iter().map(|(name, tensor)| (name.clone(), tensor.dims().to_vec())).collect()
    };
    let mut expected = BTreeMap::new();
    for module in 0..2 {
        let published = shapes(&state(&golden(&format!("resnet50_small_module{module}"))));
        expected.extend(published.into_iter().map(|(k, v)| (format!("encoder.{module}.{k}"), v)));
    }
    assert_eq!(shapes(&load(&path)), expected);

    let fresh = ["--run-dir", "fresh"];
    tiny.ok("ingest", &fresh);
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(tiny.path("changed.safetensors"), &bytes).unwrap();
    let err = tiny.fails(4, "import", &["changed.safetensors", "--run-dir", "fresh"]);
    assert!(err.contains("changed.safetensors") && err.contains("not what was written"), "{err}");
    std::fs::write(tiny.path("short.safetensors"), &bytes[..bytes.len() - 9]).unwrap();
    let err = tiny.fails(1, "import", &["short.safetensors", "--run-dir", "fresh"]);
    assert!(
        err.contains("short.safetensors") && err.contains("its header, which speaks of"),
        "{err}"
    );
    assert!(!tiny.path("fresh/modules").exists());

    let view = ["--set", "view.normalise.mean=[0.4]", "--run-dir", "other"];
    tiny.ok("ingest", &view);
    let (_, err) = tiny.ok("import", &[&["stack.safetensors"], &view[..]].concat());
    assert!(err.contains("another view: mean: [0.5] -> [0.4]"), "{err}");
}

#[test]
fn checkpoints_of_the_published_code_compute_what_it_computed() {
    let (tiny, cases) = resnet();
    tiny.ok("import", &["a.ckpt", "b.ckpt"]);
    tiny.ok("encode", &["a"]);

    let ours = weights(&tiny, "runs/tiny", "a");
    let by_name = |name: &str| ours.iter().find(|it| it.0 == name).unwrap().1.clone();
    let (conv, theirs) = (by_name("encoder.0.weight"), &cases[0]["param.model.Conv1.weight"]);
    assert_eq!(conv.dims(), [5, 5, 1, 4]);
    assert_eq!(flat(&conv.permute((3, 2, 0, 1)).unwrap()), flat(theirs));
    let (predictor, theirs) = (by_name("loss.predictor.2"), &cases[0]["param.loss.W_k.2.weight"]);
    assert_eq!(flat(&predictor.t().unwrap()), flat(theirs));

    // Module b on the published feature maps.
    let case = &cases[1];
    let last = |name: &str| case[name].permute((0, 2, 3, 1)).unwrap().contiguous().unwrap();
    let block = |stride| Bottleneck { planes: 8, stride }.shared();
    let encoder = weights(&tiny, "runs/tiny", "b").under("encoder");
    let module = Module::new(&[block(2), block(1)], 16, &encoder).unwrap();
    let (found, expected) = (module.forward(&last("input")).unwrap(), last("output"));
    assert_eq!(found.dims(), expected.dims());
    let scale = flat(&expected).iter().fold(0.0f32, |max, it| max.max(it.abs()));
    for (found, expected) in flat(&found).iter().zip(flat(&expected)) {
        assert!((found - expected).abs() <= 1e-4 * scale, "{found}, not {expected}");
    }

    // Out again, it is what came in.
    tiny.ok("export", &["--output", "stack.safetensors"]);
    let exported = load(&tiny.path("stack.safetensors"));
    for (module, case) in cases.iter().enumerate() {
        for (name, tensor) in state(case) {
            assert_eq!(flat(&exported[&format!("encoder.{module}.{name}")]), flat(&tensor));
        }
    }
}

#[test]
fn other_types_old_checkpoints_and_the_prefix_of_data_parallel_are_read() {
    let (tiny, cases) = resnet();
    // Values that every type holds.
    let rounded = |case: &Tensors| -> Tensors {
        let round = |t: Tensor| t.to_dtype(DType::F16).unwrap().to_dtype(DType::F32).unwrap();
        state(case).into_iter().map(|(name, tensor)| (name, round(tensor))).collect()
    };
    let states = cases.each_ref().map(rounded);
    let import =
        |run_dir: &str, stack: bool, outer: &str, dtype, write: fn(&Tensors) -> Vec<u8>| {
            let mut files = Vec::new();
            let mut all = Tensors::new();
            for (module, state) in states.iter().enumerate() {
                let inner = if stack { format!("encoder.{module}.") } else { String::new() };
                let tensors = state.iter().map(|(name, it)| {
                    (format!("{outer}{inner}{name}"), it.to_dtype(dtype).unwrap())
                });
                match stack {
                    true => all.extend(tensors),
                    false => files.push(tensors.collect::<Tensors>()),
                }
            }
            if stack {
                files.push(all);
            }
            let names: Vec<String> =
                (0..files.len()).map(|it| format!("{run_dir}-{it}.ckpt")).collect();
            for (name, tensors) in names.iter().zip(&files) {
                std::fs::write(tiny.path(name), write(tensors)).unwrap();
            }
            let args = ["--run-dir", run_dir];
            tiny.ok("ingest", &args);
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            tiny.ok("import", &[&names[..], &args[..]].concat());
            ["a", "b"].map(|module| tiny.weights(run_dir, module))
        };
    let single = import("single", false, "", DType::F32, checkpoint);
    assert!(single == import("half", false, "", DType::F16, checkpoint));
    assert!(single == import("old", false, "", DType::F32, old_checkpoint));
    assert!(single == import("old-half", true, "", DType::F16, old_checkpoint));
    assert!(single == import("double", true, "", DType::F64, checkpoint));
    assert!(single == import("parallel", false, "module.", DType::F32, checkpoint));
    assert!(single == import("parallel-stack", true, "module.", DType::F32, checkpoint));
}

#[test]
fn what_does_not_fit_is_refused_by_file_tensor_and_shape() {
    let (tiny, cases) = resnet();
    let refused = |bytes: &[u8], said: &[&str]| {
        std::fs::write(tiny.path("wrong.ckpt"), bytes).unwrap();
        let err = tiny.fails(1, "import", &["a.ckpt", "wrong.ckpt"]);
        for said in [&["wrong.ckpt"], said].concat() {
            assert!(err.contains(said), "{said}: {err}");
        }
        assert!(!tiny.path("runs/tiny/modules").exists(), "all or none: {err}");
    };
    let whole = state(&cases[1]);
    let changed = |change: &dyn Fn(&mut Tensors)| {
        let mut tensors = whole.clone();
        change(&mut tensors);
        checkpoint(&tensors)
    };
    let name = "model.layer 0.0.conv2.weight";
    refused(&changed(&|it| drop(it.remove(name))), &[name, "missing", "[8, 8, 3, 3]"]);
    let other = Tensor::zeros((8, 8, 5, 5), DType::F32, &Device::Cpu).unwrap();
    let put =
        |tensor: Tensor| changed(&move |it| drop(it.insert(name.to_string(), tensor.clone())));
    refused(&put(other.clone()), &[name, "has shape [8, 8, 5, 5], expected [8, 8, 3, 3]"]);
    let whole_numbers = whole[name].to_dtype(DType::I64).unwrap();
    refused(&put(whole_numbers), &[name, "LongStorage", "[8, 8, 3, 3]"]);
    let nan = (&whole[name] * f64::NAN).unwrap();
    refused(&put(nan), &[name, "holds NaN"]);
    let extra = "model.layer 0.2.conv1.weight";
    refused(&changed(&|it| drop(it.insert(extra.to_string(), other.clone()))), &[extra]);

    let bytes = checkpoint(&whole);
    refused(&bytes[..bytes.len() / 2], &[]);
    refused(b"torch", &["neither safetensors nor a checkpoint"]);
    let old = old_checkpoint(&whole);
    refused(&old[..old.len() - 9], &["it ends within the"]);
    refused(OLD, &["its pickle: it ends too early"]);
    refused(b"", &["it is empty"]);
    // A value changed in the archive: its CRC says so.
    let mut flipped = bytes.clone();
    let first = flat(&whole["loss.W_k.0.weight"])[7].to_le_bytes();
    let at = bytes.windows(4).position(|it| it == first).unwrap();
    flipped[at] ^= 1;
    refused(&flipped, &["loss.W_k.0.weight"]);
    // Too few values for a shape.
    let short: Vec<(String, Vec<u8>)> = Vec::new();
    let pickle = b"\x80\x02}X\x03\x00\x00\x00abcK\x01s.";
    refused(&archive(pickle, &short), &["`abc` is no tensor"]);

    let err = tiny.fails(2, "import", &["a.ckpt"]);
    assert!(err.contains("2 modules") && err.contains("a, b"), "{err}");
}

#[test]
fn pickles_made_to_harm_are_errors() {
    let (tiny, _) = resnet();
    // A pair of what a memo holds, of which it holds the pair, and so on.
    let mut doubling = b"\x80\x02Nq\x00".to_vec();
    (0..255u8).for_each(|id| doubling.extend([b'h', id, b'h', id, 0x86, b'q', id + 1]));
    doubling.push(b'.');
    let wide = [b"\x80\x02(".to_vec(), b"N".repeat(60000), b"tq\x00N".to_vec()].concat();
    let wide = [wide, b"h\x00\x85a".repeat(1 << 20), b"..".to_vec()].concat();
    let many = [b"\x80\x02".to_vec(), b"N".repeat(1 << 20)].concat();
    let aside = [b"\x80\x02N".to_vec(), vec![0x94; 1 << 20]].concat();
    let long = vec![b'N'; 9 << 20];
    let nested = [b"\x80\x02N".to_vec(), vec![0x85; 1 << 21], b".".to_vec()].concat();
    let dicts = [b"\x80\x02}".to_vec(), b"K\x00}".repeat(1 << 19), b"s".repeat(1 << 19)].concat();
    let pickles: [(&[u8], &str); 13] = [
        (b"", "ends too early"),
        (b".", "the stack is empty"),
        (b"\x80\x02X\xff\xff\xff\xff", "a text of 4294967295 bytes"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.", "without storage"),
        (b"\x80\x02cposix\nsystem\n(X\x02\x00\x00\x00lstR.", "no dict of tensors"),
        (b"\x80\x02}(K\x01u.", "a key without a value"),
        (&doubling, "no dict of tensors"),
        (&nested, "no dict of tensors"),
        (&dicts, "more values"),
        (&wide, "no dict of tensors"),
        (&many, "more values"),
        (&aside, "more values"),
        (&long, "has more than 8388608 bytes"),
    ];
    for (pickle, said) in pickles {
        std::fs::write(tiny.path("harm.ckpt"), archive(pickle, &[])).unwrap();
        let err = tiny.fails(1, "import", &["a.ckpt", "harm.ckpt"]);
        assert!(err.contains("harm.ckpt") && err.contains(said), "{said}: {err}");
    }
}

#[test]
fn weights_that_are_there_are_not_put_out_of_place() {
    let tiny = Tiny::new();
    tiny.ok("ingest", &[]);
    tiny.ok("train", &["a"]);
    tiny.ok("run", &["--run-dir", "other", "--set", "training.epochs=1"]);
    let other = ["--run-dir", "other", "--set", "training.epochs=1"];
    tiny.ok("export", &[&["--output", "other.safetensors"], &other[..]].concat());
    let before = tiny.weights("runs/tiny", "a");
    let err = tiny.fails(1, "import", &["other.safetensors"]);
    assert!(err.contains("`train a` has ended") && err.contains("--run-dir"), "{err}");
    assert!(before == tiny.weights("runs/tiny", "a"));
    assert!(!tiny.path("runs/tiny/modules/b").exists(), "all or none");

    // Imported weights that are damaged come back by importing them, not by training.
    let fresh = ["--run-dir", "fresh"];
    tiny.ok("ingest", &fresh);
    let import = ["other.safetensors", "--run-dir", "fresh"];
    tiny.ok("import", &import);
    let path = tiny.find("fresh/modules/b", "weights.safetensors");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[1..]).unwrap();
    let err = tiny.fails(4, "run", &fresh);
    assert!(err.contains("import `other.safetensors` again"), "{err}");
    tiny.ok("import", &import);
    assert!(std::fs::read(&path).unwrap() == whole);
    tiny.ok("run", &fresh);
}

/// A pipeline on folders of images, which are there.
fn with_images(on_bad_sample: &str) -> Tiny {
    let (head, rest) = PIPELINE.split_once("[data.textures]").unwrap();
    let (_, rest) = rest.split_once("[view]").unwrap();
    let data = format!(
        "[data]\ntrain = \"train\"\ntest = \"test\"\non_bad_sample = \"{on_bad_sample}\"\n"
    );
    let tiny = Tiny::with(&format!("{head}{data}\n[view]\ncrop = 16\n{rest}"));
    for (split, count) in [("train", 12), ("test", 10)] {
        for (class, shift) in [("cat", 1), ("dog", 5)] {
            let folder = tiny.path(split).join(class);
            std::fs::create_dir_all(&folder).unwrap();
            for n in 0..count {
                let image = image::RgbImage::from_fn(20, 18, |x, y| {
                    image::Rgb([n * 20, (x * 12) as u8 ^ n, (y * 3 * shift) as u8])
                });
                image.save(folder.join(format!("{n}.png"))).unwrap();
            }
        }
    }
    tiny
}

/// A row of a file of embeddings.
#[derive(Debug)]
struct Row {
    label: Option<i64>,
    source: String,
    embedding: Vec<f32>,
    pooled: Vec<f32>,
}

/// The rows of a file of embeddings, by id.
fn embeddings(path: &Path) -> BTreeMap<i64, Row> {
    let file = std::fs::File::open(path).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let mut rows = BTreeMap::new();
    for batch in reader {
        let batch = batch.unwrap();
        let column = |name: &str| batch.column_by_name(name).unwrap().clone();
        let floats = |name: &str, row| {
            let list = column(name).as_fixed_size_list().value(row);
            list.as_primitive::<Float32Type>().values().to_vec()
        };
        for row in 0..batch.num_rows() {
            let label = column("label");
            let label = label.as_primitive::<Int64Type>();
            let made = Row {
                label: label.is_valid(row).then(|| label.value(row)),
                source: column("source").as_string::<i32>().value(row).to_string(),
                embedding: floats("embedding", row),
                pooled: floats("pooled", row),
            };
            rows.insert(column("id").as_primitive::<Int64Type>().value(row), made);
        }
    }
    rows
}

#[test]
fn embeddings_of_the_test_images_are_what_the_store_holds_of_them() {
    let tiny = with_images("fail");
    let f32s = ["--set", "store.dtype=f32"];
    fn embed<'a>(more: &[&'a str]) -> Vec<&'a str> {
        let input = ["--set", "store.dtype=f32", "--input", "test", "--output", "out.parquet"];
        [&input[..], more].concat()
    }
    let err = tiny.fails(5, "embed", &embed(&[]));
    assert!(err.contains("gimlet"), "{err}");
    tiny.ok("run", &f32s);
    for (module, channels, device) in [("a", 4, "cpu"), ("b", 8, "cpu"), ("b", 8, "candle")] {
        let more = ["--module", module, "--force", "--device", device];
        tiny.ok("embed", &embed(&more));
        let found = embeddings(&tiny.path("out.parquet"));
        assert_eq!(found.len(), 20);

        let dir = RunDir::at(tiny.path("runs/tiny"));
        let stored = dir.dataset(module, gimlet::pipeline::Split::Test);
        let generation = stored.readable().unwrap().next().unwrap().unwrap();
        let reader = generation.reader(&["pooled"]).unwrap();
        let keys = reader.keys().unwrap();
        let len = 9 * channels;
        let mut values = vec![0.0; 20 * len];
        reader.read_f32("pooled", &(0..20).collect::<Vec<u64>>(), &mut values).unwrap();
        for (row, expected) in values.chunks_exact(len).enumerate() {
            let row = (&found[&keys.ids[row]], keys.labels[row]);
            assert_eq!(row.0.label, row.1);
            assert_eq!(row.0.pooled.len(), len);
            for (found, expected) in row.0.pooled.iter().zip(expected) {
                assert!((found - expected).abs() <= 1e-5, "{found}, not {expected}");
            }
            let mean = |channel| -> f32 {
                expected.iter().skip(channel).step_by(channels).sum::<f32>() / 9.0
            };
            assert_eq!(row.0.embedding.len(), channels);
            for (channel, found) in row.0.embedding.iter().enumerate() {
                assert!((found - mean(channel)).abs() <= 1e-5);
            }
        }
        assert!(found.values().any(|row| row.embedding.iter().any(|it| it.abs() > 1e-3)));
        assert!(found[&0].source.ends_with("cat/0.png"), "{}", found[&0].source);
    }
    let err = tiny.fails(2, "embed", &embed(&[]));
    assert!(err.contains("out.parquet") && err.contains("--force"), "{err}");
    let err = tiny.fails(2, "embed", &embed(&["--module", "c", "--force"]));
    assert!(err.contains("no module `c`"), "{err}");
}

#[test]
fn images_in_parquet_are_embedded_as_those_in_a_folder() {
    let tiny = with_images("fail");
    tiny.ok("ingest", &[]);
    tiny.ok("train", &["a"]);
    let embed = |input: &str, output: &str, more: &[&str]| {
        let args = ["--module", "a", "--input", input, "--output", output];
        tiny.ok("embed", &[&args[..], more].concat());
        embeddings(&tiny.path(output))
    };
    let folder = embed("test", "folder.parquet", &[]);
    assert_eq!(folder.len(), 20);
    assert_eq!(folder[&3].source, "cat/3.png");
    let (cats, dogs) = (folder.values().take(10), folder.values().skip(10));
    assert!(cats.into_iter().all(|row| row.label == Some(0)));
    assert!(dogs.into_iter().all(|row| row.label == Some(1)));

    // Two files that follow each other, without labels.
    for (number, class) in ["cat", "dog"].iter().enumerate() {
        let read = |n| std::fs::read(tiny.path(&format!("test/{class}/{n}.png"))).unwrap();
        let images: Vec<Vec<u8>> = (0..10).map(read).collect();
        let column = BinaryArray::from_iter_values(&images);
        let batch = RecordBatch::try_from_iter([("img", Arc::new(column) as ArrayRef)]).unwrap();
        let file = std::fs::File::create(tiny.path(&format!("new-{number}.parquet"))).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }
    let found = embed("new-*.parquet", "out.parquet", &["--image", "img"]);
    assert_eq!(found.len(), 20);
    for (id, row) in &found {
        assert_eq!(row.label, None);
        assert_eq!(row.pooled, folder[id].pooled, "{id}");
    }
    let args = ["--input", "none-*.parquet", "--output", "no.parquet", "--module", "a"];
    let err = tiny.fails(1, "embed", &args);
    assert!(err.contains("none-*.parquet") && err.contains("`--input`"), "{err}");
    assert!(!tiny.path("no.parquet").exists());
}

#[test]
fn rows_without_labels_are_embedded_whatever_the_pipeline_says_of_labels() {
    let tiny = with_images("fail");
    let read = |n| std::fs::read(tiny.path(&format!("test/cat/{n}.png"))).unwrap();
    let images: ArrayRef = Arc::new(BinaryArray::from_iter_values((0..3).map(read)));
    let write = |name: &str, labels: Option<ArrayRef>| {
        let labels = labels.map(|it| ("label", it));
        let columns = [("image", images.clone())].into_iter().chain(labels);
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let file = std::fs::File::create(tiny.path(name)).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    };
    write("none.parquet", None);
    let nulls = Int64Array::from(vec![None::<i64>; 3]);
    write("nulls.parquet", Some(Arc::new(nulls) as ArrayRef));
    let some = Int64Array::from(vec![Some(3), None, Some(-1)]);
    write("some.parquet", Some(Arc::new(some) as ArrayRef));
    let no_labels = Float32Array::from(vec![0.5; 3]);
    write("no-labels.parquet", Some(Arc::new(no_labels) as ArrayRef));
    let embed = |name: &str, more: &[&str]| {
        let args = ["--module", "a", "--input", name, "--output", "out.parquet", "--force"];
        let (_, err) = tiny.ok("embed", &[&args[..], more].concat());
        let labels = embeddings(&tiny.path("out.parquet")).into_values().map(|it| it.label);
        (labels.collect::<Vec<_>>(), err)
    };
    let unlabelled: Vec<Option<i64>> = vec![None; 3];
    // Those of the pipeline are the folders that images lie in, or none.
    for set in [&[][..], &["--set", "data.label=false"]] {
        tiny.ok("ingest", set);
        tiny.ok("train", &[&["a"], set].concat());
        for name in ["none.parquet", "nulls.parquet", "no-labels.parquet"] {
            assert_eq!(embed(name, set).0, unlabelled, "{set:?}, {name}");
        }
    }
    assert_eq!(embed("some.parquet", &[]).0, [Some(3), None, None]);
    let (_, err) = embed("no-labels.parquet", &[]);
    assert!(err.contains("warning") && err.contains("labels are left out"), "{err}");
    // One that is asked for by name is not left out in silence.
    let args = ["--input", "none.parquet", "--output", "no.parquet", "--module", "a"];
    let err = tiny.fails(1, "embed", &[&args[..], &["--label", "label"]].concat());
    assert!(err.contains("`label`"), "{err}");
}

#[test]
fn images_without_labels_are_embedded_and_broken_ones_as_the_pipeline_wants() {
    let embed = |tiny: &Tiny| {
        let args = ["--module", "a", "--input", "test/dog", "--output", "out.parquet", "--force"];
        tiny.output("embed", &args)
    };
    for on_bad_sample in ["fail", "skip"] {
        let tiny = with_images(on_bad_sample);
        tiny.ok("ingest", &[]);
        tiny.ok("train", &["a"]);
        let output = embed(&tiny);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let rows = embeddings(&tiny.path("out.parquet"));
        assert_eq!(rows.len(), 10);
        assert!(rows.values().all(|row| row.label.is_none() && row.source.ends_with(".png")));

        let broken = tiny.path("test/dog/7.png");
        let whole = std::fs::read(&broken).unwrap();
        std::fs::write(&broken, &whole[..whole.len() / 2]).unwrap();
        let output = embed(&tiny);
        let err = text(&output.stderr);
        assert!(err.contains("7.png"), "{err}");
        let rows = embeddings(&tiny.path("out.parquet"));
        if on_bad_sample == "skip" {
            assert!(output.status.success() && err.contains("9 rows, 1 skipped"), "{err}");
            assert!(rows.len() == 9 && !rows.contains_key(&7), "ids are rows of the input");
        } else {
            assert_eq!(output.status.code(), Some(1), "{err}");
            assert_eq!(rows.len(), 10, "the old file is there still");
        }
        for entry in std::fs::read_dir(tiny.path(".")).unwrap() {
            let name = entry.unwrap().file_name().to_string_lossy().into_owned();
            assert!(!name.ends_with(".tmp"), "{name}");
        }
    }
}
