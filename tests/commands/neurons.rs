//! What excites a neuron: the same as a plain scan of the stored vectors finds, in the terminal, in files and
//! on the page.

use crate::notes;
use crate::sound_files;
use crate::tiny;
use gimlet::report::sound::wav;
use gimlet_store::Store;
use serde_json::Value;
use sound_files::save;
use tiny::{PIPELINE, Tiny};

/// The pooled vectors of a dataset `[rows, positions, channels]`, its ids, positions and channels.
fn stored(tiny: &Tiny, dataset: &str) -> (Vec<f32>, Vec<i64>, usize, usize) {
    let generation = Store::new().dataset(tiny.path(dataset)).newest().unwrap().unwrap();
    let shape = generation.manifest().schema.column("pooled").unwrap().shape.clone();
    let reader = generation.reader(&["pooled"]).unwrap();
    let rows: Vec<u64> = (0..reader.rows()).collect();
    let mut values = vec![0.0; rows.len() * shape.iter().product::<usize>()];
    reader.read_f32("pooled", &rows, &mut values).unwrap();
    (values, reader.keys().unwrap().ids, shape[0] * shape[1], shape[2])
}

/// Of a channel: the value, the id of the sample and the position of its highest value in each sample, the
/// highest first.
fn scan(stored: &(Vec<f32>, Vec<i64>, usize, usize), channel: usize) -> Vec<(f32, i64, usize)> {
    let (values, ids, positions, channels) = stored;
    let mut all = Vec::new();
    for (row, id) in ids.iter().enumerate() {
        let value = |position: usize| values[(row * positions + position) * channels + channel];
        let best = (0..*positions).max_by(|a, b| value(*a).total_cmp(&value(*b))).unwrap();
        all.push((value(best), *id, best));
    }
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    all
}

fn hits(channel: &Value, place: &str) -> Vec<(f32, i64, usize)> {
    let hit = |hit: &Value| {
        let index = hit[place]["index"].as_u64().unwrap() as usize;
        (hit["value"].as_f64().unwrap() as f32, hit["id"].as_i64().unwrap(), index)
    };
    channel["hits"].as_array().unwrap().iter().map(hit).collect()
}

/// A page without the files in it, whose base64 may say anything.
fn prose(page: &str) -> String {
    let in_base64 = |it: char| it.is_ascii_alphanumeric() || "+/=".contains(it);
    page.split(|it| !in_base64(it)).filter(|word| word.len() < 80).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_patches_that_excite_a_channel_are_those_of_a_plain_scan() {
    let tiny = Tiny::new();
    tiny.ok("run", &["--quiet"]);
    for (module, split) in [("a", "test"), ("b", "train")] {
        let found =
            tiny.json("neurons", &[module, "--channels", "3,0", "--count", "7", "--split", split]);
        let stored = stored(&tiny, &format!("runs/tiny/datasets/{module}/{split}"));
        let (values, _, positions, channels) = &stored;
        for (found, channel) in found["channels"].as_array().unwrap().iter().zip([3, 0]) {
            assert_eq!(found["channel"], channel);
            assert_eq!(hits(found, "patch"), scan(&stored, channel)[..7]);
            let of: Vec<f64> = values.chunks(*channels).map(|it| f64::from(it[channel])).collect();
            let mean = of.iter().sum::<f64>() / of.len() as f64;
            let std =
                (of.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / of.len() as f64).sqrt();
            assert!((found["mean"].as_f64().unwrap() - mean).abs() < 1e-6);
            assert!((found["std"].as_f64().unwrap() - std).abs() < 1e-6);
            for hit in found["hits"].as_array().unwrap() {
                let patch = &hit["patch"];
                let index = patch["index"].as_u64().unwrap();
                assert!(index < *positions as u64);
                assert_eq!(patch["row"].as_u64().unwrap(), index / 3);
                assert_eq!(patch["column"].as_u64().unwrap(), index % 3);
                assert_eq!(patch["top"].as_u64().unwrap(), index / 3 * 4);
                assert_eq!(patch["side"], 8);
                if split == "test" {
                    assert_eq!(patch["left"].as_u64().unwrap(), index % 3 * 4);
                }
            }
        }
    }
}

#[test]
fn channels_that_vary_most_come_first_and_a_table_and_a_picture_show_them() {
    let tiny = Tiny::new();
    tiny.ok("run", &["--quiet"]);
    let found = tiny.json("neurons", &["b", "--count", "3"]);
    let std = |it: &Value| it["std"].as_f64().unwrap();
    let all: Vec<f64> = found["channels"].as_array().unwrap().iter().map(std).collect();
    assert_eq!(all.len(), 6);
    assert!(all.windows(2).all(|it| it[0] >= it[1]), "{all:?}");

    let (out, err) = tiny.ok("neurons", &["b", "--count", "3", "--png", "sheet.png"]);
    assert_eq!(out.matches("rank").count(), 6, "{out}");
    assert!(out.contains("row, column") && out.contains("standard deviation"), "{out}");
    assert!(err.contains("wrote sheet.png"), "{err}");
    let sheet = image::open(tiny.path("sheet.png")).unwrap();
    // Six rows of three parts, each a patch over its image.
    assert_eq!((sheet.width(), sheet.height()), (3 * (96 + 6) + 6, 6 * (2 * 96 + 2 + 6) + 6));
}

#[test]
fn what_is_not_there_is_named() {
    let tiny = Tiny::new();
    let err = tiny.fails(5, "neurons", &["a"]);
    assert!(err.contains("run `gimlet run`"), "{err}");
    tiny.ok("ingest", &["--quiet"]);
    let err = tiny.fails(5, "neurons", &["a"]);
    assert!(err.contains("gimlet run tiny.toml"), "{err}");
    tiny.ok("run", &["--quiet"]);
    let err = tiny.fails(2, "neurons", &["z"]);
    assert!(err.contains("its modules are a, b"), "{err}");
    let err = tiny.fails(2, "neurons", &["a", "--channels", "1,4"]);
    assert!(err.contains("no channel 4") && err.contains("0 to 3"), "{err}");
    let err = tiny.fails(2, "neurons", &["a", "--split", "tset"]);
    assert!(err.contains("train and test"), "{err}");
    let err = tiny.fails(2, "neurons", &["a", "--wav", "out"]);
    assert!(err.contains("no recordings"), "{err}");
    assert!(!tiny.path("out").exists());
    let none = tiny.json("neurons", &["a", "--count", "0"]);
    assert!(none["channels"][0]["hits"].as_array().unwrap().is_empty());
}

#[test]
fn a_page_shows_what_there_is_and_says_how_to_get_the_rest() {
    let tiny = Tiny::new();
    tiny.ok("ingest", &["--quiet"]);
    let page = |args: &[&str]| {
        tiny.ok("report", args);
        std::fs::read_to_string(tiny.path("runs/tiny/report/index.html")).unwrap()
    };
    let text = page(&[]);
    assert!(text.contains("Not here yet") && text.contains("gimlet run tiny.toml"), "{text}");
    assert!(!text.contains("class=\"part\""));
    tiny.ok("run", &["--quiet"]);
    let text = page(&["--channels", "1,3,99"]);
    assert!(text.contains("Channel 1 ") && text.contains("Channel 3 "));
    assert!(!text.contains("Channel 0 ") && !text.contains("Channel 99 "));
    // Two modules of two channels with eight parts each, then of five queries and seven parts.
    assert_eq!(text.matches("class=\"part\"").count(), 2 * 2 * 8 + 2 * 5 * (1 + 7));
    assert_eq!(text.matches("<canvas data-map").count(), 2);
    let err = tiny.fails(2, "report", &["--channels", "98,99"]);
    assert!(err.contains("module `b` has no channel 98") && err.contains("0 to 7"), "{err}");
    assert!(!prose(&text).contains("NaN") && !text.contains("src=\"http"));
}

#[test]
fn one_channel_few_samples_and_no_labels_make_a_page() {
    let one = PIPELINE.replace("channels = 4 }", "channels = 1 }");
    let one =
        one.replace("channels = 4,", "channels = 1,").replace("channels = 8,", "channels = 1,");
    let tiny = Tiny::with(&one.replace("test = 24", "test = 2"));
    tiny.ok("run", &["--quiet"]);
    tiny.ok("report", &[]);
    let text = std::fs::read_to_string(tiny.path("runs/tiny/report/index.html")).unwrap();
    assert!(text.contains("too few for t-SNE"), "{text}");
    assert!(!prose(&text).contains("NaN"));
}

#[test]
fn moments_of_recordings_can_be_heard_and_none_is_of_the_silence_behind_them() {
    let tiny = Tiny::with(notes::PIPELINE);
    let mut recordings = Vec::new();
    for (split, takes) in [("train", 0..4), ("test", 4..8)] {
        for take in takes {
            for (tone, voice) in (0..4).map(|it| (it % 2, it / 2)) {
                // Some are shorter than a window.
                let samples = 500 + 150 * take;
                let value =
                    |at: usize| (0.02 * (1 + tone + 3 * voice) as f32 * at as f32).sin() * 0.5;
                let recording: Vec<f32> = (0..samples).map(value).collect();
                save(&tiny.path(&format!("{split}/{tone}_v{voice}_{take}.wav")), 8000, &recording);
                recordings.push((split, recording));
            }
        }
    }
    tiny.ok("run", &["--quiet"]);
    for (module, positions) in [("a", 16), ("b", 16), ("context", 16)] {
        for split in ["train", "test"] {
            let args = [
                module, "--count", "9", "--split", split, "--wav", "heard", "--png", "seen.png",
                "--force",
            ];
            let found = tiny.json("neurons", &args);
            for channel in found["channels"].as_array().unwrap() {
                for hit in channel["hits"].as_array().unwrap() {
                    let moment = &hit["moment"];
                    assert!(moment["index"].as_u64().unwrap() < positions);
                    let samples = recording(&tiny, split, hit["id"].as_i64().unwrap()).len();
                    let [start, end] = ["start", "end"].map(|it| moment[it].as_f64().unwrap());
                    assert!(0.0 <= start && start < end, "{moment}");
                    assert!(end * 8000.0 <= samples as f64 + 1e-6, "{moment} of {samples}");
                }
            }
            // What was written is what was ingested, to 16 bits.
            let first = &found["channels"][0];
            let hit = &first["hits"][0];
            let (channel, id) = (&first["channel"], hit["id"].as_i64().unwrap());
            let file = tiny.path(&format!("heard/channel{channel}-01-{id}.wav"));
            let mut reader = hound::WavReader::open(file).unwrap();
            assert_eq!((reader.spec().sample_rate, reader.spec().channels), (8000, 1));
            let heard: Vec<i16> = reader.samples().map(Result::unwrap).collect();
            let ingested = recording(&tiny, split, id);
            assert_eq!(heard.len(), ingested.len(), "shorter than a second: heard whole");
            for (heard, value) in heard.iter().zip(ingested) {
                assert!((f32::from(*heard) / 32767.0 - value).abs() < 1.0 / 32767.0);
            }
            std::fs::remove_dir_all(tiny.path("heard")).unwrap();
        }
    }
    assert!(image::open(tiny.path("seen.png")).unwrap().width() > 192);
    let err = tiny.fails(2, "neurons", &["a", "--png", "seen.png"]);
    assert!(err.contains("`seen.png` is there already") && err.contains("--force"), "{err}");
    let (out, _) = tiny.ok("nearest", &["b", "--sample", "0", "--patch", "3"]);
    assert!(out.contains("seconds") && out.contains("similarity"), "{out}");
    tiny.ok("report", &[]);
    let text = std::fs::read_to_string(tiny.path("runs/tiny/report/index.html")).unwrap();
    assert!(
        text.contains("id=\"sounds-neurons\"")
            && text.contains("class=\"look sheet-neurons heard\"")
    );
    assert!(
        text.contains("A step sees 10 samples (1.2 ms)")
            || text.contains("A step sees 10 samples (1.3 ms)")
    );
    assert!(text.contains("through its recurrence"));
    assert!(!prose(&text).contains("NaN"));
}

/// The samples of an ingested recording.
fn recording(tiny: &Tiny, split: &str, id: i64) -> Vec<f32> {
    let dataset = tiny.path(&format!("runs/tiny/datasets/ingest/{split}"));
    let generation = Store::new().dataset(dataset).newest().unwrap().unwrap();
    let longest = generation.manifest().schema.column("sound").unwrap().shape[0];
    let reader = generation.reader(&["sound"]).unwrap();
    let keys = reader.keys().unwrap();
    let row = keys.ids.iter().position(|it| *it == id).unwrap();
    let mut values = vec![0.0; longest];
    reader.read_f32("sound", &[row as u64], &mut values).unwrap();
    values.truncate(keys.attributes[0][row] as usize);
    values
}

#[test]
fn a_wav_file_holds_what_was_written() {
    let samples = [0.0, 0.5, -0.5, 1.0, -1.0, 2.0, f32::NAN];
    let bytes = wav(&samples, 11025).unwrap();
    let mut reader = hound::WavReader::new(&bytes[..]).unwrap();
    let spec = reader.spec();
    assert_eq!((spec.channels, spec.sample_rate, spec.bits_per_sample), (1, 11025, 16));
    let read: Vec<i16> = reader.samples().map(Result::unwrap).collect();
    assert_eq!(read, [0, 16384, -16384, 32767, -32767, 32767, 0]);
}
