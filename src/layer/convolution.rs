//! Convolutions within layers, with bias and zero-padded.

use candle_core::Tensor;
use gimlet_kernel::Geometry;

use super::{Map, Window};
use crate::Result;
use crate::parameters::ParameterShape;

/// A convolution within a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvSpec {
    /// The name of the part of the layer that it is; empty where it is the whole layer.
    pub part: &'static str,
    /// The window that it reads for each position.
    pub window: Window,
    /// Channels of its input.
    pub channels: usize,
    /// Channels of its output.
    pub out_channels: usize,
}

impl ConvSpec {
    /// The sizes of this convolution on maps with the height and width of `map`.
    pub fn geometry(&self, map: Map) -> Geometry {
        self.window.geometry(Map { channels: self.channels, ..map }, self.out_channels)
    }

    /// The shapes of its weight `[h, w, in, out]` and its bias `[out]`.
    pub fn parameters(&self) -> [ParameterShape; 2] {
        let [down, across] = self.window.kernel;
        let fan_in = down * across * self.channels;
        let weight = vec![down, across, self.channels, self.out_channels];
        [("weight", weight), ("bias", vec![self.out_channels])].map(|(kind, dims)| {
            let shape = ParameterShape::drawn(kind, dims, fan_in);
            if self.part.is_empty() { shape } else { shape.under(self.part) }
        })
    }

    /// The convolution on candle's own operations: `[n, in, h, w]` -> `[n, out, h', w']`.
    pub(super) fn graph(&self, weight: &Tensor, bias: &Tensor, x: &Tensor) -> Result<Tensor> {
        let weight = weight.permute((3, 2, 0, 1))?.contiguous()?;
        let ([down, across], [stride, stride_across]) = (self.window.padding, self.window.stride);
        // candle pads both axes alike.
        let x = x.pad_with_zeros(2, down, down)?.pad_with_zeros(3, across, across)?;
        let y = if stride == stride_across {
            x.conv2d(&weight, 0, stride, 1, 1)?
        } else {
            // There is one row, so any stride down will do. candle's `conv1d` (0.11) has wrong gradients for strided
            // kernels, and its `conv2d` assumes that strides leave the same remainder in both axes.
            let kernel = weight.dim(3)?;
            let read = (x.dim(3)?.saturating_sub(kernel) / stride_across) * stride_across + kernel;
            x.narrow(3, 0, read)?.contiguous()?.conv2d(&weight, 0, stride_across, 1, 1)?
        };
        Ok(y.broadcast_add(&bias.reshape((1, (), 1, 1))?)?)
    }
}
