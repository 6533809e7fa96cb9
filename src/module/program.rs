//! A module laid out for the CPU: which convolutions run over which maps, and what a forward pass in
//! training keeps for the backward pass.
//!
//! A module runs on every patch alone. So a thread takes a *tile* of a few maps through all layers
//! while they are in its caches, and all the way back: the gradient of a map never goes to memory.
//! What is kept of a tile lies in one buffer, slot behind slot:
//!
//! - of a residual block, relu(x) and the outputs of its inner convolutions, all rectified, so that
//!   they are at once the input that a weight gradient needs and the mask of a ReLU;
//! - what an operation of a layer's own keeps;
//! - the output of a layer where the next layer, or its own way back, asks for it.
//!
//! The module's input is data and is kept by whoever has it.

use std::ops::Range;
use std::sync::Arc;

use gimlet_kernel::{Geometry, maps_per_tile};

use crate::layer::{ConvSpec, Layer, Map, Operation, Work};

/// A module for maps of one size.
pub(super) struct Program {
    pub steps: Vec<Step>,
    pub convolutions: Vec<Placed>,
    /// Values of each parameter.
    pub parameters: Vec<usize>,
    /// Maps that go through together.
    pub tile: usize,
    /// The maps that go in, and those that come out.
    pub input: Map,
    pub output: Map,
    /// Values kept of each map.
    pub kept: usize,
    /// Values of the largest map between layers.
    pub largest: usize,
    /// The first step that has parameters. The gradient of its input is not computed.
    pub first: usize,
}

/// A convolution of maps of one size.
pub(super) struct Placed {
    pub geometry: Geometry,
    /// The number of its weight among the parameters. Its bias is the next.
    pub weight: usize,
}

/// One layer. Convolutions and parameters are numbered as they come.
pub(super) struct Step {
    pub task: Task,
    /// Values of a map that goes in, and of one that comes out.
    pub input: usize,
    pub output: usize,
    /// Values that the layer keeps of each map, beside its input and output.
    pub inner: usize,
    /// Whether its output is kept.
    pub keeps_output: bool,
    pub parameters: Range<usize>,
}

/// What is computed in a step.
pub(super) enum Task {
    Conv {
        conv: usize,
        relu: bool,
    },
    Relu,
    /// `keeps_relu`: whether relu(x) is kept; where x is at hand in the backward pass, it is not.
    Residual {
        branch: Vec<usize>,
        shortcut: Option<usize>,
        keeps_relu: bool,
    },
    /// An operation of a layer's own, on maps of one size.
    Own(Arc<dyn Operation>, Map),
}

impl Program {
    /// The layers on maps of the size `map`, which all fit, and of which none is a context.
    pub fn new(layers: &[Arc<dyn Layer>], map: Map) -> Self {
        let mut program = Self {
            steps: Vec::new(),
            convolutions: Vec::new(),
            parameters: Vec::new(),
            tile: 0,
            input: map,
            output: map,
            kept: 0,
            largest: map.len(),
            first: 0,
        };
        // Positions of the smallest map on the way.
        let mut smallest = map.positions();
        let mut channels = map.channels;
        let works = layers.iter().map(|layer| {
            let work = layer.work(channels);
            channels = layer.out_channels(channels);
            (work, layer)
        });
        let mut works = works.peekable();
        while let Some((work, layer)) = works.next() {
            let is_conv = matches!(work, Work::Conv(_));
            let fused = is_conv && works.next_if(|(next, _)| matches!(next, Work::Relu)).is_some();
            // A convolution's weight gradient reads its input.
            let is_read = works.peek().is_some_and(|(next, _)| match next {
                Work::Conv(_) => true,
                Work::Own(operation) => operation.reads_input(),
                _ => false,
            });
            let output = layer.output(program.output).unwrap_or(program.output);
            smallest = smallest.min(output.positions());
            program.push(work, output, fused, is_read);
        }
        program.tile = maps_per_tile(smallest);
        program.kept = program.steps.iter().map(Step::kept).sum();
        let trains = |step: &Step| !step.parameters.is_empty();
        program.first = program.steps.iter().position(trains).unwrap_or(program.steps.len());
        program
    }

    /// Whether the gradient of the input of convolution `index` is asked for.
    pub fn carries_back(&self, index: usize) -> bool {
        match self.steps.get(self.first).map(|step| &step.task) {
            Some(Task::Conv { conv, .. }) => index != *conv,
            Some(Task::Residual { branch, shortcut, .. }) => {
                branch.first() != Some(&index) && *shortcut != Some(index)
            }
            _ => true,
        }
    }

    /// Appends a step. `fused`: a ReLU is part of it; `is_read`: the next step's way back reads its output.
    fn push(&mut self, work: Work, output: Map, fused: bool, is_read: bool) {
        let input = self.output;
        let has_input = self.steps.last().is_none_or(|before| before.keeps_output);
        let first = self.parameters.len();
        let lens = work.parameters().into_iter().map(|it| it.dims.iter().product::<usize>());
        self.parameters.extend(lens);
        let mut inner = 0;
        let task = match work {
            // A context is no part of a tile.
            Work::Relu | Work::Context(_) => Task::Relu,
            Work::Conv(conv) => {
                let (conv, _) = self.convolve(&conv, input, first);
                Task::Conv { conv, relu: fused }
            }
            Work::Residual { branch, shortcut } => {
                let (mut map, mut placed) = (input, Vec::new());
                for (index, conv) in branch.iter().enumerate() {
                    inner += if index == 0 { 0 } else { map.len() };
                    let (conv, made) = self.convolve(conv, map, first + 2 * index);
                    placed.push(conv);
                    map = made;
                }
                let shortcut =
                    shortcut.map(|conv| self.convolve(&conv, input, first + 2 * placed.len()).0);
                inner += if has_input { 0 } else { input.len() };
                Task::Residual { branch: placed, shortcut, keeps_relu: !has_input }
            }
            Work::Own(operation) => {
                inner = operation.kept(input);
                Task::Own(operation, input)
            }
        };
        // A ReLU's mask is its output.
        let reads_output = match &task {
            Task::Relu | Task::Conv { relu: true, .. } => true,
            Task::Own(operation, _) => operation.reads_output(),
            _ => false,
        };
        self.largest = self.largest.max(output.len());
        self.output = output;
        self.steps.push(Step {
            task,
            input: input.len(),
            output: output.len(),
            inner,
            keeps_output: reads_output || is_read,
            parameters: first..self.parameters.len(),
        });
    }

    /// The number of a convolution, and the map that it makes.
    fn convolve(&mut self, conv: &ConvSpec, input: Map, weight: usize) -> (usize, Map) {
        let geometry = conv.geometry(input);
        self.convolutions.push(Placed { geometry, weight });
        let output = Map {
            height: geometry.out_height(),
            width: geometry.out_width(),
            channels: geometry.out_channels,
        };
        (self.convolutions.len() - 1, output)
    }
}

impl Step {
    /// Values that are kept of each map.
    pub fn kept(&self) -> usize {
        self.inner + if self.keeps_output { self.output } else { 0 }
    }
}
