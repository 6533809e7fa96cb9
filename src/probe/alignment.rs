//! Alignment (Wang & Isola 2020, "Understanding Contrastive Representation Learning through Alignment and
//! Uniformity on the Hypersphere", equation 1, alpha = 2): how close positive pairs lie.
//!
//! ```text
//! mean over positive pairs (x, y) of |x / |x| - y / |y||^2
//! ```
//!
//! From 0 for equal pairs to 4 for opposite ones; 2 if the two have nothing to do with each other. Positive
//! pairs are the loss's pairs within a sample: pooled vectors in a column of patches that lie a given number of
//! rows apart, or for sound, parts of a window that lie a given number of parts apart.

use std::ops::RangeInclusive;

/// Sum and count over the positive pairs of some samples. Results for several groups of samples can be added.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Alignment {
    sum: f64,
    pairs: u64,
}

impl Alignment {
    /// The alignment of `samples`, `[samples, rows, columns, channels]`, with pairs that lie `apart` rows
    /// apart.
    pub fn of(samples: &[f32], shape: [usize; 3], apart: &RangeInclusive<usize>) -> Self {
        let [rows, columns, channels] = shape;
        let mut all = Self::default();
        let len = (rows * columns * channels).max(1);
        let mut unit = vec![0.0f64; len];
        for sample in samples.chunks_exact(len) {
            let vectors = sample.chunks_exact(channels).zip(unit.chunks_exact_mut(channels));
            for (vector, unit) in vectors {
                let squares: f64 = vector.iter().map(|it| f64::from(*it).powi(2)).sum();
                let scale = if squares > 0.0 { squares.sqrt().recip() } else { 0.0 };
                unit.iter_mut().zip(vector).for_each(|(unit, it)| *unit = f64::from(*it) * scale);
            }
            for apart in apart.clone().take_while(|apart| *apart < rows) {
                let further = &unit[apart * columns * channels..];
                let pairs = unit.chunks_exact(channels).zip(further.chunks_exact(channels));
                for (one, other) in pairs {
                    all.sum += one.iter().zip(other).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
                    all.pairs += 1;
                }
            }
        }
        all
    }

    /// Combines the alignments of two groups of samples.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { sum: self.sum + other.sum, pairs: self.pairs + other.pairs }
    }

    /// The mean over the pairs; `None` if there is no pair.
    pub fn mean(self) -> Option<f64> {
        (self.pairs > 0).then(|| self.sum / self.pairs as f64)
    }
}
