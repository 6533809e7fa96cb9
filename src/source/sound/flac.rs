//! Decodes FLAC files.

use std::io::ErrorKind;

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as Broken;
use symphonia::core::formats::{FormatOptions, FormatReader};
use symphonia::core::io::MediaSourceStream;
use symphonia::default::codecs::FlacDecoder;
use symphonia::default::formats::FlacReader;

use super::mono::Mono;
use super::window::Window;
use super::{Input, Opened, check_claims, said};
use crate::sample::{Length, Waveform};

pub(super) struct Flac<'a> {
    reader: FlacReader<'a>,
    decoder: FlacDecoder,
    rate: u32,
    /// Samples per channel, if the header says it.
    claimed: Option<u64>,
}

impl<'a> Flac<'a> {
    pub fn open(window: Window<impl Input + 'a>) -> Result<Self, String> {
        let stream = MediaSourceStream::new(Box::new(window), Default::default());
        let reader =
            FlacReader::try_new(stream, FormatOptions::default()).map_err(|error| match error {
                Broken::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    "cut off in its header".to_owned()
                }
                error => error.to_string(),
            })?;
        let track = reader.tracks().first().ok_or("the sound has no track")?;
        let Some(CodecParameters::Audio(codec)) = &track.codec_params else {
            return Err("the sound does not say how it is coded".to_owned());
        };
        let claimed = track.num_frames;
        let rate = codec.sample_rate.unwrap_or(0);
        check_claims(rate, claimed)?;
        let options = AudioDecoderOptions::default().verify(true);
        let decoder = FlacDecoder::try_new(codec, &options).map_err(said)?;
        Ok(Self { reader, decoder, rate, claimed })
    }
}

impl Opened for Flac<'_> {
    fn length(self: Box<Self>) -> Result<Length, String> {
        let rate = self.rate;
        let samples = match self.claimed {
            Some(samples) => samples,
            None => self.decode()?.samples.len() as u64,
        };
        Ok(Length { samples, rate })
    }

    fn decode(mut self: Box<Self>) -> Result<Waveform, String> {
        let mut mono = Mono::new(self.claimed);
        loop {
            let packet = match self.reader.next_packet() {
                Ok(Some(packet)) => packet,
                Ok(None) => break,
                Err(Broken::IoError(error)) if error.kind() == ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(format!("the sound is damaged: {error}")),
            };
            if packet.pts.get() != mono.len() as i64 {
                let at = mono.len();
                return Err(format!("the sound is damaged: it does not go on at sample {at}"));
            }
            let damaged = |error| format!("the sound is damaged: {error}");
            let decoded = self.decoder.decode(&packet).map_err(damaged)?;
            mono.push_packet(decoded)?;
        }
        whole(mono, self.claimed, self.decoder, self.rate)
    }
}

/// The sound, if it has all samples that the header claims.
pub(super) fn whole(
    mono: Mono,
    claimed: Option<u64>,
    mut decoder: FlacDecoder,
    rate: u32,
) -> Result<Waveform, String> {
    match (mono.len(), claimed) {
        (found, Some(claimed)) if found < claimed => {
            Err(format!("cut off: {found} of {claimed} samples"))
        }
        (found, Some(claimed)) if found > claimed => {
            Err(format!("the sound is damaged: it has {found} samples, and says {claimed}"))
        }
        _ if decoder.finalize().verify_ok == Some(false) => {
            Err("the sound is damaged: its samples do not have its checksum".to_owned())
        }
        _ => mono.finish(rate),
    }
}
