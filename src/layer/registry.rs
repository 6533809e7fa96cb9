//! The layers by name: finds and reads the layer for a name in a pipeline file.

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeValue, Error as Mistyped, ValueDeserializer};

use super::Entry;
use crate::Result;
use crate::registry::Registry;

/// The layers that pipeline files can name.
#[derive(Debug, Clone)]
pub struct Layers(pub(super) Registry<Read>);

pub(super) type Read = fn(Spanned<DeValue<'_>>) -> Result<Entry, Mistyped>;

pub(super) fn read<S: DeserializeOwned + Into<Entry>>(
    settings: Spanned<DeValue<'_>>,
) -> Result<Entry, Mistyped> {
    Ok(S::deserialize(ValueDeserializer::from(settings))?.into())
}

impl Layers {
    /// Adds a layer, which pipeline files can then give as `{ name = { … } }`. `name` must be its
    /// [`super::Layer::name`].
    ///
    /// # Errors
    /// [`crate::Kind::Usage`] when there is a layer of that name.
    pub fn with<S: DeserializeOwned + Into<Entry>>(self, name: &'static str) -> Result<Self> {
        self.0.with(name, read::<S>).map(Self)
    }

    /// The names of all layers.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.names()
    }

    /// Reads an entry of this name with the `settings` of a pipeline file; `None` when there is no layer of this name.
    pub(crate) fn read(
        &self,
        name: &str,
        settings: Spanned<DeValue<'_>>,
    ) -> Option<Result<Entry, Mistyped>> {
        self.0.get(name).map(|read| read(settings))
    }
}
