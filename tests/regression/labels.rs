//! Faults in labels, and in rows of Parquet, by number as in `regression.rs`.

use std::fs::File;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BinaryArray, BooleanArray, Float64Array, Int64Array, NullArray, StringArray,
    StructArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Fields, Int64Type};
use image::{GrayImage, ImageFormat, Luma};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use super::parquet_file;
use super::tiny::{PIPELINE, Tiny, walk};

/// The tiny pipeline, with these lines in its table of data.
fn tiny(data: &str) -> Tiny {
    let (head, rest) = PIPELINE.split_once("[data.textures]").unwrap();
    let (_, rest) = rest.split_once("[view]").unwrap();
    Tiny::with(&format!("{head}[data]\n{data}\n[view]\n{rest}"))
}

/// One that reads `train.parquet` and `test.parquet`.
fn parquet() -> Tiny {
    tiny("train = \"train.parquet\"\ntest = \"test.parquet\"")
}

/// A PNG of 16x16 pixels.
fn png(number: usize) -> Vec<u8> {
    let at = |x: u32, y: u32| Luma([(number as u32 * 37 + x * y * (1 + number as u32 % 3)) as u8]);
    let mut bytes = Cursor::new(Vec::new());
    GrayImage::from_fn(16, 16, at).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A column as Hugging Face has images and sounds: what is in a file, and its path.
fn media(rows: &[(Option<Vec<u8>>, String)]) -> ArrayRef {
    let bytes = BinaryArray::from_iter(rows.iter().map(|it| it.0.as_deref()));
    let paths = StringArray::from_iter_values(rows.iter().map(|it| &it.1));
    let fields = Fields::from(vec![
        Field::new("bytes", DataType::Binary, true),
        Field::new("path", DataType::Utf8, true),
    ]);
    Arc::new(StructArray::new(fields, vec![Arc::new(bytes), Arc::new(paths)], None))
}

/// So many images.
fn images(rows: usize) -> ArrayRef {
    let rows: Vec<_> = (0..rows).map(|row| (Some(png(row)), format!("{row}.png"))).collect();
    media(&rows)
}

/// Writes a Parquet file of images with these labels, and the names of their classes if they have some.
fn write_images(path: &Path, labels: ArrayRef, names: Option<&[&str]>) {
    let features = names
        .map(|names| serde_json::json!({ "label": { "names": names, "_type": "ClassLabel" } }));
    let columns = vec![("image", images(labels.len())), ("label", labels)];
    parquet_file::write(path, columns, features, 7);
}

/// The columns `id` and `label` of a dataset, or of embeddings.
fn ids_and_labels(path: &Path) -> Vec<(i64, Option<i64>)> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let mut rows = Vec::new();
    for batch in reader.build().unwrap() {
        let batch = batch.unwrap();
        let [ids, labels] = ["id", "label"].map(|name| batch.column_by_name(name).unwrap().clone());
        let labels = labels.as_primitive::<Int64Type>().iter();
        rows.extend(ids.as_primitive::<Int64Type>().values().iter().copied().zip(labels));
    }
    rows
}

/// Rows that the probe of the last module has judged, by its confusion matrix.
fn judged(tiny: &Tiny, run_dir: &str) -> u64 {
    let probes = tiny.json("probe", &["--run-dir", run_dir]);
    let mut trained = probes.as_array().unwrap().iter().filter(|it| it["kind"] == "trained");
    let rows = trained.next_back().unwrap()["confusion"].as_array().unwrap().clone();
    rows.iter().flat_map(|it| it.as_array().unwrap()).map(|it| it.as_u64().unwrap()).sum()
}

/// The labels of a split of a run, by row of the source.
fn stored(tiny: &Tiny, run_dir: &str, split: &str) -> Vec<Option<i64>> {
    let mut rows = Vec::new();
    walk(&tiny.path(&format!("{run_dir}/datasets/ingest/{split}")), &mut |path| {
        if path.extension().is_some_and(|it| it == "parquet") {
            rows.extend(ids_and_labels(path));
        }
    });
    rows.sort_unstable();
    rows.into_iter().map(|(_, label)| label).collect()
}

/// The names of the classes of a run's split.
fn names(tiny: &Tiny, run_dir: &str, split: &str) -> Vec<String> {
    let manifest = tiny.path(&format!("{run_dir}/datasets/ingest/{split}/00000001.json"));
    let manifest: Value = serde_json::from_slice(&std::fs::read(manifest).unwrap()).unwrap();
    let names = manifest["schema"]["label_names"].as_array().cloned().unwrap_or_default();
    names.iter().map(|it| it.as_str().unwrap().to_owned()).collect()
}

/// 20: images of which some have no label (null, or -1 as Hugging Face has it) were refused, where sounds were
/// read.
#[test]
fn r20_rows_without_a_label_train_and_the_probe_leaves_them_out() {
    let tiny = parquet();
    let known = |row: i64| (row % 3 > 0).then_some(row % 4);
    let nulls: ArrayRef = Arc::new(Int64Array::from_iter((0..40).map(known)));
    let minus: ArrayRef = Arc::new(Int64Array::from_iter((0..40).map(|it| known(it).or(Some(-1)))));
    let floats = (0..40).map(|it| known(it).map_or(f64::NAN, |it| it as f64));
    let floats: ArrayRef = Arc::new(Float64Array::from_iter_values(floats));
    for (name, labels) in [("nulls", nulls), ("minus", minus), ("floats", floats)] {
        for split in ["train", "test"] {
            let path = tiny.path(&format!("{split}.parquet"));
            write_images(&path, labels.clone(), Some(&["a", "b", "c", "d"]));
        }
        let command = if name == "nulls" { "run" } else { "ingest" };
        let (_, told) = tiny.ok(command, &["--run-dir", name]);
        assert!(told.contains("14 of 40 images have no label"), "{told}");
        let labels = stored(&tiny, name, "test");
        let expected: Vec<_> = (0..40).map(known).collect();
        assert_eq!(labels, expected, "{name}");
        if name == "nulls" {
            assert_eq!(judged(&tiny, name), 26);
        }
    }
}

/// 21: booleans, whole floats and dictionaries of integers were refused as labels; integers that are no numbers of
/// classes were taken for such, so that the probe left out those of 2^32 and more without a word.
#[test]
fn r21_any_integers_are_labels_and_none_is_dropped() {
    let tiny = parquet();
    let rows = 0..40;
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.clone().map(|it| it % 4)));
    let dictionary = DataType::Dictionary(DataType::Int32.into(), DataType::Int64.into());
    let large = rows.clone().map(|it| [u64::MAX, 1 << 40, 17, 5_000_000_000][it as usize % 4]);
    let below = rows.clone().map(|it| [-7, -1, 0, 3][it as usize % 4]);
    let signs = rows.clone().map(|it| [1, -1][it as usize % 2]);
    let four = |values: [i64; 4]| -> Vec<Option<i64>> {
        rows.clone().map(|it| Some(values[it as usize % 4])).collect()
    };
    type Case<'a> = (&'a str, ArrayRef, Vec<Option<i64>>, &'a [&'a str]);
    let cases: [Case; 6] = [
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
            write_images(&tiny.path(&format!("{split}.parquet")), labels.clone(), None);
        }
        let command = if name == "large" { "run" } else { "ingest" };
        let (_, told) = tiny.ok(command, &["--run-dir", name]);
        assert_eq!(told.contains("warning"), name == "below", "{told}");
        assert_eq!(stored(&tiny, name, "train"), expected, "{name}");
        assert_eq!(names(&tiny, name, "test"), of_classes, "{name}");
        if name == "large" {
            assert_eq!(judged(&tiny, name), 40);
        }
    }
    let halves = (0..40).map(|it| if it == 2 { 0.5 } else { f64::from(it % 4) });
    let halves: ArrayRef = Arc::new(Float64Array::from_iter_values(halves));
    write_images(&tiny.path("train.parquet"), halves, None);
    let told = tiny.fails(1, "plan", &[]);
    assert!(told.contains("row 2 of ") && told.contains("is 0.5"), "{told}");
    tiny.ok("ingest", &["--run-dir", "off", "--set", "data.label=false"]);
}

/// 22: a test split that lacks a class, a shard whose metadata was lost, and a split without names were refused;
/// classes that differ in the Unicode form alone were, with a message in which they look alike.
#[test]
fn r22_classes_are_those_of_both_splits() {
    let tiny = tiny("train = \"train*.parquet\"\ntest = \"test.parquet\"");
    let text = |names: &[&str]| -> ArrayRef {
        Arc::new(StringArray::from_iter_values((0..20).map(|it| names[it % names.len()])))
    };
    let numbers =
        || -> ArrayRef { Arc::new(Int64Array::from_iter_values((0..20).map(|it| it % 4))) };
    let four = Some(["a", "b", "c", "d"].as_slice());
    let write = |file: &str, labels: ArrayRef, names: Option<&[&str]>| {
        write_images(&tiny.path(file), labels, names);
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
    let tiny = parquet();
    let numbers = |first: i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values((0..20).map(|it| first + it % 3)))
    };
    write_images(&tiny.path("train.parquet"), numbers(0), None);
    write_images(&tiny.path("test.parquet"), numbers(3), None);
    let no_other = "accuracies of `label` cannot be other than 0";
    for command in ["plan", "ingest"] {
        let (_, told) = tiny.ok(command, &[]);
        assert!(told.contains(no_other), "{command}: {told}");
    }
    write_images(&tiny.path("test.parquet"), numbers(1), None);
    let (_, told) = tiny.ok("ingest", &["--run-dir", "some"]);
    assert!(told.contains("6 of 20 labelled rows") && told.contains(": `3`"), "{told}");
}

/// 24: rows that name a file beside the Parquet file were "null".
#[test]
fn r24_files_that_rows_name_are_read() {
    let tiny = parquet();
    std::fs::create_dir(tiny.path("imgs")).unwrap();
    let rows = |from: &str| -> Vec<(Option<Vec<u8>>, String)> {
        (0..20).map(|it| (None, format!("{from}{it}.png"))).collect()
    };
    (0..20).for_each(|it| {
        std::fs::write(tiny.path(&format!("imgs/{it}.png")), png(it)).unwrap();
    });
    let labels =
        || -> ArrayRef { Arc::new(Int64Array::from_iter_values((0..20).map(|it| it % 4))) };
    let write = |images: ArrayRef| {
        let columns = vec![("image", images), ("label", labels())];
        parquet_file::write(&tiny.path("train.parquet"), columns, None, 7);
    };
    write_images(&tiny.path("test.parquet"), labels(), None);
    let paths: ArrayRef =
        Arc::new(StringArray::from_iter_values(rows("imgs/").iter().map(|it| &it.1)));
    for (name, images) in [("struct", media(&rows("imgs/"))), ("text", paths)] {
        write(images);
        tiny.ok("plan", &["--run-dir", name]);
        tiny.ok("ingest", &["--run-dir", name]);
    }
    for (from, told) in [
        ("gone/", "only a path is there, `gone/"),
        ("../imgs/", "leads out of the Parquet file's folder"),
        ("http://here/", "is an address and not a file"),
    ] {
        write(media(&rows(from)));
        for command in ["plan", "ingest"] {
            let error = tiny.fails(1, command, &["--run-dir", "wrong"]);
            assert!(error.contains(told) && error.contains("embed"), "{command}: {error}");
        }
    }
    // Some are there.
    let mut some = rows("imgs/");
    some[3].1 = "imgs/none.png".to_owned();
    some[4].0 = Some(png(99));
    write(media(&some));
    tiny.fails(1, "ingest", &["--run-dir", "some"]);
    let skip = ["--run-dir", "some", "--set", "data.on_bad_sample=\"skip\""];
    let (_, told) = tiny.ok("ingest", &skip);
    assert!(told.contains("1 skipped"), "{told}");
}

/// 25: CSV files of other kinds were "without a column", and lines and files that do not meet were ignored.
#[test]
fn r25_a_csv_file_says_what_is_wrong_with_it() {
    let tiny = tiny("train = \"train\"\ntest = \"test\"\nlabels = \"labels.csv\"");
    let mut lines = vec!["file_name,label".to_owned()];
    for (split, rows) in [("train", 16), ("test", 8)] {
        std::fs::create_dir(tiny.path(split)).unwrap();
        for row in 0..rows {
            // As macOS writes the name, and as a person does.
            std::fs::write(tiny.path(&format!("{split}/e\u{301}{row}.png")), png(row)).unwrap();
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
    assert!(told.contains("1 line of `data.labels` is about no file"), "{told}");
    assert!(told.contains("line 4 of `") && told.contains("about `train/other.png`"), "{told}");
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
    let tiny = parquet();
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values((0..120).map(|it| it * 1000)));
    let few = |last: i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(
            (0..40).map(|it| if it == 33 { last } else { it % 4 }),
        ))
    };
    write_images(&tiny.path("train.parquet"), ids, None);
    write_images(&tiny.path("test.parquet"), few(0), None);
    for command in ["plan", "run"] {
        let told = tiny.fails(1, command, &[]);
        assert!(told.contains("look like ids") && told.contains("120 different"), "{told}");
        assert!(!tiny.path("runs/tiny/ingest/train/g1").exists());
    }
    tiny.ok("plan", &["--set", "data.label=false"]);
    write_images(&tiny.path("train.parquet"), few(4), Some(&["a", "b", "c", "d"]));
    for command in ["plan", "run"] {
        let told = tiny.fails(1, command, &[]);
        assert!(told.contains("row 33 of ") && told.contains("is 4"), "{told}");
    }
    // As the hint says: one label less, or none at all.
    tiny.ok("plan", &["--set", "data.label=false"]);
    write_images(&tiny.path("train.parquet"), few(-1), Some(&["a", "b", "c", "d"]));
    tiny.ok("plan", &[]);
    let some: ArrayRef = Arc::new(Int64Array::from_iter_values(0..40));
    write_images(&tiny.path("train.parquet"), some, None);
    let (_, told) = tiny.ok("plan", &[]);
    assert!(told.contains("look like ids"), "{told}");
}

/// 27: rows without labels, or with labels that no pipeline reads, could not be embedded.
#[test]
fn r27_what_is_embedded_needs_no_labels() {
    let tiny = parquet();
    let four = || -> ArrayRef { Arc::new(Int64Array::from_iter_values((0..40).map(|it| it % 4))) };
    write_images(&tiny.path("train.parquet"), four(), None);
    write_images(&tiny.path("test.parquet"), four(), None);
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
        write_images(&tiny.path(&input), labels, None);
        let (_, told) = tiny.ok("embed", &["--input", &input, "--output", &output]);
        assert_eq!(told.contains("labels are left out"), warned, "{told}");
        let found = ids_and_labels(&tiny.path(&output));
        assert_eq!(found.into_iter().map(|it| it.1).collect::<Vec<_>>(), expected, "{name}");
    }
    let out_of_range: ArrayRef = Arc::new(Int64Array::from(vec![9; 5]));
    write_images(&tiny.path("named.parquet"), out_of_range, Some(&["a"]));
    let (_, told) =
        tiny.ok("embed", &["--input", "named.parquet", "--output", "named-out.parquet"]);
    assert!(told.contains("is 9") && told.contains("labels are left out"), "{told}");
}
