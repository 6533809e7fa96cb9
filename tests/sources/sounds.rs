//! What a user can bring as sound, read through the public library.

use crate::parquet_file;
use crate::sound_files;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, Int8Array, Int64Array, ListBuilder, StringArray, StringBuilder,
    StructArray,
};
use arrow::array::{Int32Builder, Int64Builder};
use arrow::datatypes::{DataType, Field, Fields};
use gimlet::pipeline::settings::{self, Data, Files, Medium, OnBadSample, Split};
use gimlet::source::{self, BadSample, Columns, LabelSet, Length, NO_FRAME, Sample, Source, sound};
use sound_files::{Coding, flac, hum, scaled, wav};

/// Settings of sounds in `train` under `root`, without labels.
fn files(root: &Path, train: &str) -> Files {
    Files {
        train: vec![train.to_owned()],
        root: root.to_path_buf(),
        ..Files::of(Medium::Sound, "audio")
    }
}

/// The settings with these columns of labels.
fn labelled(files: Files, columns: &[&str]) -> Files {
    let mut columns = columns.iter().map(|it| it.to_string());
    Files { label: columns.next(), further: columns.collect(), ..files }
}

fn data(files: Files) -> Data {
    Data {
        source: settings::Source::Files(files),
        subset: None,
        test_subset: None,
        on_bad_sample: OnBadSample::Fail,
    }
}

fn open(files: &Files) -> gimlet::Result<Arc<dyn Source>> {
    source::open(&data(files.clone()), Split::Train, 0)
}

/// The message and the hint of opening what cannot be opened.
fn refused(files: &Files) -> String {
    match open(files) {
        Ok(source) => panic!("opened {} rows", source.rows()),
        Err(error) => format!("{error} hint: {}", error.hint_text().unwrap_or_default()),
    }
}

fn read(source: &dyn Source) -> Vec<Result<Sample, BadSample>> {
    source.read(&(0..source.rows()).collect::<Vec<_>>()).unwrap()
}

fn whole(source: &dyn Source) -> Vec<Sample> {
    read(source).into_iter().map(|it| it.unwrap()).collect()
}

/// The samples of a sound as 16-bit numbers, and its rate.
fn heard(sample: &Sample) -> (u32, Vec<i16>) {
    let sound = sample.media.sound().unwrap();
    let numbers = sound.samples.iter().map(|it| {
        let number = it * 32768.0;
        assert_eq!(number.fract(), 0.0, "{number}");
        number as i16
    });
    (sound.rate, numbers.collect())
}

fn labels(samples: &[Sample]) -> Vec<Option<i64>> {
    samples.iter().map(|it| it.label).collect()
}

fn put(root: &Path, file: &str, bytes: impl AsRef<[u8]>) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A WAV file of 16 bits and one channel.
fn mono(rate: u32, samples: &[i16]) -> Vec<u8> {
    wav(rate, 1, Coding::I16, &scaled(samples))
}

/// The column `audio` in the Hugging Face convention.
fn audio(sounds: &[(Option<Vec<u8>>, &str)]) -> ArrayRef {
    let bytes = BinaryArray::from_iter(sounds.iter().map(|it| it.0.as_deref()));
    let paths = StringArray::from_iter_values(sounds.iter().map(|it| it.1));
    let fields = Fields::from(vec![
        Field::new("bytes", DataType::Binary, true),
        Field::new("path", DataType::Utf8, true),
    ]);
    Arc::new(StructArray::new(fields, vec![Arc::new(bytes), Arc::new(paths)], None))
}

fn write(path: &Path, columns: Vec<(&str, ArrayRef)>, features: serde_json::Value) {
    parquet_file::write(path, columns, Some(features), 3);
}

/// Seven sounds, of which every other is FLAC; the first sample of each is its row.
fn seven() -> Vec<(Option<Vec<u8>>, &'static str)> {
    let paths = ["a.wav", "b.flac", "c.wav", "d.flac", "e.wav", "f.flac", "g.wav"];
    let sound = |row: usize| {
        let samples: Vec<i16> = [row as i16].into_iter().chain(hum(40 + row)).collect();
        if row.is_multiple_of(2) { mono(8_000, &samples) } else { flac(16_000, 1, &samples) }
    };
    paths.iter().enumerate().map(|(row, path)| (Some(sound(row)), *path)).collect()
}

#[test]
fn parquet_holds_sounds_with_several_labels_and_texts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.parquet");
    let digits = Int64Array::from_iter_values([2, 0, 1, 1, 2, 0, 0]);
    let speakers = StringArray::from(vec![
        Some("10"),
        Some("9"),
        Some("10"),
        None,
        Some("9"),
        Some("100"),
        Some("9"),
    ]);
    let takes = Int8Array::from_iter_values(0..7);
    let texts =
        StringArray::from(vec![Some("HELLO THERE"), None, None, None, None, None, Some("")]);
    write(
        &path,
        vec![
            ("audio", audio(&seven())),
            ("digit", Arc::new(digits)),
            ("speaker", Arc::new(speakers)),
            ("take", Arc::new(takes)),
            ("text", Arc::new(texts)),
        ],
        serde_json::json!({ "digit": { "names": ["zero", "one", "two"], "_type": "ClassLabel" } }),
    );
    let files = labelled(files(folder.path(), "*.parquet"), &["digit", "speaker", "take"]);
    let source = open(&files).unwrap();
    assert_eq!(source.label_names().unwrap(), ["zero", "one", "two"]);
    let names = ["9", "10", "100"].map(str::to_owned).to_vec();
    let sets = [
        LabelSet { name: "speaker".to_owned(), names: Some(names) },
        LabelSet { name: "take".to_owned(), names: None },
    ];
    assert_eq!(source.further_labels(), sets);

    let rows = [6, 0, 3, 3, 5];
    let samples: Vec<_> = source.read(&rows).unwrap().into_iter().map(|it| it.unwrap()).collect();
    for (sample, row) in samples.iter().zip(rows) {
        let (rate, heard) = heard(sample);
        assert_eq!(rate, if row % 2 == 0 { 8_000 } else { 16_000 });
        assert_eq!((heard[0], &heard[1..]), (row as i16, hum(40 + row).as_slice()));
        assert_eq!(sample.id, row as i64);
        assert_eq!(sample.further[1], Some(row as i64));
    }
    assert_eq!(labels(&samples), [0, 2, 1, 1, 0].map(Some));
    let speakers: Vec<_> = samples.iter().map(|it| it.further[0]).collect();
    assert_eq!(speakers, [Some(0), Some(1), None, None, Some(2)]);
    let texts: Vec<_> = samples.iter().map(|it| it.text.as_deref()).collect();
    assert_eq!(texts, [Some(""), Some("HELLO THERE"), None, None, None]);
    assert_eq!((samples[1].source.as_str(), samples[1].frames.as_ref()), ("a.wav", None));
    let length = |samples, rate| Some(Length { samples, rate });
    assert_eq!(
        source.lengths(&[6, 0, 1, 1]).unwrap(),
        [length(47, 8_000), length(41, 8_000), length(42, 16_000), length(42, 16_000)]
    );
    assert!(source.lengths(&[7]).is_err());
    assert_eq!(source.first_size().unwrap(), None);

    // The same file, otherwise.
    let one = open(&labelled(files.clone(), &["digit"])).unwrap();
    assert_ne!(one.identity().unwrap(), source.identity().unwrap());
    assert!(one.further_labels().is_empty());
    let none = open(&labelled(files.clone(), &[])).unwrap();
    assert_eq!((none.label_names(), labels(&whole(none.as_ref()))), (None, vec![None; 7]));
    assert!(refused(&labelled(files.clone(), &["digit", "name"])).contains("`name`"));
    let image = Files { medium: Medium::Image, ..files.clone() };
    let bad = read(open(&labelled(image, &["digit"])).unwrap().as_ref()).remove(0).unwrap_err();
    assert!(bad.reason.contains("it is a WAV sound, not an image"), "{bad}");
    let told = refused(&Files { column: "sound".to_owned(), ..files.clone() });
    assert!(told.contains("no sound column `sound`") && told.contains("data.audio"), "{told}");
    let told = refused(&Files { names: Some("{digit}".to_owned()), ..files });
    assert!(told.contains("`data.names` is not for this data"), "{told}");
}

#[test]
fn a_plain_binary_column_holds_sounds_too() {
    let folder = tempfile::tempdir().unwrap();
    let sounds = BinaryArray::from_iter_values([mono(8_000, &[5, -5]), flac(44_100, 1, &hum(9))]);
    let columns = vec![("audio", Arc::new(sounds) as ArrayRef)];
    write(&folder.path().join("a.parquet"), columns, serde_json::json!({}));
    let samples = whole(open(&files(folder.path(), "a.parquet")).unwrap().as_ref());
    assert_eq!(heard(&samples[0]), (8_000, vec![5, -5]));
    assert_eq!(heard(&samples[1]), (44_100, hum(9)));
    assert_eq!(samples[1].source, "row 1");
}

/// Lists of labels of hops, as 64-bit integers.
fn lists(rows: &[Option<&[Option<i64>]>]) -> ArrayRef {
    let mut builder = ListBuilder::new(Int64Builder::new());
    for row in rows {
        match row {
            Some(values) => builder.append_value(values.iter().copied()),
            None => builder.append_null(),
        }
    }
    Arc::new(builder.finish())
}

#[test]
fn parquet_holds_a_label_for_every_hop() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let long: Vec<Option<i64>> = (0..5_000).map(|i| Some(i % 255)).collect();
    let rows: [Option<&[Option<i64>]>; 7] = [
        Some(&[Some(3), None, Some(254)]),
        None,
        Some(&[]),
        Some(&long),
        Some(&[Some(1)]),
        Some(&long[..2]),
        Some(&[Some(0); 6]),
    ];
    let mut words = ListBuilder::new(StringBuilder::new());
    let mut narrow = ListBuilder::new(Int32Builder::new());
    for row in 0..7 {
        words.append_value(["10", "sil", "9"][..row % 4 % 3 + 1].iter().map(Some));
        narrow.append_value((0..row).map(|it| Some(it as i32 % 2)));
    }
    write(
        &path,
        vec![
            ("audio", audio(&seven())),
            ("phones", lists(&rows)),
            ("words", Arc::new(words.finish())),
            ("named", Arc::new(narrow.finish())),
        ],
        serde_json::json!({
            "named": { "feature": { "names": ["off", "on"], "_type": "ClassLabel" } },
        }),
    );
    let of = |column: &str| {
        let files = files(folder.path(), "a.parquet");
        open(&Files { frames: Some(column.to_owned()), ..files })
    };
    let source = of("phones").unwrap();
    assert_eq!(source.frame_names(), None);
    let found: Vec<_> = whole(source.as_ref()).into_iter().map(|it| it.frames).collect();
    assert_eq!(found[0], Some(vec![3, NO_FRAME, 254]));
    assert_eq!((&found[1], &found[2]), (&None, &Some(vec![])));
    assert_eq!(found[3], Some((0..5_000).map(|i| (i % 255) as u8).collect()));
    assert_eq!((&found[5], &found[6]), (&Some(vec![0, 1]), &Some(vec![0; 6])));
    let some: Vec<_> = source.read(&[6, 3, 4]).unwrap().into_iter().map(|it| it.unwrap()).collect();
    let some: Vec<_> = some.into_iter().map(|it| it.frames).collect();
    assert_eq!(some, [found[6].clone(), found[3].clone(), found[4].clone()]);

    let words = of("words").unwrap();
    assert_eq!(words.frame_names().unwrap(), ["9", "10", "sil"]);
    let found: Vec<_> = whole(words.as_ref()).into_iter().map(|it| it.frames.unwrap()).collect();
    assert_eq!(found[..4], [vec![1], vec![1, 2], vec![1, 2, 0], vec![1]]);
    assert_ne!(words.identity().unwrap(), source.identity().unwrap());
    assert_eq!(of("named").unwrap().frame_names().unwrap(), ["off", "on"]);

    let refused = |column: &str| of(column).err().unwrap().to_string();
    assert!(refused("none").contains("`none`"));
    assert!(refused("audio").contains("not lists"));
    for label in [255, -1, -2] {
        write(
            &path,
            vec![("audio", audio(&seven()[..1])), ("phones", lists(&[Some(&[Some(label)])]))],
            serde_json::json!({}),
        );
        match of("phones").unwrap().read(&[0]) {
            Ok(samples) => {
                let frames = samples[0].as_ref().unwrap().frames.clone();
                assert_eq!((label, frames), (-1, Some(vec![NO_FRAME])), "-1 is no label");
            }
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains(&format!("label {label} of a hop")), "{error}");
            }
        }
    }
    let mut many = ListBuilder::new(StringBuilder::new());
    many.append_value((0..300).map(|it| Some(it.to_string())));
    let columns = vec![("audio", audio(&seven()[..1])), ("phones", Arc::new(many.finish()) as _)];
    write(&path, columns, serde_json::json!({}));
    assert!(refused("phones").contains("more than 255 classes"));
}

#[test]
fn every_coding_of_wav_and_flac_gives_the_same_samples() {
    let folder = tempfile::tempdir().unwrap();
    let numbers = hum(3_000);
    // What eight bits can hold.
    let coarse: Vec<i16> = numbers.iter().map(|it| it & !0xff).collect();
    for coding in [Coding::U8, Coding::I16, Coding::I24, Coding::I32, Coding::F32] {
        let samples = if coding == Coding::U8 { &coarse } else { &numbers };
        for (channels, rate) in [(1, 8_000), (2, 44_100), (3, 96_000)] {
            // Channels that have the numbers as their mean.
            let parts = [[0.0, 0.0, 0.0], [0.125, -0.125, 0.0], [0.125, 0.0, -0.125]];
            let shifts = parts[channels as usize - 1];
            let interleaved: Vec<f32> = scaled(samples)
                .iter()
                .flat_map(|value| shifts[..channels as usize].iter().map(move |it| value + it))
                .collect();
            let bytes = wav(rate, channels, coding, &interleaved);
            let decoded = sound::decode(&bytes).unwrap();
            assert_eq!((decoded.rate, decoded.samples.len()), (rate, samples.len()));
            let apart = decoded.samples.iter().zip(scaled(samples)).map(|(a, b)| (a - b).abs());
            assert!(apart.fold(0.0, f32::max) < 1e-6, "{coding:?} {channels}");
            let expected = Some(Length { samples: samples.len() as u64, rate });
            assert_eq!(sound::length(&bytes), expected);
            put(folder.path(), "a.wav", &bytes);
            let file = || File::open(folder.path().join("a.wav")).unwrap();
            assert_eq!(sound::decode_file(file()).unwrap(), decoded);
            assert_eq!(sound::length_of_file(file()), expected);
        }
    }
    for (channels, rate) in [(1, 16_000), (2, 48_000)] {
        let interleaved: Vec<i16> =
            numbers.iter().flat_map(|it| [it + 100, it - 100][2 - channels..].to_vec()).collect();
        let bytes = flac(rate, channels, &interleaved);
        let decoded = sound::decode(&bytes).unwrap();
        let shift = if channels == 1 { -100.0 / 32768.0 } else { 0.0 };
        let expected: Vec<f32> = scaled(&numbers).iter().map(|it| it + shift).collect();
        assert_eq!((decoded.rate, decoded.samples), (rate, expected));
        let expected = Some(Length { samples: numbers.len() as u64, rate });
        assert_eq!(sound::length(&bytes), expected);
    }
    // As most programs write 24 bits: with a longer chunk of the format.
    let mut extensible = wav(8_000, 1, Coding::I24, &scaled(&numbers));
    extensible[4] += 24;
    extensible[16] = 40;
    extensible[20..22].copy_from_slice(&[0xfe, 0xff]);
    let pcm = [1, 0, 0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];
    extensible.splice(36..36, [&[22, 0, 24, 0, 4, 0, 0, 0][..], &pcm].concat());
    assert_eq!(sound::decode(&extensible).unwrap().samples, scaled(&numbers));
    let loud = sound::decode(&wav(8_000, 1, Coding::F32, &[1.5, -1.75, 0.5])).unwrap();
    assert_eq!(loud.samples, [1.0, -1.0, 0.5]);
    let one = sound::decode(&flac(8_000, 1, &[77])).map(|it| it.samples.len());
    assert_eq!(one, Ok(1), "a single sample");
}

/// Why bytes are no sound.
fn reason(bytes: &[u8]) -> String {
    sound::decode(bytes).unwrap_err()
}

#[test]
fn a_bad_sound_says_why() {
    let whole = mono(8_000, &hum(1_000));
    assert_eq!(reason(&whole[..44 + 700]), "cut off: 350 of 1000 samples");
    assert_eq!(reason(&whole[..44 + 701]), "cut off: 350 of 1000 samples");
    assert_eq!(reason(&whole[..44]), "cut off: 0 of 1000 samples");
    assert_eq!(sound::length(&whole[..44 + 700]), Some(Length { samples: 1_000, rate: 8_000 }));
    for length in 0..44 {
        let reason = reason(&whole[..length]);
        assert!(reason.contains("cut off") || reason.contains("no bytes"), "{length}: {reason}");
        assert_eq!(sound::length(&whole[..length]), None);
    }
    let flac_file = flac(16_000, 1, &hum(20_000));
    for length in (0..flac_file.len()).step_by(61) {
        let reason = reason(&flac_file[..length]);
        let told = reason.contains("cut off") || length < 4 && reason.contains("no bytes");
        assert!(told, "{length}: {reason}");
    }
    let most = &flac_file[..flac_file.len() * 9 / 10];
    assert!(reason(most).ends_with("of 20000 samples"), "{}", reason(most));
    let mut damaged = flac_file.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 9].fill(0x5a);
    let told = reason(&damaged);
    assert!(told.contains("damaged"), "{told}");
    // The checksum of all samples lies at the end of the header.
    let mut other = flac_file.clone();
    other[4 + 4 + 20] ^= 1;
    assert!(reason(&other).contains("checksum"), "{}", reason(&other));

    assert_eq!(reason(&mono(8_000, &[])), "it has no sample");
    assert!(reason(b"").starts_with("the sound has no bytes, or next to none"));
    assert!(reason(b"ID3\x04 a song").contains("cut off in the tag"));
    assert!(reason(&[0; 4_000]).contains("only zeros"));
    for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let told = reason(&wav(8_000, 2, Coding::F32, &[0.0, 0.0, 0.1, wrong]));
        assert_eq!(told, "sample 1 is not finite");
    }
    let told = reason(&mono(0, &[1, 2]));
    assert!(told.contains("0 samples a second"), "{told}");
    let told = reason(&mono(u32::MAX, &[1, 2]));
    assert!(told.contains("samples a second"), "{told}");
    // mu-law may be read, MP3 in a WAV file may not.
    let mut compressed = whole.clone();
    compressed[20] = 0x55;
    assert!(sound::decode(&compressed).is_err());
}

#[test]
fn bad_sounds_are_told_with_their_place_and_the_others_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let whole = mono(8_000, &hum(100));
    let sounds = [
        (Some(whole.clone()), "a.wav"),
        (Some(whole[..100].to_vec()), "b.wav"),
        (None, "c.wav"),
        (Some(b"text".to_vec()), "d.wav"),
    ];
    write(&folder.path().join("a.parquet"), vec![("audio", audio(&sounds))], serde_json::json!({}));
    let source = open(&files(folder.path(), "a.parquet")).unwrap();
    let found = read(source.as_ref());
    assert_eq!(heard(found[0].as_ref().unwrap()).1, hum(100));
    let told = |row: usize| found[row].as_ref().unwrap_err().to_string();
    let file = folder.path().join("a.parquet").display().to_string();
    assert_eq!(told(1), format!("row 1 of `{file}` (b.wav): cut off: 28 of 100 samples"));
    assert!(told(2).contains("only a path is there, `c.wav`"), "{}", told(2));
    assert!(told(3).contains("it is text (`text`)"), "{}", told(3));
    let lengths = source.lengths(&[0, 2, 3]).unwrap();
    assert_eq!(lengths, [Some(Length { samples: 100, rate: 8_000 }), None, None]);

    put(folder.path(), "train/a.wav", &whole[..100]);
    put(folder.path(), "train/b.wav", &whole);
    let source = open(&files(folder.path(), "train")).unwrap();
    let found = read(source.as_ref());
    let file = folder.path().join("train/a.wav").display().to_string();
    let told = found[0].as_ref().unwrap_err().to_string();
    assert_eq!(told, format!("`{file}`: cut off: 28 of 100 samples"));
    assert!(found[1].is_ok());
}

#[test]
fn folders_name_classes_and_nest_as_they_like() {
    let folder = tempfile::tempdir().unwrap();
    for (file, number) in
        [("10/x/a.wav", 1), ("9/b.FLAC", 2), ("9/a.wav", 3), ("103/deep/er/c.flac", 4)]
    {
        let sound = if file.ends_with("wav") {
            mono(8_000, &[number])
        } else {
            flac(8_000, 1, &[number; 20])
        };
        put(folder.path(), &format!("train/{file}"), sound);
    }
    put(folder.path(), "train/9/notes.txt", "no sound");
    put(folder.path(), "train/9/cover.png", "no sound");
    put(folder.path(), "train/.cache/x.wav", "no sound");
    let settings = labelled(files(folder.path(), "train"), &["label"]);
    let source = open(&settings).unwrap();
    assert_eq!(source.label_names().unwrap(), ["9", "10", "103"]);
    let samples = whole(source.as_ref());
    let names: Vec<_> = samples.iter().map(|it| it.source.as_str()).collect();
    assert_eq!(names, ["10/x/a.wav", "103/deep/er/c.flac", "9/a.wav", "9/b.FLAC"]);
    assert_eq!(labels(&samples), [1, 2, 0, 0].map(Some));
    let length = |samples| Some(Length { samples, rate: 8_000 });
    assert_eq!(source.lengths(&[1, 2]).unwrap(), [length(20), length(1)]);
    let identity = source.identity().unwrap();
    assert!(!identity.to_string().contains(&*folder.path().to_string_lossy()));

    let told = refused(&labelled(files(folder.path(), "train"), &["label", "speaker"]));
    assert!(told.contains("one label") && told.contains("data.names"), "{told}");
    put(folder.path(), "train/loose.wav", mono(8_000, &[1]));
    let told = refused(&settings);
    assert!(told.contains("lies in no class folder") && told.contains("data.names"), "{told}");
    let unlabelled = open(&files(folder.path(), "train")).unwrap();
    assert_eq!((unlabelled.rows(), unlabelled.label_names()), (5, None));
    // Files by themselves.
    let some = open(&files(folder.path(), "train/9/?.[wF]*")).unwrap();
    let names: Vec<_> = whole(some.as_ref()).into_iter().map(|it| it.source).collect();
    assert_eq!(names, ["a.wav", "b.FLAC"]);
    assert!(refused(&files(folder.path(), "train/9/*")).contains("2 files of sounds and 2 others"));
    fs::create_dir(folder.path().join("hollow")).unwrap();
    let told = refused(&files(folder.path(), "hollow"));
    assert!(told.contains("no sound under") && told.contains(".wav, .flac"), "{told}");
    let told =
        refused(&Files { frames: Some("phones".to_owned()), ..files(folder.path(), "train") });
    assert!(told.contains("`data.frames` is not for this data"), "{told}");
}

#[test]
fn names_of_files_tell_labels() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["7_theo_0", "10_ann_1", "7_ann_12"] {
        put(folder.path(), &format!("recordings/{name}.wav"), mono(8_000, &[1]));
    }
    let settings = |train: &str, names: &str, columns: &[&str]| Files {
        names: Some(names.to_owned()),
        ..labelled(files(folder.path(), train), columns)
    };
    let pattern = "{digit}_{speaker}_{index}";
    let source = open(&settings("recordings", pattern, &["speaker", "digit"])).unwrap();
    assert_eq!(source.label_names().unwrap(), ["ann", "theo"]);
    let [digits] = source.further_labels() else { panic!("not one further label") };
    let names = ["7", "10"].map(str::to_owned).to_vec();
    assert_eq!(*digits, LabelSet { name: "digit".to_owned(), names: Some(names) });
    let samples = whole(source.as_ref());
    assert_eq!(labels(&samples), [0, 0, 1].map(Some));
    let digits: Vec<_> = samples.iter().map(|it| it.further.clone()).collect();
    assert_eq!(digits, [[Some(1)], [Some(0)], [Some(0)]]);
    let some = open(&settings("recordings/*_ann_*.wav", pattern, &["speaker"])).unwrap();
    assert_eq!((some.rows(), some.label_names().unwrap().len()), (2, 1));
    let both = Files {
        test: vec!["recordings/*_ann_*.wav".to_owned()],
        ..settings("recordings", pattern, &["speaker", "digit"])
    };
    let both = source::open_splits(&data(both), 0).unwrap();
    assert_eq!(both.sources.test.label_names().unwrap(), ["ann", "theo"]);
    assert_eq!(both.sources.test.further_labels(), both.sources.train.further_labels());

    put(folder.path(), "recordings/readme.wav", mono(8_000, &[1]));
    let told = refused(&settings("recordings", pattern, &["digit"]));
    assert!(told.contains("readme.wav` is not as `data.names` says"), "{told}");
    let told = refused(&settings("recordings/?_*", pattern, &["take"]));
    assert!(told.contains("no field `take`"), "{told}");
}

#[test]
fn the_tree_of_librispeech_has_speakers_texts_and_phones() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["84/121123/84-121123-0000", "84/121123/84-121123-0001", "7/9/7-9-0000"] {
        put(folder.path(), &format!("train/{name}.flac"), flac(16_000, 1, &hum(400)));
    }
    put(
        folder.path(),
        "train/84/121123/84-121123.trans.txt",
        "84-121123-0000 GO ON\n84-121123-0009 X\n",
    );
    put(folder.path(), "train/7/9/7-9.trans.txt", "7-9-0000 YES\r\n\n");
    put(folder.path(), "phones.txt", "7-9-0000 0 0 40\n\n84-121123-0001 1\n0-0-0 9 9\n");
    let settings = Files {
        names: Some("{speaker}-{chapter}-{utterance}".to_owned()),
        alignments: Some(vec!["phones.txt".to_owned()]),
        ..labelled(files(folder.path(), "train"), &["speaker"])
    };
    let source = open(&settings).unwrap();
    assert_eq!(source.label_names().unwrap(), ["7", "84"]);
    assert_eq!(source.frame_names(), None);
    let samples = whole(source.as_ref());
    assert_eq!(labels(&samples), [0, 1, 1].map(Some));
    let texts: Vec<_> = samples.iter().map(|it| it.text.as_deref()).collect();
    assert_eq!(texts, [Some("YES"), Some("GO ON"), None]);
    let frames: Vec<_> = samples.iter().map(|it| it.frames.clone()).collect();
    assert_eq!(frames, [Some(vec![0, 0, 40]), None, Some(vec![1])]);

    let identity = source.identity().unwrap();
    put(folder.path(), "train/7/9/7-9.trans.txt", "7-9-0000 NO\n");
    let other = open(&settings).unwrap().identity().unwrap();
    assert_ne!(other, identity);
    put(folder.path(), "phones.txt", "7-9-0000 0 0 41\n");
    assert_ne!(open(&settings).unwrap().identity().unwrap(), other);
    for (text, told) in [
        ("7-9-0000 0 255\n", "line 1: the label `255` is no number from 0 to 254"),
        ("a 0\nb x\n", "line 2: the label `x`"),
        ("a 0\n\na 1", "line 3: `a` comes a second time"),
    ] {
        put(folder.path(), "phones.txt", text);
        assert!(refused(&settings).contains(told), "{}", refused(&settings));
    }
    fs::remove_file(folder.path().join("phones.txt")).unwrap();
    assert!(refused(&settings).contains("data.alignments"));
}

#[test]
fn parquet_has_its_phones_in_text_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    write(&path, vec![("audio", audio(&seven()))], serde_json::json!({}));
    put(folder.path(), "phones/1.txt", "a 1 2 3\n");
    put(folder.path(), "phones/2.txt", "f 4\n");
    let settings = Files {
        alignments: Some(vec!["phones/*.txt".to_owned()]),
        ..files(folder.path(), "a.parquet")
    };
    let frames: Vec<_> =
        whole(open(&settings).unwrap().as_ref()).into_iter().map(|it| it.frames).collect();
    assert_eq!((&frames[0], &frames[1], &frames[5]), (&Some(vec![1, 2, 3]), &None, &Some(vec![4])));
    assert_ne!(
        open(&settings).unwrap().identity().unwrap(),
        open(&files(folder.path(), "a.parquet")).unwrap().identity().unwrap()
    );
}

#[test]
fn a_csv_file_has_labels() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["train/a.wav", "train/sub/b.wav", "train/c.wav", "test/a.wav"] {
        put(folder.path(), file, mono(8_000, &[1]));
    }
    let settings = |columns: &[&str]| Files {
        labels: Some("metadata.csv".to_owned()),
        ..labelled(files(folder.path(), "train"), columns)
    };
    assert!(refused(&settings(&["word"])).contains("data.labels"));
    // In the root, for both splits, whose classes are all that files have.
    put(
        folder.path(),
        "metadata.csv",
        "word,file_name,age\nyes,train/a.wav,30\n\"no, no\",./train/sub/b.wav,\nperhaps,test/a.wav,4\n\
         never,other/a.wav,9\n",
    );
    let both = |columns: &[&str]| {
        let files = Files { test: vec!["test".to_owned()], ..settings(columns) };
        source::open_splits(&data(files), 0)
    };
    let splits = both(&["word", "age"]).unwrap();
    let [source, test] = [splits.sources.train, splits.sources.test];
    assert_eq!(source.label_names().unwrap(), ["no, no", "perhaps", "yes"]);
    assert_eq!(source.further_labels()[0].names.as_ref().unwrap(), &["4", "30"]);
    let samples = whole(source.as_ref());
    let found: Vec<_> = samples.iter().map(|it| (it.label, it.further[0])).collect();
    assert_eq!(found, [(Some(2), Some(1)), (None, None), (Some(0), None)]);
    assert_eq!(test.label_names(), source.label_names());
    assert_eq!(labels(&whole(test.as_ref())), [Some(1)]);
    let [files, lines, ..] = splits.warnings.as_slice() else { panic!("{:?}", splits.warnings) };
    assert!(files.contains("1 of 3 sounds of the train split have no line"), "{files}");
    assert!(files.ends_with("train/c.wav`"), "{files}");
    assert!(lines.contains("line 5 of") && lines.contains("`other/a.wav`"), "{lines}");
    // A label that changes.
    let identity = source.identity().unwrap();
    put(folder.path(), "metadata.csv", "file_name,word,age\ntrain/a.wav,no,4\n");
    assert_ne!(both(&["word", "age"]).unwrap().sources.train.identity().unwrap(), identity);
    let told = refused(&settings(&["name"]));
    assert!(told.contains("no column `name`") && told.contains("`word`"), "{told}");
    put(folder.path(), "metadata.csv", "file_name,word\na.wav,no\n");
    let told = both(&["word"]).err().unwrap().to_string();
    assert!(told.contains("no label for any of 1 sound") && told.contains("/a.wav`"), "{told}");
    put(folder.path(), "metadata.csv", "file_name,word\ntrain/a.wav,no\ntrain//a.wav,yes\n");
    assert!(refused(&settings(&["word"])).contains("a second line"));
    put(folder.path(), "metadata.csv", "file_name,word\ntrain/a.wav,no,yes\n");
    assert!(refused(&settings(&["word"])).contains("not a CSV file"));
    fs::remove_file(folder.path().join("metadata.csv")).unwrap();
    // In the folder of the split.
    put(
        folder.path(),
        "train/metadata.csv",
        "\u{feff}file_name,word\r\na.wav,10\r\nsub/b.wav,9\r\nc.wav,10\r\n",
    );
    let source = open(&settings(&["word"])).unwrap();
    assert_eq!(labels(&whole(source.as_ref())), [1, 1, 0].map(Some));
}

#[test]
fn places_of_no_pipeline_hold_sounds() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "yes/a.wav", mono(8_000, &[1]));
    put(folder.path(), "no/b.flac", flac(8_000, 1, &hum(30)));
    let columns = |label: &str| Columns {
        medium: Medium::Sound,
        column: "audio".to_owned(),
        label: Some(label.to_owned()),
        is_named: false,
    };
    let place = folder.path().display().to_string();
    let open = |place: &str| {
        let (source, warning) = source::open_place(place, columns("label")).unwrap();
        assert_eq!(warning, None);
        source
    };
    let source = open(&place);
    assert_eq!(source.label_names().unwrap(), ["no", "yes"]);
    let loose = open(&format!("{place}/yes"));
    assert_eq!((loose.rows(), loose.label_names()), (1, None));
    let one = open(&format!("{place}/*/*.flac"));
    assert_eq!((one.rows(), one.label_names()), (1, None));
    let path = folder.path().join("a.parquet");
    write(&path, vec![("audio", audio(&seven()))], serde_json::json!({}));
    let source = open(&path.display().to_string());
    assert_eq!((source.rows(), source.label_names()), (7, None));
}

#[test]
fn images_are_what_they_were() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "train/cat/a.png", "no image");
    put(folder.path(), "train/cat/a.wav", "no image");
    let images = Files {
        medium: Medium::Image,
        ..labelled(self::files(folder.path(), "train"), &["label"])
    };
    let source = open(&images).unwrap();
    assert_eq!(source.rows(), 1);
    let identity = source.identity().unwrap();
    let keys: Vec<_> = identity.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["classes", "files", "kind"]);
    assert!(source.lengths(&[0]).unwrap_err().to_string().contains("only sounds"));
    // Several labels of images, which lie in columns.
    let path = folder.path().join("a.parquet");
    let images = BinaryArray::from_iter_values([b"one", b"two"]);
    let kinds: ArrayRef = Arc::new(StringArray::from(vec!["b", "a"]));
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![4, 5]));
    let columns = vec![("image", Arc::new(images) as ArrayRef), ("kind", kinds), ("n", numbers)];
    write(&path, columns, serde_json::json!({}));
    let files = Files {
        train: vec!["a.parquet".to_owned()],
        root: folder.path().to_path_buf(),
        ..Files::of(Medium::Image, "image")
    };
    let source = open(&labelled(files, &["kind", "n"])).unwrap();
    assert_eq!(source.further_labels()[0].name, "n");
    assert!(source.lengths(&[0]).is_err());
}

/// A folder of real data; `None`, and a word about it, when it is not there.
fn shared(folder: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(folder);
    if !folder.is_dir() {
        // Past the test harness, which swallows what a test prints that passes.
        let skipped = format!("skipped: {} is not there\n", folder.display());
        std::io::stderr().write_all(skipped.as_bytes()).unwrap();
        return None;
    }
    Some(folder)
}

#[test]
fn spoken_digits_read_whole() {
    let Some(folder) = shared("fsdd") else { return };
    let settings = labelled(files(&folder, "test-*.parquet"), &["digit", "speaker"]);
    let source = open(&settings).unwrap();
    assert_eq!(source.rows(), 300);
    let mut counts = [[0; 6]; 10];
    let rows: Vec<usize> = (0..300).collect();
    let lengths = source.lengths(&rows).unwrap();
    for (sample, length) in whole(source.as_ref()).into_iter().zip(lengths) {
        let (rate, heard) = heard(&sample);
        assert_eq!(Some(Length { samples: heard.len() as u64, rate }), length);
        assert_eq!(rate, 8_000);
        counts[sample.label.unwrap() as usize][sample.further[0].unwrap() as usize] += 1;
    }
    assert_eq!(counts, [[5; 6]; 10]);
}

#[test]
fn read_speech_reads_whole() {
    let Some(folder) = shared("librispeech_other10") else { return };
    let settings = labelled(files(&folder, "t*.parquet"), &["speaker", "gender"]);
    let source = open(&settings).unwrap();
    assert_eq!((source.rows(), source.label_names().unwrap().len()), (100, 10));
    let rows: Vec<usize> = (0..100).collect();
    let lengths = source.lengths(&rows).unwrap();
    let mut hours = 0.0;
    for (sample, length) in whole(source.as_ref()).into_iter().zip(lengths) {
        let (rate, heard) = heard(&sample);
        assert_eq!(Some(Length { samples: heard.len() as u64, rate }), length);
        hours += heard.len() as f64 / f64::from(rate) / 3600.0;
        assert!(sample.text.unwrap().contains(' '));
    }
    assert!((hours - 0.2129).abs() < 1e-3, "{hours} hours");
}
