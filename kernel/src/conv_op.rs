//! Convolution as a candle operation, for graphs.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::conv::{Convolution, Packed};
use super::product::Write;
use super::{Geometry, maps_per_tile, tile, values, with_values};

/// Convolves `x` `[n, height, width, channels]` with `weight`
/// `[kernel, kernel, channels, out_channels]`, adds `bias` `[out_channels]` and, when `relu`, takes
/// the positive part. The output is `[n, out_height, out_width, out_channels]`.
///
/// Stride and padding are given down and across; the kernel's sizes may differ, too. The gradients of weight and bias
/// depend on the number of threads, as each thread sums a share of the batch.
///
/// # Errors
/// When the shapes do not fit, or the tensors are not contiguous f32 on the CPU.
pub fn conv2d(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    stride: [usize; 2],
    padding: [usize; 2],
    relu: bool,
) -> Result<Tensor> {
    x.apply_op3(weight, bias, Conv { stride, padding, relu })
}

/// Convolves `x` `[n, length, channels]` with `weight` `[kernel, channels, out_channels]`; see [`conv2d`].
///
/// # Errors
/// The errors of [`conv2d`].
pub fn conv1d(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    stride: usize,
    padding: usize,
    relu: bool,
) -> Result<Tensor> {
    conv2d(&x.unsqueeze(1)?, &weight.unsqueeze(0)?, bias, [1, stride], [0, padding], relu)?
        .squeeze(1)
}

struct Conv {
    stride: [usize; 2],
    padding: [usize; 2],
    relu: bool,
}

impl Conv {
    fn convolution(&self, x: &Shape, weight: &Shape, bias: &Shape) -> Result<(usize, Convolution)> {
        let (maps, height, width, channels) = x.dims4()?;
        let (down, across, weight_channels, out_channels) = weight.dims4()?;
        let (kernel, stride, padding) = ([down, across], self.stride, self.padding);
        let geometry = Geometry { height, width, channels, kernel, stride, padding, out_channels };
        if channels != weight_channels || bias.dims1()? != out_channels || !geometry.is_possible() {
            candle_core::bail!(
                "{}: input {x:?}, weight {weight:?} and bias {bias:?} do not fit",
                self.name()
            )
        }
        Ok((maps, Convolution::new(geometry, maps_per_tile(geometry.out_positions()))))
    }
}

impl CustomOp3 for Conv {
    fn name(&self) -> &'static str {
        "convolution"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let shapes = (x_layout.shape(), weight_layout.shape(), bias_layout.shape());
        let (maps, conv) = self.convolution(shapes.0, shapes.1, shapes.2)?;
        let x = values(x, x_layout, self.name())?;
        let mut packed = Packed::default();
        conv.pack(values(weight, weight_layout, self.name())?, &mut packed);
        let bias = Some(values(bias, bias_layout, self.name())?);
        let write = Write { bias, relu: self.relu, ..Write::default() };

        let g = &conv.geometry;
        let mut y = vec![0.0; maps * g.out_len()];
        let tile = tile(maps, conv.most_maps);
        let tiles = y.par_chunks_mut((tile * g.out_len()).max(1));
        tiles
            .zip(x.par_chunks((tile * g.in_len()).max(1)))
            .for_each(|(y, x)| conv.forward(&packed, x, y, write));
        let shape = Shape::from((maps, g.out_height(), g.out_width(), g.out_channels));
        Ok((CpuStorage::F32(y), shape))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (maps, conv) = self.convolution(x.shape(), weight.shape(), bias.shape())?;
        let masked = if self.relu {
            super::activation::mask(y, &dy.contiguous()?)?
        } else {
            dy.contiguous()?
        };
        with_values(&masked, self.name(), |dy| {
            // Where the input is data, its gradient is not needed.
            let dx = match x.track_op() {
                true => {
                    let dx = with_values(weight, self.name(), |weight| {
                        Ok(input_gradient(&conv, weight, dy, maps))
                    })?;
                    Some(Tensor::from_vec(dx, x.shape(), x.device())?)
                }
                false => None,
            };
            let (dw, db) = with_values(x, self.name(), |x| Ok(weight_gradient(&conv, x, dy)))?;
            let dw = Tensor::from_vec(dw, weight.shape(), weight.device())?;
            let db = Tensor::from_vec(db, bias.shape(), bias.device())?;
            Ok((dx, Some(dw), Some(db)))
        })
    }
}

fn input_gradient(conv: &Convolution, weight: &[f32], dy: &[f32], maps: usize) -> Vec<f32> {
    let mut packed = Packed::default();
    conv.pack_back(weight, &mut packed);
    let g = &conv.geometry;
    let mut dx = vec![0.0; maps * g.in_len()];
    let tile = tile(maps, conv.most_maps);
    let tiles = dx.par_chunks_mut((tile * g.in_len()).max(1));
    tiles
        .zip(dy.par_chunks((tile * g.out_len()).max(1)))
        .for_each(|(dx, dy)| conv.input_gradient(&packed, dy, dx, Write::default()));
    dx
}

/// Computes the gradients of weight and bias: each thread sums a share of the maps, and the shares are added in order.
fn weight_gradient(conv: &Convolution, x: &[f32], dy: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let g = &conv.geometry;
    let maps = x.len() / g.in_len().max(1);
    let share = maps.div_ceil(rayon::current_num_threads()).max(1);
    let zeros = || (vec![0.0f32; g.taps() * g.out_channels], vec![0.0f64; g.out_channels]);
    let shares: Vec<_> = x
        .par_chunks((share * g.in_len()).max(1))
        .zip(dy.par_chunks((share * g.out_len()).max(1)))
        .map(|(x, dy)| {
            let (mut dw, mut db) = zeros();
            let x = x.chunks((conv.most_maps * g.in_len()).max(1));
            for (x, dy) in x.zip(dy.chunks((conv.most_maps * g.out_len()).max(1))) {
                conv.add_weight_gradient(x, dy, &mut dw, &mut db);
            }
            (dw, db)
        })
        .collect();
    let (mut dw, mut db) = zeros();
    for (share_dw, share_db) in shares {
        dw.iter_mut().zip(share_dw).for_each(|(sum, value)| *sum += value);
        db.iter_mut().zip(share_db).for_each(|(sum, value)| *sum += value);
    }
    (dw, db.into_iter().map(|sum| sum as f32).collect())
}
