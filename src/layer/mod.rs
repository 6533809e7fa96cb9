//! Layers: what a module is made of.
//!
//! A layer is one file. It holds the settings, the shapes that the layer makes, and its [`Work`], which says what it
//! computes. To add a layer, write its file and its lines here. A program that uses the library may bring its own
//! layers: a module takes any [`Layer`], and a pipeline file can name the layers that [`Layers`] knows.

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

use registry::Named;

use crate::parameters::ParameterShape;
use crate::registry::Registry;
use crate::setting::{Form, Setting};

/// All layers of this crate.
impl Default for Layers {
    fn default() -> Self {
        Self(Registry::of(
            "layer",
            vec![
                ("conv", Named::of::<Conv>(conv::reference)),
                ("conv1d", Named::of::<Conv1d>(conv1d::reference)),
                ("gru", Named::of::<Gru>(gru::reference)),
                ("relu", Named::of::<Relu>(relu::reference)),
                ("basic", Named::of::<basic::Row>(basic::reference)),
                ("bottleneck", Named::of::<bottleneck::Row>(bottleneck::reference)),
            ],
        ))
    }
}

/// The bounds of a side in pixels, of a number of channels, and of the side of a kernel. They are far above what can be
/// computed, and so low that a product of a few of them does not overflow.
pub const SIZE: RangeInclusive<usize> = 1..=1 << 14;

/// The largest number of blocks that one layer of a pipeline file stands for.
pub const MAX_BLOCKS: usize = 1024;

/// A layer of a module, or a residual block.
pub trait Layer: Debug + Send + Sync {
    /// The name of the layer in pipeline files and keys.
    fn name(&self) -> &str;

    /// All settings, as the keys of steps hold them; null where there are none.
    fn settings(&self) -> Value;

    /// The settings that must lie within bounds.
    fn bounds(&self) -> Vec<Bounded> {
        Vec::new()
    }

    /// The only signal that the layer is for; `None` where it is for all signals.
    fn only_for(&self) -> Option<Signal> {
        None
    }

    /// The number of channels of the output, for `input` channels of the input.
    fn out_channels(&self, input: usize) -> usize {
        input
    }

    /// The window over the input that gives the size of the output.
    fn window(&self) -> Window {
        Window::POINT
    }

    /// The shape of the output, for an input of shape `input`.
    ///
    /// # Errors
    /// When the window is larger than the padded map.
    fn output(&self, input: Map) -> Result<Map, Misfit> {
        self.window().over(input, self.out_channels(input.channels))
    }

    /// What the layer computes on maps with `channels` channels, for any number of channels.
    fn work(&self, channels: usize) -> Work;

    /// Whether the layer computes the context that predicts, from the targets of the module's loss. It must be the
    /// last layer of its module.
    fn is_context(&self) -> bool {
        matches!(self.work(1), Work::Context(_))
    }

    /// The place of the layer in the published code's module; `places` counts the layers of that.
    fn place(&self, places: &mut Places) -> String {
        format!("model.{} {}", self.name(), places.index())
    }

    /// The published code's name and shape for a parameter of this layer, within its module. A shortcut is a
    /// sequence of one layer there.
    fn published(&self, place: &str, parameter: &ParameterShape) -> (String, Vec<usize>) {
        let name = parameter.name.replacen("shortcut.", "shortcut.0.", 1);
        (format!("{place}.{name}"), turned(&parameter.dims))
    }

    /// Shares the layer, as modules hold it.
    fn shared(self) -> Arc<dyn Layer>
    where
        Self: Sized + 'static,
    {
        Arc::new(self)
    }
}

/// The layers that make the targets of a module's loss: all except a context at the end.
pub fn front(layers: &[Arc<dyn Layer>]) -> &[Arc<dyn Layer>] {
    match layers {
        [front @ .., last] if last.is_context() => front,
        _ => layers,
    }
}

/// Layers are equal when their names and settings are equal.
impl PartialEq for dyn Layer {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name() && self.settings() == other.settings()
    }
}

/// Written as a table with the name of the layer as its one key, or as the name alone where there are no settings.
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

/// Borrows layers, because serde cannot write shared ones.
pub fn borrowed(layers: &[Arc<dyn Layer>]) -> Vec<&dyn Layer> {
    layers.iter().map(AsRef::as_ref).collect()
}

/// The layers that one entry of a pipeline's `layers` stands for. Their settings are not checked yet.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The first layer.
    pub first: Arc<dyn Layer>,
    /// Each of the layers that follow the first.
    pub next: Arc<dyn Layer>,
    /// The number of all layers: the setting `blocks`.
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
    /// The bounds of the value, both ends included.
    pub bounds: RangeInclusive<usize>,
}

impl Bounded {
    /// A setting that is a side, a number of channels or a stride.
    pub fn size(key: &'static str, value: usize) -> Self {
        Self { key, value, bounds: SIZE }
    }
}

/// The signal that layers see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Patches of images.
    Images,
    /// Windows of sound: maps with a height of 1.
    Sound,
}

impl Signal {
    /// The activations that are such a signal, in words.
    pub fn of_activations(self) -> String {
        match self {
            Self::Images => "grids, maps and vectors".to_owned(),
            Self::Sound => "sequences of steps".to_owned(),
        }
    }
}

impl Display for Signal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Images => "images",
            Self::Sound => "sound",
        })
    }
}

/// Why a layer does not fit a map; the message is `{what} in module a {why}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// The part of the layer that is too large.
    pub what: String,
    /// What it is too large for.
    pub why: String,
}

/// The default of a setting that is 1 when it is left out.
fn one() -> usize {
    1
}

/// The setting `stride` of a layer called `of`.
fn stride(of: &str) -> Setting {
    Setting::new(format!("{of}.stride"), Form::whole(SIZE)).default(one()).example(2)
}

/// The setting `blocks` of a row of blocks, each a layer called `of`.
fn blocks(of: &str) -> Setting {
    Setting::new(format!("{of}.blocks"), Form::whole(1..=MAX_BLOCKS))
        .default(one())
        .unit("blocks")
        .example(3)
        .doc("The blocks in a row; only the first one has the stride.")
}
