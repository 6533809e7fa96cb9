//! Reads the header of a WAV, RF64 or BW64 file: how its samples are coded, and where they lie.
//!
//! A program that writes to a pipe does not know how long the sound will be. These sizes stand for "unknown": 0,
//! sizes within 64 KiB of 2 GiB (0x7ffff000 of SoX, 0x80000000 of arecord) and the last 64 KiB below 4 GiB
//! (0xffffffff of ffmpeg). The sound then goes to the end of the file. For any other size, a shorter file is cut
//! off. Only a single missing byte is accepted, if it is no part of a whole sample.

use std::io::{self, Read, Seek, SeekFrom};

use super::{in_header, kind, said};

/// The most chunks that are searched for the samples.
const MOST_CHUNKS: usize = 1000;

/// Bytes after the samples that may be anything.
const FEW: u64 = 4096;

/// The most channels, as in libsndfile.
const MOST_CHANNELS: u16 = 1024;

/// The ends of known format identifiers (`WAVE_FORMAT_EXTENSIBLE`), after the two bytes that tell the codec.
const GUIDS: [[u8; 14]; 2] = [
    *b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71",
    // Ambisonics.
    *b"\0\0\x21\x07\xd3\x11\x86\x44\xc8\xc1\xca\0\0\0",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// A number of `bits` bits at the high end of its bytes.
    Integer {
        bits: u16,
        bytes: u16,
        /// Whether a sample has a whole byte more than its bits need.
        padded: bool,
    },
    /// A floating point number of four or eight bytes.
    Float {
        bytes: u16,
    },
    ALaw,
    MuLaw,
}

impl Coding {
    /// Bytes of a sample of one channel.
    pub fn bytes(self) -> u16 {
        match self {
            Coding::Integer { bytes, .. } | Coding::Float { bytes } => bytes,
            Coding::ALaw | Coding::MuLaw => 1,
        }
    }
}

/// What the header says, and what the file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub coding: Coding,
    pub channels: u16,
    /// Samples per second.
    pub rate: u32,
    /// The place of the samples in the file, in bytes.
    pub start: u64,
    /// Samples per channel that exist, and that the header claims.
    pub found: u64,
    pub claimed: u64,
}

impl Header {
    /// Reads the header of a file of `bytes` bytes.
    ///
    /// # Errors
    /// When it ends too soon, contradicts itself, or names a codec that is not supported.
    pub fn read(file: &mut (impl Read + Seek), bytes: u64) -> Result<Self, String> {
        let mut begin = [0; 12];
        file.read_exact(&mut begin).map_err(in_header)?;
        let riff = u64::from(number(&begin, 4));
        let mut format: Option<(Coding, u16, u32)> = None;
        // For RF64: the size of the samples, if it is known.
        let mut long = None;
        let mut at = 12u64;
        for _ in 0..MOST_CHUNKS {
            file.seek(SeekFrom::Start(at)).map_err(said)?;
            let mut head = [0; 8];
            match file.read_exact(&mut head) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    let whole = at <= bytes && riff + 8 <= bytes && format.is_some();
                    return Err(match whole {
                        true => "it has no `data` chunk, so no sample".to_owned(),
                        false => "cut off in its header".to_owned(),
                    });
                }
                Err(error) => return Err(error.to_string()),
            }
            let size = number(&head, 4);
            at += 8;
            match &head[..4] {
                b"ds64" if &begin[..4] != b"RIFF" => {
                    let mut sizes = [0; 16];
                    file.read_exact(&mut sizes).map_err(in_header)?;
                    let [.., a, b, c, d, e, f, g, h] = sizes;
                    long = Some(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
                }
                b"fmt " => {
                    let mut chunk = Vec::new();
                    file.by_ref()
                        .take(size.min(40).into())
                        .read_to_end(&mut chunk)
                        .map_err(said)?;
                    format = Some(read_format(&chunk, size)?);
                }
                b"data" => {
                    let Some(format) = format else {
                        return Err("it has no `fmt ` chunk before its samples".to_owned());
                    };
                    let left = bytes.saturating_sub(at);
                    let mut next = [0; 8];
                    let behind = file.read(&mut next).map_err(said)?;
                    let is_empty = size == 0 && is_chunk(&next[..behind], left);
                    let claimed = match (size, long) {
                        (u32::MAX, Some(long)) => Some(long).filter(|it| (1..1 << 63).contains(it)),
                        (0, _) if is_empty => Some(0),
                        (size, _) if is_unknown(size) && left < size.into() || size == 0 => None,
                        (size, _) => Some(size.into()),
                    };
                    if let Some(claimed) = claimed {
                        check_behind(file, at, left, claimed)?;
                    }
                    return Ok(Self::of(format, at, left, claimed));
                }
                _ => {}
            }
            // Chunks begin at even bytes, but some programs forget the padding.
            at += u64::from(size);
            if size % 2 == 1 && !begins_chunk(file, at)? {
                at += 1;
            }
        }
        Err(format!("it has more than {MOST_CHUNKS} chunks before its samples"))
    }

    fn of(format: (Coding, u16, u32), start: u64, left: u64, claimed: Option<u64>) -> Self {
        let (coding, channels, rate) = format;
        let block = u64::from(coding.bytes()) * u64::from(channels);
        let found = left.min(claimed.unwrap_or(u64::MAX)) / block;
        // A claim of one byte too many is not a sample, or the byte is the padding after an odd number.
        let claimed = match claimed {
            Some(claimed) if block == 1 && claimed == left + 1 => found,
            Some(claimed) => claimed / block,
            None => found,
        };
        Self { coding, channels, rate, start, found, claimed }
    }
}

/// Whether a size stands for "unknown".
fn is_unknown(size: u32) -> bool {
    size == 0 || (0x7fff_0000..=0x8000_ffff).contains(&size) || size >= 0xffff_0000
}

/// Whether these bytes begin a chunk that fits into the `left` bytes.
fn is_chunk(bytes: &[u8], left: u64) -> bool {
    match bytes {
        [] => true,
        [id @ .., _, _, _, _] if bytes.len() == 8 => {
            let fits = 8 + u64::from(number(bytes, 4)) <= left;
            fits && id.iter().all(|byte| (0x20..0x7f).contains(byte))
        }
        _ => false,
    }
}

/// Checks that no samples lie after those that the header claims, as when the header was written before them.
fn check_behind(
    file: &mut (impl Read + Seek),
    start: u64,
    left: u64,
    claimed: u64,
) -> Result<(), String> {
    let rest = left.saturating_sub(claimed);
    if rest <= FEW.max(claimed / 10) {
        return Ok(());
    }
    for padding in 0..2 {
        let mut next = [0; 8];
        file.seek(SeekFrom::Start(start + claimed + padding)).map_err(said)?;
        file.read_exact(&mut next).map_err(said)?;
        let is_id = next[..4].iter().all(|byte| (0x20..0x7f).contains(byte));
        if is_id || next.starts_with(b"ID3") {
            return Ok(());
        }
    }
    Err(format!(
        "its header says {claimed} bytes of samples, and behind them lie {rest} that are no chunk: it was cut \
         short, or never brought up to date; write it anew, as with `ffmpeg -ignore_length 1 -i IN OUT.wav`"
    ))
}

/// Whether a common chunk begins at this byte.
fn begins_chunk(file: &mut (impl Read + Seek), at: u64) -> Result<bool, String> {
    let mut id = [0; 4];
    file.seek(SeekFrom::Start(at)).map_err(said)?;
    match file.read_exact(&mut id) {
        Ok(()) => Ok([b"data", b"fmt ", b"LIST", b"fact", b"bext", b"id3 "].contains(&&id)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error.to_string()),
    }
}

/// The coding, the channels and the rate in a format chunk of `size` bytes.
fn read_format(chunk: &[u8], size: u32) -> Result<(Coding, u16, u32), String> {
    if size < 16 {
        return Err(format!("its `fmt ` chunk has {size} bytes, fewer than 16"));
    }
    if chunk.len() < 16 {
        return Err("cut off in its header".to_owned());
    }
    let short = |at: usize| u16::from_le_bytes([chunk[at], chunk[at + 1]]);
    let (mut codec, channels, rate) = (short(0), short(2), number(chunk, 4));
    let (block, bits) = (short(12), short(14));
    if !(1..=MOST_CHANNELS).contains(&channels) {
        return Err(format!("it claims {channels} channels"));
    }
    let mut valid = bits;
    if codec == 0xfffe {
        let Some(guid) = chunk.get(24..40) else {
            return Err("its `fmt ` chunk is extensible, and too short for it".to_owned());
        };
        if !GUIDS.iter().any(|end| &guid[2..] == end) {
            return Err(format!(
                "its header says a codec of its own kind, not known; {}",
                kind::CONVERT
            ));
        }
        codec = u16::from_le_bytes([guid[0], guid[1]]);
        // 0 means all bits.
        valid = if short(18) == 0 { bits } else { short(18) };
    }
    let contradicts = || {
        format!(
            "its header contradicts itself: `block align` {block}, `channels` {channels} and \
             `bits per sample` {bits} do not fit each other; write it anew from where it came from"
        )
    };
    // Bytes of a sample.
    let bytes = block / channels;
    if !block.is_multiple_of(channels) || bytes == 0 {
        return Err(match codec {
            1 | 3 | 6 | 7 => contradicts(),
            _ => refused(codec),
        });
    }
    let coding = match codec {
        1 => {
            if !(8..=32).contains(&bits) || !(8..=bits).contains(&valid) {
                return Err(format!(
                    "its header says `bits per sample` {bits} (valid {valid}), where 8 to 32 are read; {}",
                    kind::CONVERT
                ));
            }
            // 24 bits lie in three bytes, or in four with the lowest byte 0.
            let padded = (bits.div_ceil(8), bytes) == (3, 4);
            if bytes != bits.div_ceil(8) && !padded {
                return Err(contradicts());
            }
            Coding::Integer { bits: valid, bytes, padded }
        }
        3 if ![32, 64].contains(&bits) => {
            return Err(format!(
                "its header says `bits per sample` {bits} of floating point, where 32 and 64 are read"
            ));
        }
        3 if bytes != bits / 8 => return Err(contradicts()),
        3 => Coding::Float { bytes },
        6 | 7 if bytes != 1 => return Err(contradicts()),
        6 => Coding::ALaw,
        7 => Coding::MuLaw,
        codec => return Err(refused(codec)),
    };
    Ok((coding, channels, rate))
}

fn refused(codec: u16) -> String {
    let name = match codec {
        0x0002 => "Microsoft ADPCM",
        0x0010 => "OKI ADPCM",
        0x0011 => "IMA ADPCM",
        0x0014 | 0x0040 | 0x0045 | 0x0064 | 0x0085 => "G.72x ADPCM",
        0x0020 => "Yamaha ADPCM",
        0x0022 => "TrueSpeech",
        0x0031 => "GSM 6.10",
        0x0038 => "NMS ADPCM",
        0x0050 => "MPEG",
        0x0055 => "MP3",
        0x0065 => "G.722",
        0x0092 | 0x2000 => "AC-3",
        0x00ff | 0x1600 | 0x1610 | 0xa106 => "AAC",
        0x0160..=0x0163 => "WMA",
        0x0200 => "Creative ADPCM",
        0x704f => "Opus",
        0x2001 => "DTS",
        0x674f..=0x6771 => "Vorbis",
        0x7000..=0x7003 => "ADPCM",
        0xf1ac => "FLAC",
        _ => "a codec that is not known",
    };
    format!(
        "it is WAV that holds {name} (codec 0x{codec:04x}), which is not read; {}",
        kind::CONVERT
    )
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
