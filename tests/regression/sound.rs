//! 30 to 39: sounds as files, and the labels of their hops.

use gimlet::source::sound;

use super::notes;
use super::sound_files::riff::Riff;
use super::sound_files::{flac, hum, scaled};
use super::tiny;

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
