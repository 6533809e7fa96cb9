//! The layers by name: finds and reads the layer for a name in a pipeline file.

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeValue, Error as Mistyped, ValueDeserializer};

use super::Entry;
use crate::Result;
use crate::registry::Registry;
use crate::setting::{Setting, Stale};

/// The layers that pipeline files can name.
#[derive(Debug, Clone)]
pub struct Layers(pub(super) Registry<Named>);

/// What is known of the layer of a name.
#[derive(Debug, Clone)]
pub(super) struct Named {
    read: fn(Spanned<DeValue<'_>>) -> Result<Entry, Mistyped>,
    reference: fn() -> Vec<Setting>,
}

impl Named {
    /// A layer with the settings `S`, described by `reference`.
    pub fn of<S: DeserializeOwned + Into<Entry>>(reference: fn() -> Vec<Setting>) -> Self {
        let read = |settings: Spanned<DeValue<'_>>| -> Result<Entry, Mistyped> {
            Ok(S::deserialize(ValueDeserializer::from(settings))?.into())
        };
        Self { read, reference }
    }
}

impl Layers {
    /// Adds a layer, which pipeline files can then give as `{ name = { … } }`. `name` must be its
    /// [`super::Layer::name`].
    ///
    /// # Errors
    /// [`crate::Kind::Usage`] when there is a layer of that name.
    pub fn with<S: DeserializeOwned + Into<Entry>>(self, name: &'static str) -> Result<Self> {
        self.0.with(name, Named::of::<S>(Vec::new)).map(Self)
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
        self.0.get(name).map(|named| (named.read)(settings))
    }

    /// The keys of all layers in `layers` of a module.
    pub(crate) fn reference(&self) -> Vec<Setting> {
        let mut all = Vec::new();
        for (name, named) in self.0.names().zip(self.0.entries()) {
            let own = (named.reference)();
            let own = if own.is_empty() { vec![Setting::table(name, "")] } else { own };
            all.extend(own.into_iter().map(|it| Setting {
                name: format!("modules.layers.{}", it.name),
                stale: Stale::AFTER_INGEST,
                ..it
            }));
        }
        all
    }
}
