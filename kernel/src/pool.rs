//! The mean over a patch's map.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{values, with_values};

/// Computes the mean over height and width: `[images, height, width, channels]` -> `[images, channels]`.
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
        y.par_chunks_mut(channels).zip(maps).for_each(|(mean, map)| means(map, channels, mean));
        Ok((CpuStorage::F32(y), Shape::from((images, channels))))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let (_, height, width, channels) = x.dims4()?;
        let positions = height * width;
        let dx = with_values(&dy.contiguous()?, self.name(), |dy| {
            let mut dx = vec![0.0; x.elem_count()];
            let maps = dx.par_chunks_mut(positions * channels);
            maps.zip(dy.par_chunks(channels)).for_each(|(map, dy)| spread(dy, channels, map));
            Ok(dx)
        })?;
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}

/// Writes the mean over the positions of each map `[maps, positions, channels]` to `means` `[maps, channels]`.
pub fn means(maps: &[f32], channels: usize, means: &mut [f32]) {
    let count = (means.len() / channels.max(1)).max(1);
    let len = maps.len() / count;
    let positions = (len / channels.max(1)) as f32;
    for (map, mean) in maps.chunks_exact(len.max(1)).zip(means.chunks_exact_mut(channels)) {
        mean.fill(0.0);
        for row in map.chunks_exact(channels) {
            mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        mean.iter_mut().for_each(|sum| *sum /= positions);
    }
}

/// Computes the gradient of the maps of [`means`] from `d_means` `[maps, channels]`, and writes it to `d_maps`.
pub fn spread(d_means: &[f32], channels: usize, d_maps: &mut [f32]) {
    let count = (d_means.len() / channels.max(1)).max(1);
    let len = d_maps.len() / count;
    let positions = (len / channels.max(1)) as f32;
    for (map, mean) in d_maps.chunks_exact_mut(len.max(1)).zip(d_means.chunks_exact(channels)) {
        for row in map.chunks_exact_mut(channels) {
            row.iter_mut().zip(mean).for_each(|(to, mean)| *to = mean / positions);
        }
    }
}
