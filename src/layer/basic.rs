//! The layer `basic`: a pre-activation block of two 3x3 convolutions, as in the paper (no batch norm; every
//! convolution has a bias; no final ReLU).
//!
//! With `r = relu(x)` and a shortcut `s` that is a strided 1x1 convolution of `r` where the shape changes, else `x`:
//!
//! ```text
//! y = conv3x3(relu(conv3x3(r, stride))) + s
//! ```

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Bounded, ConvSpec, Entry, Layer, Places, SIZE, Signal, Window, Work, blocks, one, stride,
};
use crate::setting::{Form, Setting};

/// A residual block of two convolutions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Basic {
    /// Channels of its output.
    pub channels: usize,
    /// The stride of the first convolution.
    pub stride: usize,
}

/// The settings of a row of blocks; only the first block has the stride.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Row {
    channels: usize,
    #[serde(default = "one")]
    stride: usize,
    #[serde(default = "one")]
    blocks: usize,
}

impl From<Row> for Entry {
    fn from(Row { channels, stride, blocks }: Row) -> Self {
        let block = |stride| Basic { channels, stride }.shared();
        Self { first: block(stride), next: block(1), blocks }
    }
}

/// The settings of a row of blocks.
pub(super) fn reference() -> Vec<Setting> {
    let doc = "Residual blocks of two 3x3 convolutions, for images: no batch norm, a ReLU before each, a bias in each.";
    vec![
        Setting::table("basic", doc).or(""),
        Setting::new("basic.channels", Form::whole(SIZE))
            .unit("channels")
            .example(64)
            .doc("Channels of the output."),
        stride("basic")
            .unit("pixels")
            .doc("The stride of the first convolution of the first block."),
        blocks("basic"),
    ]
}

impl Layer for Basic {
    fn name(&self) -> &str {
        "basic"
    }

    fn settings(&self) -> Value {
        json!(self)
    }

    fn bounds(&self) -> Vec<Bounded> {
        vec![Bounded::size("channels", self.channels), Bounded::size("stride", self.stride)]
    }

    fn only_for(&self) -> Option<Signal> {
        Some(Signal::Images)
    }

    fn out_channels(&self, _input: usize) -> usize {
        self.channels
    }

    fn window(&self) -> Window {
        Window::square(3, self.stride, 1)
    }

    fn work(&self, channels: usize) -> Work {
        let out = self.channels;
        let conv = |part, stride, channels| {
            let window = Window::square(3, stride, 1);
            ConvSpec { part, window, channels, out_channels: out }
        };
        let branch = vec![conv("conv1", self.stride, channels), conv("conv2", 1, out)];
        Work::Residual { branch, shortcut: shortcut(self.stride, channels, out) }
    }

    fn place(&self, places: &mut Places) -> String {
        places.block("basic", self.channels, self.stride)
    }
}

/// The convolution in the shortcut of a block; `None` where input and output have the same shape.
pub(super) fn shortcut(stride: usize, channels: usize, out_channels: usize) -> Option<ConvSpec> {
    let window = Window::square(1, stride, 0);
    let conv = ConvSpec { part: "shortcut", window, channels, out_channels };
    (stride != 1 || channels != out_channels).then_some(conv)
}
