//! Chooses the window of a recording that is seen, and normalises it.

use crate::pipeline::settings::{Normalise, SoundView};
use crate::random::Draws;

/// The start of the window in a recording of `samples` samples: a multiple of the hop, at random if there are `draws`,
/// else so that the window lies in the middle. A recording shorter than the window is seen from its start.
pub fn window_start(view: &SoundView, samples: usize, draws: Option<&mut Draws>) -> usize {
    let hops = samples.saturating_sub(view.window) / view.hop;
    match draws {
        None => hops / 2 * view.hop,
        Some(draws) => draws.below(hops as u32 + 1) as usize * view.hop,
    }
}

/// Copies the window of a recording from `start` on, normalised, with silence after the end of the recording.
///
/// `out` becomes `[window]`.
pub fn window(recording: &[f32], start: usize, normalise: Normalise, out: &mut [f32]) {
    let Normalise { mean, std } = normalise;
    let seen = recording.get(start..).unwrap_or_default();
    let values = seen.iter().copied().chain(std::iter::repeat(0.0));
    out.iter_mut().zip(values).for_each(|(out, value)| *out = (value - mean) / std);
}

/// The number of samples that a recording of `samples` at the rate `from` has at the rate `to`.
pub fn resampled_len(samples: u64, from: u32, to: u32) -> u64 {
    let resampled = (u128::from(samples) * u128::from(to)).div_ceil(u128::from(from.max(1)));
    u64::try_from(resampled).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::settings::Short;
    use crate::random::generator;

    fn view() -> SoundView {
        let short = Short::Pad;
        SoundView { rate: 100, clip: None, window: 40, hop: 8, short, normalise: None, views: 1 }
    }

    #[test]
    fn windows_start_at_every_hop_that_leaves_room_and_at_no_other() {
        let mut seen = std::collections::BTreeSet::new();
        for id in 0..200 {
            let mut draws = generator(1, "test", &[id]);
            seen.insert(window_start(&view(), 65, Some(&mut draws)));
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [0, 8, 16, 24]);
        assert_eq!(window_start(&view(), 65, None), 8);
        assert_eq!(window_start(&view(), 40, None), 0);
        assert_eq!(window_start(&view(), 3, Some(&mut generator(1, "test", &[]))), 0);
    }

    #[test]
    fn a_window_is_normalised_and_ends_in_silence() {
        let mut out = [9.0; 4];
        let normalise = Normalise { mean: 1.0, std: 2.0 };
        window(&[0.0, 3.0, 5.0], 1, normalise, &mut out);
        assert_eq!(out, [1.0, 2.0, -0.5, -0.5]);
        window(&[0.0], 7, normalise, &mut out);
        assert_eq!(out, [-0.5; 4]);
    }

    #[test]
    fn a_resampled_length_is_rounded_up() {
        assert_eq!(resampled_len(3, 8000, 16000), 6);
        assert_eq!(resampled_len(3, 16000, 8000), 2);
        assert_eq!(resampled_len(u64::MAX, 1, u32::MAX), u64::MAX);
    }
}
