//! Fast standard normal numbers: the noise on a module's input needs one per value.
//!
//! Each number is the middle of one of 2^16 slices of equal probability, so none is larger than 4.3. A slice
//! takes 16 bits: one draw gives four numbers. The table fits a core's second-level cache. A ziggurat takes two
//! to four times as long, the Box-Muller transform fifteen times.
//!
//! The table is computed with additions, multiplications, divisions and square roots only: all machines round
//! these alike, but not `exp` and `ln`.

use std::sync::LazyLock;

use crate::random::Draws;

/// Positive numbers in the table; the sign takes one more bit.
const SLICES: usize = 1 << 15;

/// The positive numbers in ascending order, scaled to a variance of 1.
static POSITIVE: LazyLock<Box<[f32; SLICES]>> = LazyLock::new(positive);

/// Adds `scale` times a standard normal number to each value.
pub fn add(values: &mut [f32], scale: f32, draws: &mut Draws) {
    let positive = &**POSITIVE;
    let mut add = |values: &mut [f32]| {
        let mut bits = draws.next_u64();
        for value in values {
            let sign = (bits as u32 & 0x8000) << 16;
            *value += scale * f32::from_bits(positive[bits as usize % SLICES].to_bits() | sign);
            bits >>= 16;
        }
    };
    let (fours, rest) = values.as_chunks_mut::<4>();
    fours.iter_mut().for_each(|four| add(four));
    if !rest.is_empty() {
        add(rest);
    }
}

fn positive() -> Box<[f32; SLICES]> {
    let mut quantiles = Vec::with_capacity(SLICES);
    let mut x = 0.0;
    for slice in 0..SLICES {
        // Half of the probability is on the positive side.
        x = quantile((slice as f64 + 0.5) / (2 * SLICES) as f64, x);
        quantiles.push(x);
    }
    // The middles have slightly too small a variance.
    let squares: f64 = quantiles.iter().map(|x| x * x).sum();
    let scale = (SLICES as f64 / squares).sqrt();
    let mut table = Box::new([0.0; SLICES]);
    table.iter_mut().zip(quantiles).for_each(|(to, x)| *to = (scale * x) as f32);
    table
}

/// The x for which a standard normal number lies between 0 and x with this probability. `below` is a lower
/// bound. After its first step Newton's method comes from above, since the density falls.
fn quantile(probability: f64, below: f64) -> f64 {
    let mut x = below;
    loop {
        let (mass, density) = normal(x);
        let step = (probability - mass) / density;
        x += step;
        if step.abs() < 1e-12 {
            return x;
        }
    }
}

/// The probability of lying between 0 and `x`, and the density at `x`:
/// Phi(x) - 1/2 = phi(x) (x + x^3 / 3 + x^5 / (3 * 5) + ...) (Marsaglia 2004, "Evaluating the normal
/// distribution").
fn normal(x: f64) -> (f64, f64) {
    /// The square root of 2 pi.
    const ROOT: f64 = 2.506_628_274_631_000_5;
    // phi(x) is 1 / (sqrt(2 pi) exp(x^2 / 2)).
    let exp = series(1.0, |k| x * x / 2.0 / k);
    let density = 1.0 / (ROOT * exp);
    (density * series(x, |k| x * x / (2.0 * k + 1.0)), density)
}

/// The sum of `term`, `term * ratio(1)`, `term * ratio(1) * ratio(2)`, ..., none of them negative.
fn series(mut term: f64, ratio: impl Fn(f64) -> f64) -> f64 {
    let (mut sum, mut k) = (term, 1.0);
    while term > sum * f64::EPSILON / 4.0 {
        term *= ratio(k);
        sum += term;
        k += 1.0;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::generator;

    #[test]
    fn the_table_holds_the_quantiles_of_the_normal_distribution() {
        // From tables: the quartile, and one, two and three standard deviations.
        for (probability, x) in [
            (0.25, 0.674_489_750_196_081_7),
            (0.341_344_746_068_542_9, 1.0),
            (0.477_249_868_051_820_8, 2.0),
            (0.498_650_101_968_369_9, 3.0),
        ] {
            assert!((quantile(probability, 0.0) - x).abs() < 1e-10, "{probability}");
            let place = (probability * (2 * SLICES) as f64) as usize;
            assert!((f64::from(POSITIVE[place]) / x - 1.0).abs() < 1e-3, "{probability}");
        }
        assert!(POSITIVE.windows(2).all(|pair| pair[0] < pair[1]));
        assert!((4.2..4.4).contains(&POSITIVE[SLICES - 1]));
    }

    #[test]
    fn the_table_is_the_same_on_every_machine() {
        let bytes: Vec<u8> = POSITIVE.iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(&blake3::hash(&bytes).to_hex().as_str()[..16], "7793424eb0a188bd");
    }

    #[test]
    fn the_numbers_have_the_moments_of_the_normal_distribution() {
        let mut values = vec![0.0f32; 1_000_003];
        add(&mut values, 2.0, &mut generator(1, "test", &[]));
        let mean = |power: i32| {
            values.iter().map(|x| f64::from(*x / 2.0).powi(power)).sum::<f64>() / 1_000_003.0
        };
        assert!(mean(1).abs() < 0.004, "{}", mean(1));
        assert!((mean(2) - 1.0).abs() < 0.006, "{}", mean(2));
        assert!(mean(3).abs() < 0.016, "{}", mean(3));
        assert!((mean(4) - 3.0).abs() < 0.05, "{}", mean(4));
        let beside: f64 = values.windows(2).map(|pair| f64::from(pair[0] * pair[1]) / 4.0).sum();
        assert!((beside / 1_000_002.0).abs() < 0.004, "neighbours have nothing to do with another");
    }
}
