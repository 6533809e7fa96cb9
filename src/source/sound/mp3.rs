//! Decodes MP3: a sequence of frames, each with its own header.

use std::io::{BufReader, Read, Seek, SeekFrom};

use symphonia::core::audio::layouts;
use symphonia::core::codecs::audio::well_known::CODEC_ID_MP3;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, Timestamp};
use symphonia::default::codecs::MpaDecoder;

use super::mono::Mono;
use super::mp3_frame::{Frame, Info, NoFrame};
use super::window::Window;
use super::{Input, Opened, check_claims, kind, said};
use crate::sample::{Length, Waveform};

pub(super) struct Mp3<R: Input> {
    file: BufReader<Window<R>>,
    /// Bytes that were read from the file, and all that it has.
    at: u64,
    bytes: u64,
    /// The first frame that holds sound.
    format: Frame,
    info: Info,
}

impl<R: Input> Mp3<R> {
    pub fn open(window: Window<R>) -> Result<Self, String> {
        let bytes = window.size();
        let mut file = BufReader::new(window);
        let (format, first) = match next(&mut file, &mut 0, bytes)? {
            Some(first) => first,
            None => return Err("it has no sample".to_owned()),
        };
        check_claims(format.rate, None)?;
        let info = Info::of(&format, &first);
        // A frame that tells the length of the sound holds no sound itself.
        let at = if info.is_some() { first.len() as u64 } else { 0 };
        file.seek(SeekFrom::Start(at)).map_err(said)?;
        Ok(Self { file, at, bytes, format, info: info.unwrap_or_default() })
    }

    /// Hands every frame to `take`, and returns their number.
    fn walk(&mut self, mut take: impl FnMut(&[u8]) -> Result<(), String>) -> Result<u64, String> {
        let mut frames = 0u64;
        loop {
            let at = self.at;
            let Some((frame, bytes)) = next(&mut self.file, &mut self.at, self.bytes)? else {
                break;
            };
            let Frame { rate, channels, .. } = self.format;
            if (frame.rate, frame.channels) != (rate, channels) {
                return Err(format!(
                    "the sound is damaged, or several in one: it has {channels} channels of {rate} Hz, \
                     and {} of {} Hz from byte {at} on",
                    frame.channels, frame.rate
                ));
            }
            take(&bytes)?;
            frames += 1;
        }
        let claimed = u64::from(self.info.frames);
        // Some encoders also count the frame that holds this number.
        if frames + u64::from(!self.info.exact) < claimed {
            return Err(format!("cut off: {frames} of {claimed} frames"));
        }
        Ok(frames)
    }

    /// The range of samples to keep, out of `frames` decoded frames: its start, and its end.
    fn kept(&self, frames: u64) -> (u64, u64) {
        let all = frames * u64::from(self.format.samples);
        let front = u64::from(self.info.front).min(all);
        // If frames were added or removed, the padding at the end is no longer known.
        let whole = u64::from(self.info.frames) == frames;
        let behind = if whole { u64::from(self.info.behind) } else { 0 };
        (front, all.saturating_sub(behind).max(front))
    }
}

impl<R: Input> Opened for Mp3<R> {
    fn length(mut self: Box<Self>) -> Result<Length, String> {
        let frames = self.walk(|_| Ok(()))?;
        let (start, end) = self.kept(frames);
        Ok(Length { samples: end - start, rate: self.format.rate })
    }

    fn decode(mut self: Box<Self>) -> Result<Waveform, String> {
        let Frame { rate, channels, samples: each, .. } = self.format;
        let mut codec = AudioCodecParameters::new();
        codec.for_codec(CODEC_ID_MP3).with_sample_rate(rate).with_channels(match channels {
            1 => layouts::CHANNEL_LAYOUT_MONO,
            _ => layouts::CHANNEL_LAYOUT_STEREO,
        });
        let mut decoder =
            MpaDecoder::try_new(&codec, &AudioDecoderOptions::default()).map_err(said)?;
        let mut mono = Mono::new(None);
        let mut frame = 0i64;
        let frames = self.walk(|bytes| {
            let at = Timestamp::new(frame * i64::from(each));
            let packet = Packet::new(0, at, Duration::new(each.into()), bytes);
            let decoded = decoder
                .decode(&packet)
                .map_err(|error| format!("the sound is damaged in frame {frame}: {error}"))?;
            frame += 1;
            mono.push_packet(decoded)
        })?;
        let (start, end) = self.kept(frames);
        mono.keep(start, end);
        mono.finish_lossy(rate)
    }
}

/// The next frame and its bytes; `None` at the end.
fn next(
    file: &mut impl Read,
    at: &mut u64,
    bytes: u64,
) -> Result<Option<(Frame, Vec<u8>)>, String> {
    let left = bytes.saturating_sub(*at);
    let mut header = [0; 4];
    if left < 4 {
        let rest = &mut header[..left as usize];
        file.read_exact(rest).map_err(said)?;
        return if rest.iter().all(|byte| *byte == 0) { Ok(None) } else { Err(cut(*at)) };
    }
    file.read_exact(&mut header).map_err(said)?;
    let frame = match Frame::parse(header) {
        Ok(frame) => frame,
        Err(NoFrame::Free) => {
            return Err(format!(
                "the sound is MP3 of a free bit rate, which is not read; {}",
                kind::CONVERT
            ));
        }
        Err(NoFrame::Other) if header == [0; 4] => {
            return match only_zeros(file)? {
                true => Ok(None),
                false => Err(format!("the sound is damaged: zeros from byte {at} on")),
            };
        }
        Err(NoFrame::Other) => {
            return Err(format!("the sound is damaged: no frame begins at byte {at}"));
        }
    };
    if (frame.bytes as u64) > left {
        return Err(cut(*at));
    }
    let mut whole = vec![0; frame.bytes.max(4)];
    whole[..4].copy_from_slice(&header);
    file.read_exact(&mut whole[4..]).map_err(said)?;
    *at += frame.bytes as u64;
    Ok(Some((frame, whole)))
}

fn cut(at: u64) -> String {
    format!("cut off: its last frame, from byte {at} on, is not whole")
}

/// Whether only zeros are left. Programs that write whole blocks leave zeros.
fn only_zeros(file: &mut impl Read) -> Result<bool, String> {
    let mut chunk = [0; 4096];
    loop {
        match file.read(&mut chunk).map_err(said)? {
            0 => return Ok(true),
            read if chunk[..read].iter().any(|byte| *byte != 0) => return Ok(false),
            _ => {}
        }
    }
}
