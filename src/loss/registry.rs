//! The losses by name: finds the recipe for the name of a loss in a pipeline file.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};

use super::{Recipe, clapp, infonce, infonce1d, supervised, vicreg};
use crate::{Error, Kind, Result};

/// The losses that pipeline files can name.
#[derive(Debug, Clone)]
pub struct Losses(Vec<Entry>);

#[derive(Debug, Clone)]
struct Entry {
    default: Arc<dyn Recipe>,
    read: Read,
}

type Read = fn(Spanned<DeValue<'_>>) -> Result<Arc<dyn Recipe>, toml::de::Error>;

/// All losses of this crate.
impl Default for Losses {
    fn default() -> Self {
        Self(vec![
            Entry::of::<infonce::Settings>(),
            Entry::of::<infonce1d::Settings>(),
            Entry::of::<clapp::Settings>(),
            Entry::of::<vicreg::Settings>(),
            Entry::of::<supervised::Settings>(),
        ])
    }
}

impl Entry {
    fn of<R: Recipe + Default + DeserializeOwned>() -> Self {
        Self {
            default: Arc::new(R::default()),
            read: |settings| Ok(Arc::new(R::deserialize(ValueDeserializer::from(settings))?)),
        }
    }
}

impl Losses {
    /// Adds a loss, which pipeline files can then give by its [`Recipe::name`].
    ///
    /// # Errors
    /// [`Kind::Usage`] when there is a loss of that name.
    pub fn with<R: Recipe + Default + DeserializeOwned>(mut self) -> Result<Self> {
        let entry = Entry::of::<R>();
        let name = entry.default.name();
        if self.named(name).is_some() {
            let message = format!("there is a loss `{name}` already");
            return Err(Error::new(Kind::Usage, message).hint("give the new one another name"));
        }
        self.0.push(entry);
        Ok(self)
    }

    /// The names of all losses.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|it| it.default.name())
    }

    /// The loss of this name with default settings; `None` when there is none.
    pub fn named(&self, name: &str) -> Option<Arc<dyn Recipe>> {
        Some(self.entry(name)?.default.clone())
    }

    /// The loss of this name with the `settings` of a pipeline file; `None` when there is none.
    pub(crate) fn read(
        &self,
        name: &str,
        settings: Spanned<DeValue<'_>>,
    ) -> Option<Result<Arc<dyn Recipe>, toml::de::Error>> {
        Some((self.entry(name)?.read)(settings))
    }

    fn entry(&self, name: &str) -> Option<&Entry> {
        self.0.iter().find(|it| it.default.name() == name)
    }
}
