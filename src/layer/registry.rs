//! The layers by name: finds and reads the layer for a name in a pipeline file.

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeValue, Error as Mistyped, ValueDeserializer};

use super::Entry;
use crate::{Error, Kind, Result};

/// The layers that pipeline files can name.
#[derive(Debug, Clone)]
pub struct Layers(pub(super) Vec<(&'static str, Read)>);

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
    /// [`Kind::Usage`] when there is a layer of that name.
    pub fn with<S: DeserializeOwned + Into<Entry>>(mut self, name: &'static str) -> Result<Self> {
        if self.names().any(|known| known == name) {
            let message = format!("there is a layer `{name}` already");
            return Err(Error::new(Kind::Usage, message).hint("give the new one another name"));
        }
        self.0.push((name, read::<S>));
        Ok(self)
    }

    /// The names of all layers.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|(name, _)| *name)
    }

    /// Reads an entry of this name with the `settings` of a pipeline file; `None` when there is no layer of this name.
    pub(crate) fn read(
        &self,
        name: &str,
        settings: Spanned<DeValue<'_>>,
    ) -> Option<Result<Entry, Mistyped>> {
        let (_, read) = self.0.iter().find(|(known, _)| *known == name)?;
        Some(read(settings))
    }
}
