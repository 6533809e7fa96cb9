//! Quantises to eight bits per value, with one scale per row and channel.
//!
//! A value is stored as `q = round(value / scale)`, from -127 to 127, with
//! `scale = max |value| / 127` over the values of its row and channel.

/// Quantises a row `[.., channels]`.
///
/// `stored` gets one byte per value (two's complement), `scales` one number per channel, and `decoded` the values
/// that [`dequantise`] will give. All values must be finite.
pub(crate) fn quantise(row: &[f32], stored: &mut [u8], scales: &mut [f32], decoded: &mut [f32]) {
    let channels = scales.len();
    scales.fill(0.0);
    for position in row.chunks_exact(channels) {
        for (most, value) in scales.iter_mut().zip(position) {
            *most = if value.abs() > *most { value.abs() } else { *most };
        }
    }
    let mut inverses = vec![0.0; channels];
    for (inverse, scale) in inverses.iter_mut().zip(scales.iter_mut()) {
        *scale /= 127.0;
        // Values so small that their scale has no finite inverse become zero.
        *inverse = if (1.0 / *scale).is_finite() { 1.0 / *scale } else { 0.0 };
    }
    let positions = row.chunks_exact(channels).zip(stored.chunks_exact_mut(channels));
    for (position, stored) in positions {
        for (c, (value, stored)) in position.iter().zip(stored).enumerate() {
            let steps = value * inverses[c];
            // Rounded half away from zero: `f32::round` is a function call on most machines.
            *stored = (steps + 0.5f32.copysign(steps)) as i8 as u8;
        }
    }
    dequantise(stored, scales, decoded);
}

/// Computes the values of a row from its stored bytes and scales.
pub(crate) fn dequantise(stored: &[u8], scales: &[f32], out: &mut [f32]) {
    let positions = stored.chunks_exact(scales.len()).zip(out.chunks_exact_mut(scales.len()));
    for (stored, out) in positions {
        for ((out, stored), scale) in out.iter_mut().zip(stored).zip(scales) {
            *out = f32::from(*stored as i8) * scale;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_value_comes_back_within_half_a_step(
            channels in 1usize..5,
            values in prop::collection::vec(prop_oneof![
                -1e3f32..1e3, Just(0.0), any::<f32>().prop_filter("finite", |it| it.abs() < 1e38),
            ], 0..40),
        ) {
            let row = &values[..values.len() / channels * channels];
            let mut stored = vec![0; row.len()];
            let (mut scales, mut decoded) = (vec![0.0; channels], vec![0.0; row.len()]);
            quantise(row, &mut stored, &mut scales, &mut decoded);
            for (c, scale) in scales.iter().enumerate() {
                let channel = || row.iter().skip(c).step_by(channels);
                let most = channel().fold(0f32, |most, value| most.max(value.abs()));
                for (value, back) in channel().zip(decoded.iter().skip(c).step_by(channels)) {
                    let error = (f64::from(*value) - f64::from(*back)).abs();
                    // Half a step, plus the rounding of f32 itself.
                    prop_assert!(
                        error <= f64::from(most) * (0.5 / 127.0 + 1e-6) + 1e-36,
                        "{value} {back} {scale}"
                    );
                }
            }
        }
    }
}
