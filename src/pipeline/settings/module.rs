//! Modules and their layers: `[[modules]]`.

use serde::Serialize;

use super::Activations;

/// A gradient-isolated module: layers that train together under one loss of their own.
#[derive(Debug, Clone, PartialEq)]
pub struct Module {
    pub name: String,
    /// In order, blocks repeated as often as they occur. Never empty.
    pub layers: Vec<Layer>,
    /// Passes over the training split; `training.epochs` unless the module says otherwise.
    pub epochs: usize,
    /// `training.learning_rate` unless the module says otherwise.
    pub learning_rate: f64,
    /// What becomes of its activations; `store.activations` unless the module says otherwise.
    pub activations: Activations,
}

impl Module {
    /// The layers that make what its loss takes for targets: all but a GRU at the end.
    pub fn front(&self) -> &[Layer] {
        front(&self.layers)
    }
}

/// See [`Module::front`].
pub fn front(layers: &[Layer]) -> &[Layer] {
    match layers {
        [front @ .., Layer::Gru { .. }] => front,
        _ => layers,
    }
}

/// One layer, or one residual block. What each computes is in [`crate::module`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// A convolution with bias, zero-padded.
    Conv {
        channels: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
    },
    /// A convolution with bias along the width of maps, zero-padded there: of sound, whose maps have a
    /// height of 1.
    Conv1d {
        channels: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
    },
    Relu,
    /// A gated recurrent unit along the width of maps, the last layer of its module: what comes out is
    /// the context that predicts, what goes in are the targets (Löwe et al. 2019, audio).
    Gru {
        channels: usize,
        /// Whether gradients go back in time; else the state is detached at every step.
        bptt: bool,
    },
    /// A pre-activation block of two 3x3 convolutions.
    Basic {
        channels: usize,
        stride: usize,
    },
    /// A pre-activation block of 1x1, 3x3 and 1x1 convolutions; its output has `4 * planes` channels.
    Bottleneck {
        planes: usize,
        stride: usize,
    },
}
