//! Judges recordings as they were recorded: silent, or too loud.

/// Full scale: the largest number of 16 bits.
const FULL: f32 = 32767.0 / 32768.0;

/// The number of consecutive samples at full scale that shows clipping. A natural peak has one or two.
const RUN: usize = 3;

/// The share of samples in such runs above which a recording is clipped.
const SHARE: f64 = 1e-3;

/// The result of judging a recording.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verdict {
    /// All samples are the same number.
    pub silent: bool,
    /// More than a thousandth of the samples lie at full scale in runs of three or more.
    pub clipped: bool,
}

/// Judges samples before they are resampled, because resampling smooths clipped values.
pub fn judge(samples: &[f32]) -> Verdict {
    let silent = samples.windows(2).all(|pair| pair[0] == pair[1]);
    let side = |value: f32| if value.abs() >= FULL { value.signum() } else { 0.0 };
    let runs = samples.chunk_by(|a, b| side(*a) == side(*b));
    let full = runs.filter(|run| run.len() >= RUN && side(run[0]) != 0.0).map(<[f32]>::len);
    let clipped = full.sum::<usize>() as f64 > SHARE * samples.len() as f64;
    Verdict { silent, clipped: clipped && !silent }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(peak: f32) -> Vec<f32> {
        (0..4_000).map(|i| (peak * (i as f32 * 0.05).sin()).clamp(-1.0, FULL)).collect()
    }

    #[test]
    fn silence_is_one_number_all_the_time() {
        let silent = Verdict { silent: true, clipped: false };
        for samples in [&[0.0; 100][..], &[-0.25; 100], &[1.0; 100], &[0.5], &[]] {
            assert_eq!(judge(samples), silent);
        }
        assert_eq!(judge(&[0.0, 0.0, 1e-5]), Verdict::default());
    }

    #[test]
    fn what_was_too_loud_has_runs_at_full_scale() {
        assert_eq!(judge(&sine(0.9)), Verdict::default());
        // As loud as possible without clipping.
        assert_eq!(judge(&sine(1.0)), Verdict::default());
        let clipped = Verdict { silent: false, clipped: true };
        assert_eq!(judge(&sine(1.1)), clipped);
        // Clipped on one side only, and by floating-point arithmetic.
        let above: Vec<f32> = sine(1.2).iter().map(|it| it.max(-0.5)).collect();
        assert_eq!(judge(&above), clipped);
        // A single click.
        let mut click = sine(0.5);
        click[100..103].fill(1.0);
        assert_eq!(judge(&click), Verdict::default());
    }
}
