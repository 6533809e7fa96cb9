//! The cost of a module, from its layers alone: operations, and values in memory.

use std::sync::Arc;

use super::program::{Program, Task};
use crate::layer::{Layer, Map, Work, front};

/// The cost of a module without its loss.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// The number of values in all parameters.
    pub parameters: u64,
    /// Additions and multiplications of a forward pass over one patch.
    pub operations: u64,
    /// Values per patch that a forward pass in training keeps for the backward pass (`program.rs` says which).
    pub kept: u64,
    /// The largest number of patches that a thread works on at once.
    pub tile: u64,
    /// Values per patch of the largest output of a layer.
    pub largest: u64,
}

impl Cost {
    /// The cost of `layers` on patches whose maps have the shape `input`, which all layers must fit.
    pub fn of(layers: &[Arc<dyn Layer>], input: Map) -> Self {
        let front = front(layers);
        let program = Program::new(front, input);
        let mut cost = Self {
            kept: program.kept as u64,
            tile: program.tile as u64,
            largest: program.largest as u64,
            ..Self::default()
        };
        cost.hold(&program.parameters);
        for conv in &program.convolutions {
            let weights = program.parameters[conv.weight] as u64;
            let positions = conv.geometry.out_height() * conv.geometry.out_width();
            cost.operate(weights.saturating_mul(2 * positions as u64));
            cost.largest = cost.largest.max(conv.geometry.out_len() as u64);
        }
        for step in &program.steps {
            if let Task::Own(operation, map) = &step.task {
                cost.operate(operation.operations(*map));
            }
        }
        // A context is computed as a graph over the whole batch.
        let context = layers.get(front.len()).map(|layer| layer.work(program.output.channels));
        if let Some(Work::Context(context)) = context {
            let shapes = context.parameters();
            let lens: Vec<_> = shapes.iter().map(|it| it.dims.iter().product()).collect();
            cost.hold(&lens);
            let vectors = program.output.positions();
            cost.operate((vectors as f64 * context.operations()) as u64);
            cost.kept += (vectors * context.kept()) as u64;
        }
        cost
    }

    // The sums saturate: a plan may ask for the cost of layers that are far too large to be computed.

    fn hold(&mut self, parameters: &[usize]) {
        let add = |sum: u64, len: &usize| sum.saturating_add(*len as u64);
        self.parameters = parameters.iter().fold(self.parameters, add);
    }

    fn operate(&mut self, operations: u64) {
        self.operations = self.operations.saturating_add(operations);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::{Bottleneck, Conv};
    use crate::module::shapes;

    #[test]
    fn the_first_module_of_the_paper_has_its_published_parameters() {
        let mut layers = vec![Conv { channels: 64, kernel: 5, stride: 1, padding: 2 }.shared()];
        layers.extend(vec![Bottleneck { planes: 64, stride: 1 }.shared(); 3]);
        let input = Map { height: 16, width: 16, channels: 1 };
        let cost = Cost::of(&layers, input);
        assert_eq!(cost.parameters, 216_064);
        let named: usize =
            shapes(&layers, 1).iter().map(|it| it.dims.iter().product::<usize>()).sum();
        assert_eq!(cost.parameters, named as u64);
        // Every weight is used once at each of the 16 x 16 positions.
        let biases = 64 + 3 * (64 + 64 + 256) + 256;
        assert_eq!(cost.operations, 2 * 256 * (216_064 - biases));
        // Kept channels: for the first block, whose input is the stem's output, relu of 64 and two of 64; for each
        // of the others, relu of 256 and two of 64.
        assert_eq!((cost.kept, cost.largest, cost.tile), (256 * (192 + 2 * 384), 256 * 256, 4));
    }
}
