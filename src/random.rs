//! Randomness from counters. Every draw is a function of the pipeline's seed, its purpose and its place in the run,
//! so a run that was stopped draws the same numbers again.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A generator for one purpose at one place of a run.
///
/// `purpose` names the use ("a/negatives"); `counters` name the place (epoch, step, sample id).
pub fn generator(seed: u64, purpose: &str, counters: &[u64]) -> Draws {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.update(&(purpose.len() as u64).to_le_bytes());
    hasher.update(purpose.as_bytes());
    for counter in counters {
        hasher.update(&counter.to_le_bytes());
    }
    Draws(ChaCha8Rng::from_seed(*hasher.finalize().as_bytes()))
}

/// A stream of random numbers.
pub struct Draws(ChaCha8Rng);

impl Draws {
    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in `0..bound`, without bias (Lemire 2019, "Fast random integer generation in an
    /// interval"). `bound` must not be 0.
    pub fn below(&mut self, bound: u32) -> u32 {
        debug_assert!(bound > 0);
        loop {
            let wide = u64::from(self.0.next_u32()) * u64::from(bound);
            if (wide as u32) >= bound.wrapping_neg() % bound {
                return (wide >> 32) as u32;
            }
        }
    }

    /// Uniform in `[0, 1)`, 24 random bits.
    pub fn unit(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / (1u32 << 24) as f32
    }

    /// Uniform in `[low, high)`.
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f32) -> bool {
        self.unit() < p
    }

    /// Standard normal, by the Box-Muller transform.
    pub fn normal(&mut self) -> f32 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f32::consts::TAU * self.unit()).cos()
    }

    /// A uniformly random order of `0..n` (Fisher-Yates).
    pub fn permutation(&mut self, n: usize) -> Vec<u32> {
        self.end_of_permutation(n, n)
    }

    /// The last `len` numbers of a [`permutation`](Self::permutation) of `0..n`; no others are drawn.
    pub fn end_of_permutation(&mut self, n: usize, len: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n as u32).collect();
        let first = n.saturating_sub(len);
        for i in (first.max(1)..n).rev() {
            order.swap(i, self.below(i as u32 + 1) as usize);
        }
        order.split_off(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_place_draws_the_same_numbers_and_another_place_others() {
        let draw = |purpose, counters: &[u64]| generator(7, purpose, counters).next_u64();
        assert_eq!(draw("a", &[1, 2]), draw("a", &[1, 2]));
        assert_ne!(draw("a", &[1, 2]), draw("a", &[2, 1]));
        assert_ne!(draw("a", &[]), draw("b", &[]));
    }

    #[test]
    fn below_stays_below_and_reaches_every_value() {
        let mut draws = generator(1, "test", &[]);
        let mut seen = [0u32; 7];
        for _ in 0..7000 {
            seen[draws.below(7) as usize] += 1;
        }
        assert!(seen.iter().all(|&n| (850..1150).contains(&n)), "{seen:?}");
    }

    #[test]
    fn a_permutation_holds_every_number_once() {
        let mut order = generator(3, "test", &[]).permutation(1000);
        assert_ne!(order[..5], [0, 1, 2, 3, 4]);
        order.sort_unstable();
        assert!(order.iter().enumerate().all(|(i, &v)| i == v as usize));
    }

    #[test]
    fn the_end_of_a_permutation_is_drawn_alone() {
        let whole = generator(3, "test", &[]).permutation(1000);
        let (mut draws, mut counted) = (generator(3, "test", &[]), generator(3, "test", &[]));
        assert_eq!(draws.end_of_permutation(1000, 70), whole[930..]);
        for i in (930..1000).rev() {
            counted.below(i + 1);
        }
        assert_eq!(draws.next_u64(), counted.next_u64(), "70 numbers were drawn");
        assert_eq!(draws.end_of_permutation(5, 9).len(), 5);
    }
}
