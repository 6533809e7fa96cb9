//! Files of sound, made in tests.

// Every test target uses its own part of this.
#![allow(dead_code)]

use std::path::Path;

use flacenc::component::BitRepr;
use flacenc::error::Verify;

/// How the samples of a WAV file are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    U8,
    I16,
    I24,
    I32,
    F32,
}

impl Coding {
    pub fn bytes(self) -> usize {
        match self {
            Coding::U8 => 1,
            Coding::I16 => 2,
            Coding::I24 => 3,
            Coding::I32 | Coding::F32 => 4,
        }
    }

    fn code(self, value: f32) -> Vec<u8> {
        // `as` saturates.
        match self {
            Coding::U8 => vec![(value * 128.0 + 128.0) as u8],
            Coding::I16 => ((value * 32768.0) as i16).to_le_bytes().to_vec(),
            Coding::I24 => {
                let value = ((value * 8_388_608.0) as i32).clamp(-8_388_608, 8_388_607);
                value.to_le_bytes()[..3].to_vec()
            }
            Coding::I32 => ((value * 2_147_483_648.0) as i32).to_le_bytes().to_vec(),
            Coding::F32 => value.to_le_bytes().to_vec(),
        }
    }
}

/// A WAV file of interleaved samples in [-1, 1].
pub fn wav(rate: u32, channels: u16, coding: Coding, interleaved: &[f32]) -> Vec<u8> {
    let data: Vec<u8> = interleaved.iter().flat_map(|value| coding.code(*value)).collect();
    let block = coding.bytes() as u16 * channels;
    let mut bytes = Vec::new();
    bytes.extend(b"RIFF");
    bytes.extend((36 + data.len() as u32).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16u32.to_le_bytes());
    bytes.extend(if coding == Coding::F32 { 3u16 } else { 1 }.to_le_bytes());
    bytes.extend(channels.to_le_bytes());
    bytes.extend(rate.to_le_bytes());
    bytes.extend(rate.wrapping_mul(block.into()).to_le_bytes());
    bytes.extend(block.to_le_bytes());
    bytes.extend((8 * coding.bytes() as u16).to_le_bytes());
    bytes.extend(b"data");
    bytes.extend((data.len() as u32).to_le_bytes());
    bytes.extend(data);
    bytes
}

/// A FLAC file of 16-bit samples.
pub fn flac(rate: u32, channels: usize, interleaved: &[i16]) -> Vec<u8> {
    let config = flacenc::config::Encoder::default().into_verified().unwrap();
    let samples: Vec<i32> = interleaved.iter().map(|value| i32::from(*value)).collect();
    let source = flacenc::source::MemSource::from_samples(&samples, channels, 16, rate as usize);
    let stream = flacenc::encode_with_fixed_block_size(&config, source, config.block_size).unwrap();
    let mut sink = flacenc::bitsink::ByteSink::new();
    stream.write(&mut sink).unwrap();
    let mut bytes = sink.as_slice().to_vec();
    // The sizes of blocks, which are those of all but the last one (RFC 9639, 8.2); this encoder counts
    // that, too.
    let size = (config.block_size as u16).to_be_bytes();
    bytes[8..12].copy_from_slice(&[size, size].concat());
    bytes
}

/// Samples of a hum that none of them repeats soon, of 16 bits.
pub fn hum(samples: usize) -> Vec<i16> {
    (0..samples)
        .map(|i| ((i as f32 * 0.07).sin() * 9000.0 + (i * 37 % 101) as f32) as i16)
        .collect()
}

/// Such samples as a file has them.
pub fn scaled(samples: &[i16]) -> Vec<f32> {
    samples.iter().map(|value| f32::from(*value) / 32768.0).collect()
}

/// Writes a WAV file of one channel and 16 bits, and the folders that it lies in.
pub fn save(path: &Path, rate: u32, samples: &[f32]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, wav(rate, 1, Coding::I16, samples)).unwrap();
}

pub mod lossy;
pub mod ogg;
pub mod riff;
