//! Statistics of a column's values, over all its rows.

use serde::{Deserialize, Serialize};

/// Statistics over every value of a column, as stored.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// The number of values.
    pub count: u64,
    /// The mean.
    pub mean: f64,
    /// The standard deviation (of the population: divided by `count`).
    pub std: f64,
    /// The smallest value.
    pub min: f32,
    /// The largest value.
    pub max: f32,
    /// The fraction of values that are zero, 0 to 1.
    pub zero_fraction: f64,
}

/// Sums from which statistics are made. Sums of several parts can be added.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sums {
    count: u64,
    zeros: u64,
    sum: f64,
    sum_of_squares: f64,
    min: f32,
    max: f32,
}

/// Number of partial sums, for vector instructions. It affects the result, as sums depend on their order.
const LANES: usize = 8;

impl Sums {
    pub const NONE: Self =
        Self { count: 0, zeros: 0, sum: 0.0, sum_of_squares: 0.0, min: f32::MAX, max: f32::MIN };

    /// Sums over `values`.
    ///
    /// # Errors
    /// The index of the first value that is infinite or not a number.
    pub fn of(values: &[f32]) -> Result<Self, usize> {
        let mut zeros = [0u32; LANES];
        let mut sum = [0f64; LANES];
        let mut squares = [0f64; LANES];
        let mut min = [f32::MAX; LANES];
        let mut max = [f32::MIN; LANES];
        let mut add = |lane: usize, value: f32| {
            let wide = f64::from(value);
            zeros[lane] += u32::from(value == 0.0);
            sum[lane] += wide;
            squares[lane] += wide * wide;
            min[lane] = if value < min[lane] { value } else { min[lane] };
            max[lane] = if value > max[lane] { value } else { max[lane] };
        };
        let mut chunks = values.chunks_exact(LANES);
        for chunk in &mut chunks {
            for (lane, value) in chunk.iter().enumerate() {
                add(lane, *value);
            }
        }
        for (lane, value) in chunks.remainder().iter().enumerate() {
            add(lane, *value);
        }
        // Squares of finite f32 values cannot overflow an f64, so this is finite if they are.
        let sum_of_squares: f64 = squares.iter().sum();
        if !sum_of_squares.is_finite() {
            return Err(values.iter().position(|value| !value.is_finite()).unwrap_or(0));
        }
        Ok(Self {
            count: values.len() as u64,
            zeros: zeros.iter().map(|zeros| u64::from(*zeros)).sum(),
            sum: sum.iter().sum(),
            sum_of_squares,
            min: min.into_iter().fold(f32::MAX, f32::min),
            max: max.into_iter().fold(f32::MIN, f32::max),
        })
    }

    pub fn of_bytes(values: &[u8]) -> Self {
        let mut counts = [0u64; 256];
        for value in values {
            counts[usize::from(*value)] += 1;
        }
        let seen = || (0u8..=255).filter(|value| counts[usize::from(*value)] > 0);
        let weighted = |power: fn(f64) -> f64| -> f64 {
            seen().map(|value| counts[usize::from(value)] as f64 * power(f64::from(value))).sum()
        };
        Self {
            count: values.len() as u64,
            zeros: counts[0],
            sum: weighted(|value| value),
            sum_of_squares: weighted(|value| value * value),
            min: seen().next().map_or(f32::MAX, f32::from),
            max: seen().next_back().map_or(f32::MIN, f32::from),
        }
    }

    /// Whether `values` finite values can have these sums, which may have been read from a file.
    pub fn can_be_of(&self, values: u64) -> bool {
        let most = f64::from(f32::MAX);
        self.count == values
            && self.zeros <= values
            && self.sum.abs() <= values as f64 * most
            && (0.0..=values as f64 * most * most).contains(&self.sum_of_squares)
    }

    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.zeros += other.zeros;
        self.sum += other.sum;
        self.sum_of_squares += other.sum_of_squares;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    pub fn statistics(&self) -> Statistics {
        let count = self.count.max(1) as f64;
        let mean = self.sum / count;
        Statistics {
            count: self.count,
            mean,
            std: (self.sum_of_squares / count - mean * mean).max(0.0).sqrt(),
            min: self.min,
            max: self.max,
            zero_fraction: self.zeros as f64 / count,
        }
    }
}
