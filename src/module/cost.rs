//! What a module costs, from its layers alone: operations, and values in memory.

use super::layer::{ConvSpec, plan};
use super::program::output;
use crate::pipeline::{Layer, Map};

/// What a module costs, apart from its loss.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Values in all weights and biases.
    pub parameters: u64,
    /// Additions and multiplications of a forward pass over one patch.
    pub operations: u64,
    /// Of one patch, values that a forward pass in training leaves for the backward pass: the output
    /// of every operation.
    pub kept: u64,
    /// Of one patch, values of the largest output.
    pub largest: u64,
}

impl Cost {
    /// What `layers` cost on patches whose maps are `input`.
    pub fn of(layers: &[Layer], input: Map) -> Self {
        let mut cost = Self::default();
        let mut map = input;
        for layer in layers {
            let plan = plan(*layer, map.channels, "");
            let rectified = map;
            // A convolution by itself reads the map as it is.
            if !matches!(layer, Layer::Conv { .. } | Layer::Conv1d { .. }) {
                cost.keep(map);
            }
            for conv in &plan.branch {
                map = cost.convolve(conv, map);
            }
            if let Some(shortcut) = &plan.shortcut {
                cost.convolve(shortcut, rectified);
            }
            if matches!(layer, Layer::Basic { .. } | Layer::Bottleneck { .. }) {
                cost.keep(map);
            }
        }
        cost
    }

    fn keep(&mut self, map: Map) {
        let values = map.len() as u64;
        self.kept += values;
        self.largest = self.largest.max(values);
    }

    fn convolve(&mut self, conv: &ConvSpec, input: Map) -> Map {
        let geometry = conv.geometry(input);
        let output = output(&geometry);
        let weights = (geometry.taps() * conv.out_channels) as u64;
        let positions = (output.height * output.width) as u64;
        // Nobody computes with kernels so large that this matters, and still a plan may ask for them.
        self.parameters = self.parameters.saturating_add(weights + conv.out_channels as u64);
        self.operations = self.operations.saturating_add(weights.saturating_mul(2 * positions));
        self.keep(output);
        output
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::module::shapes;

    #[test]
    fn the_first_module_of_the_paper_has_its_published_parameters() {
        let mut layers = vec![Layer::Conv { channels: 64, kernel: 5, stride: 1, padding: 2 }];
        layers.extend([Layer::Bottleneck { planes: 64, stride: 1 }; 3]);
        let input = Map { height: 16, width: 16, channels: 1 };
        let cost = Cost::of(&layers, input);
        assert_eq!(cost.parameters, 216_064);
        let named: usize =
            shapes(&layers, 1).iter().map(|it| it.dims.iter().product::<usize>()).sum();
        assert_eq!(cost.parameters, named as u64);
        // Every weight is used once at each of 16 x 16 positions.
        let biases = 64 + 3 * (64 + 64 + 256) + 256;
        assert_eq!(cost.operations, 2 * 256 * (216_064 - biases));
        // The stem; relu, two of 64, one of 256 and the sum for each block; the first shortcut.
        let outputs = 64 + (64 + 128 + 512) + 256 + 2 * (256 + 128 + 512);
        assert_eq!((cost.kept, cost.largest), (256 * outputs, 256 * 256));
    }
}
