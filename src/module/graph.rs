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
    let y = if stride == stride_across {
        // candle pads both axes alike.
        let x = x.pad_with_zeros(2, down, down)?.pad_with_zeros(3, across, across)?;
        x.conv2d(&weight, 0, stride, 1, 1)?
    } else {
        let flat = x.squeeze(2)?.conv1d(&weight.squeeze(2)?, across, stride_across, 1, 1)?;
        flat.unsqueeze(2)?
    };
    Ok(y.broadcast_add(&conv.bias.reshape((1, (), 1, 1))?)?)
}
