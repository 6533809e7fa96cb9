//! 10 to 19: images as files.

use std::io::{Cursor, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Int64Array};
use image::{DynamicImage, ImageFormat, RgbImage};

use super::jpeg_file::{self, Component};
use super::parquet_file;
use super::tiny::{PIPELINE, Tiny};

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
