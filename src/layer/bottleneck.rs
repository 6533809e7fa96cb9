//! The layer `bottleneck`: a pre-activation block of 1x1, 3x3 and 1x1 convolutions, otherwise like [`super::basic`].
//!
//! ```text
//! y = conv1x1(relu(conv3x3(relu(conv1x1(r)), stride))) + s        (4 * planes channels)
//! ```

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::basic::shortcut;
use super::{
    Bounded, ConvSpec, Entry, Layer, Places, SIZE, Signal, Window, Work, blocks, one, stride,
};
use crate::setting::{Form, Setting};

/// The channels of a bottleneck's output, as a multiple of its planes.
pub const EXPANSION: usize = 4;

/// A residual block of three convolutions; its output has `4 * planes` channels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bottleneck {
    /// Channels in its middle.
    pub planes: usize,
    /// The stride of its 3x3 convolution.
    pub stride: usize,
}

/// The settings of a row of blocks; only the first block has the stride.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Row {
    planes: usize,
    #[serde(default = "one")]
    stride: usize,
    #[serde(default = "one")]
    blocks: usize,
}

impl From<Row> for Entry {
    fn from(Row { planes, stride, blocks }: Row) -> Self {
        let block = |stride| Bottleneck { planes, stride }.shared();
        Self { first: block(stride), next: block(1), blocks }
    }
}

/// The bounds of `planes`, which keep the channels of the output within [`SIZE`].
const PLANES: std::ops::RangeInclusive<usize> = 1..=*SIZE.end() / EXPANSION;

/// The settings of a row of blocks.
pub(super) fn reference() -> Vec<Setting> {
    let doc =
        "Residual blocks of 1x1, 3x3 and 1x1 convolutions, for images, with a ReLU before each.";
    vec![
        Setting::table("bottleneck", doc).or(""),
        Setting::new("bottleneck.planes", Form::whole(PLANES))
            .unit("channels")
            .example(32)
            .doc("Channels in the middle; the output has four times as many."),
        stride("bottleneck")
            .unit("pixels")
            .doc("The stride of the 3x3 convolution of the first block."),
        blocks("bottleneck"),
    ]
}

impl Layer for Bottleneck {
    fn name(&self) -> &str {
        "bottleneck"
    }

    fn settings(&self) -> Value {
        json!(self)
    }

    fn bounds(&self) -> Vec<Bounded> {
        let planes = Bounded { key: "planes", value: self.planes, bounds: PLANES };
        vec![planes, Bounded::size("stride", self.stride)]
    }

    fn only_for(&self) -> Option<Signal> {
        Some(Signal::Images)
    }

    fn out_channels(&self, _input: usize) -> usize {
        EXPANSION * self.planes
    }

    fn window(&self) -> Window {
        Window::square(3, self.stride, 1)
    }

    fn work(&self, channels: usize) -> Work {
        let (planes, out) = (self.planes, EXPANSION * self.planes);
        let conv = |part, window, channels, out_channels| ConvSpec {
            part,
            window,
            channels,
            out_channels,
        };
        let branch = vec![
            conv("conv1", Window::POINT, channels, planes),
            conv("conv2", self.window(), planes, planes),
            conv("conv3", Window::POINT, planes, out),
        ];
        Work::Residual { branch, shortcut: shortcut(self.stride, channels, out) }
    }

    fn place(&self, places: &mut Places) -> String {
        places.block("bottleneck", self.planes, self.stride)
    }
}
