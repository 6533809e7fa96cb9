//! The mean over a patch's map.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{values, with_values};

/// The mean over height and width: `[images, height, width, channels]` -> `[images, channels]`.
pub fn mean_pool(x: &Tensor) -> Result<Tensor> {
    x.apply_op1(MeanPool)
}

struct MeanPool;

impl CustomOp1 for MeanPool {
    fn name(&self) -> &'static str {
        "mean_pool"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (images, height, width, channels) = layout.shape().dims4()?;
        let positions = height * width;
        let x = values(x, layout, self.name())?;
        let mut y = vec![0.0; images * channels];
        let maps = x.par_chunks(positions * channels);
        y.par_chunks_mut(channels).zip(maps).for_each(|(mean, map)| {
            for row in map.chunks_exact(channels) {
                for (sum, value) in mean.iter_mut().zip(row) {
                    *sum += value;
                }
            }
            mean.iter_mut().for_each(|sum| *sum /= positions as f32);
        });
        Ok((CpuStorage::F32(y), Shape::from((images, channels))))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let (_, height, width, channels) = x.dims4()?;
        let positions = height * width;
        let dx = with_values(&dy.contiguous()?, self.name(), |dy| {
            let mut dx = vec![0.0; x.elem_count()];
            let maps = dx.par_chunks_mut(positions * channels);
            maps.zip(dy.par_chunks(channels)).for_each(|(map, dy)| {
                for row in map.chunks_exact_mut(channels) {
                    for (to, dy) in row.iter_mut().zip(dy) {
                        *to = dy / positions as f32;
                    }
                }
            });
            Ok(dx)
        })?;
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}
