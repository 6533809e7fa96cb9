//! A module on candle's own operations, as a graph: for devices without our kernels.

use candle_core::Tensor;

use super::layer::{Conv, Layer};
use crate::Result;

/// `[n, h, w, channels]` -> `[n, h', w', channels']`.
pub(super) fn forward(layers: &[Layer], x: &Tensor) -> Result<Tensor> {
    // candle convolves channels-first.
    let mut x = x.permute((0, 3, 1, 2))?.contiguous()?;
    for layer in layers {
        x = match layer {
            Layer::Relu => x.relu()?,
            Layer::Conv(conv) => convolve(conv, &x)?,
            Layer::Residual { branch, shortcut } => {
                let r = x.relu()?;
                let mut y = r.clone();
                for (index, conv) in branch.iter().enumerate() {
                    y = if index == 0 { y } else { y.relu()? };
                    y = convolve(conv, &y)?;
                }
                match shortcut {
                    Some(conv) => y.add(&convolve(conv, &r)?)?,
                    None => y.add(&x)?,
                }
            }
        };
    }
    Ok(x.permute((0, 2, 3, 1))?.contiguous()?)
}

/// `x` and the output are `[n, channels, h, w]`.
fn convolve(conv: &Conv, x: &Tensor) -> Result<Tensor> {
    let weight = conv.weight.permute((3, 2, 0, 1))?.contiguous()?;
    let ([down, across], [stride, stride_across]) = (conv.padding, conv.stride);
    // candle pads both axes alike.
    let x = x.pad_with_zeros(2, down, down)?.pad_with_zeros(3, across, across)?;
    let y = if stride == stride_across {
        x.conv2d(&weight, 0, stride, 1, 1)?
    } else {
        // One row, so that any stride down will do. candle's `conv1d` (0.11) has wrong gradients of strided
        // kernels, and its `conv2d` takes what a stride leaves over to be alike in both axes.
        let kernel = weight.dim(3)?;
        let read = (x.dim(3)?.saturating_sub(kernel) / stride_across) * stride_across + kernel;
        x.narrow(3, 0, read)?.contiguous()?.conv2d(&weight, 0, stride_across, 1, 1)?
    };
    Ok(y.broadcast_add(&conv.bias.reshape((1, (), 1, 1))?)?)
}
