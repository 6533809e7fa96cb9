//! Linear centred kernel alignment (Kornblith et al. 2019, "Similarity of Neural Network Representations
//! Revisited", section 3): how similar two representations of the same rows are, up to rotation and scale.
//!
//! With X and Y `[rows, channels]`, each channel less its mean:
//!
//! ```text
//! CKA = |Y^T X|_F^2 / (|X^T X|_F |Y^T Y|_F)
//! ```
//!
//! The value is from 0 to 1. It is computed from Gram matrices K = X X^T and L = Y Y^T of the rows, which are
//! made once per representation: `|Y^T X|_F^2` is `<K, L>`, the sum of the products of their cells. With few
//! rows and many channels it is too high even for unrelated representations: compare it with that of untrained
//! ones.

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use crate::{Error, Result};
use gimlet_kernel::with_values;

/// A representation of some rows, prepared for comparison.
pub struct Representation {
    rows: usize,
    /// The Gram matrix K, `[rows, rows]`.
    gram: Vec<f32>,
    /// The norm |K|_F.
    norm: f64,
}

impl Representation {
    /// The representation by `vectors`, `[rows, channels]`.
    ///
    /// # Errors
    /// When the product fails.
    pub fn of(vectors: &[f32], channels: usize) -> Result<Self> {
        let mut centred = matrix(vectors, channels);
        let rows = centred.len() / channels.max(1);
        let mut mean = vec![0.0; channels];
        for vector in centred.chunks_exact(channels.max(1)) {
            mean.iter_mut().zip(vector).for_each(|(mean, it)| *mean += it / rows as f64);
        }
        for vector in centred.chunks_exact_mut(channels.max(1)) {
            for (it, mean) in vector.iter_mut().zip(&mean) {
                *it -= mean;
                // What rounding leaves of a constant does not count as variation.
                if it.abs() <= 1e-12 * mean.abs() {
                    *it = 0.0;
                }
            }
        }
        // Scale does not matter, so values are scaled until their squares neither overflow nor vanish.
        let largest = centred.iter().fold(0.0f64, |largest, it| largest.max(it.abs()));
        let scale = if largest > 0.0 { largest.recip() } else { 0.0 };
        let scaled: Vec<f64> = centred.into_iter().map(|it| it * scale).collect();
        let centred = Tensor::from_vec(scaled, (rows, channels), &Device::Cpu)?;
        let gram = centred.matmul(&centred.t()?)?.to_dtype(candle_core::DType::F32)?;
        let gram = with_values(&gram, "similarity", |gram| Ok(gram.to_vec()))?;
        let norm = product(&gram, &gram).sqrt();
        Ok(Self { rows, gram, norm })
    }

    /// The CKA of two representations; `None` if one does not vary.
    ///
    /// # Errors
    /// When they differ in their numbers of rows.
    pub fn cka(&self, other: &Self) -> Result<Option<f64>> {
        if self.rows != other.rows {
            let message = format!("representations of {} and {} rows", self.rows, other.rows);
            return Err(Error::failed(message));
        }
        let norms = self.norm * other.norm;
        Ok((norms > 0.0).then(|| (product(&self.gram, &other.gram) / norms).clamp(0.0, 1.0)))
    }
}

fn product(one: &[f32], other: &[f32]) -> f64 {
    let sum = |(one, other): (&[f32], &[f32])| {
        one.iter().zip(other).map(|(one, other)| f64::from(*one) * f64::from(*other)).sum::<f64>()
    };
    // The parts are fixed and summed in order, so that the number of threads changes nothing.
    let parts: Vec<f64> = one.par_chunks(1 << 16).zip(other.par_chunks(1 << 16)).map(sum).collect();
    parts.iter().sum()
}

/// The vectors in f64, without an incomplete last one.
pub(super) fn matrix(vectors: &[f32], channels: usize) -> Vec<f64> {
    let whole =
        vectors.chunks_exact(channels.max(1)).take(if channels == 0 { 0 } else { usize::MAX });
    whole.flatten().map(|it| f64::from(*it)).collect()
}
