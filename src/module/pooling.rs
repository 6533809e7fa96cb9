//! Pools the maps of samples into the vectors that are stored and probed.

use candle_core::Tensor;

use crate::Result;
use crate::pipeline::{Map, Pooling};
use gimlet_kernel::pool::mean_pool;
use gimlet_kernel::with_values;

/// Pools the maps `[batch * maps, h, w, channels]` of samples into vectors `[batch, rows, columns, channels]`. For
/// images, they are the mean over each patch's map, on the grid of patches; for sound, the means over equal parts of
/// the window, in order.
///
/// # Errors
/// When the number of maps is not that of whole samples.
pub fn pooled(maps: &Tensor, pooling: Pooling) -> Result<Tensor> {
    let (all, height, width, channels) = maps.dims4()?;
    let (rows, columns) = pooling.stored(Map { height, width, channels });
    let batch = all / pooling.maps();
    let shape = (batch, rows, columns, channels);
    match pooling {
        Pooling::Patches { .. } => Ok(mean_pool(maps)?.reshape(shape)?),
        Pooling::Steps { .. } if rows == width => Ok(maps.reshape(shape)?),
        Pooling::Steps { .. } => Ok(with_values(maps, "pool", |values| {
            let mut means = vec![0.0; batch * rows * channels];
            let samples = means.chunks_exact_mut(rows * channels);
            for (means, steps) in samples.zip(values.chunks_exact(width * channels)) {
                for (row, mean) in means.chunks_exact_mut(channels).enumerate() {
                    let (from, to) = (row * width / rows, (row + 1) * width / rows);
                    let mut sum = vec![0.0f64; channels];
                    for step in steps[from * channels..to * channels].chunks_exact(channels) {
                        sum.iter_mut().zip(step).for_each(|(sum, it)| *sum += f64::from(*it));
                    }
                    let count = (to - from) as f64;
                    mean.iter_mut().zip(sum).for_each(|(mean, sum)| *mean = (sum / count) as f32);
                }
            }
            Tensor::from_vec(means, shape, &candle_core::Device::Cpu)
        })?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_averaged_over_equal_parts_of_the_window() {
        let home = &candle_core::Device::Cpu;
        let maps = Tensor::arange(0.0f32, 20.0, home).unwrap().reshape((2, 1, 5, 2)).unwrap();
        let values = |frames| {
            let pooled = pooled(&maps, Pooling::Steps { frames }).unwrap();
            assert_eq!(pooled.dims()[..1], [2]);
            pooled.flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        // The means over steps 0 and 1, then over steps 2 to 4.
        assert_eq!(values(2), [1.0, 2.0, 6.0, 7.0, 11.0, 12.0, 16.0, 17.0]);
        assert_eq!(values(5), (0..20).map(|it| it as f32).collect::<Vec<_>>());
        assert_eq!(values(9), values(5), "there are no more steps");
    }
}
