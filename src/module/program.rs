//! A module laid out for the CPU: which convolutions run over which maps, and what a forward pass in
//! training keeps for the backward pass.
//!
//! A module runs on every patch alone. So a thread takes a *tile* of a few maps through all layers while they are in
//! its caches, and in the same way back: the gradient of a map never goes to memory. A tile keeps these in one buffer,
//! slot behind slot:
//!
//! - for a residual block, relu(x) and the outputs of its inner convolutions, all rectified, so that each is both
//!   the input that a weight gradient needs and the mask of a ReLU;
//! - for an operation of a layer's own, what it keeps;
//! - the output of a layer, where the backward pass of the next layer or of the layer itself reads it.
//!
//! The module's input is data; the caller keeps it.

use std::ops::Range;
use std::sync::Arc;

use gimlet_kernel::{Geometry, maps_per_tile};

use crate::layer::{ConvSpec, Layer, Map, Operation, Work};

/// A module laid out for maps of one size.
pub(super) struct Program {
    pub steps: Vec<Step>,
    pub convolutions: Vec<Placed>,
    /// The number of values of each parameter.
    pub parameters: Vec<usize>,
    /// The largest number of maps that go through together.
    pub tile: usize,
    /// The shapes of the input and output maps.
    pub input: Map,
    pub output: Map,
    /// The number of values kept per map.
    pub kept: usize,
    /// The number of values of the largest map between layers.
    pub largest: usize,
    /// The first step that has parameters. The gradient of its input is not computed.
    pub first: usize,
}

/// A convolution on maps of one size.
pub(super) struct Placed {
    pub geometry: Geometry,
    /// The number of its weight among the parameters. Its bias is the next parameter.
    pub weight: usize,
}

/// One layer. Convolutions and parameters are numbered in order.
pub(super) struct Step {
    pub task: Task,
    /// The number of values of an input map, and of an output map.
    pub input: usize,
    pub output: usize,
    /// The number of values that the layer keeps per map, in addition to its input and output.
    pub inner: usize,
    /// Whether its output is kept.
    pub keeps_output: bool,
    pub parameters: Range<usize>,
}

/// What a step computes.
pub(super) enum Task {
    Conv {
        conv: usize,
        relu: bool,
    },
    Relu,
    /// A residual block. `keeps_relu`: whether relu(x) is kept; it is not where the backward pass has x.
    Residual {
        branch: Vec<usize>,
        shortcut: Option<usize>,
        keeps_relu: bool,
    },
    /// An operation of a layer's own, on maps of one size.
    Own(Arc<dyn Operation>, Map),
}

impl Program {
    /// Lays out the layers for maps of the shape `map`, which all layers must fit. None may be a context.
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
        // The number of positions of the smallest map between layers.
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

    /// Whether the gradient of the input of convolution `index` is needed.
    pub fn carries_back(&self, index: usize) -> bool {
        match self.steps.get(self.first).map(|step| &step.task) {
            Some(Task::Conv { conv, .. }) => index != *conv,
            Some(Task::Residual { branch, shortcut, .. }) => {
                branch.first() != Some(&index) && *shortcut != Some(index)
            }
            _ => true,
        }
    }

    /// Appends a step. `fused`: a ReLU is part of it; `is_read`: the next step's backward pass reads its output.
    fn push(&mut self, work: Work, output: Map, fused: bool, is_read: bool) {
        let input = self.output;
        let has_input = self.steps.last().is_none_or(|before| before.keeps_output);
        let first = self.parameters.len();
        let lens = work.parameters().into_iter().map(|it| it.dims.iter().product::<usize>());
        self.parameters.extend(lens);
        let mut inner = 0;
        let task = match work {
            // A context is not part of a tile.
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

    /// Appends a convolution, and gives its number and the shape of its output.
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
    /// The number of values that are kept per map.
    pub fn kept(&self) -> usize {
        self.inner + if self.keeps_output { self.output } else { 0 }
    }
}
