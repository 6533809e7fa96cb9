//! The layer `conv1d`: a convolution with bias along the width of maps, zero-padded there. It is for sound, whose maps
//! have a height of 1.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::conv::{Table, bounds, described};
use super::{Bounded, ConvSpec, Layer, Places, Signal, Window, Work, turned};
use crate::parameters::ParameterShape;
use crate::setting::Setting;

/// A convolution along time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Table")]
pub struct Conv1d {
    /// Channels of its output.
    pub channels: usize,
    /// The length of its kernel.
    pub kernel: usize,
    /// Steps from one window to the next.
    pub stride: usize,
    /// Zeros before and after a map.
    pub padding: usize,
}

impl From<Table> for Conv1d {
    fn from(table: Table) -> Self {
        let Table { channels, kernel, stride, .. } = table;
        Self { channels, kernel, stride, padding: table.padding() }
    }
}

/// The settings of this layer.
pub(super) fn reference() -> Vec<Setting> {
    let table =
        Setting::table("conv1d", "A convolution with bias along time, zero-padded, for sound.");
    described(table.or(""), "length", "steps")
}

impl Layer for Conv1d {
    fn name(&self) -> &str {
        "conv1d"
    }

    fn settings(&self) -> Value {
        json!(self)
    }

    fn bounds(&self) -> Vec<Bounded> {
        bounds(self.channels, self.kernel, self.stride, self.padding)
    }

    fn only_for(&self) -> Option<Signal> {
        Some(Signal::Sound)
    }

    fn out_channels(&self, _input: usize) -> usize {
        self.channels
    }

    fn window(&self) -> Window {
        Window::along(self.kernel, self.stride, self.padding)
    }

    fn work(&self, channels: usize) -> Work {
        let (window, out_channels) = (self.window(), self.channels);
        Work::Conv(ConvSpec { part: "", window, channels, out_channels })
    }

    fn place(&self, places: &mut Places) -> String {
        format!("encoder.model.layer {}.0", places.along())
    }

    /// Weights of the published code have no axis for the height.
    fn published(&self, place: &str, parameter: &ParameterShape) -> (String, Vec<usize>) {
        let mut dims = turned(&parameter.dims);
        if dims.len() == 4 {
            dims.remove(2);
        }
        (format!("{place}.{}", parameter.name), dims)
    }
}
