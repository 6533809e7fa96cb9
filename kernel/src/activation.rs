//! The rectifier.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{values, with_all_values};

/// Values per rayon task.
const CHUNK: usize = 1 << 16;

/// Computes max(x, 0) for a tensor of any shape.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    x.apply_op1(Relu)
}

struct Relu;

impl CustomOp1 for Relu {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = values(x, layout, self.name())?;
        let mut y = vec![0.0; x.len()];
        let chunks = y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK));
        chunks.for_each(|(y, x)| rectify_into(x, y));
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, _x: &Tensor, y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(mask(y, &dy.contiguous()?)?))
    }
}

/// The gradient before a rectifier whose output was `y`: `dy` where `y > 0`, else 0.
pub(super) fn mask(y: &Tensor, dy: &Tensor) -> Result<Tensor> {
    let masked = with_all_values([y, dy], "relu", |values| {
        let (y, dy) = (values[0], values[1]);
        let mut dx = vec![0.0; dy.len()];
        let chunks = dx.par_chunks_mut(CHUNK).zip(dy.par_chunks(CHUNK));
        chunks.zip(y.par_chunks(CHUNK)).for_each(|((dx, dy), y)| mask_into(y, dy, dx));
        Ok::<_, candle_core::Error>(dx)
    })?;
    Tensor::from_vec(masked, y.shape(), y.device())
}

/// Writes max(x, 0) to `y`.
pub fn rectify_into(x: &[f32], y: &mut [f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = x.max(0.0);
    }
}

/// Writes `dy` where `y > 0`, else 0, to `dx`.
pub fn mask_into(y: &[f32], dy: &[f32], dx: &mut [f32]) {
    for ((dx, dy), y) in dx.iter_mut().zip(dy).zip(y) {
        *dx = if *y > 0.0 { *dy } else { 0.0 };
    }
}
