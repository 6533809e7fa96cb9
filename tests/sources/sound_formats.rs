//! Sounds as programs write them: which are read, and which are refused by their names.

use gimlet::source::{Length, sound};

use crate::sound_files::lossy::{self, mp3, vorbis};
use crate::sound_files::ogg;
use crate::sound_files::riff::{Riff, chunk};
use crate::sound_files::{Coding, flac, hum, scaled, wav};

/// The samples as 16-bit numbers.
fn heard(bytes: &[u8]) -> Vec<i16> {
    let sound = sound::decode(bytes).unwrap();
    let length = Length { samples: sound.samples.len() as u64, rate: sound.rate };
    assert_eq!(sound::length(bytes), Some(length));
    sound.samples.iter().map(|it| (it * 32768.0) as i16).collect()
}

/// Why bytes are no sound.
fn reason(bytes: &[u8]) -> String {
    sound::decode(bytes).map(|it| it.samples.len()).unwrap_err()
}

fn told(bytes: &[u8], words: &[&str]) {
    let reason = reason(bytes);
    words.iter().for_each(|word| assert!(reason.contains(word), "{reason}"));
}

#[test]
fn chunks_around_the_samples_are_no_samples() {
    let samples = hum(1_001);
    let mut riff = Riff::of(&samples);
    riff.before = [chunk(b"LIST", b"INFOISFT\x05\0\0\0abcd\0\0"), chunk(b"odd ", b"abc")].concat();
    riff.behind = [chunk(b"LIST", b"INFOICMT\x02\0\0\0ab"), b"id3 ".to_vec()].concat();
    assert_eq!(heard(&riff.bytes()), samples);
    // An odd number of bytes, with and without what makes it even.
    let mut bytes = wav(8_000, 1, Coding::U8, &scaled(&hum(101)));
    let odd = heard(&bytes);
    assert_eq!(odd.len(), 101);
    bytes.extend([b'\0', b'L', b'I', b'S', b'T']);
    assert_eq!(heard(&bytes), odd);
    // A chunk of an odd size that was not made even.
    riff.before = b"LIST\x05\0\0\0INFOx".to_vec();
    assert_eq!(heard(&riff.bytes()), samples);
    // Samples that the header does not know of, as of a recorder that was switched off.
    let mut riff = Riff::of(&hum(9_000));
    riff.sizes = (Some(4_036), Some(4_000));
    told(
        &riff.bytes(),
        &["its header says 4000 bytes", "14000 that are no chunk", "-ignore_length"],
    );
    // Nothing, and something behind it.
    let mut empty = Riff::of(&[]);
    empty.behind = chunk(b"LIST", b"INFOICMT\x02\0\0\0ab");
    assert_eq!(reason(&empty.bytes()), "it has no sample");
    let bytes = Riff::of(&samples).bytes();
    let mut without = bytes[..36].to_vec();
    without[4..8].copy_from_slice(&28u32.to_le_bytes());
    told(&without, &["no `data` chunk"]);
    told(&[&bytes[..12], &bytes[36..]].concat(), &["no `fmt ` chunk"]);
}

#[test]
fn rf64_and_bw64_are_wav_with_longer_sizes() {
    let samples = hum(500);
    let riff = Riff::of(&samples);
    assert_eq!(heard(&riff.rf64(1_000)), samples);
    let mut bytes = riff.rf64(1_000);
    bytes[..4].copy_from_slice(b"BW64");
    assert_eq!(heard(&bytes), samples);
    let mut longer = riff.clone();
    longer.behind = chunk(b"LIST", b"INFOICMT\x02\0\0\0ab");
    assert_eq!(heard(&longer.rf64(1_000)), samples);
    // From a pipe.
    assert_eq!(heard(&riff.rf64(0)), samples);
    assert_eq!(heard(&riff.rf64(u64::MAX)), samples);
    assert_eq!(reason(&riff.rf64(1_200)), "cut off: 500 of 600 samples");
    told(&riff.rf64(1 << 40), &["it claims"]);
}

#[test]
fn fewer_bits_lie_at_the_high_end_of_their_bytes() {
    let samples = hum(400);
    // 20 in 24, 24 in 32, by an extensible header; 12 in 16 and 20 in 24, by a plain one.
    let wide = |bytes: usize| {
        let wide = samples.iter().map(|it| i32::from(*it) << 16);
        wide.flat_map(|it| it.to_le_bytes()[4 - bytes..].to_vec()).collect::<Vec<u8>>()
    };
    for (bits, valid) in [(24, 20), (32, 24), (32, 20)] {
        let mut riff = Riff::new(1, bits, wide(usize::from(bits / 8)));
        riff.valid = Some(valid);
        assert_eq!(heard(&riff.bytes()), samples);
    }
    assert_eq!(heard(&Riff::new(1, 20, wide(3)).bytes()), samples);
    let coarse: Vec<i16> = samples.iter().map(|it| it & !15).collect();
    let mut riff = Riff::of(&coarse);
    riff.bits = 12;
    assert_eq!(heard(&riff.bytes()), coarse);
    // At the low end they would be sixteen times too quiet.
    let low: Vec<i16> = samples.iter().map(|it| it >> 4).collect();
    let mut riff = Riff::of(&low);
    riff.bits = 12;
    told(&riff.bytes(), &["contradicts its samples", "12 bits", "high end"]);
    // All 16 used, whatever the header says: as libsndfile reads them.
    let mut riff = Riff::of(&samples);
    riff.bits = 12;
    assert_eq!(heard(&riff.bytes()), samples);
}

#[test]
fn headers_that_contradict_themselves_are_refused() {
    for (block, channels, bits) in
        [(4, 1, 16), (3, 1, 16), (0, 1, 16), (2, 2, 16), (2, 1, 24), (3, 2, 8)]
    {
        let mut riff = Riff::of(&hum(300));
        (riff.block, riff.channels, riff.bits) = (block, channels, bits);
        let block = format!("`block align` {block}");
        told(&riff.bytes(), &["contradicts itself", &block, "`bits per sample`", "`channels`"]);
    }
    let mut riff = Riff::float(&[0.5; 20]);
    riff.block = 8;
    told(&riff.bytes(), &["contradicts itself"]);
    for bits in [0, 4, 33, 64] {
        let mut riff = Riff::of(&hum(10));
        (riff.bits, riff.block) = (bits, 8);
        told(&riff.bytes(), &["`bits per sample`"]);
    }
    let mut riff = Riff::of(&hum(10));
    riff.channels = 0;
    told(&riff.bytes(), &["0 channels"]);
}

#[test]
fn telephone_codings_are_read_and_others_refused_by_name() {
    let all: Vec<u8> = (0..=255).collect();
    for (codec, first) in [(6, -5_504), (7, -32_124)] {
        let numbers = heard(&Riff::new(codec, 8, all.clone()).bytes());
        assert_eq!((numbers.len(), numbers[0]), (256, first));
        let turned: Vec<i16> = numbers[..128].iter().map(|it| -it).collect();
        assert_eq!(turned, numbers[128..]);
        let mut riff = Riff::new(codec, 8, all.clone());
        riff.valid = Some(8);
        assert_eq!(heard(&riff.bytes()), numbers);
    }
    for (codec, name) in [
        (2, "Microsoft ADPCM"),
        (0x11, "IMA ADPCM"),
        (0x31, "GSM"),
        (0x55, "MP3"),
        (0x1234, "0x1234"),
    ] {
        told(&Riff::new(codec, 16, vec![1; 64]).bytes(), &[name, "ffmpeg"]);
    }
}

#[test]
fn numbers_slightly_beyond_one_are_clipped_and_counted() {
    let loud = sound::decode(&Riff::float(&[0.5, 1.25, -1.9, 1.0, -1.0]).bytes()).unwrap();
    assert_eq!((loud.samples, loud.clipped), (vec![0.5, 1.0, -1.0, 1.0, -1.0], 2));
    let quiet = sound::decode(&Riff::of(&[-32768, 32767]).bytes()).unwrap();
    assert_eq!(quiet.clipped, 0);
}

#[test]
fn mp3_and_vorbis_are_as_long_as_what_was_encoded() {
    for (bytes, apart) in [(mp3(), 0.04), (vorbis(), 0.05)] {
        let sound = sound::decode(&bytes).unwrap();
        assert_eq!((sound.rate, sound.samples.len(), sound.clipped), (8_000, 1_200, 0));
        let expected = lossy::sine();
        let far = sound.samples.iter().zip(&expected).map(|(a, b)| (a - b).abs());
        let far = far.fold(0.0, f32::max);
        assert!(far < apart, "{far}");
        assert_eq!(sound::length(&bytes), Some(Length { samples: 1_200, rate: 8_000 }));
        // What they lie behind.
        let tagged = [&id3v2()[..], &bytes, &id3v1()].concat();
        assert_eq!(sound::decode(&tagged).unwrap(), sound);
    }
}

#[test]
fn mp3_that_is_not_whole_is_told_as_far_as_it_says_how_long_it_is() {
    let whole = mp3();
    // Of 24 thousand bits a second.
    let frame = 72 * 24 / 8;
    for length in 4..whole.len() {
        let reason = reason(&whole[..length]);
        assert!(reason.contains("cut off"), "{length}: {reason}");
    }
    // A frame is missing that the first one does not count.
    let counted = whole.windows(4).position(|it| it == b"Info" || it == b"Xing").unwrap() + 8;
    let mut uncounted = whole.clone();
    uncounted[counted..counted + 4].fill(0);
    let frames = sound::decode(&uncounted).unwrap().samples.len();
    uncounted.truncate(uncounted.len() - frame);
    assert!(sound::decode(&uncounted).unwrap().samples.len() < frames);
    // Frames that are no frames, or of another sound.
    let mut damaged = whole.clone();
    let middle = whole.len() / 2;
    damaged[middle..middle + 200].fill(0x33);
    told(&damaged, &["damaged"]);
    let padded = [&whole[..], &[0; 300]].concat();
    assert_eq!(sound::decode(&padded).unwrap(), sound::decode(&whole).unwrap());
    told(&[&[7; 100], &whole[..]].concat(), &["MP3", "100 bytes late"]);
    let mut free = whole.clone();
    free[2] &= 0x0f;
    told(&free, &["free bit rate"]);
}

#[test]
fn vorbis_that_is_not_whole_is_told() {
    let whole = vorbis();
    for length in (4..whole.len()).step_by(13) {
        let reason = reason(&whole[..length]);
        assert!(reason.contains("cut off"), "{length}: {reason}");
    }
    let mut damaged = whole.clone();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    told(&damaged, &["checksum"]);
    told(&[&whole[..], &whole].concat(), &["several sounds"]);
}

#[test]
fn flac_is_read_behind_tags_before_tags_and_in_ogg() {
    let samples = hum(3_000);
    let plain = flac(16_000, 1, &samples);
    for bytes in [
        [&id3v2()[..], &plain].concat(),
        [&plain[..], &id3v1()].concat(),
        [&id3v2()[..], &plain, &id3v1()].concat(),
    ] {
        assert_eq!(heard(&bytes), samples);
    }
    told(&[&plain[..plain.len() - 200], &id3v1()[..]].concat(), &["cut off: 0 of 3000"]);
    let ogg = ogg::of_flac(&plain, 3_000);
    assert_eq!(heard(&ogg), samples);
    let ends = ogg.len() - 1;
    told(&ogg[..ends], &["cut off"]);
    // How many there are is not known: in a FLAC file, and in one in Ogg.
    let mut unknown = plain.clone();
    unknown[21] &= 0xf0;
    unknown[22..26].fill(0);
    assert_eq!(heard(&unknown), samples);
    assert_eq!(heard(&ogg::of_flac(&unknown, 3_000)), samples);
}

#[test]
fn what_is_not_read_is_named_with_what_to_do() {
    let others: &[(&[u8], &str, &str)] = &[
        (b"FORM\0\0\0\x20AIFFCOMM", "AIFF", "ffmpeg"),
        (b"FORM\0\0\0\x20AIFCCOMM", "AIFF-C", "ffmpeg"),
        (b"caff\0\x01\0\0desc", "CAF", "ffmpeg"),
        (b".snd\0\0\0\x20\0\0\0\0", "AU", "ffmpeg"),
        (b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb", "Wave64", "ffmpeg"),
        (b"NIST_1A\n   1024\nsample_count", "NIST SPHERE", "sph2pipe"),
        (b"RIFX\0\0\0\x20WAVEfmt ", "RIFX", "ffmpeg"),
        (b"RIFF\x20\0\0\0AVI LIST", "AVI", "ffmpeg"),
        (b"\0\0\0\x20ftypM4A \0\0\0\0", "M4A", "ffmpeg"),
        (b"\xff\xf1\x50\x80\x02\x1f\xfc", "AAC", "ffmpeg"),
        (b"\xff\xfd\x84\x04\0\0\0\0", "MP2", "ffmpeg"),
        (b"#!AMR\n\x04\x02", "AMR", "ffmpeg"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9", "WMA", "ffmpeg"),
        (b"\x1a\x45\xdf\xa3\x9fB\x86\x81", "WebM", "ffmpeg"),
        (b"wvpk\x20\0\0\0\x10\x04", "WavPack", "ffmpeg"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:12", "Git LFS", "git lfs pull"),
        (b"<!DOCTYPE html><html>", "HTML", "get the file again"),
        (b"\n<HTML><head>", "HTML", "get the file again"),
        (b"<?xml version='1.0'?><Error>", "XML", "get the file again"),
        (b"{\"error\": \"not found\"}", "text", "get the file again"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "gzip", "gunzip"),
        (b"PK\x03\x04\x14\0\0\0", "ZIP", "unzip"),
        (b"\x89PNG\r\n\x1a\n", "PNG", "data.image"),
        (b"\x93NUMPY\x01\0v\0", "NumPy", "WAV"),
        (&[0; 600], "only zeros", "get it again"),
        (&[5, 200, 17, 3, 99, 250], "neither WAV, FLAC, MP3 nor Ogg", "sox -t raw"),
        (b"", "no bytes", "get the file again"),
    ];
    for (bytes, name, advice) in others {
        told(bytes, &[name, advice]);
        assert_eq!(sound::length(bytes), None, "{name}");
    }
    for (packet, name) in [
        (&b"OpusHead\x01\x01\x38\x01\x80\xbb\0\0\0\0\0"[..], "Opus"),
        (b"Speex   1.2", "Speex"),
        (b"\x80theora\x03\x02\x01", "Theora"),
        (b"fishead\0", "neither Vorbis nor FLAC"),
    ] {
        told(&ogg::page(2, 0, 3, 0, &[packet]), &["Ogg", name, "ffmpeg"]);
    }
}

/// Tags in front and behind.
fn id3v2() -> Vec<u8> {
    [&b"ID3\x04\0\0\0\0\x01\x20TIT2\0\0\0\x06\0\0\x03hello"[..], &[0; 144]].concat()
}

fn id3v1() -> Vec<u8> {
    [&b"TAGa song"[..], &[0; 119]].concat()
}
