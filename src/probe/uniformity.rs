//! Uniformity (Wang & Isola 2020, equation 2, t = 2): how evenly vectors lie on the unit sphere.
//!
//! ```text
//! log of the mean over pairs x, y of exp(-2 |x / |x| - y / |y||^2)
//! ```
//!
//! It is 0 if all vectors have one direction, and lower the more evenly they are spread: down to about -4 in
//! many dimensions.

use candle_core::{Device, Tensor};

use super::cka::matrix;
use crate::Result;
use gimlet_kernel::with_values;

/// Rows compared at once.
const BLOCK: usize = 512;

/// The uniformity of `vectors`, `[rows, channels]`, over all pairs of different rows; `None` with fewer than
/// two rows.
///
/// # Errors
/// When a product fails.
pub fn uniformity(vectors: &[f32], channels: usize) -> Result<Option<f64>> {
    let mut unit = matrix(vectors, channels);
    for vector in unit.chunks_exact_mut(channels.max(1)) {
        let length = vector.iter().map(|it| it * it).sum::<f64>().sqrt();
        let scale = if length > 0.0 { length.recip() } else { 0.0 };
        vector.iter_mut().for_each(|it| *it *= scale);
    }
    let rows = unit.len() / channels.max(1);
    if rows < 2 || unit.iter().any(|it| !it.is_finite()) {
        return Ok(None);
    }
    // Computed for each vector, since one of length 0 has no direction and stays 0.
    let squares: Vec<f64> =
        unit.chunks_exact(channels).map(|it| it.iter().map(|it| it * it).sum()).collect();
    let unit: Vec<f32> = unit.into_iter().map(|it| it as f32).collect();
    let all = Tensor::from_vec(unit, (rows, channels), &Device::Cpu)?;
    let (mut sum, transposed) = (0.0, all.t()?);
    for from in (0..rows).step_by(BLOCK) {
        let block = all.narrow(0, from, BLOCK.min(rows - from))?;
        sum += with_values(&block.matmul(&transposed)?, "uniformity", |products| {
            let mut sum = 0.0;
            for (index, products) in products.chunks_exact(rows).enumerate() {
                let row = from + index;
                // Counts each pair once.
                for other in row + 1..rows {
                    let far = squares[row] + squares[other] - 2.0 * f64::from(products[other]);
                    sum += (-2.0 * far.max(0.0)).exp();
                }
            }
            Ok(sum)
        })?;
    }
    let pairs = rows as f64 * (rows - 1) as f64 / 2.0;
    Ok(Some((sum / pairs).ln()))
}
