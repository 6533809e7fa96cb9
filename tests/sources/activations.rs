//! Activations that were made elsewhere, through whole runs: every kind of file, a dataset that is read where it lies,
//! and what is refused.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array, Int64Array, ListBuilder, PrimitiveBuilder};
use arrow::datatypes::Float32Type;
use gimlet::layer::{Layer, Relu};
use gimlet::pipeline::{
    ActivationFiles, ActivationKind, ActivationView, Data, NewModule, Pipeline, RowLabels, Split,
};
use gimlet::source;
use gimlet::stage::RunDir;
use gimlet_store::DType;
use half::f16;

use crate::activation_files::{
    SHAPE, TEST, TRAIN, dataset, labels, npy, of_floats, of_labels, rows_of, safetensors, tensors,
    value, values, zip,
};
use crate::parquet_file;
use crate::tiny::Tiny;

/// Two modules on a grid of vectors.
const PIPELINE: &str = r#"
name = "tiny"
seed = 5

[data.activations]
train = "TRAIN"
test = "TEST"

[[modules]]
name = "a"
layers = [{ conv = { channels = 8, kernel = 1, padding = 0 } }, { relu = {} }]

[[modules]]
name = "b"
layers = [{ conv = { channels = 6, kernel = 1, padding = 0 } }]

[loss.infonce]
prediction_steps = 1
skip = 0
negatives = 4

[training]
epochs = 2
batch = 8
learning_rate = 1e-3

[store]
rows_per_part = 16

[probe]
epochs = 5
batch = 16
"#;

/// [`PIPELINE`] on these files, with more lines in `[data.activations]`.
fn on(train: &str, test: &str, more: &str) -> String {
    let named = PIPELINE.replace("TRAIN", train).replace("TEST", test);
    named
        .replace("\n\n[[modules]]\nname = \"a\"", &format!("\n{more}\n\n[[modules]]\nname = \"a\""))
}

/// What a first module reads of a split: ids, labels and values as an ingest has written them.
fn ingested(tiny: &Tiny, split: Split) -> (Vec<i64>, Vec<Option<i64>>, DType, Vec<u32>) {
    let dataset = RunDir::at(tiny.path("runs/tiny")).dataset("ingest", split);
    let generation = dataset.newest().unwrap().unwrap();
    let column = generation.manifest().schema.column("activation").unwrap().clone();
    assert_eq!(column.shape, SHAPE);
    let reader = generation.reader(&["activation"]).unwrap();
    let keys = reader.keys().unwrap();
    let rows: Vec<u64> = (0..reader.rows()).collect();
    let mut values = vec![0.0; rows.len() * column.values()];
    reader.read_f32("activation", &rows, &mut values).unwrap();
    (keys.ids, keys.labels, column.dtype, values.into_iter().map(f32::to_bits).collect())
}

/// The weights of both modules.
fn weights(tiny: &Tiny) -> [Vec<u8>; 2] {
    ["a", "b"].map(|module| tiny.tensors("runs/tiny", module))
}

const SPLITS: [(Split, &str); 2] = [(Split::Train, "train"), (Split::Test, "test")];

/// A run on `.npy` files, with labels in a CSV file.
fn of_npy() -> Tiny {
    let tiny = Tiny::with(&on("train.npy", "test.npy", "labels = \"labels.csv\""));
    for (split, name) in SPLITS {
        std::fs::write(tiny.path(&format!("{name}.npy")), of_floats(split)).unwrap();
    }
    let lines: Vec<String> = labels(Split::Train)
        .iter()
        .enumerate()
        .map(|(id, label)| format!("{id},{label}\n"))
        .collect();
    std::fs::write(tiny.path("labels.csv"), format!("id,label\n{}", lines.concat())).unwrap();
    tiny
}

#[test]
fn every_kind_of_file_gives_the_same_rows_and_the_same_weights() {
    let plain = of_npy();
    plain.ok("run", &[]);
    let (train, test) = (ingested(&plain, Split::Train), ingested(&plain, Split::Test));
    assert_eq!((train.0.len(), test.0.len(), train.2), (TRAIN, TEST, DType::F16));
    for (id, at) in train.0.iter().zip(0..) {
        let length = SHAPE.iter().product::<usize>();
        let row = &train.3[at * length..(at + 1) * length];
        let wanted = (0..length).map(|it| value(Split::Train, *id as usize, it).to_bits());
        assert!(row.iter().copied().eq(wanted), "row {id}");
        assert_eq!(train.1[at], Some(id % 3));
    }
    type Write = fn(&Tiny, Split, &str);
    let kinds: [(&str, &str, Write); 5] = [
        ("npz", "", |tiny, split, name| {
            let files = [("activation.npy", of_floats(split)), ("label.npy", of_labels(split))];
            std::fs::write(tiny.path(&format!("{name}.npz")), zip(&files, false)).unwrap();
        }),
        ("npz", "column = \"hidden\"\nlabels = \"kind\"", |tiny, split, name| {
            let files = [
                ("hidden.npy", of_floats(split)),
                ("kind.npy", of_labels(split)),
                ("other.npy", of_floats(split)),
            ];
            std::fs::write(tiny.path(&format!("{name}.npz")), zip(&files, true)).unwrap();
        }),
        ("safetensors", "", |tiny, split, name| {
            let path = tiny.path(&format!("{name}.safetensors"));
            std::fs::write(path, safetensors(split)).unwrap();
        }),
        ("parquet", "", |tiny, split, name| {
            tensors(&tiny.path(&format!("{name}.parquet")), split);
        }),
        ("npy", "labels = \"labels.csv\"", |tiny, split, name| {
            // In several files, which a glob names.
            let length = SHAPE.iter().product::<usize>();
            for (place, values) in values(split).chunks(length * rows_of(split) / 3).enumerate() {
                let bytes: Vec<u8> =
                    values.iter().flat_map(|it| f16::from_f32(*it).to_be_bytes()).collect();
                let shape = [values.len() / length, SHAPE[0], SHAPE[1]];
                let path = tiny.path(&format!("{name}.npy.{place}.npy"));
                std::fs::write(path, npy(">f2", &shape, &bytes)).unwrap();
            }
            std::fs::copy(of_npy().path("labels.csv"), tiny.path("labels.csv")).unwrap();
        }),
    ];
    for (ending, more, write) in kinds {
        let [train_files, test_files] = ["train", "test"].map(|it| match more.contains(".csv") {
            true => format!("{it}.npy.*"),
            false => format!("{it}.{ending}"),
        });
        let tiny = Tiny::with(&on(&train_files, &test_files, more));
        SPLITS.iter().for_each(|(split, name)| write(&tiny, *split, name));
        tiny.ok("run", &[]);
        assert_eq!(ingested(&tiny, Split::Train), train, "{ending} {more}");
        assert_eq!(ingested(&tiny, Split::Test), test, "{ending} {more}");
        assert!(weights(&tiny) == weights(&plain), "{ending} {more}: other weights");
    }
    let ours = of_dataset();
    ours.ok("run", &[]);
    assert!(weights(&ours) == weights(&plain), "a dataset: other weights");
}

/// A pipeline on a dataset of ours.
fn of_dataset() -> Tiny {
    let tiny = Tiny::with(&on("hidden/train", "hidden/test", ""));
    for (split, name) in SPLITS {
        dataset(&tiny.path(&format!("hidden/{name}")), split, 'a');
    }
    tiny
}

#[test]
fn a_dataset_is_read_where_it_lies() {
    let tiny = of_dataset();
    let plan = tiny.json("plan", &[]);
    assert!(plan.to_string().contains("ingest"), "{plan}");
    let before = tiny.contents("hidden");
    tiny.ok("run", &[]);
    assert_eq!(tiny.contents("hidden"), before, "the dataset was changed");
    for (split, _) in SPLITS {
        let dataset = RunDir::at(tiny.path("runs/tiny")).dataset("ingest", split);
        let generation = dataset.newest().unwrap().unwrap();
        let columns = &generation.manifest().schema.columns;
        assert!(columns.iter().all(|it| it.name != "activation"), "{columns:?}");
        // Of a row, only its place is kept.
        assert_eq!(generation.manifest().schema.row_bytes(), 8);
        let keys = generation.reader(&[]).unwrap().keys().unwrap();
        assert!(keys.ids.iter().zip(&keys.labels).all(|(id, label)| *label == Some(id % 3)));
    }
    // What is done is not done again, and everything on top of it works.
    let (_, err) = tiny.ok("run", &[]);
    assert!(!err.contains("train a "), "{err}");
    tiny.ok("verify", &[]);
    tiny.ok("status", &[]);
    tiny.ok("probe", &[]);
    tiny.ok("report", &[]);
    tiny.ok("health", &[]);
    tiny.ok("nearest", &["b", "--sample", "3", "--patch", "4"]);
    assert!(tiny.path("runs/tiny/report/index.html").exists());
    let embedded = tiny.path("embedded.parquet");
    tiny.ok("embed", &["--input", "hidden/test", "--output", "embedded.parquet"]);
    assert!(embedded.exists());

    // Other content, and so another source.
    std::fs::remove_dir_all(tiny.path("hidden/train")).unwrap();
    let err = tiny.fails(5, "run", &["--set", "training.epochs=3"]);
    assert!(err.contains("read where they lie") && err.contains("hint: "), "{err}");
    dataset(&tiny.path("hidden/train"), Split::Test, 'b');
    let old = weights(&tiny);
    tiny.ok("run", &["--run-dir", "other"]);
    let new = ["a", "b"].map(|module| tiny.tensors("other", module));
    assert!(new != old, "other rows gave the same weights");
}

#[test]
fn a_run_on_the_dataset_of_another_run() {
    let first = Tiny::new();
    first.ok("run", &["--set", "store.activations=store"]);
    let folder = |split: &str| {
        let at = first.path(&format!("runs/tiny/datasets/a/{split}"));
        at.to_str().unwrap().to_owned()
    };
    let tiny = Tiny::with(&on(&folder("train"), &folder("test"), ""));
    tiny.ok("run", &["--set", "probe.epochs=2"]);
    let probe = tiny.json("status", &[]);
    assert!(probe.to_string().contains("probe"), "{probe}");
}

#[test]
fn what_is_killed_goes_on_to_the_same_weights() {
    let left_alone = of_dataset();
    left_alone.ok("run", &[]);
    let tiny = of_dataset();
    let kills = tiny.killed_until_done(11, "run", &[]);
    assert!(kills > 0);
    assert!(weights(&tiny) == weights(&left_alone));
    let copied = of_npy();
    copied.killed_until_done(12, "run", &[]);
    assert!(weights(&copied) == weights(&left_alone));
}

#[test]
fn shapes_other_than_grids_train() {
    let tiny = |kind: &str, shape: &[usize], layers: [&str; 2], loss: &str| {
        let text = PIPELINE
            .replace("TRAIN", "train.npy")
            .replace("TEST", "test.npy")
            .replace(
                "test = \"test.npy\"\n",
                &format!("test = \"test.npy\"\n\n[view]\nkind = \"{kind}\"\n"),
            )
            .replace("{ conv = { channels = 8, kernel = 1, padding = 0 } }", layers[0])
            .replace("{ conv = { channels = 6, kernel = 1, padding = 0 } }", layers[1])
            .replace("[loss.infonce]\nprediction_steps = 1\nskip = 0\nnegatives = 4", loss);
        let tiny = Tiny::with(&text);
        for (split, name) in SPLITS {
            let length: usize = shape.iter().product();
            let values =
                (0..rows_of(split) * length).map(|it| value(split, it / length, it % length));
            let bytes: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
            let shape = [&[rows_of(split)], shape].concat();
            std::fs::write(tiny.path(&format!("{name}.npy")), npy("<f4", &shape, &bytes)).unwrap();
        }
        tiny
    };
    let steps =
        ["{ conv1d = { channels = 8, kernel = 3, padding = 1 } }", "{ gru = { channels = 6 } }"];
    let along = "[loss.infonce1d]\nprediction_steps = 2\nnegatives = 4";
    tiny("steps", &[12, 5], steps, along).ok("run", &[]);
    let maps =
        ["{ conv = { channels = 8, kernel = 3 } }", "{ basic = { channels = 6, stride = 2 } }"];
    let supervised = "[loss.supervised]";
    let labelled = |tiny: Tiny| {
        for (split, name) in SPLITS {
            let floats = std::fs::read(tiny.path(&format!("{name}.npy"))).unwrap();
            let files = [("x.npy", floats), ("label.npy", of_labels(split))];
            std::fs::write(tiny.path(&format!("{name}.npz")), zip(&files, false)).unwrap();
        }
        let text = std::fs::read_to_string(tiny.path("tiny.toml")).unwrap();
        std::fs::write(tiny.path("tiny.toml"), text.replace(".npy", ".npz")).unwrap();
        tiny
    };
    labelled(tiny("map", &[4, 5, 3], maps, supervised)).ok("run", &[]);
    let vectors = [
        "{ conv = { channels = 8, kernel = 1, padding = 0 } }",
        "{ conv = { channels = 6, kernel = 1, padding = 0 } }",
    ];
    let vector = labelled(tiny("vector", &[7], vectors, supervised));
    vector.ok("run", &[]);
    vector.ok("report", &[]);

    // A loss says which shapes it takes.
    let infonce = "[loss.infonce]\nprediction_steps = 1\nskip = 0\nnegatives = 4";
    let err = tiny("vector", &[7], vectors, infonce).fails(2, "run", &[]);
    assert!(err.contains("a grid of at least 2 rows") && err.contains("hint: "), "{err}");
    assert!(err.contains("`infonce` takes grids and sequences"), "{err}");
    let err = tiny("grid", &SHAPE, vectors, along).fails(2, "run", &[]);
    assert!(err.contains("`infonce1d` takes sequences of steps"), "{err}");
    let err = tiny("grid", &SHAPE, steps, along).fails(2, "run", &[]);
    assert!(err.contains("the data have a grid") || err.contains("sequences of steps"), "{err}");
    let err = tiny("steps", &[3, 3, 6], steps, along).fails(2, "run", &[]);
    assert!(err.contains("are not a sequence of steps") && err.contains("hint: "), "{err}");
}

/// What is wrong with the files of a pipeline, and what is said of it.
struct Wrong {
    more: &'static str,
    write: fn(&Tiny),
    code: i32,
    told: &'static str,
}

#[test]
fn what_is_wrong_is_told_with_a_hint() {
    fn save(tiny: &Tiny, name: &str, bytes: &[u8]) {
        std::fs::write(tiny.path(name), bytes).unwrap();
    }
    let cases = [
        Wrong {
            more: "",
            write: |tiny| save(tiny, "train.npy", &of_floats(Split::Train)[..400]),
            code: 1,
            told: "is cut off",
        },
        Wrong {
            more: "",
            write: |tiny| save(tiny, "train.npy", b"not numbers"),
            code: 1,
            told: "is no .npy file",
        },
        Wrong {
            more: "",
            write: |tiny| save(tiny, "train.npy", &npy("<i8", &[2, 9, 6], &[0; 8 * 2 * 54])),
            code: 1,
            told: "holds i64, not floats",
        },
        Wrong {
            more: "",
            write: |tiny| save(tiny, "train.npy", &npy("<f4", &[8, 7, 2], &[0; 4 * 8 * 14])),
            code: 2,
            told: "may be a grid or a sequence",
        },
        Wrong {
            more: "column = \"hidden\"",
            write: |_| {},
            code: 1,
            told: "holds one array without a name, and no `hidden`",
        },
        Wrong { more: "labels = \"gone.csv\"", write: |_| {}, code: 1, told: "there is no file" },
        Wrong {
            more: "labels = \"labels.csv\"",
            write: |tiny| save(tiny, "labels.csv", b"id,label\n900,x\n"),
            code: 1,
            told: "has no label for any of",
        },
        Wrong {
            more: "labels = \"labels.csv\"",
            write: |tiny| save(tiny, "labels.csv", b"id,label\n1,x\n2,y\n1,x\n"),
            code: 1,
            told: "has id 1 twice: in lines 2 and 4",
        },
        Wrong {
            more: "labels = \"labels.csv\"",
            write: |tiny| save(tiny, "labels.csv", b"name,label\nx,1\n"),
            code: 1,
            told: "has no column `id`; it has `name`, `label`",
        },
        Wrong {
            more: "",
            write: |tiny| {
                let mut bytes = of_floats(Split::Train);
                let last = bytes.len() - 2;
                bytes[last..].copy_from_slice(&f16::NAN.to_le_bytes());
                save(tiny, "train.npy", &bytes);
            },
            code: 1,
            told: "value 53 of it is NaN",
        },
    ];
    for Wrong { more, write, code, told } in cases {
        let tiny = Tiny::with(&on("train.npy", "test.npy", more));
        for (split, name) in SPLITS {
            save(&tiny, &format!("{name}.npy"), &of_floats(split));
        }
        write(&tiny);
        let err = tiny.fails(code, "run", &[]);
        assert!(err.contains(told) && err.contains("hint: "), "{told}: {err}");
    }
}

#[test]
fn what_is_wrong_in_several_files_or_arrays_is_told() {
    let tiny = |files: &str, more: &str| Tiny::with(&on(files, files, more));
    let save =
        |tiny: &Tiny, name: &str, bytes: Vec<u8>| std::fs::write(tiny.path(name), bytes).unwrap();
    let told = |tiny: &Tiny, code: i32, what: &str| {
        let err = tiny.fails(code, "ingest", &[]);
        assert!(err.contains(what) && err.contains("hint: "), "{what}: {err}");
    };
    let floats = |rows: usize, shape: [usize; 2]| {
        npy("<f4", &[rows, shape[0], shape[1]], &vec![0; 4 * rows * shape[0] * shape[1]])
    };
    let ids = |ids: &[i64]| {
        let bytes: Vec<u8> = ids.iter().flat_map(|it| it.to_le_bytes()).collect();
        npy("<i8", &[ids.len()], &bytes)
    };

    let two = tiny("*.npy", "");
    save(&two, "a.npy", floats(3, [4, 2]));
    save(&two, "b.npy", floats(3, [4, 3]));
    told(&two, 1, "shapes differ");

    let twice = tiny("x.npz", "");
    save(&twice, "x.npz", zip(&[("x.npy", floats(3, [4, 2])), ("id.npy", ids(&[7, 8, 7]))], false));
    told(&twice, 1, "two rows have the id 7: row 0 of");

    let few = tiny("x.npz", "");
    save(&few, "x.npz", zip(&[("x.npy", floats(3, [4, 2])), ("label.npy", ids(&[1, 2]))], true));
    told(&few, 1, "the labels of");

    let which = tiny("x.npz", "");
    save(
        &which,
        "x.npz",
        zip(&[("x.npy", floats(3, [4, 2])), ("y.npy", floats(3, [4, 2]))], false),
    );
    told(&which, 1, "it is not known which array");

    let missing = tiny("x.npz", "column = \"z\"");
    save(&missing, "x.npz", zip(&[("x.npy", floats(3, [4, 2]))], false));
    told(&missing, 1, "has no `z`; it has `x` (f32 [3, 4, 2])");

    let unlabelled = tiny("x.npz", "labels = \"kind\"");
    save(&unlabelled, "x.npz", zip(&[("x.npy", floats(3, [4, 2]))], false));
    told(&unlabelled, 1, "has no array `kind`");

    let mut lists = ListBuilder::new(PrimitiveBuilder::<Float32Type>::new());
    for row in 0..4 {
        lists.append_value((0..if row == 3 { 7 } else { 8 }).map(|it| Some(it as f32)));
    }
    let lists: ArrayRef = Arc::new(lists.finish());
    let ragged = tiny("x.parquet", "");
    let label: ArrayRef = Arc::new(Int64Array::from(vec![0, 1, 0, 1]));
    parquet_file::write(&ragged.path("x.parquet"), vec![("x", lists), ("label", label)], None, 4);
    let err = ragged.fails(1, "ingest", &["--set", "loss=supervised"]);
    assert!(err.contains("`x` has 7 values") && err.contains("hint: "), "{err}");

    let none = tiny("x.parquet", "");
    let numbers: ArrayRef = Arc::new(Float32Array::from(vec![1.0, 2.0]));
    parquet_file::write(&none.path("x.parquet"), vec![("x", numbers)], None, 4);
    told(&none, 1, "it is not known which array");

    let text = on("hidden/train", "hidden/test", "labels = \"kind\"");
    let no_column = Tiny::with(&text);
    for (split, name) in SPLITS {
        dataset(&no_column.path(&format!("hidden/{name}")), split, 'a');
    }
    told(&no_column, 1, "has no column `kind` of whole numbers");

    let gone = tiny("nowhere/train", "");
    told(&gone, 5, "there is no file or folder");
    let elsewhere = tiny("s3://bucket/train", "");
    told(&elsewhere, 2, "does not lie on this machine");
    let empty = tiny("folder", "");
    std::fs::create_dir(empty.path("folder")).unwrap();
    told(&empty, 1, "is neither a dataset nor a folder of activations");
}

#[test]
fn rows_that_are_not_finite_are_skipped_where_the_pipeline_says_so() {
    let tiny = of_npy();
    let mut bytes = of_floats(Split::Train);
    let last = bytes.len() - 2;
    bytes[last..].copy_from_slice(&f16::INFINITY.to_le_bytes());
    std::fs::write(tiny.path("train.npy"), bytes).unwrap();
    let (_, err) = tiny.ok("ingest", &["--set", "data.on_bad_sample=skip"]);
    assert!(err.contains("1 skipped") && err.contains("value 53 of it is inf"), "{err}");
}

#[test]
fn one_of_so_many_rows_is_held_out() {
    let text = on("train.npy", "test.npy", "").replace("test = \"test.npy\"\n", "");
    let tiny = Tiny::with(
        &text.replace("[data.activations]", "[data]\nhold_out = 4\n\n[data.activations]"),
    );
    std::fs::write(tiny.path("train.npy"), of_floats(Split::Train)).unwrap();
    tiny.ok("ingest", &[]);
    let (train, test) = (ingested(&tiny, Split::Train), ingested(&tiny, Split::Test));
    assert_eq!((train.0.len(), test.0.len()), (18, 6));
    let mut all = [train.0, test.0].concat();
    all.sort_unstable();
    assert_eq!(all, (0..TRAIN as i64).collect::<Vec<_>>());
}

#[test]
fn a_program_names_them_too() {
    let tiny = of_npy();
    let path = |name: &str| vec![tiny.path(name).to_str().unwrap().to_owned()];
    let files = ActivationFiles {
        train: path("train.npy"),
        test: path("test.npy"),
        labels: RowLabels::Csv(tiny.path("labels.csv").to_str().unwrap().to_owned()),
        ..ActivationFiles::default()
    };
    let data = Data::from(files);
    let train = source::open(&data, Split::Train, 0).unwrap();
    let sample = train.read(&[5]).unwrap().remove(0).unwrap();
    let activation = sample.media.activation().unwrap();
    assert_eq!((sample.id, activation.shape.as_slice()), (5, SHAPE.as_slice()));
    let wanted: Vec<f32> = (0..54).map(|it| value(Split::Train, 5, it)).collect();
    assert_eq!(activation.values, wanted);
    let view = ActivationView { kind: Some(ActivationKind::Grid), ..ActivationView::default() };
    let layer = Relu.shared();
    let pipeline =
        Pipeline::builder("mine", data, view).module(NewModule::new("a", [layer])).build();
    let pipeline = pipeline.unwrap();
    let size = pipeline.view.settings().size(&pipeline.data.source);
    assert_eq!(size, None, "only the rows tell");
}
