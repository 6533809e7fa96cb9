//! Resamples sound to another rate.

use crate::sample::Waveform;
use crate::source::sound::{MAX_RATE, MAX_SAMPLES};
use crate::{Error, Result};

/// Resamples a waveform to `rate` samples per second. This gives `ceil(samples * rate / its rate)` samples, the first
/// at the same time. Frequencies above half of the lower rate are filtered out. At its own rate a waveform stays the
/// same. The same samples give the same bits, whatever else is computed.
///
/// # Errors
/// When a rate is 0 or above [`MAX_RATE`], or the result has more than [`MAX_SAMPLES`].
pub fn resample(waveform: &Waveform, rate: u32) -> Result<Vec<f32>> {
    let Waveform { rate: from, samples, .. } = waveform;
    if let Some(wrong) = [*from, rate].iter().find(|rate| !(1..=MAX_RATE).contains(rate)) {
        return Err(Error::failed(format!(
            "sound of {from} samples a second cannot have {rate}: {wrong} is not from 1 to {MAX_RATE}"
        )));
    }
    if *from == rate || samples.is_empty() {
        return Ok(samples.clone());
    }
    let length = (samples.len() as u64 * u64::from(rate)).div_ceil(u64::from(*from));
    if length > MAX_SAMPLES {
        return Err(Error::failed(format!(
            "{} samples, {from} a second, would be {length} of {rate} a second, more than {MAX_SAMPLES}",
            samples.len()
        )));
    }
    let failed = |error: &dyn std::fmt::Display| {
        Error::failed(format!("could not resample from {from} to {rate} samples a second: {error}"))
    };
    gimlet_signal::resample(samples, *from, rate, length as usize).map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    fn sine(rate: u32, samples: usize, hertz: f64) -> Waveform {
        let at = |i: usize| (TAU * hertz * i as f64 / f64::from(rate)).sin() as f32;
        Waveform { rate, samples: (0..samples).map(at).collect(), clipped: 0 }
    }

    /// The largest difference between two signals, away from their ends.
    fn apart(a: &[f32], b: &[f32], ends: usize) -> f32 {
        assert_eq!(a.len(), b.len());
        let middle = ends..a.len() - ends;
        a[middle.clone()].iter().zip(&b[middle]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn a_sine_stays_the_same_sine() {
        for (from, rate) in [
            (8_000, 16_000),
            (16_000, 8_000),
            (44_100, 16_000),
            (22_050, 16_000),
            (11_025, 16_000),
            (48_000, 16_000),
            (16_000, 44_100),
            (15_999, 16_000),
        ] {
            let second = from as usize;
            for hertz in [50.0, 440.0, 3000.0] {
                let resampled = resample(&sine(from, second, hertz), rate).unwrap();
                let expected = sine(rate, rate as usize, hertz).samples;
                let apart = apart(&resampled, &expected, rate as usize / 8);
                assert!(apart < 1e-4, "{hertz} Hz from {from} to {rate}: {apart}");
            }
        }
    }

    #[test]
    fn what_the_lower_rate_cannot_hold_is_filtered_out() {
        let resampled = resample(&sine(16_000, 16_000, 5_000.0), 8_000).unwrap();
        let silence = vec![0.0; resampled.len()];
        assert!(apart(&resampled, &silence, 1_000) < 1e-4);
    }

    #[test]
    fn an_impulse_stays_at_its_time() {
        let mut waveform = Waveform { rate: 8_000, samples: vec![0.0; 1_001], clipped: 0 };
        for at in [0, 1, 500, 1_000] {
            waveform.samples.fill(0.0);
            waveform.samples[at] = 1.0;
            let resampled = resample(&waveform, 24_000).unwrap();
            let highest =
                (0..resampled.len()).max_by(|a, b| resampled[*a].total_cmp(&resampled[*b]));
            assert_eq!(highest, Some(3 * at));
        }
    }

    #[test]
    fn lengths_are_rounded_up_however_short_the_sound() {
        for samples in [1, 2, 3, 159, 160, 161, 441, 4_410, 10_007] {
            for (from, rate) in [(44_100, 16_000), (8_000, 16_000), (16_000, 8_000), (96_001, 7)] {
                let resampled = resample(&sine(from, samples, 100.0), rate).unwrap();
                let expected = (samples as u64 * u64::from(rate)).div_ceil(u64::from(from));
                assert_eq!(resampled.len() as u64, expected, "{samples} from {from} to {rate}");
                assert!(resampled.iter().all(|value| value.is_finite()));
            }
        }
        assert_eq!(resample(&sine(8_000, 0, 1.0), 16_000).unwrap(), [0.0; 0]);
    }

    #[test]
    fn its_own_rate_changes_nothing_and_bits_do_not_depend_on_threads() {
        let waveform = sine(11_025, 5_000, 333.0);
        assert_eq!(resample(&waveform, 11_025).unwrap(), waveform.samples);
        let alone = resample(&waveform, 16_000).unwrap();
        std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| resample(&waveform, 16_000).unwrap())).collect();
            for thread in threads {
                assert_eq!(thread.join().unwrap(), alone);
            }
        });
    }

    #[test]
    fn rates_that_are_none_are_refused() {
        let refused = |from: u32, samples: usize, rate: u32| {
            resample(&Waveform { rate: from, samples: vec![0.0; samples], clipped: 0 }, rate)
                .unwrap_err()
        };
        assert!(refused(0, 1, 8_000).to_string().contains("0 is not from 1"));
        assert!(refused(8_000, 1, 0).to_string().contains("0 is not from 1"));
        assert!(refused(8_000, 1, MAX_RATE + 1).to_string().contains("is not from 1"));
        assert!(refused(1, 1 << 12, MAX_RATE).to_string().contains("more than"));
    }
}
