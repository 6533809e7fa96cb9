//! A context on the grid of patches: the gated PixelCNN (van den Oord et al. 2016) that CPC puts on top of its
//! encoder.
//!
//! With `z` the pooled vectors, `v_0 = h_0 = z`, and for four layers, `a ++ b` the two halves of the
//! channels and `gate(a ++ b) = tanh(a) * sigmoid(b)`:
//!
//! ```text
//! V = conv(v)              of the row above and its own, 3 columns; C -> 2 C channels
//! H = conv(h) + conv1x1(V) of its own row, 3 columns
//! v' = gate(V + conv1x1(v))      in the first layer: gate(V)
//! h' = conv1x1(gate(H)) + h      in the first layer: without h
//! ```
//!
//! The context is `conv1x1(h_4)`: it reads nothing below its row. The published code has kernels of 3 rows and a mask
//! on the last row. Here that row only counts for the scale of the first draw.

use candle_core::Tensor;
use candle_nn::ops::sigmoid;

use crate::Result;
use crate::parameters::{ParameterShape, Parameters};
use gimlet_kernel::conv_op::conv2d;
use gimlet_kernel::gate::gate;

const LAYERS: usize = 4;

/// A convolution: its name, its kernel, whether its output has twice the channels of `z`, and the masked rows of its
/// published kernel.
#[derive(Clone, Copy)]
struct Part {
    name: &'static str,
    kernel: [usize; 2],
    doubles: bool,
    masked: usize,
}

const VERTICAL: Part = Part { name: "vertical", kernel: [2, 3], doubles: true, masked: 1 };
const HORIZONTAL: Part = Part { name: "horizontal", kernel: [1, 3], doubles: true, masked: 0 };
/// The only convolution whose input has twice the channels of `z`.
const ACROSS: Part = Part { name: "across", kernel: [1, 1], doubles: true, masked: 0 };
const RESIDUAL: Part = Part { name: "residual", kernel: [1, 1], doubles: true, masked: 0 };
const OUTPUT: Part = Part { name: "output", kernel: [1, 1], doubles: false, masked: 0 };

impl Part {
    /// The shapes of weight and bias, named under `prefix`, where `z` has `channels` channels.
    fn shapes(self, prefix: &str, channels: usize) -> [ParameterShape; 2] {
        let inputs = if self.name == ACROSS.name { 2 * channels } else { channels };
        let outputs = if self.doubles { 2 * channels } else { channels };
        let [rows, columns] = self.kernel;
        let fan_in = (rows + self.masked) * columns * inputs;
        let name = |kind: &str| format!("context.{prefix}{}.{kind}", self.name);
        let shape = |kind: &str, dims| ParameterShape::drawn(name(kind), dims, fan_in);
        [shape("weight", vec![rows, columns, inputs, outputs]), shape("bias", vec![outputs])]
    }
}

/// The convolutions of a layer.
fn parts(layer: usize) -> Vec<Part> {
    let residual = (layer > 0).then_some(RESIDUAL);
    [VERTICAL, HORIZONTAL, ACROSS, OUTPUT].into_iter().chain(residual).collect()
}

/// The shapes of the parameters for vectors of `channels` channels.
pub fn shapes(channels: usize) -> Vec<ParameterShape> {
    let of_layer = |layer: usize| {
        let prefix = format!("{layer}.");
        parts(layer).into_iter().flat_map(move |part| part.shapes(&prefix, channels))
    };
    (0..LAYERS).flat_map(of_layer).chain(OUTPUT.shapes("", channels)).collect()
}

/// Additions and multiplications for a sample with `patches` patches.
pub fn operations(channels: usize, patches: usize) -> f64 {
    let weights = shapes(channels).into_iter().map(|shape| shape.dims.iter().product::<usize>());
    2.0 * patches as f64 * weights.sum::<usize>() as f64
}

/// A PixelCNN with its parameters.
pub struct PixelCnn {
    channels: usize,
    parameters: Parameters,
}

impl PixelCnn {
    /// Builds a PixelCNN with the parameters under `context.`.
    ///
    /// # Errors
    /// When a parameter is missing or has another shape.
    pub fn new(channels: usize, parameters: &Parameters) -> Result<Self> {
        for shape in shapes(channels) {
            parameters.get(&shape)?;
        }
        Ok(Self { channels, parameters: parameters.clone() })
    }

    /// Computes the contexts of `z`; both are `[batch, rows, columns, channels]`.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn forward(&self, z: &Tensor) -> Result<Tensor> {
        let (mut v, mut h) = (z.clone(), z.clone());
        for layer in 0..LAYERS {
            let apply = |part: Part, x: &Tensor| self.convolve(part, &format!("{layer}."), x);
            let mut vertical = apply(VERTICAL, &v)?;
            let horizontal = apply(HORIZONTAL, &h)?.add(&apply(ACROSS, &vertical)?)?;
            let output = apply(OUTPUT, &self.gate(&horizontal)?)?;
            if layer > 0 {
                vertical = vertical.add(&apply(RESIDUAL, &v)?)?;
                h = h.add(&output)?;
            } else {
                h = output;
            }
            v = self.gate(&vertical)?;
        }
        self.convolve(OUTPUT, "", &h)
    }

    fn gate(&self, x: &Tensor) -> Result<Tensor> {
        if self.parameters.device().has_kernels() {
            return Ok(gate(x)?);
        }
        let half = |first| x.narrow(3, first, self.channels)?.contiguous();
        Ok(half(0)?.tanh()?.mul(&sigmoid(&half(self.channels)?)?)?)
    }

    /// Convolves `[batch, height, width, channels]`, and keeps the number of rows and columns.
    fn convolve(&self, part: Part, prefix: &str, x: &Tensor) -> Result<Tensor> {
        let [weight, bias] = part.shapes(prefix, self.channels);
        let (weight, bias) = (self.parameters.get(&weight)?, self.parameters.get(&bias)?);
        // A kernel ends with the row of its position.
        let (above, sides) = (part.kernel[0] - 1, part.kernel[1] / 2);
        let x = if above > 0 { x.pad_with_zeros(1, above, 0)? } else { x.clone() };
        if self.parameters.device().has_kernels() {
            return Ok(conv2d(&x, &weight, &bias, [1, 1], [0, sides], false)?);
        }
        let x = if sides > 0 { x.pad_with_zeros(2, sides, sides)? } else { x };
        let weight = weight.permute((3, 2, 0, 1))?.contiguous()?;
        let y = x.permute((0, 3, 1, 2))?.contiguous()?.conv2d(&weight, 0, 1, 1, 1)?;
        Ok(y.permute((0, 2, 3, 1))?.contiguous()?.broadcast_add(&bias)?)
    }
}
