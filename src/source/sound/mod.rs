//! Decodes WAV, FLAC, MP3 and Ogg files to samples of one channel.

use std::fs::File;
use std::io::{Cursor, ErrorKind, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};

mod companding;
mod flac;
mod kind;
mod mono;
mod mp3;
mod mp3_frame;
mod ogg;
mod ogg_pages;
mod tags;
mod vorbis_setup;
mod wav;
mod wav_header;
mod window;

use crate::sample::{Length, Waveform};
use kind::Kind;
use window::Window;

/// The most samples of a sound: four hours and a half at 16 kHz, 1 GiB.
pub const MAX_SAMPLES: u64 = 1 << 28;

/// The highest rate in samples per second, the limit of FLAC's header.
pub const MAX_RATE: u32 = (1 << 20) - 1;

/// Decodes a sound file. Its bytes tell the format, not its name.
///
/// Integers are scaled by their most negative value. Numbers slightly beyond [-1, 1] are clipped, and counted in
/// [`Waveform::clipped`]. Padding that MP3 and Vorbis encoders add at both ends is cut off, if the file says how
/// much it is.
///
/// # Errors
/// The reason, for people: an unknown format and what to do about it, damaged or truncated bytes, a sample
/// that is not a number or lies in the range of integers, no sample at all, or more than [`MAX_SAMPLES`].
pub fn decode(bytes: &[u8]) -> Result<Waveform, String> {
    guarded(|| open(Cursor::new(bytes))?.decode())
}

/// Decodes a file like [`decode`], a little at a time.
///
/// # Errors
/// Fails like [`decode`], and when the file cannot be read.
pub fn decode_file(file: File) -> Result<Waveform, String> {
    guarded(|| open(file)?.decode())
}

/// The length of a sound file according to its header; if the header does not tell, the sound is decoded. `None`
/// when neither works.
pub fn length(bytes: &[u8]) -> Option<Length> {
    guarded(|| length_of(open(Cursor::new(bytes))?)).ok()
}

/// The length of a file, found like [`length`].
pub fn length_of_file(file: File) -> Option<Length> {
    guarded(|| length_of(open(file)?)).ok()
}

/// Catches panics. Decoders are foreign code that meets damaged bytes: a bug in one must not end a long run.
fn guarded<T>(read: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err("the sound is damaged (its decoder panicked)".to_owned()))
}

fn length_of(sound: Box<dyn Opened + '_>) -> Result<Length, String> {
    let length = sound.length()?;
    check_claims(length.rate, Some(length.samples))?;
    Ok(length)
}

/// Where the bytes of a sound come from.
trait Input: Read + Seek + Send + Sync {}

impl<T: Read + Seek + Send + Sync> Input for T {}

/// A sound file whose header has been read.
trait Opened {
    fn length(self: Box<Self>) -> Result<Length, String>;

    fn decode(self: Box<Self>) -> Result<Waveform, String>;
}

fn open<'a>(mut file: impl Input + 'a) -> Result<Box<dyn Opened + 'a>, String> {
    let bytes = file.seek(SeekFrom::End(0)).map_err(said)?;
    let span = tags::span(&mut file, bytes)?;
    let mut head = Vec::new();
    file.seek(SeekFrom::Start(span.start)).map_err(said)?;
    let left = span.end.saturating_sub(span.start);
    file.by_ref().take(left.min(kind::HEAD)).read_to_end(&mut head).map_err(said)?;
    let kind = kind::of(&head)?;
    // Bytes after the samples of a WAV file may look like a tag without being one.
    let end = if kind == Kind::Wav { bytes } else { span.end };
    let window = Window::new(file, span.start, end).map_err(said)?;
    Ok(match kind {
        Kind::Wav => Box::new(wav::Wav::open(window)?),
        Kind::Flac => Box::new(flac::Flac::open(window)?),
        Kind::Mp3 => Box::new(mp3::Mp3::open(window)?),
        Kind::Ogg => Box::new(ogg::Ogg::open(window)?),
    })
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// The message of an error while a header is read.
fn in_header(error: std::io::Error) -> String {
    match error.kind() {
        ErrorKind::UnexpectedEof => "cut off in its header".to_owned(),
        _ => error.to_string(),
    }
}

fn check_claims(rate: u32, samples: Option<u64>) -> Result<(), String> {
    if let Some(samples) = samples.filter(|samples| *samples > MAX_SAMPLES) {
        return Err(format!("it claims {samples} samples, more than {MAX_SAMPLES}"));
    }
    if !(1..=MAX_RATE).contains(&rate) {
        return Err(format!("it claims {rate} samples a second"));
    }
    Ok(())
}
