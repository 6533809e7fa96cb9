//! From the bytes of a WAV or FLAC file to the samples of one channel.

use std::fs::File;
use std::io::{self, Cursor, ErrorKind, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as Broken;
use symphonia::core::formats::{FormatOptions, FormatReader};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::default::codecs::{FlacDecoder, PcmDecoder};
use symphonia::default::formats::{FlacReader, WavReader};

use super::{Length, Waveform};

/// A sound may not have more samples: four hours and a half at 16 kHz, 1 GiB.
pub const MAX_SAMPLES: u64 = 1 << 28;

/// Samples a second, at most; that of FLAC's header.
pub const MAX_RATE: u32 = (1 << 20) - 1;

/// Chunks of a WAV file among which that of its format is looked for.
const MOST_CHUNKS: usize = 100;

/// Decodes a WAV or FLAC file; the bytes, not a name, say which it is.
///
/// Integers are scaled by their most negative value. Floats beyond [-1, 1] are clipped.
///
/// # Errors
/// The reason, for people: an unknown format, damaged or truncated bytes, a sample that is no
/// number, no sample at all, or more than [`MAX_SAMPLES`].
pub fn decode(bytes: &[u8]) -> Result<Waveform, String> {
    guarded(|| Sound::open(Cursor::new(bytes))?.decode())
}

/// Decodes a file as [`decode`] does, a little at a time.
///
/// # Errors
/// As [`decode`], and when the file cannot be read.
pub fn decode_file(file: File) -> Result<Waveform, String> {
    guarded(|| Sound::open(file)?.decode())
}

/// How long a WAV or FLAC file is, as its header says; where it does not, it is decoded. `None` when
/// neither works.
pub fn length(bytes: &[u8]) -> Option<Length> {
    guarded(|| Sound::open(Cursor::new(bytes))?.length()).ok()
}

/// How long a file is, as [`length`].
pub fn length_of_file(file: File) -> Option<Length> {
    guarded(|| Sound::open(file)?.length()).ok()
}

/// Decoders are foreign code that meets damaged bytes: a bug in one must not end a long run.
fn guarded<T>(read: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err("the sound is damaged (its decoder panicked)".to_owned()))
}

/// A file whose header has been read.
struct Sound<'a> {
    reader: Box<dyn FormatReader + 'a>,
    decoder: Box<dyn AudioDecoder>,
    rate: u32,
    /// Samples of each channel, as the header says.
    claimed: Option<u64>,
}

impl<'a> Sound<'a> {
    fn open(mut file: impl MediaSource + 'a) -> Result<Self, String> {
        let mut magic = [0; 4];
        file.read_exact(&mut magic).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => "the sound has no bytes, or next to none".to_owned(),
            _ => error.to_string(),
        })?;
        if let (b"RIFF", Ok(Some(channels @ (0 | 27..)))) = (&magic, wav_channels(&mut file)) {
            return Err(format!("it claims {channels} channels"));
        }
        file.seek(SeekFrom::Start(0)).map_err(|error| error.to_string())?;
        let stream = MediaSourceStream::new(Box::new(file), Default::default());
        let options = FormatOptions::default();
        let in_header = |error| match error {
            Broken::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
                "cut off in its header".to_owned()
            }
            error => error.to_string(),
        };
        let reader: Box<dyn FormatReader + 'a> = match &magic {
            b"RIFF" => Box::new(WavReader::try_new(stream, options).map_err(in_header)?),
            b"fLaC" => Box::new(FlacReader::try_new(stream, options).map_err(in_header)?),
            _ => return Err("the sound is neither WAV nor FLAC".to_owned()),
        };
        let track = reader.tracks().first().ok_or("the sound has no track")?;
        let Some(CodecParameters::Audio(codec)) = &track.codec_params else {
            return Err("the sound does not say how it is coded".to_owned());
        };
        let claimed = track.num_frames;
        if let Some(samples) = claimed.filter(|samples| *samples > MAX_SAMPLES) {
            return Err(format!("it claims {samples} samples, more than {MAX_SAMPLES}"));
        }
        let rate = codec.sample_rate.unwrap_or(0);
        if !(1..=MAX_RATE).contains(&rate) {
            return Err(format!("it claims {rate} samples a second"));
        }
        let decoder = decoder(&magic, codec).map_err(|error| error.to_string())?;
        Ok(Self { reader, decoder, rate, claimed })
    }

    fn length(self) -> Result<Length, String> {
        let rate = self.rate;
        let samples = match self.claimed {
            Some(samples) => samples,
            None => self.decode()?.samples.len() as u64,
        };
        Ok(Length { samples, rate })
    }

    fn decode(mut self) -> Result<Waveform, String> {
        let mut samples: Vec<f32> = Vec::new();
        let mut interleaved: Vec<f32> = Vec::new();
        loop {
            let packet = match self.reader.next_packet() {
                Ok(Some(packet)) => packet,
                Ok(None) => break,
                Err(Broken::IoError(error)) if error.kind() == ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(format!("the sound is damaged: {error}")),
            };
            if packet.pts.get() != samples.len() as i64 {
                let at = samples.len();
                return Err(format!("the sound is damaged: it does not go on at sample {at}"));
            }
            let damaged = |error| format!("the sound is damaged: {error}");
            let decoded = self.decoder.decode(&packet).map_err(damaged)?;
            let channels = decoded.num_planes().max(1);
            decoded.copy_to_vec_interleaved(&mut interleaved);
            let frames = interleaved.len() / channels;
            if (samples.len() + frames) as u64 > MAX_SAMPLES {
                return Err(format!("it has more than {MAX_SAMPLES} samples"));
            }
            reserve(&mut samples, frames, self.claimed)?;
            for frame in interleaved.chunks_exact(channels) {
                // A sum of what is no number is none.
                let sum: f32 = frame.iter().map(|value| value.clamp(-1.0, 1.0)).sum();
                if !sum.is_finite() || frame.iter().any(|value| value.is_infinite()) {
                    return Err(format!("sample {} is not finite", samples.len()));
                }
                samples.push(sum / channels as f32);
            }
        }
        match (samples.len() as u64, self.claimed) {
            (0, None | Some(0)) => Err("it has no sample".to_owned()),
            (found, Some(claimed)) if found < claimed => {
                Err(format!("cut off: {found} of {claimed} samples"))
            }
            (found, Some(claimed)) if found > claimed => {
                Err(format!("the sound is damaged: it has {found} samples, and says {claimed}"))
            }
            _ if self.decoder.finalize().verify_ok == Some(false) => {
                Err("the sound is damaged: its samples do not have its checksum".to_owned())
            }
            _ => Ok(Waveform { rate: self.rate, samples }),
        }
    }
}

/// The channels that a WAV file claims, behind its first four bytes; `None` where they are not soon to
/// be found. Its reader multiplies by them before it looks at them.
fn wav_channels(file: &mut impl MediaSource) -> io::Result<Option<u16>> {
    let mut chunk = [0; 8];
    file.read_exact(&mut chunk)?;
    for _ in 0..MOST_CHUNKS {
        file.read_exact(&mut chunk)?;
        let [a, b, c, d, length @ ..] = chunk;
        if &[a, b, c, d] == b"fmt " {
            let mut format = [0; 4];
            file.read_exact(&mut format)?;
            return Ok(Some(u16::from_le_bytes([format[2], format[3]])));
        }
        // Chunks begin at even bytes.
        let length = i64::from(u32::from_le_bytes(length));
        file.seek_relative(length + length % 2)?;
    }
    Ok(None)
}

fn decoder(
    magic: &[u8; 4],
    codec: &AudioCodecParameters,
) -> symphonia::core::errors::Result<Box<dyn AudioDecoder>> {
    let options = AudioDecoderOptions::default().verify(true);
    Ok(match magic {
        b"fLaC" => Box::new(FlacDecoder::try_new(codec, &options)?),
        _ => Box::new(PcmDecoder::try_new(codec, &options)?),
    })
}

/// Makes room for `more` samples: twice as much as there was, and not more than there will be. What a
/// header claims is not believed before the samples come.
fn reserve(samples: &mut Vec<f32>, more: usize, claimed: Option<u64>) -> Result<(), String> {
    let needed = samples.len() + more;
    if needed <= samples.capacity() {
        return Ok(());
    }
    let most = claimed.unwrap_or(MAX_SAMPLES) as usize;
    let room = (2 * samples.capacity()).min(most).max(needed);
    samples
        .try_reserve_exact(room - samples.len())
        .map_err(|_| format!("there is no memory for its {room} samples"))
}
