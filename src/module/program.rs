//! A module laid out for the CPU: which convolutions run over which maps, and what a forward pass in
//! training keeps for the backward pass.
//!
//! A module runs on every patch alone. So a thread takes a *tile* of a few maps through all layers
//! while they are in its caches, and all the way back: the gradient of a map never goes to memory.
//! What is kept of a tile lies in one buffer, slot behind slot:
//!
//! - of a residual block, relu(x) and the outputs of its inner convolutions, all rectified, so that
//!   they are at once the input that a weight gradient needs and the mask of a ReLU;
//! - the output of a layer where the next layer, or its own ReLU, asks for it.
//!
//! The module's input is data and is kept by whoever has it.

use crate::pipeline::{Layer as Spec, Map};
use gimlet_kernel::conv::Convolution;
use gimlet_kernel::{Geometry, maps_per_tile};

use super::layer::{ConvSpec, plan};

/// A module for maps of one size.
pub(super) struct Program {
    pub layers: Vec<Step>,
    pub convolutions: Vec<Convolution>,
    /// Maps that go through together.
    pub tile: usize,
    /// The maps that go in, and those that come out.
    pub input: Map,
    pub output: Map,
    /// Values kept of each map.
    pub kept: usize,
    /// Values of the largest map between layers.
    pub largest: usize,
    /// The first layer that has parameters: nobody asks for the gradient of its input.
    pub first: usize,
}

/// One layer. Convolutions are numbered as they come.
pub(super) struct Step {
    pub work: Work,
    /// Values of a map that goes in, and of one that comes out.
    pub input: usize,
    pub output: usize,
    /// Values that the layer keeps of each map, beside its input and output.
    pub inner: usize,
    /// Whether its output is kept.
    pub keeps_output: bool,
}

pub(super) enum Work {
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
}

impl Program {
    /// The layers `specs` on maps of the size `map`; `None` where a kernel does not fit its map, or where
    /// a GRU is among them.
    pub fn new(specs: &[Spec], map: Map) -> Option<Self> {
        let tile = maps_per_tile(smallest(specs, map)?);
        let mut program = Self {
            layers: Vec::new(),
            convolutions: Vec::new(),
            tile,
            input: map,
            output: map,
            kept: 0,
            largest: map.len(),
            first: 0,
        };
        let mut index = 0;
        while let Some(spec) = specs.get(index) {
            let fused = is_conv(*spec) && specs.get(index + 1) == Some(&Spec::Relu);
            index += if fused { 2 } else { 1 };
            program.push(*spec, fused, specs.get(index));
        }
        program.kept = program.layers.iter().map(|it| it.kept()).sum();
        let trains = |layer: &Step| !matches!(layer.work, Work::Relu);
        program.first = program.layers.iter().position(trains).unwrap_or(program.layers.len());
        Some(program)
    }

    /// Whether the gradient of the input of convolution `index` is asked for.
    pub fn carries_back(&self, index: usize) -> bool {
        match self.layers.get(self.first).map(|layer| &layer.work) {
            Some(Work::Conv { conv, .. }) => index != *conv,
            Some(Work::Residual { branch, shortcut, .. }) => {
                branch.first() != Some(&index) && *shortcut != Some(index)
            }
            _ => true,
        }
    }

    fn push(&mut self, spec: Spec, fused: bool, next: Option<&Spec>) {
        let input = self.output;
        let has_input = self.layers.last().is_none_or(|before| before.keeps_output);
        let plan = plan(spec, input.channels, "");
        let mut map = input;
        let mut inner = 0;
        let mut branch = Vec::new();
        for (index, conv) in plan.branch.iter().enumerate() {
            branch.push(self.convolutions.len());
            map = self.convolve(conv, map);
            if index + 1 < plan.branch.len() {
                inner += map.len();
            }
        }
        let work = match spec {
            // There is no GRU here (see `smallest`).
            Spec::Relu | Spec::Gru { .. } => Work::Relu,
            Spec::Conv { .. } | Spec::Conv1d { .. } => Work::Conv { conv: branch[0], relu: fused },
            Spec::Basic { .. } | Spec::Bottleneck { .. } => {
                let shortcut = plan.shortcut.as_ref().map(|conv| {
                    self.convolve(conv, input);
                    self.convolutions.len() - 1
                });
                inner += if has_input { 0 } else { input.len() };
                Work::Residual { branch, shortcut, keeps_relu: !has_input }
            }
        };
        // A convolution's weight gradient reads its input, a ReLU's mask is its output.
        let rectified = matches!(work, Work::Relu | Work::Conv { relu: true, .. });
        let keeps_output = rectified || next.is_some_and(|next| is_conv(*next));
        self.largest = self.largest.max(map.len());
        self.output = map;
        let (input, output) = (input.len(), map.len());
        self.layers.push(Step { work, input, output, inner, keeps_output });
    }

    fn convolve(&mut self, conv: &ConvSpec, input: Map) -> Map {
        let geometry = conv.geometry(input);
        self.convolutions.push(Convolution::new(geometry, self.tile));
        output(&geometry)
    }
}

impl Step {
    /// Values that are kept of each map.
    pub fn kept(&self) -> usize {
        self.inner + if self.keeps_output { self.output } else { 0 }
    }
}

pub(super) fn is_conv(spec: Spec) -> bool {
    matches!(spec, Spec::Conv { .. } | Spec::Conv1d { .. })
}

/// The map that a convolution makes.
pub(super) fn output(geometry: &Geometry) -> Map {
    Map {
        height: geometry.out_height(),
        width: geometry.out_width(),
        channels: geometry.out_channels,
    }
}

/// Positions of the smallest map on the way; `None` where a kernel does not fit, or a GRU is among them.
fn smallest(specs: &[Spec], map: Map) -> Option<usize> {
    let mut smallest = map.height * map.width;
    let mut map = map;
    for spec in specs {
        if let Spec::Gru { .. } = spec {
            return None;
        }
        let plan = plan(*spec, map.channels, "");
        for conv in &plan.branch {
            let geometry = conv.geometry(map);
            if !geometry.is_possible() {
                return None;
            }
            map = output(&geometry);
            smallest = smallest.min(map.height * map.width);
        }
    }
    Some(smallest)
}
