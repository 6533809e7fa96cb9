//! Faults that were found once, by number, so that they are not found again.

mod notes;
mod parquet_file;
mod sound_files;
mod tiny;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Int64Array};
use gimlet::source::sound;
use image::{GrayImage, Luma};
use serde_json::Value;
use sound_files::riff::Riff;
use sound_files::{flac, hum, scaled};
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
        riff.data = bytes(8);
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
