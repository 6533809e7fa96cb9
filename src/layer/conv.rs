//! The layer `conv`: a convolution with bias, zero-padded, for images.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Bounded, ConvSpec, Layer, Places, SIZE, Signal, Window, Work, one, stride};
use crate::setting::{Form, Setting};

/// A convolution with a square kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Table")]
pub struct Conv {
    /// Channels of its output.
    pub channels: usize,
    /// The side of its kernel.
    pub kernel: usize,
    /// Positions from one window to the next.
    pub stride: usize,
    /// Zeros on every side of a map.
    pub padding: usize,
}

/// The settings of a convolution in a pipeline file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Table {
    pub channels: usize,
    pub kernel: usize,
    #[serde(default = "one")]
    pub stride: usize,
    padding: Option<usize>,
}

impl Table {
    /// The padding; half the kernel when it is left out.
    pub fn padding(&self) -> usize {
        self.padding.unwrap_or(self.kernel / 2)
    }
}

impl From<Table> for Conv {
    fn from(table: Table) -> Self {
        let Table { channels, kernel, stride, .. } = table;
        Self { channels, kernel, stride, padding: table.padding() }
    }
}

impl Layer for Conv {
    fn name(&self) -> &str {
        "conv"
    }

    fn settings(&self) -> Value {
        json!(self)
    }

    fn bounds(&self) -> Vec<Bounded> {
        bounds(self.channels, self.kernel, self.stride, self.padding)
    }

    fn only_for(&self) -> Option<Signal> {
        Some(Signal::Images)
    }

    fn out_channels(&self, _input: usize) -> usize {
        self.channels
    }

    fn window(&self) -> Window {
        Window::square(self.kernel, self.stride, self.padding)
    }

    fn work(&self, channels: usize) -> Work {
        let (window, out_channels) = (self.window(), self.channels);
        Work::Conv(ConvSpec { part: "", window, channels, out_channels })
    }

    /// The published code has a name only for a convolution at the front; others get a name of their own.
    fn place(&self, places: &mut Places) -> String {
        match places.index() {
            0 => "model.Conv1".to_string(),
            index => format!("model.conv {index}"),
        }
    }
}

/// The settings of this layer.
pub(super) fn reference() -> Vec<Setting> {
    let table = Setting::table(
        "conv",
        "A convolution with bias and a square kernel, zero-padded, for images.",
    );
    described(table.or(""), "side", "pixels")
}

/// The settings of a convolution: those of `table`. Its kernel has a `side` or a length, counted in `unit`.
pub(super) fn described(table: Setting, side: &str, unit: &'static str) -> Vec<Setting> {
    let of = table.name.clone();
    let key = |name: &str, form| Setting::new(format!("{of}.{name}"), form);
    vec![
        table,
        key("channels", Form::whole(SIZE))
            .unit("channels")
            .example(32)
            .doc("Channels of the output."),
        key("kernel", Form::whole(SIZE))
            .unit(unit)
            .example(3)
            .doc(format!("The {side} of the kernel.")),
        stride(&of).unit(unit).doc("The distance from one window to the next."),
        key("padding", Form::whole(0..=*SIZE.end()))
            .or("half the kernel, rounded down")
            .unit(unit)
            .example(0)
            .doc("Zeros on every side of a map."),
    ]
}

/// The bounds of a convolution's settings.
pub(super) fn bounds(
    channels: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Vec<Bounded> {
    vec![
        Bounded::size("kernel", kernel),
        Bounded { key: "padding", value: padding, bounds: 0..=*SIZE.end() },
        Bounded::size("channels", channels),
        Bounded::size("stride", stride),
    ]
}
