//! Gradient-isolated modules: layers, their parameters, and the network of patches they form.
//!
//! A module runs on every patch alone: its input is `[batch * patches, h, w, channels]`, its output
//! the same with its own height, width and channels. What its loss sees is the mean over each
//! patch's map ([`pooled`]); what the next module sees is the map itself.

mod cost;
mod layer;
mod parameters;

use candle_core::Tensor;

pub use cost::Cost;
use layer::Layer;
pub use parameters::{ParameterShape, Parameters};

use crate::Result;
use crate::pipeline;

/// A module with its parameters, training or frozen.
pub struct Module {
    layers: Vec<Layer>,
}

impl Module {
    /// The layers of `spec` for maps of `input.channels` channels, with `parameters` under the
    /// names `0`, `1`, … of the layers.
    ///
    /// # Errors
    /// When a parameter is missing or has another shape.
    pub fn new(spec: &[pipeline::Layer], input: usize, parameters: &Parameters) -> Result<Self> {
        let mut channels = input;
        let mut layers = Vec::with_capacity(spec.len());
        for (index, spec) in spec.iter().enumerate() {
            let layer = Layer::new(*spec, channels, &index.to_string(), parameters)?;
            channels = layer.out_channels(channels);
            layers.push(layer);
        }
        Ok(Self { layers })
    }

    /// `[n, h, w, channels]` -> `[n, h', w', channels']`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = x.clone();
        for layer in &self.layers {
            x = layer.forward(&x)?;
        }
        Ok(x)
    }
}

/// What the loss and the probe of a module see: the mean over each patch's map, on the grid of
/// patches. `[batch * grid * grid, h, w, channels]` -> `[batch, grid, grid, channels]`.
pub fn pooled(maps: &Tensor, grid: usize) -> Result<Tensor> {
    let means = crate::kernel::pool::mean_pool(maps)?;
    let (patches, channels) = means.dims2()?;
    Ok(means.reshape((patches / (grid * grid), grid, grid, channels))?)
}

/// The shapes of a module's parameters for maps of `input` channels, in order.
pub fn shapes(spec: &[pipeline::Layer], input: usize) -> Vec<ParameterShape> {
    let mut channels = input;
    let mut shapes = Vec::new();
    for (index, spec) in spec.iter().enumerate() {
        channels = layer::shapes(*spec, channels, &index.to_string(), &mut shapes);
    }
    shapes
}

/// Whether all that a module reads of its input z, maps of `input` channels, is relu(z): then a
/// store may hold relu(z) without loss.
pub fn reads_only_relu(spec: &[pipeline::Layer], input: usize) -> bool {
    spec.first().is_some_and(|first| layer::reads_only_relu(*first, input))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline::Layer::{Basic, Bottleneck, Conv, Relu};

    #[test]
    fn only_a_relu_in_front_of_everything_hides_the_sign_of_the_input() {
        let of = |first, channels| reads_only_relu(&[first], channels);
        assert!(of(Relu, 8));
        assert!(!of(Conv { channels: 8, kernel: 3, stride: 1, padding: 1 }, 8));
        assert!(!of(Basic { channels: 8, stride: 1 }, 8), "its shortcut is the input");
        assert!(of(Basic { channels: 8, stride: 2 }, 8));
        assert!(of(Basic { channels: 16, stride: 1 }, 8));
        assert!(!of(Bottleneck { planes: 2, stride: 1 }, 8));
        assert!(of(Bottleneck { planes: 8, stride: 1 }, 8));
        assert!(of(Bottleneck { planes: 2, stride: 2 }, 8));
    }
}
