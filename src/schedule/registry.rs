//! Finds a schedule by its name in a pipeline file, and reads its settings.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, Deserializer};

use super::Schedule;
use crate::Result;
use crate::registry::Registry;

/// The schedules that pipeline files can name.
#[derive(Debug, Clone)]
pub struct Schedules(pub(super) Registry<Entry>);

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The schedule with its defaults.
    pub default: Arc<dyn Schedule>,
    /// Reads its settings, without its name.
    pub read: fn(DeTable<'_>) -> Result<Arc<dyn Schedule>, toml::de::Error>,
}

impl Entry {
    /// The name of a schedule, and its entry.
    pub fn of<S: Schedule + Default + DeserializeOwned>() -> (&'static str, Self) {
        let default = S::default();
        let name = default.name();
        // Errors have the positions of the values.
        let read = |settings: DeTable<'_>| -> Result<Arc<dyn Schedule>, toml::de::Error> {
            let settings = Deserializer::from(Spanned::new(0..0, settings));
            Ok(Arc::new(S::deserialize(settings)?))
        };
        (name, Self { default: Arc::new(default), read })
    }
}

impl Schedules {
    /// Adds a schedule. Pipeline files use its [`Schedule::name`].
    ///
    /// # Errors
    /// [`crate::Kind::Usage`] when there is a schedule of that name.
    pub fn with<S: Schedule + Default + DeserializeOwned>(self) -> Result<Self> {
        let (name, entry) = Entry::of::<S>();
        self.0.with(name, entry).map(Self)
    }

    /// All schedules.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.0.entries()
    }

    /// The schedule of this name; `None` when there is none.
    pub(crate) fn get(&self, name: &str) -> Option<&Entry> {
        self.0.get(name)
    }
}
