//! What a user can bring as data, read through the public library.

use crate::parquet_file;
use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, Date32Array, Float32Array, Int8Array, Int64Array, RecordBatch,
    StringArray, StructArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Fields};
use gimlet::pipeline::PerSplit;
use gimlet::pipeline::settings::{self, Data, Files, Medium, OnBadSample, Split};
use gimlet::source::{self, Source};
use image::{GrayImage, ImageFormat, Luma, RgbImage};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

/// Settings that read `train` and `test` under `root`.
fn data(root: &Path, train: &[&str], test: &[&str], label: Option<&str>) -> Data {
    let owned = |paths: &[&str]| paths.iter().map(|&path| path.to_owned()).collect();
    Data {
        source: settings::Source::Files(Files {
            train: owned(train),
            test: owned(test),
            root: root.to_path_buf(),
            label: label.map(str::to_owned),
            ..Files::of(Medium::Image, "image")
        }),
        subset: None,
        test_subset: None,
        on_bad_sample: OnBadSample::Fail,
    }
}

fn open(root: &Path, train: &str, label: Option<&str>) -> gimlet::Result<Arc<dyn Source>> {
    source::open(&data(root, &[train], &[], label), Split::Train, 0)
}

/// The message and the hint of opening what cannot be opened.
fn refused(root: &Path, train: &str, label: Option<&str>) -> String {
    match open(root, train, label) {
        Ok(source) => panic!("opened {} rows", source.rows()),
        Err(error) => format!("{error} hint: {}", error.hint_text().unwrap_or_default()),
    }
}

/// A 4x4 gray PNG of one value.
fn png(value: u8) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    GrayImage::from_pixel(4, 4, Luma([value])).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn jpeg() -> Vec<u8> {
    let image = RgbImage::from_fn(16, 16, |x, y| image::Rgb([x as u8 * 9, y as u8 * 9, 0]));
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
    bytes.into_inner()
}

/// The column `image` in the Hugging Face convention; the paths are `<index>.png`.
fn image_column(images: &[Option<Vec<u8>>]) -> ArrayRef {
    let bytes = BinaryArray::from_iter(images.iter().map(|image| image.as_deref()));
    let paths = StringArray::from_iter_values((0..images.len()).map(|i| format!("{i}.png")));
    let fields = Fields::from(vec![
        Field::new("bytes", DataType::Binary, true),
        Field::new("path", DataType::Utf8, true),
    ]);
    Arc::new(StructArray::new(fields, vec![Arc::new(bytes), Arc::new(paths)], None))
}

fn write(path: &Path, columns: Vec<(&str, ArrayRef)>, class_names: Option<&[&str]>) {
    let features = class_names.map(|names| {
        serde_json::json!({ "image": { "_type": "Image" },
            "label": { "names": names, "_type": "ClassLabel" } })
    });
    parquet_file::write(path, columns, features, 7);
}

/// A file of `rows` images whose gray value and label (modulo 3) count from `first`.
fn write_counting(path: &Path, first: usize, rows: usize) {
    let images: Vec<_> = (first..first + rows).map(|i| Some(png(i as u8))).collect();
    let labels = Int64Array::from_iter_values((first..first + rows).map(|i| i as i64 % 3));
    let columns = vec![("image", image_column(&images)), ("label", Arc::new(labels) as ArrayRef)];
    write(path, columns, Some(&["cat", "dog", "ship"]));
}

fn values(source: &dyn Source, rows: &[usize]) -> Vec<(i64, Option<i64>, u8)> {
    let samples = source.read(rows).unwrap().into_iter().map(|sample| sample.unwrap());
    samples
        .map(|s| (s.id, s.label, s.media.image().unwrap().to_luma8().get_pixel(0, 0).0[0]))
        .collect()
}

#[test]
fn parquet_rows_come_in_the_order_asked_for_across_files() {
    let folder = tempfile::tempdir().unwrap();
    write_counting(&folder.path().join("train-1.parquet"), 20, 11);
    write_counting(&folder.path().join("train-0.parquet"), 0, 20);
    write_counting(&folder.path().join("test-0.parquet"), 0, 5);
    let source = open(folder.path(), "train-*.parquet", Some("label")).unwrap();
    assert_eq!(source.rows(), 31);
    assert_eq!(source.label_names().unwrap(), ["cat", "dog", "ship"]);
    let rows = [30, 0, 19, 20, 7, 7, 13, 25, 1];
    let expected: Vec<_> =
        rows.iter().map(|&row| (row as i64, Some(row as i64 % 3), row as u8)).collect();
    assert_eq!(values(source.as_ref(), &rows), expected);
    let all: Vec<usize> = (0..31).collect();
    assert_eq!(values(source.as_ref(), &all).len(), 31);
    assert_eq!(source.read(&[]).unwrap().len(), 0);
    assert!(source.read(&[31]).unwrap_err().to_string().contains("31 rows"));
}

#[test]
fn a_list_of_paths_reads_like_a_glob_and_each_file_once() {
    let folder = tempfile::tempdir().unwrap();
    write_counting(&folder.path().join("a.parquet"), 0, 3);
    write_counting(&folder.path().join("b.parquet"), 3, 3);
    let paths = ["b.parquet", "a.parquet", "[ab].parquet"];
    let listed =
        source::open(&data(folder.path(), &paths, &[], Some("label")), Split::Train, 0).unwrap();
    assert_eq!(values(listed.as_ref(), &[0, 5]), [(0, Some(0), 0), (5, Some(2), 5)]);
    let globbed = open(folder.path(), "*.parquet", Some("label")).unwrap();
    assert_eq!(listed.identity().unwrap(), globbed.identity().unwrap());
}

#[test]
fn the_identity_follows_the_content_and_not_the_place() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let identity =
        |folder: &Path| open(folder, "a.parquet", Some("label")).unwrap().identity().unwrap();
    write_counting(&here.path().join("a.parquet"), 0, 9);
    fs::copy(here.path().join("a.parquet"), there.path().join("a.parquet")).unwrap();
    assert_eq!(identity(here.path()), identity(there.path()));
    write_counting(&there.path().join("a.parquet"), 1, 9);
    assert_ne!(identity(here.path()), identity(there.path()));
    let unlabelled = open(here.path(), "a.parquet", None).unwrap();
    assert_ne!(identity(here.path()), unlabelled.identity().unwrap());
}

#[test]
fn labels_may_be_strings_narrow_integers_or_absent() {
    let folder = tempfile::tempdir().unwrap();
    let images = image_column(&[Some(png(1)), Some(png(2)), Some(png(3))]);
    let words: ArrayRef = Arc::new(StringArray::from(vec!["wren", "owl", "wren"]));
    let narrow: ArrayRef = Arc::new(Int8Array::from(vec![4, 0, 2]));
    write(
        &folder.path().join("a.parquet"),
        vec![("image", images), ("bird", words), ("narrow", narrow)],
        None,
    );
    let labels = |column: Option<&str>| {
        let source = open(folder.path(), "a.parquet", column).unwrap();
        let names = source.label_names().map(<[String]>::to_vec);
        let labels: Vec<_> = values(source.as_ref(), &[0, 1, 2]).iter().map(|v| v.1).collect();
        (labels, names)
    };
    let birds = Some(vec!["owl".to_owned(), "wren".to_owned()]);
    assert_eq!(labels(Some("bird")), (vec![Some(1), Some(0), Some(1)], birds));
    assert_eq!(labels(Some("narrow")), (vec![Some(4), Some(0), Some(2)], None));
    assert_eq!(labels(None), (vec![None; 3], None));
}

#[test]
fn a_plain_binary_column_holds_images_too() {
    let folder = tempfile::tempdir().unwrap();
    let images: ArrayRef = Arc::new(BinaryArray::from_iter_values([png(8), png(9)]));
    write(&folder.path().join("a.parquet"), vec![("image", images)], None);
    let source = open(folder.path(), "a.parquet", None).unwrap();
    assert_eq!(values(source.as_ref(), &[1, 0]), [(1, None, 9), (0, None, 8)]);
}

#[test]
fn a_bad_image_is_told_with_its_row_and_path_and_the_others_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let whole = jpeg();
    let truncated = whole[..whole.len() / 2].to_vec();
    let images = [Some(whole), Some(truncated), None, Some(b"text".to_vec()), Some(png(5))];
    // The last image's struct is null, though its bytes are not.
    let column = image_column(&images);
    let column = column.as_any().downcast_ref::<StructArray>().unwrap();
    let (fields, arrays, _) = column.clone().into_parts();
    let nulls = NullBuffer::from(vec![true, true, true, true, false]);
    let column: ArrayRef = Arc::new(StructArray::new(fields, arrays, Some(nulls)));
    write(&folder.path().join("a.parquet"), vec![("image", column)], None);
    let source = open(folder.path(), "a.parquet", None).unwrap();
    let found = source.read(&[4, 3, 2, 1, 0]).unwrap();
    assert_eq!(found[4].as_ref().unwrap().source, "0.png");
    let told: Vec<String> =
        found[..4].iter().map(|bad| bad.as_ref().unwrap_err().to_string()).collect();
    let file = folder.path().join("a.parquet").display().to_string();
    assert!(told[3].starts_with(&format!("row 1 of `{file}` (1.png): ")), "{}", told[3]);
    assert!(told[3].contains("truncated"), "{}", told[3]);
    assert!(told[1].contains("no image of a kind that is read"), "{}", told[1]);
    assert!(told[0].contains("null") && told[2].contains("null"), "{told:?}");
}

#[test]
fn wrong_parquet_is_refused_with_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let images = || image_column(&[Some(png(1)), Some(png(2))]);
    let numbers = || Arc::new(Float32Array::from(vec![0.5, 1.5])) as ArrayRef;
    write(&path("noimage.parquet"), vec![("img", images()), ("label", numbers())], None);
    let told = refused(folder.path(), "noimage.parquet", None);
    assert!(told.contains("`img`") && told.contains("data.image"), "{told}");
    write(&path("number.parquet"), vec![("image", numbers())], None);
    let told = refused(folder.path(), "number.parquet", None);
    assert!(told.contains("Float32"), "{told}");
    write(&path("label.parquet"), vec![("image", images()), ("label", numbers())], None);
    let told = refused(folder.path(), "label.parquet", Some("label"));
    assert!(told.contains("row 0 of") && told.contains("is 0.5"), "{told}");
    let dates: ArrayRef = Arc::new(Date32Array::from(vec![1, 2]));
    write(&path("date.parquet"), vec![("image", images()), ("label", dates)], None);
    let told = refused(folder.path(), "date.parquet", Some("label"));
    assert!(told.contains("`label` is Date32") && told.contains("data.label"), "{told}");
    let told = refused(folder.path(), "label.parquet", Some("class"));
    assert!(told.contains("`label`") && told.contains("data.label"), "{told}");
    fs::write(path("text.parquet"), "not parquet at all").unwrap();
    let told = refused(folder.path(), "text.parquet", None);
    assert!(told.contains("not a Parquet file") && told.contains("text.parquet"), "{told}");
    write(&path("empty.parquet"), vec![("image", image_column(&[]))], None);
    let told = refused(folder.path(), "empty.parquet", None);
    assert!(told.contains("empty dataset") && told.contains("empty.parquet"), "{told}");
}

#[test]
fn rows_may_have_no_label_and_a_number_without_a_name_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let images = || image_column(&[Some(png(1)), Some(png(2))]);
    let opened = |labels: ArrayRef, class_names: Option<&[&str]>| {
        let path = folder.path().join("a.parquet");
        write(&path, vec![("image", images()), ("label", labels)], class_names);
        open(folder.path(), "a.parquet", Some("label"))
    };
    let none = |labels: ArrayRef, class_names: Option<&[&str]>| {
        let source = opened(labels, class_names).unwrap();
        let labels: Vec<_> = values(source.as_ref(), &[0, 1]).iter().map(|it| it.1).collect();
        assert_eq!(labels, [Some(0), None]);
    };
    none(Arc::new(Int64Array::from(vec![Some(0), None])), None);
    none(Arc::new(StringArray::from(vec![Some("a"), None])), None);
    none(Arc::new(StringArray::from(vec!["a", ""])), None);
    none(Arc::new(Float32Array::from(vec![0.0, f32::NAN])), None);
    none(Arc::new(Int64Array::from(vec![0, -1])), Some(&["cat", "dog"]));
    for label in [2, -2] {
        let error = opened(Arc::new(Int64Array::from(vec![0, label])), Some(&["cat", "dog"]));
        let error = error.err().unwrap();
        assert!(error.hint_text().unwrap().contains("data.label = false"), "{error}");
        let told = error.to_string();
        assert!(told.starts_with("row 1 of `") && told.contains(&format!("is {label}")), "{told}");
        assert!(told.contains("2 classes") && told.contains("cat, dog"), "{told}");
    }
}

#[test]
fn missing_files_are_told_with_the_split() {
    let folder = tempfile::tempdir().unwrap();
    let told = refused(folder.path(), "nothing/train-*.parquet", None);
    assert!(told.contains("nothing/train-*.parquet") && told.contains("data.train"), "{told}");
    assert!(told.contains("GIMLET_DATA"), "{told}");
    assert!(refused(folder.path(), "nothing.parquet", None).contains("no file or folder"));
    fs::create_dir(folder.path().join("images")).unwrap();
    write_counting(&folder.path().join("a.parquet"), 0, 3);
    let mixed = data(folder.path(), &["images", "a.parquet"], &[], None);
    let error = source::open(&mixed, Split::Train, 0).err().unwrap();
    assert!(error.to_string().contains("both folders and files"), "{error}");
}

/// A folder of two classes, an empty class, and files that are no images.
fn write_folder(root: &Path) {
    for class in ["train/owl", "train/wren", "train/kite", "train/.cache"] {
        fs::create_dir_all(root.join(class)).unwrap();
    }
    for (file, value) in [("wren/b.PNG", 3), ("wren/a.png", 2), ("owl/z.jpeg", 1)] {
        fs::write(root.join("train").join(file), png(value)).unwrap();
    }
    fs::write(root.join("train/owl/notes.txt"), "no image").unwrap();
    fs::write(root.join("train/.cache/x.png"), png(9)).unwrap();
}

#[test]
fn a_folder_of_class_folders_is_read_in_the_order_of_its_names() {
    let folder = tempfile::tempdir().unwrap();
    write_folder(folder.path());
    let source = open(folder.path(), "train", Some("label")).unwrap();
    assert_eq!(source.label_names().unwrap(), ["owl", "wren"]);
    let expected = [(2, Some(1), 3), (0, Some(0), 1), (1, Some(1), 2)];
    assert_eq!(values(source.as_ref(), &[2, 0, 1]), expected);
    let sample = source.read(&[0]).unwrap().remove(0).unwrap();
    assert_eq!(sample.source, "owl/z.jpeg");
    let identity = source.identity().unwrap();
    assert!(!identity.to_string().contains(&*folder.path().to_string_lossy()));
    fs::write(folder.path().join("train/owl/y.png"), png(7)).unwrap();
    assert_ne!(open(folder.path(), "train", Some("label")).unwrap().identity().unwrap(), identity);
}

#[test]
fn a_folder_without_labels_may_nest_as_it_likes() {
    let folder = tempfile::tempdir().unwrap();
    write_folder(folder.path());
    fs::write(folder.path().join("train/loose.jpg"), &jpeg()[..50]).unwrap();
    let told = refused(folder.path(), "train", Some("label"));
    assert!(told.contains("loose.jpg") && told.contains("data.label = false"), "{told}");
    let source = open(folder.path(), "train", None).unwrap();
    assert_eq!((source.rows(), source.label_names()), (4, None));
    let bad = source.read(&[0]).unwrap().remove(0).unwrap_err();
    assert_eq!((bad.id, bad.row), (0, None));
    assert!(bad.to_string().contains("loose.jpg`: "), "{bad}");
    fs::create_dir(folder.path().join("hollow")).unwrap();
    assert!(refused(folder.path(), "hollow", None).contains("empty dataset"));
}

#[test]
fn classes_of_folders_are_those_of_both_splits() {
    let folder = tempfile::tempdir().unwrap();
    write_folder(folder.path());
    for class in ["owl", "emu"] {
        fs::create_dir_all(folder.path().join("test").join(class)).unwrap();
        fs::write(folder.path().join("test").join(class).join("a.png"), png(1)).unwrap();
    }
    let data = data(folder.path(), &["train"], &["test"], Some("label"));
    let splits = source::open_splits(&data, 0).unwrap();
    let [train, test] = [splits.sources.train, splits.sources.test];
    assert_eq!(train.label_names().unwrap(), ["emu", "owl", "wren"]);
    assert_eq!(test.label_names(), train.label_names());
    assert_eq!(values(test.as_ref(), &[0, 1]), [(0, Some(0), 1), (1, Some(1), 1)]);
    let [told] = splits.warnings.as_slice() else { panic!("{:?}", splits.warnings) };
    assert!(told.contains("1 of 2 labelled rows") && told.contains(": `emu`"), "{told}");
    // A file more of a class that is known changes nothing in the other split.
    let identity = train.identity().unwrap();
    fs::write(folder.path().join("test/owl/b.png"), png(2)).unwrap();
    let again = source::open_splits(&data, 0).unwrap();
    assert_eq!(again.sources.train.identity().unwrap(), identity);
    assert_ne!(again.sources.test.identity().unwrap(), test.identity().unwrap());
    fs::rename(folder.path().join("test/emu"), folder.path().join("test/auk")).unwrap();
    let again = source::open_splits(&data, 0).unwrap();
    assert_ne!(again.sources.train.identity().unwrap(), identity);
}

#[test]
fn a_palette_png_decodes_to_its_colours() {
    // A 2x1 image of colour type 3 with the palette (255, 0, 0), (0, 0, 255).
    const PALETTE_PNG: &[u8] = &[
        137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 2, 0, 0, 0, 1, 8, 3,
        0, 0, 0, 195, 252, 143, 184, 0, 0, 0, 6, 80, 76, 84, 69, 255, 0, 0, 0, 0, 255, 108, 161,
        253, 142, 0, 0, 0, 11, 73, 68, 65, 84, 120, 156, 99, 96, 96, 4, 0, 0, 4, 0, 2, 191, 122,
        63, 74, 0, 0, 0, 0, 73, 69, 78, 68, 174, 66, 96, 130,
    ];
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.png"), PALETTE_PNG).unwrap();
    let root = folder.path().to_string_lossy().into_owned();
    let source = open(folder.path(), &root, None).unwrap();
    let sample = source.read(&[0]).unwrap().remove(0).unwrap();
    assert_eq!(sample.media.image().unwrap().to_rgb8().into_raw(), [255, 0, 0, 0, 0, 255]);
}

#[test]
fn cifar10_reads_whole() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/cifar10");
    if !folder.is_dir() {
        // Past the test harness, which swallows what a test prints that passes.
        let skipped = format!("skipped: {} is not there\n", folder.display());
        std::io::stderr().write_all(skipped.as_bytes()).unwrap();
        return;
    }
    let data = data(&folder, &["train-*.parquet"], &["test-*.parquet"], Some("label"));
    let source::Splits { sources: PerSplit { train, test }, warnings, .. } =
        source::open_splits(&data, 0).unwrap();
    assert_eq!((train.rows(), test.rows()), (50_000, 10_000));
    assert_eq!(warnings, [""; 0]);
    assert_eq!(train.label_names().unwrap().len(), 10);
    let mut counts = [0; 10];
    for start in (0..test.rows()).step_by(1000) {
        let rows: Vec<usize> = (start..start + 1000).collect();
        for sample in test.read(&rows).unwrap() {
            let sample = sample.unwrap();
            let image = sample.media.image().unwrap();
            assert_eq!((image.width(), image.height()), (32, 32));
            counts[sample.label.unwrap() as usize] += 1;
        }
    }
    assert_eq!(counts, [1000; 10]);
    let rows = [49_999, 17, 1000, 999];
    let ids: Vec<i64> =
        train.read(&rows).unwrap().into_iter().map(|sample| sample.unwrap().id).collect();
    assert_eq!(ids, [49_999, 17, 1000, 999]);
}

/// A value for every place of an image, none twice in a row.
fn shade(channel: usize, row: usize, column: usize) -> u8 {
    (channel * 71 + row * 13 + column * 5) as u8
}

/// The planes of an image of three channels, row by row or (`turned`) column by column.
fn planes(side: usize, turned: bool, shift: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    for channel in 0..3 {
        for outer in 0..side {
            for inner in 0..side {
                let (row, column) = if turned { (inner, outer) } else { (outer, inner) };
                bytes.push(shade(channel, row, column).wrapping_add(shift));
            }
        }
    }
    bytes
}

/// Labels and pixels of all samples of a source.
fn all(source: &dyn Source) -> Vec<(Option<i64>, image::DynamicImage)> {
    let rows: Vec<usize> = (0..source.rows()).collect();
    let samples = source.read(&rows).unwrap();
    samples
        .into_iter()
        .map(|it| it.unwrap())
        .map(|it| (it.label, it.media.image().unwrap().clone()))
        .collect()
}

#[test]
fn cifar_binary_files_are_planes_behind_a_label() {
    let folder = tempfile::tempdir().unwrap();
    for (file, labels) in [("data_batch_1.bin", [3u8, 1]), ("data_batch_2.bin", [0, 2])] {
        let records = labels.map(|label| [vec![label], planes(32, false, label)].concat());
        fs::write(folder.path().join(file), records.concat()).unwrap();
    }
    fs::write(folder.path().join("batches.meta.txt"), "plane\ncar\nbird\ncat\n\n").unwrap();
    let source = open(folder.path(), "data_batch_*.bin", Some("label")).unwrap();
    assert_eq!(source.label_names().unwrap(), ["plane", "car", "bird", "cat"]);
    assert_eq!(source.first_size().unwrap(), Some((32, 32)));
    let found = all(source.as_ref());
    assert_eq!(found.iter().map(|it| it.0).collect::<Vec<_>>(), [3, 1, 0, 2].map(Some));
    let image = found[1].1.to_rgb8();
    let expected = [0, 1, 2].map(|channel| shade(channel, 30, 7).wrapping_add(1));
    assert_eq!(image.get_pixel(7, 30).0, expected, "column 7 of row 30");
    let without = open(folder.path(), "data_batch_*.bin", None).unwrap();
    assert!(all(without.as_ref()).iter().all(|it| it.0.is_none()));
    assert_ne!(source.identity().unwrap(), without.identity().unwrap());

    let whole = fs::read(folder.path().join("data_batch_1.bin")).unwrap();
    fs::write(folder.path().join("data_batch_1.bin"), &whole[..whole.len() - 1]).unwrap();
    let said = refused(folder.path(), "data_batch_*.bin", Some("label"));
    assert!(said.contains("data_batch_1.bin` is cut off, or of another kind"), "{said}");
}

#[test]
fn stl_binary_files_go_column_by_column_and_may_have_no_labels() {
    let folder = tempfile::tempdir().unwrap();
    let write = |file: &str, bytes: Vec<u8>| fs::write(folder.path().join(file), bytes).unwrap();
    write("train_X.bin", [planes(96, true, 0), planes(96, true, 9)].concat());
    write("train_y.bin", vec![1, 10]);
    write("unlabeled_X.bin", planes(96, true, 4));
    let data = data(folder.path(), &["train_X.bin", "unlabeled_X.bin"], &[], Some("label"));
    let source = source::open(&data, Split::Train, 0).unwrap();
    let found = all(source.as_ref());
    assert_eq!(found.iter().map(|it| it.0).collect::<Vec<_>>(), [Some(0), Some(9), None]);
    let image = found[1].1.to_rgb8();
    let expected = [0, 1, 2].map(|channel| shade(channel, 80, 3).wrapping_add(9));
    assert_eq!(image.get_pixel(3, 80).0, expected, "column 3 of row 80");

    write("train_y.bin", vec![1]);
    let said = refused(folder.path(), "train_X.bin", Some("label"));
    assert!(said.contains("train_y.bin` has 1 labels, and "), "{said}");
    write("train_y.bin", vec![0, 1]);
    let said = refused(folder.path(), "train_X.bin", Some("label"));
    assert!(said.contains("the label of image 0 is 0"), "{said}");
    fs::remove_file(folder.path().join("train_y.bin")).unwrap();
    let said = refused(folder.path(), "train_X.bin", Some("label"));
    assert!(said.contains("could not read the labels"), "{said}");
    assert!(said.contains("`data.label = false`"), "{said}");
}

#[test]
fn idx_files_say_their_size() {
    let folder = tempfile::tempdir().unwrap();
    let write = |file: &str, header: &[u32], rest: &[u8]| {
        let mut bytes: Vec<u8> = header.iter().flat_map(|it| it.to_be_bytes()).collect();
        bytes.extend(rest);
        fs::write(folder.path().join(file), bytes).unwrap();
    };
    let pixels: Vec<u8> = (0..2 * 3 * 5).collect();
    write("train-images-idx3-ubyte", &[0x0803, 2, 3, 5], &pixels);
    write("train-labels-idx1-ubyte", &[0x0801, 2], &[7, 4]);
    let source = open(folder.path(), "train-images-idx3-ubyte", Some("label")).unwrap();
    assert_eq!(source.first_size().unwrap(), Some((3, 5)));
    let found = all(source.as_ref());
    assert_eq!(found.iter().map(|it| it.0).collect::<Vec<_>>(), [Some(7), Some(4)]);
    assert_eq!(found[1].1.to_luma8().into_raw(), pixels[15..]);

    write("train-images-idx3-ubyte", &[0x0803, 3, 3, 5], &pixels);
    let said = refused(folder.path(), "train-images-idx3-ubyte", None);
    assert!(said.contains("is cut off"), "one image fewer than it says: {said}");
    write("train-images-idx3-ubyte", &[0x1f8b, 2, 3, 5], &pixels);
    let said = refused(folder.path(), "train-images-idx3-ubyte", Some("label"));
    assert!(said.contains("does not begin as an IDX file"), "{said}");
    fs::write(folder.path().join("train-images-idx3-ubyte"), b"short").unwrap();
    let said = refused(folder.path(), "train-images-idx3-ubyte", None);
    assert!(said.contains("does not begin as an IDX file"), "{said}");
    // A size that no memory holds is refused before anything is made of it.
    write("train-images-idx3-ubyte", &[0x0803, 2, u32::MAX, u32::MAX], &pixels);
    let said = refused(folder.path(), "train-images-idx3-ubyte", None);
    assert!(said.contains("does not begin as an IDX file"), "{said}");
}

#[test]
fn every_codec_that_is_built_in_is_read() {
    use parquet::basic::Compression as Codec;

    let folder = tempfile::tempdir().unwrap();
    let codecs = [
        Codec::UNCOMPRESSED,
        Codec::SNAPPY,
        Codec::GZIP(Default::default()),
        Codec::BROTLI(Default::default()),
        Codec::LZ4,
        Codec::LZ4_RAW,
        Codec::ZSTD(Default::default()),
    ];
    let images: ArrayRef = Arc::new(BinaryArray::from_iter_values((0..40).map(png)));
    let batch = RecordBatch::try_from_iter([("image", images)]).unwrap();
    for codec in codecs {
        let file = fs::File::create(folder.path().join("a.parquet")).unwrap();
        let properties = WriterProperties::builder().set_compression(codec).build();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let source = open(folder.path(), "a.parquet", None).unwrap();
        assert_eq!(values(source.as_ref(), &[39, 3]), [(39, None, 39), (3, None, 3)], "{codec}");
    }
}

/// Pyarrow writes a thousand rows into a page; of uncompressed images, zstd leaves next to nothing.
#[test]
fn long_pages_that_shrink_are_no_bombs() {
    let folder = tempfile::tempdir().unwrap();
    let mut scene = Cursor::new(Vec::new());
    let image = RgbImage::from_fn(1000, 900, |x, _| image::Rgb([(x / 200) as u8; 3]));
    image.write_to(&mut scene, ImageFormat::Bmp).unwrap();
    let scene = scene.into_inner();
    for dictionary in [true, false] {
        let scenes = (0..40u8).map(|row| {
            let mut scene = scene.clone();
            // The blue of the last row's first pixel, which is the first that lies there.
            scene[54] = row;
            scene
        });
        let images: ArrayRef = Arc::new(BinaryArray::from_iter_values(scenes));
        let batch = RecordBatch::try_from_iter([("image", images)]).unwrap();
        let file = fs::File::create(folder.path().join("a.parquet")).unwrap();
        let properties = WriterProperties::builder()
            .set_compression(parquet::basic::Compression::ZSTD(Default::default()))
            .set_dictionary_enabled(dictionary)
            .set_dictionary_page_size_limit(1 << 30)
            .set_data_page_size_limit(1 << 30)
            .set_write_batch_size(1000)
            .build();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let bytes = fs::metadata(folder.path().join("a.parquet")).unwrap().len();
        assert!(bytes < 1 << 20, "{bytes} bytes for 108 MB");
        let source = open(folder.path(), "a.parquet", None).unwrap();
        for sample in source.read(&[0, 17, 39]).unwrap() {
            let sample = sample.unwrap();
            let image = sample.media.image().unwrap().to_rgb8();
            assert_eq!(i64::from(image.get_pixel(0, 899).0[2]), sample.id);
        }
    }
}

#[test]
fn labels_of_cifar_100_are_chosen_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let record = |row: u8| [vec![row % 2, row], planes(32, false, row)].concat();
    let records: Vec<u8> = (0..5).flat_map(record).collect();
    fs::write(folder.path().join("train.bin"), records).unwrap();
    fs::write(folder.path().join("fine_label_names.txt"), "a\nb\nc\nd\ne\n").unwrap();
    fs::write(folder.path().join("coarse_label_names.txt"), "even\nodd\n").unwrap();
    let labels = |label: &str, further: &[&str]| {
        let mut data = data(folder.path(), &["."], &[], Some(label));
        if let settings::Source::Files(files) = &mut data.source {
            files.further = further.iter().map(|it| it.to_string()).collect();
        }
        source::open(&data, Split::Train, 0)
    };
    for (label, first, expected) in [
        ("label", "a", [0, 1, 2, 3, 4]),
        ("fine_label", "a", [0, 1, 2, 3, 4]),
        ("coarse_label", "even", [0, 1, 0, 1, 0]),
    ] {
        let source = labels(label, &[]).unwrap();
        assert_eq!(source.label_names().unwrap()[0], first);
        let found: Vec<_> = all(source.as_ref()).into_iter().map(|it| it.0).collect();
        assert_eq!(found, expected.map(Some), "{label}");
    }
    let source = labels("fine_label", &["coarse_label"]).unwrap();
    assert_eq!(source.further_labels()[0].names.as_ref().unwrap()[1], "odd");
    let sample = source.read(&[3]).unwrap().remove(0).unwrap();
    assert_eq!((sample.label, sample.further), (Some(3), vec![Some(1)]));
    let image = sample.media.image().unwrap().to_rgb8();
    assert_eq!(image.get_pixel(7, 30).0[1], shade(1, 30, 7).wrapping_add(3));
    let error = labels("class", &[]).err().unwrap();
    assert!(error.hint_text().unwrap().contains("`coarse_label`"), "{error}");
}

#[test]
fn a_folder_of_both_splits_gives_each_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let record = |label: u8| [vec![label], planes(32, false, label)].concat();
    fs::create_dir(root.join("batches")).unwrap();
    for (file, label) in [("data_batch_1", 1), ("data_batch_2", 2), ("test_batch", 9)] {
        fs::write(root.join(format!("batches/{file}.bin")), record(label)).unwrap();
    }
    let labels = |data: &Data, split| {
        let source = source::open(data, split, 0).unwrap();
        all(source.as_ref()).into_iter().map(|it| it.0.unwrap()).collect::<Vec<_>>()
    };
    let both = data(root, &["batches"], &["batches"], Some("label"));
    assert_eq!(labels(&both, Split::Train), [1, 2]);
    assert_eq!(labels(&both, Split::Test), [9]);

    fs::create_dir(root.join("shards")).unwrap();
    write_counting(&root.join("shards/train-0.parquet"), 0, 4);
    let both = data(root, &["shards"], &["shards"], Some("label"));
    assert_eq!(labels(&both, Split::Train), [0, 1, 2, 0]);
    let error = source::open(&both, Split::Test, 0).err().unwrap();
    assert!(error.to_string().contains("is of the test split"), "{error}");
    // Where names tell of no split, all are read.
    fs::rename(root.join("shards/train-0.parquet"), root.join("shards/a.parquet")).unwrap();
    assert_eq!(labels(&both, Split::Test), [0, 1, 2, 0]);
    // Images in folders go before Parquet files beside them.
    write_folder(root);
    write_counting(&root.join("train/metadata.parquet"), 0, 4);
    let source = open(root, "train", Some("label")).unwrap();
    assert_eq!(source.rows(), 3);
    let over: Vec<String> = source
        .passed_over()
        .iter()
        .map(|it| format!("{} {} {}", it.count, it.kind, it.first.display()))
        .collect();
    assert_eq!(over, ["1 .parquet metadata.parquet", "1 .txt owl/notes.txt"]);
}

#[test]
fn what_is_packed_is_unpacked_within_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let pack = |file: &str, header: &[u32], rest: &[u8]| {
        let mut bytes: Vec<u8> = header.iter().flat_map(|it| it.to_be_bytes()).collect();
        bytes.extend(rest);
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(&bytes).unwrap();
        let packed = writer.finish().unwrap();
        fs::write(folder.path().join(file), &packed).unwrap();
        packed
    };
    let (name, pixels) = ("train-images-idx3-ubyte.gz", vec![7; 2 * 3 * 5]);
    let whole = pack(name, &[0x0803, 2, 3, 5], &pixels);
    let source = open(folder.path(), name, None).unwrap();
    assert_eq!(all(source.as_ref())[1].1.to_luma8().into_raw(), [7; 15]);
    let said = |error: gimlet::Error| format!("{error} {}", error.hint_text().unwrap_or_default());
    let read =
        || open(folder.path(), name, None).and_then(|it| it.read(&[0])).map(drop).map_err(said);
    for (count, told) in [(1, "has 31 bytes and has 32 or more"), (3, "has 61 bytes and has 46")] {
        pack(name, &[0x0803, count, 3, 5], &pixels);
        assert!(read().unwrap_err().contains(told), "{:?}", read());
    }
    pack(name, &[0x0803, u32::MAX, 3, 5], &pixels);
    assert!(read().unwrap_err().contains("gunzip"), "{:?}", read());
    for length in [1, 9, 20, whole.len() - 1] {
        fs::write(folder.path().join(name), &whole[..length]).unwrap();
        assert!(read().is_err(), "cut to {length} bytes");
    }
}
