//! Decodes Ogg files with Vorbis or FLAC.

use std::io::BufReader;

use symphonia::core::codecs::audio::well_known::{CODEC_ID_FLAC, CODEC_ID_VORBIS};
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, Timestamp};
use symphonia::default::codecs::{FlacDecoder, VorbisDecoder};

use super::mono::Mono;
use super::ogg_pages::{Ended, Pages};
use super::window::Window;
use super::{Input, Opened, check_claims, flac, said, vorbis_setup};
use crate::sample::{Length, Waveform};

const VORBIS: &[u8] = b"\x01vorbis";
const FLAC: &[u8] = b"\x7fFLAC";

/// Bytes of FLAC's stream information, which says how the sound is coded, and its place in the first packet.
const STREAM_INFO: usize = 34;
const STREAM_INFO_AT: usize = 17;

/// The number of Vorbis header packets, and the most for FLAC, which says how many it has.
const VORBIS_HEADERS: usize = 3;
const MOST_HEADERS: usize = 1 << 10;

pub(super) struct Ogg<R: Input> {
    pages: Pages<BufReader<Window<R>>>,
    first: Vec<u8>,
    rate: u32,
}

impl<R: Input> Ogg<R> {
    pub fn open(window: Window<R>) -> Result<Self, String> {
        let bytes = window.size();
        let known = |packet: &[u8]| packet.starts_with(VORBIS) || packet.starts_with(FLAC);
        let (pages, first) = Pages::open(BufReader::new(window), bytes, known)?;
        let damaged = || "the sound is damaged in its first packet".to_owned();
        let rate = match first.starts_with(VORBIS) {
            true => {
                let rate = first.get(12..16).ok_or_else(damaged)?;
                u32::from_le_bytes([rate[0], rate[1], rate[2], rate[3]])
            }
            false => {
                let info = stream_info(&first).ok_or_else(damaged)?;
                u32::from_be_bytes([0, info[10], info[11], info[12]]) >> 4
            }
        };
        check_claims(rate, None)?;
        Ok(Self { pages, first, rate })
    }

    /// The header packets after the first one, and the page in which they end.
    fn headers(&mut self, count: usize) -> Result<(Vec<Vec<u8>>, Ended), String> {
        let mut headers = Vec::new();
        while headers.len() < count {
            let Some(mut page) = self.pages.next()? else {
                return Err("cut off in its header".to_owned());
            };
            let here = page.packets.len().min(count - headers.len());
            headers.extend(page.packets.drain(..here));
            if headers.len() == count {
                return Ok((headers, page));
            }
        }
        Ok((headers, Ended { packets: Vec::new(), position: None, last: false }))
    }

    /// Decodes Vorbis: all of it, or only enough to tell its length.
    fn vorbis(mut self, all: bool) -> Result<(Mono, Positions), String> {
        let (headers, page) = self.headers(VORBIS_HEADERS - 1)?;
        let setup = &headers[1];
        vorbis_setup::check(setup)?;
        let mut codec = AudioCodecParameters::new();
        codec
            .for_codec(CODEC_ID_VORBIS)
            .with_sample_rate(self.rate)
            .with_extra_data([&self.first[..], setup].concat().into());
        let mut decoder = VorbisDecoder::try_new(&codec, &AudioDecoderOptions::default())
            .map_err(|error| format!("the sound is damaged in its header: {error}"))?;
        let mut mono = Mono::new(None);
        let mut positions = Positions::default();
        let mut page = Some(page);
        while let Some(Ended { packets, position, last }) = page {
            // An empty packet has no samples.
            for packet in packets.into_iter().filter(|packet| !packet.is_empty()) {
                if all || positions.begin.is_none() {
                    decode(&mut decoder, packet, &mut mono)?;
                }
            }
            positions.add(mono.len(), position, last);
            page = self.pages.next()?;
        }
        Ok((mono, positions))
    }

    fn flac(mut self) -> Result<Waveform, String> {
        // 0 means "unknown": then headers are the packets that do not begin like frames.
        let count = usize::from(u16::from_be_bytes([self.first[7], self.first[8]]));
        let (_, page) = self.headers(count.min(MOST_HEADERS))?;
        let Some(info) = stream_info(&self.first) else {
            return Err("the sound is damaged in its first packet".to_owned());
        };
        let claimed = claimed(&self.first);
        check_claims(self.rate, claimed)?;
        let mut codec = AudioCodecParameters::new();
        codec.for_codec(CODEC_ID_FLAC).with_extra_data(info.into());
        let options = AudioDecoderOptions::default().verify(true);
        let mut decoder = FlacDecoder::try_new(&codec, &options).map_err(said)?;
        let mut mono = Mono::new(claimed);
        let mut page = Some(page);
        while let Some(Ended { packets, .. }) = page {
            for packet in packets.into_iter().filter(|packet| packet.first() == Some(&0xff)) {
                decode(&mut decoder, packet, &mut mono)?;
            }
            page = self.pages.next()?;
        }
        flac::whole(mono, claimed, decoder, self.rate)
    }
}

impl<R: Input> Opened for Ogg<R> {
    fn length(mut self: Box<Self>) -> Result<Length, String> {
        let rate = self.rate;
        if self.first.starts_with(VORBIS) {
            let (_, positions) = self.vorbis(false)?;
            let (start, end) = positions.kept();
            return Ok(Length { samples: end - start, rate });
        }
        let mut samples = claimed(&self.first).unwrap_or(0);
        while samples == 0 {
            let Some(page) = self.pages.next()? else { break };
            let end = page.position.filter(|_| page.last).unwrap_or(0);
            samples = u64::try_from(end).unwrap_or(0);
        }
        Ok(Length { samples, rate })
    }

    fn decode(self: Box<Self>) -> Result<Waveform, String> {
        let rate = self.rate;
        if !self.first.starts_with(VORBIS) {
            return self.flac();
        }
        let (mut mono, positions) = self.vorbis(true)?;
        let (start, end) = positions.kept();
        if mono.len() < end {
            return Err(format!("cut off: {} of {end} samples", mono.len()));
        }
        mono.keep(start, end);
        mono.finish_lossy(rate)
    }
}

/// Tells which decoded samples belong to the sound, from the positions that pages give for their last samples.
#[derive(Default)]
struct Positions {
    /// The position of the first sample that was decoded.
    begin: Option<i64>,
    /// The position after the last sample.
    end: i64,
}

impl Positions {
    /// Adds a page; `decoded` samples were decoded up to its end.
    fn add(&mut self, decoded: u64, position: Option<i64>, last: bool) {
        let Some(position) = position else { return };
        self.end = position;
        if decoded > 0 || last {
            // If a page is both the first and the last one, surplus samples lie at the end.
            let begin = if last { 0 } else { position.saturating_sub(decoded as i64) };
            self.begin.get_or_insert(begin);
        }
    }

    /// The range of decoded samples to keep: its start, and its end.
    fn kept(&self) -> (u64, u64) {
        let begin = self.begin.unwrap_or(0);
        // A sound that was cut out of a longer one begins late and has no surplus in front.
        let start = begin.min(0).unsigned_abs();
        let end = self.end.saturating_sub(begin).max(0) as u64;
        (start, end.max(start))
    }
}

/// Decodes a packet, and adds its samples.
fn decode(decoder: &mut impl AudioDecoder, packet: Vec<u8>, mono: &mut Mono) -> Result<(), String> {
    let at = Timestamp::new(mono.len() as i64);
    let packet = Packet::new(0, at, Duration::ZERO, packet);
    let decoded = decoder
        .decode(&packet)
        .map_err(|error| format!("the sound is damaged at sample {}: {error}", mono.len()))?;
    mono.push_packet(decoded)
}

/// The stream information in the first packet of FLAC: how the sound is coded.
fn stream_info(first: &[u8]) -> Option<&[u8]> {
    first.get(STREAM_INFO_AT..STREAM_INFO_AT + STREAM_INFO)
}

/// The number of samples that the first packet claims, if it does.
fn claimed(first: &[u8]) -> Option<u64> {
    let info = stream_info(first)?;
    let bytes = [0, 0, 0, info[13] & 15, info[14], info[15], info[16], info[17]];
    Some(u64::from_be_bytes(bytes)).filter(|samples| *samples > 0)
}
