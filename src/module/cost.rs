//! What a module costs, from its layers alone: operations, and values in memory.

use super::layer::{ConvSpec, plan};
use super::program::{is_conv, output};
use crate::context::gru;
use crate::pipeline::{Layer, Map};
use gimlet_kernel::maps_per_tile;

/// What a module costs, apart from its loss.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Values in all weights and biases.
    pub parameters: u64,
    /// Additions and multiplications of a forward pass over one patch.
    pub operations: u64,
    /// Of one patch, values that a forward pass in training keeps for the backward pass
    /// (`program.rs` says which).
    pub kept: u64,
    /// Patches that a thread works on at once, at most.
    pub tile: u64,
    /// Of one patch, values of the largest output.
    pub largest: u64,
}

impl Cost {
    /// What `layers` cost on patches whose maps are `input`.
    pub fn of(layers: &[Layer], input: Map) -> Self {
        let mut cost = Self::default();
        let mut map = input;
        cost.see(map);
        // Whether a layer's input is at hand in the backward pass.
        let mut has_input = true;
        for (index, layer) in layers.iter().enumerate() {
            if let Layer::Gru { channels: hidden, .. } = *layer {
                cost.recur(map, hidden);
                map.channels = hidden;
                continue;
            }
            let (plan, before) = (plan(*layer, map.channels, ""), map);
            for (at, conv) in plan.branch.iter().enumerate() {
                map = cost.convolve(conv, map);
                if at + 1 < plan.branch.len() {
                    cost.kept += map.len() as u64;
                }
            }
            if let Some(shortcut) = &plan.shortcut {
                cost.convolve(shortcut, before);
            }
            let residual = matches!(layer, Layer::Basic { .. } | Layer::Bottleneck { .. });
            if residual && !has_input {
                cost.kept += before.len() as u64;
            }
            let next = layers.get(index + 1);
            let fused = is_conv(*layer) && next == Some(&Layer::Relu);
            has_input =
                *layer == Layer::Relu || (!fused && next.is_some_and(|next| is_conv(*next)));
            cost.kept += if has_input { map.len() as u64 } else { 0 };
        }
        cost
    }

    fn see(&mut self, map: Map) {
        self.largest = self.largest.max(map.len() as u64);
        let positions = (map.height * map.width) as u64;
        let tile = maps_per_tile(positions as usize) as u64;
        self.tile = self.tile.max(tile);
    }

    /// A GRU: a graph of the whole batch, which keeps its input, gates, states and their gradients.
    fn recur(&mut self, input: Map, hidden: usize) {
        let shapes = gru::shapes(input.channels, hidden, "");
        let values = shapes.iter().map(|it| it.dims.iter().product::<usize>() as u64);
        self.parameters = self.parameters.saturating_add(values.sum());
        let steps = (input.height * input.width) as u64;
        let step = gru::operations(input.channels, hidden);
        self.operations = self.operations.saturating_add((steps as f64 * step) as u64);
        self.kept += steps * 2 * (input.channels + 8 * hidden) as u64;
    }

    fn convolve(&mut self, conv: &ConvSpec, input: Map) -> Map {
        let geometry = conv.geometry(input);
        let output = output(&geometry);
        let weights = (geometry.taps() * conv.out_channels) as u64;
        let positions = (output.height * output.width) as u64;
        // Nobody computes with kernels so large that this matters, and still a plan may ask for them.
        self.parameters = self.parameters.saturating_add(weights + conv.out_channels as u64);
        self.operations = self.operations.saturating_add(weights.saturating_mul(2 * positions));
        self.see(output);
        output
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::module::program::Program;
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
        // Of the first block, whose input is the stem's output, relu and two of 64; of the others,
        // relu of 256 and two of 64.
        assert_eq!((cost.kept, cost.largest, cost.tile), (256 * (192 + 2 * 384), 256 * 256, 4));
    }

    #[test]
    fn what_is_kept_is_what_the_program_keeps() {
        use Layer::{Basic, Bottleneck, Conv, Relu};
        let conv = Conv { channels: 6, kernel: 3, stride: 1, padding: 1 };
        let basic = |channels, stride| Basic { channels, stride };
        let map = Map { height: 7, width: 7, channels: 3 };
        for layers in [
            vec![conv, basic(6, 1), Bottleneck { planes: 4, stride: 2 }, basic(16, 1)],
            vec![conv, Relu, conv, conv, Relu, Relu, basic(6, 1), Relu],
            vec![Relu, conv, Relu, basic(20, 2), conv],
            vec![basic(3, 1), Relu, Bottleneck { planes: 2, stride: 2 }],
        ] {
            let program = Program::new(&layers, map).unwrap();
            let cost = Cost::of(&layers, map);
            let found = (cost.kept, cost.largest, cost.tile);
            let largest = found.1.max(program.largest as u64);
            assert_eq!(found, (program.kept as u64, largest, program.tile as u64), "{layers:?}");
        }
    }
}
