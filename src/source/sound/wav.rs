//! Decodes WAV files with plain or companded samples.

use std::io::{BufReader, Read, Seek, SeekFrom};

use super::companding::{a_law, mu_law};
use super::mono::Mono;
use super::wav_header::{Coding, Header};
use super::window::Window;
use super::{Input, Opened, check_claims, said};
use crate::sample::{Length, Waveform};

/// Samples, counted over all channels, that are read at a time.
const AT_ONCE: usize = 1 << 14;

pub(super) struct Wav<R: Input> {
    file: BufReader<Window<R>>,
    header: Header,
}

impl<R: Input> Wav<R> {
    pub fn open(window: Window<R>) -> Result<Self, String> {
        let bytes = window.size();
        let mut file = BufReader::new(window);
        let header = Header::read(&mut file, bytes)?;
        check_claims(header.rate, Some(header.claimed))?;
        Ok(Self { file, header })
    }
}

impl<R: Input> Opened for Wav<R> {
    fn length(self: Box<Self>) -> Result<Length, String> {
        Ok(Length { samples: self.header.claimed, rate: self.header.rate })
    }

    fn decode(mut self: Box<Self>) -> Result<Waveform, String> {
        let Header { coding, channels, rate, start, found, claimed } = self.header;
        self.file.seek(SeekFrom::Start(start)).map_err(said)?;
        let channels = usize::from(channels);
        let each = usize::from(coding.bytes()) * channels;
        let at_once = (AT_ONCE / channels).max(1);
        let mut mono = Mono::new(Some(claimed));
        let mut low_end = LowEnd::default();
        let (mut bytes, mut values) = (Vec::new(), Vec::new());
        while mono.len() < found {
            let frames = (found - mono.len()).min(at_once as u64) as usize;
            bytes.resize(frames * each, 0);
            // The file may have become shorter since.
            self.file.read_exact(&mut bytes).map_err(said)?;
            values.clear();
            read(coding, &bytes, &mut values, &mut low_end);
            mono.push(&values, channels)?;
        }
        if found < claimed {
            return Err(format!("cut off: {found} of {claimed} samples"));
        }
        low_end.check(coding)?;
        mono.finish(rate)
    }
}

/// Appends the values of samples. Integers are divided by the absolute value of their most negative number.
fn read(coding: Coding, bytes: &[u8], values: &mut Vec<f32>, low_end: &mut LowEnd) {
    match coding {
        // 8-bit numbers have no sign.
        Coding::Integer { bytes: 1, .. } => {
            values.extend(bytes.iter().map(|byte| (f32::from(*byte) - 128.0) / 128.0));
        }
        Coding::Integer { bytes: 2, bits: 16, .. } => {
            let number = |it: &[u8; 2]| f32::from(i16::from_le_bytes(*it)) / 32768.0;
            values.extend(bytes.as_chunks().0.iter().map(number));
        }
        Coding::Integer { bytes: each, bits, .. } => {
            for sample in bytes.chunks_exact(each.into()) {
                let mut at_high_end = [0; 4];
                at_high_end[4 - sample.len()..].copy_from_slice(sample);
                let number = i32::from_le_bytes(at_high_end);
                low_end.see(number, bits, each);
                values.push((f64::from(number) / 2_147_483_648.0) as f32);
            }
        }
        Coding::Float { bytes: 8 } => {
            let number = |it: &[u8; 8]| f64::from_le_bytes(*it) as f32;
            values.extend(bytes.as_chunks().0.iter().map(number));
        }
        Coding::Float { .. } => {
            let number = |it: &[u8; 4]| f32::from_le_bytes(*it);
            values.extend(bytes.as_chunks().0.iter().map(number));
        }
        Coding::ALaw => {
            values.extend(bytes.iter().map(|byte| f32::from(a_law(*byte)) / 32768.0));
        }
        Coding::MuLaw => {
            values.extend(bytes.iter().map(|byte| f32::from(mu_law(*byte)) / 32768.0));
        }
    }
}

/// Detects numbers at the low end of their bytes, where the format has them at the high end. Such a sound would be
/// many times too quiet.
#[derive(Default)]
struct LowEnd {
    /// Bits below those of the numbers that were set in any number. They should be 0.
    rest: u32,
    /// The bits that the largest number needs, of 32.
    needs: u32,
}

impl LowEnd {
    /// Looks at a number of `bits` bits in `bytes` bytes, which lie at the high end of the 32 bits.
    fn see(&mut self, number: i32, bits: u16, bytes: u16) {
        let unused = u32::from(8 * bytes - bits);
        if unused > 0 {
            let low = (number as u32) >> (32 - 8 * u32::from(bytes));
            self.rest |= low & ((1 << unused) - 1);
            self.needs = self.needs.max(33 - number.unsigned_abs().leading_zeros());
        }
    }

    fn check(&self, coding: Coding) -> Result<(), String> {
        let Coding::Integer { bits, bytes, padded } = coding else { return Ok(()) };
        // If the header has a byte more than the bits need, the header may be wrong and the sound noise.
        let low = self.needs <= 32 - u32::from(8 * bytes - bits);
        if self.rest != 0 && (padded || low) {
            return Err(format!(
                "its header contradicts its samples: numbers of {bits} bits should lie at the high end of \
                 {bytes} bytes each, and the bits below them are not 0; write it anew from where it came \
                 from"
            ));
        }
        Ok(())
    }
}
