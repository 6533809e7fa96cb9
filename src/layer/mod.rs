//! Layers: what a module is made of.
//!
//! A layer is one file: its settings, the shapes it makes, and what it computes, its [`Work`]. Adding one is such a
//! file and its lines here. A program that uses the library may bring its own: a module takes any
//! [`Layer`], and a pipeline file names those that [`Layers`] knows.

mod basic;
mod bottleneck;
mod conv;
mod conv1d;
mod convolution;
mod gru;
mod map;
mod places;
mod registry;
mod relu;
mod work;

use std::fmt::{self, Debug, Display, Formatter};
use std::ops::RangeInclusive;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

pub use basic::Basic;
pub use bottleneck::{Bottleneck, EXPANSION};
pub use conv::Conv;
pub use conv1d::Conv1d;
pub use convolution::ConvSpec;
pub use gru::Gru;
pub use map::{Map, Window};
pub use places::{Places, turned};
pub use registry::Layers;
pub use relu::Relu;
pub use work::{Context, Kept, Operation, Sequence, Work};

use registry::read;

use crate::parameters::ParameterShape;

/// The layers of this crate.
impl Default for Layers {
    fn default() -> Self {
        Self(vec![
            ("conv", read::<Conv>),
            ("conv1d", read::<Conv1d>),
            ("gru", read::<Gru>),
            ("relu", read::<Relu>),
            ("basic", read::<basic::Row>),
            ("bottleneck", read::<bottleneck::Row>),
        ])
    }
}

/// The bounds of a side in pixels, of channels, and of what a kernel measures. Far above what can
/// be computed with, and so low that no product of a few of them overflows.
pub const SIZE: RangeInclusive<usize> = 1..=1 << 14;

/// A layer of a module, or a residual block.
pub trait Layer: Debug + Send + Sync {
    /// Its name in pipeline files and keys.
    fn name(&self) -> &str;

    /// All of its settings, as keys have them; null where it has none.
    fn settings(&self) -> Value;

    /// The settings that must lie within bounds.
    fn bounds(&self) -> Vec<Bounded> {
        Vec::new()
    }

    /// The only signal that it is for, where it is not for all.
    fn only_for(&self) -> Option<Signal> {
        None
    }

    /// The channels that it makes of `input` channels.
    fn out_channels(&self, input: usize) -> usize {
        input
    }

    /// The window of its input that gives the size of its output.
    fn window(&self) -> Window {
        Window::POINT
    }

    /// The map that it makes of `input`.
    ///
    /// # Errors
    /// When its window is larger than the padded map.
    fn output(&self, input: Map) -> Result<Map, Misfit> {
        self.window().over(input, self.out_channels(input.channels))
    }

    /// What it computes of maps with `channels` channels, whatever their number.
    fn work(&self, channels: usize) -> Work;

    /// Whether it makes the context that predicts, of what the module's loss takes for targets. Nothing of
    /// its module follows it.
    fn is_context(&self) -> bool {
        matches!(self.work(1), Work::Context(_))
    }

    /// Where it stands in the published code's module; `places` counts its layers.
    fn place(&self, places: &mut Places) -> String {
        format!("model.{} {}", self.name(), places.index())
    }

    /// The published code's name and shape for one of its parameters, within its module. A shortcut is a sequence of
    /// one there.
    fn published(&self, place: &str, parameter: &ParameterShape) -> (String, Vec<usize>) {
        let name = parameter.name.replacen("shortcut.", "shortcut.0.", 1);
        (format!("{place}.{name}"), turned(&parameter.dims))
    }

    /// This layer as modules hold it.
    fn shared(self) -> Arc<dyn Layer>
    where
        Self: Sized + 'static,
    {
        Arc::new(self)
    }
}

/// The layers that make what a module's loss takes for targets: all but a context at the end.
pub fn front(layers: &[Arc<dyn Layer>]) -> &[Arc<dyn Layer>] {
    match layers {
        [front @ .., last] if last.is_context() => front,
        _ => layers,
    }
}

/// Layers are equal whose names and settings are.
impl PartialEq for dyn Layer {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name() && self.settings() == other.settings()
    }
}

/// A table with the name of the layer as its one key, or the name alone where there are no settings.
impl Serialize for dyn Layer + '_ {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.settings() {
            Value::Null => serializer.serialize_str(self.name()),
            settings => {
                let mut table = serializer.serialize_map(Some(1))?;
                table.serialize_entry(self.name(), &settings)?;
                table.end()
            }
        }
    }
}

/// Layers that are borrowed, to be written where shared ones cannot be.
pub fn borrowed(layers: &[Arc<dyn Layer>]) -> Vec<&dyn Layer> {
    layers.iter().map(AsRef::as_ref).collect()
}

/// What one entry of a pipeline's `layers` stands for, its settings not yet checked.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The first layer.
    pub first: Arc<dyn Layer>,
    /// Each of those that follow it.
    pub next: Arc<dyn Layer>,
    /// All of them, which is the setting `blocks`.
    pub blocks: usize,
}

impl<L: Layer + 'static> From<L> for Entry {
    fn from(layer: L) -> Self {
        let first = layer.shared();
        Self { next: first.clone(), first, blocks: 1 }
    }
}

/// A setting that must lie within bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounded {
    /// Its key in the table of the layer.
    pub key: &'static str,
    /// Its value.
    pub value: usize,
    /// What it may be.
    pub bounds: RangeInclusive<usize>,
}

impl Bounded {
    /// A side, a number of channels or a stride.
    pub fn size(key: &'static str, value: usize) -> Self {
        Self { key, value, bounds: SIZE }
    }
}

/// What samples are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Patches of images.
    Images,
    /// Windows of sound: maps with a height of 1.
    Sound,
}

impl Display for Signal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Images => "images",
            Self::Sound => "sound",
        })
    }
}

/// Why a layer does not fit a map: `{what} in module a {why}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// The part of the layer that is too large.
    pub what: String,
    /// What it is too large for.
    pub why: String,
}

/// A setting that is 1 when it is left out.
fn one() -> usize {
    1
}
