//! Sound as WAV files and as spectrograms.

use std::io::Cursor;
use std::ops::Range;

use gimlet_signal::Spectrum;
use hound::{SampleFormat, WavSpec, WavWriter};
use image::{Rgb, RgbImage};

use crate::{Error, Result};

/// Seconds per transform: long enough to show the overtones of a vowel.
const SECONDS: f64 = 0.025;

/// Decibels below the loudest at which a level is shown as silence.
const DECIBELS: f32 = 60.0;

/// Samples in [-1, 1] as a WAV file: one channel, 16-bit PCM.
///
/// # Errors
/// When there are too many samples for one file.
pub fn wav(samples: &[f32], rate: u32) -> Result<Vec<u8>> {
    let failed =
        |error: hound::Error| Error::failed(format!("could not write a WAV file: {error}"));
    let spec = WavSpec {
        channels: 1,
        sample_rate: rate,
        bits_per_sample: 16,
        sample_format: SampleFormat::Int,
    };
    let mut out = Cursor::new(Vec::new());
    let mut writer = WavWriter::new(&mut out, spec).map_err(failed)?;
    for sample in samples {
        // `as` saturates, and turns NaN into 0.
        writer.write_sample((sample * 32767.0).round() as i16).map_err(failed)?;
    }
    writer.finalize().map_err(failed)?;
    Ok(out.into_inner())
}

/// The part of a recording with `samples` samples that is played for a moment: one second around its middle,
/// more if the moment is longer, less if the recording is shorter.
pub fn around(samples: usize, rate: u32, from: i64, to: i64) -> Range<usize> {
    let wanted = (rate as usize).max((to - from).max(0) as usize).min(samples);
    let start = (from + to) / 2 - wanted as i64 / 2;
    let start = start.clamp(0, (samples - wanted) as i64) as usize;
    start..start + wanted
}

/// The power of a signal over time and frequency, in decibels below the loudest: `[rows, columns]`, high
/// frequencies first, at least -60.
///
/// Each column is a Hann window of about 25 ms; the windows are evenly spread. Each row is a band: the mean
/// power of its frequencies. Bands have equal width, from 0 to half of the rate.
///
/// # Errors
/// When the transform fails.
pub fn spectrogram(samples: &[f32], rate: u32, columns: usize, rows: usize) -> Result<Vec<f32>> {
    let size = ((f64::from(rate) * SECONDS) as usize).next_power_of_two().max(16);
    let mut spectrum = Spectrum::new(size);
    let step = std::f32::consts::TAU / size as f32;
    let hann: Vec<f32> = (0..size).map(|at| 0.5 - 0.5 * (step * at as f32).cos()).collect();
    let mut power = vec![0f32; rows * columns];
    for column in 0..columns {
        // The first window begins with the signal, and the last one ends with it.
        let room = samples.len().saturating_sub(size);
        let from = room * column / columns.saturating_sub(1).max(1);
        let seen = samples.get(from..).unwrap_or_default().iter().chain(std::iter::repeat(&0.0));
        let windowed = |signal: &mut [f32]| {
            signal.iter_mut().zip(seen).zip(&hann).for_each(|((to, value), weight)| {
                *to = if value.is_finite() { value * weight } else { 0.0 };
            });
        };
        let powers = spectrum
            .power(windowed)
            .map_err(|error| Error::failed(format!("could not make a spectrogram: {error}")))?;
        for row in 0..rows {
            let band = rows - 1 - row;
            let bins = powers.len();
            let from = band * bins / rows;
            let to = ((band + 1) * bins / rows).max(from + 1);
            let bins = powers.get(from..to).unwrap_or_default();
            let sum: f32 = bins.iter().sum();
            power[row * columns + column] = sum / bins.len().max(1) as f32;
        }
    }
    let loudest = power.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    let level = |power: f32| (10.0 * (power / loudest).log10()).max(-DECIBELS);
    Ok(power.into_iter().map(level).collect())
}

/// A spectrogram as a picture of `width` by `height` pixels.
///
/// # Errors
/// The errors of [`spectrogram`].
pub fn picture(samples: &[f32], rate: u32, width: u32, height: u32) -> Result<RgbImage> {
    let levels = spectrogram(samples, rate, width as usize, height as usize)?;
    let pixels = levels.iter().flat_map(|level| viridis(1.0 + level / DECIBELS).0).collect();
    RgbImage::from_raw(width, height, pixels)
        .ok_or_else(|| Error::failed("a spectrogram does not fill its picture"))
}

/// Colours from dark to bright in steps that look equal: ten from matplotlib's "viridis" (van der Walt & Smith
/// 2015), interpolated linearly.
const VIRIDIS: [[u8; 3]; 10] = [
    [0x44, 0x01, 0x54],
    [0x48, 0x28, 0x78],
    [0x3e, 0x49, 0x89],
    [0x31, 0x68, 0x8e],
    [0x26, 0x82, 0x8e],
    [0x1f, 0x9e, 0x89],
    [0x35, 0xb7, 0x79],
    [0x6e, 0xce, 0x58],
    [0xb5, 0xde, 0x2b],
    [0xfd, 0xe7, 0x25],
];

/// The colour of a value from 0 to 1.
pub fn viridis(value: f32) -> Rgb<u8> {
    let last = VIRIDIS.len() - 1;
    let at = value.clamp(0.0, 1.0) * last as f32;
    // NaN counts as 0.
    let from = (at as usize).min(last - 1);
    let share = if at.is_finite() { at - from as f32 } else { 0.0 };
    let (low, high) = (VIRIDIS[from], VIRIDIS[from + 1]);
    let mix = |c: usize| f32::from(low[c]) + share * (f32::from(high[c]) - f32::from(low[c]));
    Rgb([mix(0), mix(1), mix(2)].map(|it| it.round() as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_around_a_moment_lies_within_its_recording() {
        assert_eq!(around(1000, 100, 490, 510), 450..550);
        assert_eq!(around(1000, 100, -20, 10), 0..100);
        assert_eq!(around(1000, 100, 990, 1030), 900..1000);
        assert_eq!(around(1000, 100, 100, 400), 100..400, "a longer moment is heard whole");
        assert_eq!(around(30, 100, 5, 6), 0..30);
        assert_eq!(around(0, 100, 5, 6), 0..0);
    }

    #[test]
    fn a_tone_is_loudest_at_its_frequency() {
        let tone = |at: usize| (std::f32::consts::TAU * 3000.0 * at as f32 / 16000.0).sin();
        let samples: Vec<f32> = (0..8000).map(tone).collect();
        let levels = spectrogram(&samples, 16000, 20, 32).unwrap();
        for column in 0..20 {
            let level = |row: &usize| levels[row * 20 + column];
            let loudest = (0..32).max_by(|a, b| level(a).total_cmp(&level(b))).unwrap();
            // Bands of 250 Hz from the top: 3000 Hz lies where the 12th from below begins.
            assert!((18..=20).contains(&loudest), "{loudest}");
            assert!(level(&0) < -50.0 && level(&31) < -50.0);
        }
    }

    #[test]
    fn silence_and_nothing_at_all_have_spectrograms() {
        for samples in [&[0.0f32; 4000][..], &[], &[f32::NAN; 10]] {
            let levels = spectrogram(samples, 8000, 7, 5).unwrap();
            assert!(levels.iter().all(|it| *it == -DECIBELS), "{levels:?}");
        }
        assert_eq!(viridis(f32::NAN), viridis(0.0));
        assert_eq!(viridis(0.5), Rgb([0x23, 0x90, 0x8c]));
        assert_eq!(picture(&[], 8000, 3, 2).unwrap().dimensions(), (3, 2));
    }
}
