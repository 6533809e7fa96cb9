//! 2d convolution with bias and, fused, ReLU: im2col tiles that stay in cache, multiplied in rayon
//! tasks.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::matmul::{Matrix, Panels, matmul};
use super::{Geometry, values, with_values};

/// Convolves `x` `[images, height, width, channels]` with `weight`
/// `[kernel, kernel, channels, out_channels]`, adds `bias` `[out_channels]` and, when `relu`, takes
/// the positive part. The output is `[images, out_height, out_width, out_channels]`.
pub fn conv2d(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    stride: usize,
    padding: usize,
    relu: bool,
) -> Result<Tensor> {
    x.apply_op3(weight, bias, Conv2d { stride, padding, relu })
}

struct Conv2d {
    stride: usize,
    padding: usize,
    relu: bool,
}

impl Conv2d {
    fn geometry(&self, x: &Shape, weight: &Shape, bias: &Shape) -> Result<Geometry> {
        let (images, height, width, channels) = x.dims4()?;
        let (kernel, kernel_w, channels_w, out_channels) = weight.dims4()?;
        if kernel != kernel_w || channels != channels_w || bias.dims1()? != out_channels {
            candle_core::bail!(
                "conv2d: input {x:?}, weight {weight:?} and bias {bias:?} do not fit"
            )
        }
        if height.min(width) + 2 * self.padding < kernel || self.stride == 0 {
            candle_core::bail!(
                "conv2d: a kernel of {kernel} does not fit a map of {height}x{width}"
            )
        }
        let (stride, padding) = (self.stride, self.padding);
        Ok(Geometry { images, height, width, channels, kernel, stride, padding, out_channels })
    }
}

impl CustomOp3 for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
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
        let g = self.geometry(x_layout.shape(), weight_layout.shape(), bias_layout.shape())?;
        let y = forward(
            &g,
            values(x, x_layout, self.name())?,
            values(weight, weight_layout, self.name())?,
            values(bias, bias_layout, self.name())?,
            self.relu,
        );
        let shape = Shape::from((g.images, g.out_height(), g.out_width(), g.out_channels));
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
        let g = self.geometry(x.shape(), weight.shape(), bias.shape())?;
        let masked = if self.relu {
            super::activation::mask(y, &dy.contiguous()?)?
        } else {
            dy.contiguous()?
        };
        with_values(&masked, self.name(), |dy| {
            // A stage's input is data: nobody reads its gradient.
            let dx = match x.track_op() {
                true => {
                    let dx = with_values(weight, self.name(), |w| Ok(input_gradient(&g, w, dy)))?;
                    Some(Tensor::from_vec(dx, x.shape(), x.device())?)
                }
                false => None,
            };
            let (dw, db) = with_values(x, self.name(), |x| Ok(weight_gradient(&g, x, dy)))?;
            let dw = Tensor::from_vec(dw, weight.shape(), weight.device())?;
            let db = Tensor::from_vec(db, bias.shape(), bias.device())?;
            Ok((dx, Some(dw), Some(db)))
        })
    }
}

/// The im2col form of a few images: the images themselves for a pointwise kernel.
fn columns<'a>(g: &Geometry, images: &'a [f32], buffer: &'a mut Vec<f32>) -> &'a [f32] {
    if g.is_pointwise() {
        return images;
    }
    let len = g.out_positions() * g.taps();
    buffer.resize(images.len() / g.in_len() * len, 0.0);
    for (image, columns) in images.chunks_exact(g.in_len()).zip(buffer.chunks_exact_mut(len)) {
        g.im2col(image, columns);
    }
    buffer
}

fn forward(g: &Geometry, x: &[f32], weight: &[f32], bias: &[f32], relu: bool) -> Vec<f32> {
    let tile = g.images_per_tile();
    let weight = Panels::of(Matrix::new(weight, g.taps(), g.out_channels));
    let mut y = vec![0.0; g.images * g.out_len()];
    y.par_chunks_mut(tile * g.out_len()).zip(x.par_chunks(tile * g.in_len())).for_each_init(
        Vec::new,
        |buffer, (y, x)| {
            let rows = y.len() / g.out_channels;
            let columns = Matrix::new(columns(g, x, buffer), rows, g.taps());
            matmul(columns, &weight, y, false);
            for row in y.chunks_exact_mut(g.out_channels) {
                for (value, bias) in row.iter_mut().zip(bias) {
                    let sum = *value + bias;
                    *value = if relu { sum.max(0.0) } else { sum };
                }
            }
        },
    );
    y
}

fn input_gradient(g: &Geometry, weight: &[f32], dy: &[f32]) -> Vec<f32> {
    match g.transposed() {
        Some(transposed) => {
            let no_bias = vec![0.0; g.channels];
            forward(&transposed, dy, &flipped(g, weight), &no_bias, false)
        }
        None => scattered_input_gradient(g, weight, dy),
    }
}

/// The weight of the convolution that carries gradients back: rows and columns reversed, channels
/// and output channels exchanged.
fn flipped(g: &Geometry, weight: &[f32]) -> Vec<f32> {
    let taps = g.kernel * g.kernel;
    let matrix = g.channels * g.out_channels;
    let mut flipped = vec![0.0; weight.len()];
    for (tap, flipped) in flipped.chunks_exact_mut(matrix).enumerate() {
        let weight = &weight[(taps - 1 - tap) * matrix..][..matrix];
        for (o, row) in flipped.chunks_exact_mut(g.channels).enumerate() {
            for (c, value) in row.iter_mut().enumerate() {
                *value = weight[c * g.out_channels + o];
            }
        }
    }
    flipped
}

/// The input gradient for any stride: what each output position read gets its share back.
fn scattered_input_gradient(g: &Geometry, weight: &[f32], dy: &[f32]) -> Vec<f32> {
    let tile = g.images_per_tile();
    let weight = Panels::of(Matrix::new(weight, g.taps(), g.out_channels).transpose());
    let mut dx = vec![0.0; g.images * g.in_len()];
    dx.par_chunks_mut(tile * g.in_len()).zip(dy.par_chunks(tile * g.out_len())).for_each_init(
        Vec::new,
        |buffer, (dx, dy)| {
            let rows = dy.len() / g.out_channels;
            let dy = Matrix::new(dy, rows, g.out_channels);
            if g.is_pointwise() {
                return matmul(dy, &weight, dx, false);
            }
            buffer.resize(rows * g.taps(), 0.0);
            matmul(dy, &weight, buffer, false);
            let len = g.out_positions() * g.taps();
            for (image, columns) in dx.chunks_exact_mut(g.in_len()).zip(buffer.chunks_exact(len)) {
                g.col2im(columns, image);
            }
        },
    );
    dx
}

/// The gradients of weight and bias. Each thread sums a fixed share of the images; the shares are
/// added in order, so the result depends on the number of threads and on nothing else.
fn weight_gradient(g: &Geometry, x: &[f32], dy: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let share = g.images.div_ceil(rayon::current_num_threads()).max(1);
    let tile = g.images_per_tile();
    let shares: Vec<(Vec<f32>, Vec<f64>)> = x
        .par_chunks(share * g.in_len())
        .zip(dy.par_chunks(share * g.out_len()))
        .map(|(x, dy)| {
            let mut dw = vec![0.0; g.taps() * g.out_channels];
            // The terms of a bias's gradient mostly cancel: in f32 their sum would lose its digits.
            let mut db = vec![0.0f64; g.out_channels];
            let (mut buffer, mut panels) = (Vec::new(), Panels::default());
            let tiles = x.chunks(tile * g.in_len()).zip(dy.chunks(tile * g.out_len()));
            for (x, dy) in tiles {
                let rows = dy.len() / g.out_channels;
                let columns = Matrix::new(columns(g, x, &mut buffer), rows, g.taps());
                panels.pack(Matrix::new(dy, rows, g.out_channels));
                matmul(columns.transpose(), &panels, &mut dw, true);
                for row in dy.chunks_exact(g.out_channels) {
                    for (sum, value) in db.iter_mut().zip(row) {
                        *sum += f64::from(*value);
                    }
                }
            }
            (dw, db)
        })
        .collect();
    let mut dw = vec![0.0; g.taps() * g.out_channels];
    let mut db = vec![0.0f64; g.out_channels];
    for (share_dw, share_db) in shares {
        dw.iter_mut().zip(share_dw).for_each(|(sum, value)| *sum += value);
        db.iter_mut().zip(share_db).for_each(|(sum, value)| *sum += value);
    }
    (dw, db.into_iter().map(|sum| sum as f32).collect())
}
