//! The losses by name: finds the recipe for the name of a loss in a pipeline file.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};

use super::Recipe;
use crate::Result;
use crate::registry::Registry;
use crate::setting::{Setting, Stale};

/// The losses that pipeline files can name.
#[derive(Debug, Clone)]
pub struct Losses(pub(super) Registry<Entry>);

#[derive(Debug, Clone)]
pub(super) struct Entry {
    default: Arc<dyn Recipe>,
    read: Read,
}

type Read = fn(Spanned<DeValue<'_>>) -> Result<Arc<dyn Recipe>, toml::de::Error>;

impl Entry {
    /// The name of a loss, and its entry.
    pub fn of<R: Recipe + Default + DeserializeOwned>() -> (&'static str, Self) {
        let default = R::default();
        let name = default.name();
        let read: Read =
            |settings| Ok(Arc::new(R::deserialize(ValueDeserializer::from(settings))?));
        (name, Self { default: Arc::new(default), read })
    }
}

impl Losses {
    /// Adds a loss, which pipeline files can then give by its [`Recipe::name`].
    ///
    /// # Errors
    /// [`crate::Kind::Usage`] when there is a loss of that name.
    pub fn with<R: Recipe + Default + DeserializeOwned>(self) -> Result<Self> {
        let (name, entry) = Entry::of::<R>();
        self.0.with(name, entry).map(Self)
    }

    /// The names of all losses.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.names()
    }

    /// The keys of all losses in `[loss]`.
    pub(crate) fn reference(&self) -> Vec<Setting> {
        let all = self.0.entries().flat_map(|entry| entry.default.reference());
        let of_loss = |it: Setting| Setting {
            name: format!("loss.{}", it.name),
            stale: Stale::TRAINING,
            ..it
        };
        all.map(of_loss).collect()
    }

    /// The loss of this name with default settings; `None` when there is none.
    pub fn named(&self, name: &str) -> Option<Arc<dyn Recipe>> {
        Some(self.0.get(name)?.default.clone())
    }

    /// The loss of this name with the `settings` of a pipeline file; `None` when there is none.
    pub(crate) fn read(
        &self,
        name: &str,
        settings: Spanned<DeValue<'_>>,
    ) -> Option<Result<Arc<dyn Recipe>, toml::de::Error>> {
        Some((self.0.get(name)?.read)(settings))
    }
}
