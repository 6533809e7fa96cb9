//! Mixes the channels from a decoder to one channel.

use symphonia::core::audio::GenericAudioBufferRef;

use super::MAX_SAMPLES;
use crate::sample::Waveform;

/// Numbers up to this distance from zero are clipped; larger ones are no sound in [-1, 1]. MP3 and Vorbis
/// decoders go a little beyond 1, and so do mixes in floating point.
const LOUDEST: f32 = 2.0;

/// The mean of all channels.
pub(super) struct Mono {
    samples: Vec<f32>,
    /// Samples per channel that the file claims.
    claimed: Option<u64>,
    /// The largest distance from zero in any channel, before clipping.
    peak: f32,
    /// Samples at which a channel was clipped.
    clipped: usize,
    /// Whether any number was not an integer.
    fraction: bool,
    /// The samples of a packet, interleaved.
    packet: Vec<f32>,
}

impl Mono {
    /// Starts without samples; `claimed` is the number of samples per channel that the file claims.
    pub fn new(claimed: Option<u64>) -> Self {
        let (samples, packet) = (Vec::new(), Vec::new());
        Self { samples, claimed, peak: 0.0, clipped: 0, fraction: false, packet }
    }

    pub fn len(&self) -> u64 {
        self.samples.len() as u64
    }

    /// Adds the samples of a decoded packet.
    ///
    /// # Errors
    /// Fails like [`push`](Self::push).
    pub fn push_packet(&mut self, decoded: GenericAudioBufferRef<'_>) -> Result<(), String> {
        let mut packet = std::mem::take(&mut self.packet);
        decoded.copy_to_vec_interleaved(&mut packet);
        self.push(&packet, decoded.num_planes().max(1))?;
        self.packet = packet;
        Ok(())
    }

    /// Adds interleaved samples of `channels` channels.
    ///
    /// # Errors
    /// When a sample is not finite, or there are too many.
    pub fn push(&mut self, interleaved: &[f32], channels: usize) -> Result<(), String> {
        let frames = interleaved.len() / channels;
        if self.len() + frames as u64 > MAX_SAMPLES {
            return Err(format!("it has more than {MAX_SAMPLES} samples"));
        }
        self.reserve(frames)?;
        for frame in interleaved.chunks_exact(channels) {
            // If a value is NaN, so is the sum.
            let (mut sum, mut loudest) = (0.0, 0.0f32);
            for value in frame {
                sum += value.clamp(-1.0, 1.0);
                loudest = loudest.max(value.abs());
                if !self.fraction {
                    self.fraction = *value as i32 as f32 != *value;
                }
            }
            if !sum.is_finite() || loudest.is_infinite() {
                return Err(format!("sample {} is not finite", self.samples.len()));
            }
            self.peak = self.peak.max(loudest);
            self.clipped += usize::from(loudest > 1.0);
            self.samples.push(sum / channels as f32);
        }
        Ok(())
    }

    /// Keeps only the samples from `start` to `end`.
    pub fn keep(&mut self, start: u64, end: u64) {
        self.samples.truncate(end as usize);
        self.samples.drain(..self.samples.len().min(start as usize));
    }

    /// The sound, at `rate` samples per second.
    ///
    /// # Errors
    /// When there is no sample, or the numbers are in the range of integers.
    pub fn finish(self, rate: u32) -> Result<Waveform, String> {
        if self.samples.is_empty() {
            return Err("it has no sample".to_owned());
        }
        if self.peak > LOUDEST || self.peak > 1.0 && !self.fraction {
            return Err(format!(
                "its samples are numbers up to {}, as of integers, where those of a sound in floating \
                 point lie in [-1, 1]: divide them by what full scale is (32768 for 16 bits), or write \
                 them as integers",
                self.peak
            ));
        }
        Ok(Waveform { rate, samples: self.samples, clipped: self.clipped })
    }

    /// The sound from a lossy decoder, which may go a little beyond 1 when the sound did not: clipped samples are not
    /// counted.
    ///
    /// # Errors
    /// Fails like [`finish`](Self::finish).
    pub fn finish_lossy(self, rate: u32) -> Result<Waveform, String> {
        self.finish(rate).map(|it| Waveform { clipped: 0, ..it })
    }

    /// Makes room for `more` samples: doubles the room, but never beyond the most that can come. The claim of a header
    /// reserves nothing before samples come.
    fn reserve(&mut self, more: usize) -> Result<(), String> {
        let needed = self.samples.len() + more;
        if needed <= self.samples.capacity() {
            return Ok(());
        }
        let most = self.claimed.unwrap_or(MAX_SAMPLES) as usize;
        let room = (2 * self.samples.capacity()).min(most).max(needed);
        self.samples
            .try_reserve_exact(room - self.samples.len())
            .map_err(|_| format!("there is no memory for its {room} samples"))
    }
}
