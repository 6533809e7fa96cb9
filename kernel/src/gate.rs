//! The gate of a PixelCNN.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{values, with_all_values};

/// Rows per rayon task.
const ROWS: usize = 32;

/// Computes tanh(a) * sigmoid(b), where a is the first half of each row's channels and b the second: `[.., 2 *
/// channels]` -> `[.., channels]`.
///
/// # Errors
/// When the number of channels is odd, or the tensor is not contiguous f32 on the CPU.
pub fn gate(x: &Tensor) -> Result<Tensor> {
    x.apply_op1(Gate)
}

struct Gate;

impl Gate {
    /// The number of channels and the shape of the output.
    fn output(shape: &Shape) -> Result<(usize, Shape)> {
        let mut dims = shape.dims().to_vec();
        match dims.last_mut() {
            Some(last) if *last > 0 && last.is_multiple_of(2) => {
                *last /= 2;
                Ok((*last, Shape::from(dims)))
            }
            _ => candle_core::bail!("gate: {shape:?} has no two halves of channels"),
        }
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

impl CustomOp1 for Gate {
    fn name(&self) -> &'static str {
        "gate"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (channels, shape) = Self::output(layout.shape())?;
        let x = values(x, layout, self.name())?;
        let mut y = vec![0.0; x.len() / 2];
        let tasks = y.par_chunks_mut(ROWS * channels).zip(x.par_chunks(ROWS * 2 * channels));
        tasks.for_each(|(y, x)| {
            for (y, x) in y.chunks_exact_mut(channels).zip(x.chunks_exact(2 * channels)) {
                let (a, b) = x.split_at(channels);
                for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
                    *y = a.tanh() * sigmoid(*b);
                }
            }
        });
        Ok((CpuStorage::F32(y), shape))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let (channels, _) = Self::output(x.shape())?;
        let dy = dy.contiguous()?;
        let dx = with_all_values([x, &dy], self.name(), |values| {
            let [x, dy] = std::array::from_fn(|place| values[place]);
            let mut dx = vec![0.0; x.len()];
            let tasks = dx.par_chunks_mut(ROWS * 2 * channels);
            let tasks = tasks.zip(x.par_chunks(ROWS * 2 * channels));
            tasks.zip(dy.par_chunks(ROWS * channels)).for_each(|((dx, x), dy)| {
                let rows = dx.chunks_exact_mut(2 * channels).zip(x.chunks_exact(2 * channels));
                for ((dx, x), dy) in rows.zip(dy.chunks_exact(channels)) {
                    let ((da, db), (a, b)) = (dx.split_at_mut(channels), x.split_at(channels));
                    for channel in 0..channels {
                        let (t, s) = (a[channel].tanh(), sigmoid(b[channel]));
                        da[channel] = dy[channel] * (1.0 - t * t) * s;
                        db[channel] = dy[channel] * t * s * (1.0 - s);
                    }
                }
            });
            Ok::<_, candle_core::Error>(dx)
        })?;
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}
