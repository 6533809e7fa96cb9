//! RankMe (Garrido et al. 2023, "RankMe: Assessing the Downstream Performance of Pretrained Self-Supervised
//! Representations by Their Rank", equations 1 and 2): how many directions a representation uses.
//!
//! Let `sigma_k` be the singular values of the unscaled vectors Z `[rows, channels]`. Then
//!
//! ```text
//! p_k = sigma_k / (sum of all sigma) + 1e-7,   RankMe = exp(- sum over k of p_k log p_k)
//! ```
//!
//! From 1, a single direction, to min(rows, channels), if all directions are used alike. With fewer rows than
//! channels it says more about the rows. The singular values are the roots of the eigenvalues of Z^T Z, or of Z
//! Z^T if that is smaller, in f64.

use candle_core::{Device, Tensor};
use gimlet_kernel::eigenvalues::symmetric_eigenvalues;

use super::cka::matrix;
use crate::{Error, Result};

/// The paper's value for f32.
const EPSILON: f64 = 1e-7;

/// The RankMe of `vectors`, `[rows, channels]`; `None` if all are 0 or there are none.
///
/// # Errors
/// When a value is not finite.
pub fn rank_me(vectors: &[f32], channels: usize) -> Result<Option<f64>> {
    let values = matrix(vectors, channels);
    let rows = values.len() / channels.max(1);
    if rows == 0 {
        return Ok(None);
    }
    if values.iter().any(|it| !it.is_finite()) {
        return Err(Error::failed("the vectors have no singular values: one is not finite"));
    }
    let z = Tensor::from_vec(values, (rows, channels), &Device::Cpu)?;
    let gram = if channels <= rows { z.t()?.matmul(&z)? } else { z.matmul(&z.t()?)? };
    let size = gram.dim(0)?;
    let eigenvalues = symmetric_eigenvalues(gram.flatten_all()?.to_vec1()?, size);
    let singular: Vec<f64> = eigenvalues.into_iter().map(|it| it.max(0.0).sqrt()).collect();
    let sum: f64 = singular.iter().sum();
    if sum == 0.0 {
        return Ok(None);
    }
    let entropy: f64 = singular.iter().map(|it| it / sum + EPSILON).map(|p| -p * p.ln()).sum();
    Ok(Some(entropy.exp()))
}
