//! Sigmoid and tanh by plain arithmetic, which compilers vectorise.
//!
//! They use no fused operation, so a value has the same bits wherever it lies in a vector.

/// Values that are computed side by side: a vector of AVX-512.
pub(super) const LANES: usize = 16;
pub(super) type Lanes = [f32; LANES];

/// Loads the first values of a row, padded with zeros if the row is shorter.
#[inline(always)]
pub(super) fn load(row: &[f32]) -> Lanes {
    match row.first_chunk() {
        Some(lanes) => *lanes,
        None => {
            let mut lanes = [0.0; LANES];
            lanes[..row.len()].copy_from_slice(row);
            lanes
        }
    }
}

/// Stores values in a row, and drops those beyond its end.
#[inline(always)]
pub(super) fn store(lanes: Lanes, row: &mut [f32]) {
    match row.first_chunk_mut() {
        Some(row) => *row = lanes,
        None => row.copy_from_slice(&lanes[..row.len()]),
    }
}

/// Computes 1 / (1 + exp(-x)) with a relative error of 3e-7, where the result is not denormal.
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Computes tanh(x) with a relative error of 3e-7.
///
/// Below 0.625, where 1 - 2 / (exp(2 x) + 1) would cancel, it uses the polynomial of Cephes (S. Moshier, `tanhf.c`).
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    let (size, square) = (x.abs(), x * x);
    let large = (1.0 - 2.0 / (exp(2.0 * size) + 1.0)).copysign(x);
    let powers = [-5.704_988_7e-3, 2.063_908_8e-2, -5.373_971_6e-2, 1.333_144_2e-1, -3.333_328e-1];
    let small = powers.iter().fold(0.0, |sum, factor| sum * square + factor) * square * x + x;
    if size < 0.625 { small } else { large }
}

/// Computes exp(x) with a relative error of 2e-7. Results beyond 2^-125 and 2^127 are clamped to about these values.
///
/// The method is that of Cephes (S. Moshier, `expf.c`): x = n ln 2 + r, exp(x) = 2^n exp(r), with a polynomial for
/// exp(r).
#[inline(always)]
fn exp(x: f32) -> f32 {
    /// Adding this rounds to a whole number, which then lies in the last bits.
    const ROUND: f32 = 12_582_912.0;
    /// ln 2 in two parts. The first has so few bits that its product with n is exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    // `clamp` keeps NaN.
    let x = x.clamp(-86.6, 88.0);
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let whole = rounded - ROUND;
    let r = x - whole * LN_2[0] - whole * LN_2[1];
    let powers = [1.987_569_1e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];
    let tail = powers.iter().fold(0.0, |sum, factor| sum * r + factor) * r * r;
    let power = f32::from_bits((rounded.to_bits() << 23).wrapping_add(1.0f32.to_bits()));
    (tail + r + 1.0) * power
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn assert_near(what: &str, x: f32, found: f32, expected: f64) {
        let off = (f64::from(found) - expected).abs();
        assert!(off <= 3e-7 * expected.abs() + 1e-37, "{what} of {x}: {found}, not {expected}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn the_curves_are_those_of_f64(x in prop_oneof![-1.0..1.0f32, -20.0..20.0f32, -84.0..1e3f32, any::<f32>()]) {
            let wide = f64::from(x);
            assert_near("sigmoid", x, sigmoid(x), 1.0 / (1.0 + (-wide).exp()));
            assert_near("tanh", x, tanh(x), wide.tanh());
        }
    }

    #[test]
    fn the_ends_and_what_is_no_number_stay() {
        assert_eq!([sigmoid(f32::INFINITY), tanh(f32::INFINITY), tanh(0.0)], [1.0, 1.0, 0.0]);
        assert!(sigmoid(f32::NEG_INFINITY) < 1e-37 && tanh(f32::NEG_INFINITY) == -1.0);
        assert!(sigmoid(f32::NAN).is_nan() && tanh(f32::NAN).is_nan());
        assert_eq!(tanh(1e-20), 1e-20);
    }
}
