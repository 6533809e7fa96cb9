//! Finds a schedule by its name in a pipeline file, and reads its settings.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, Deserializer};

use super::{Schedule, asynchronous, rounds, sequential, simultaneous};
use crate::{Error, Kind, Result};

/// The schedules that pipeline files can name.
#[derive(Debug, Clone)]
pub struct Schedules(Vec<Entry>);

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The schedule with its defaults.
    pub default: Arc<dyn Schedule>,
    /// Reads its settings, without its name.
    pub read: fn(DeTable<'_>) -> Result<Arc<dyn Schedule>, toml::de::Error>,
}

/// The schedules of this crate. A pipeline that names none has the first.
impl Default for Schedules {
    fn default() -> Self {
        Self(vec![
            Entry::of::<sequential::Settings>(),
            Entry::of::<rounds::Settings>(),
            Entry::of::<simultaneous::Settings>(),
            Entry::of::<asynchronous::Settings>(),
        ])
    }
}

impl Entry {
    fn of<S: Schedule + Default + DeserializeOwned>() -> Self {
        Self {
            default: Arc::new(S::default()),
            // Errors have the positions of the values.
            read: |settings| {
                let settings = Deserializer::from(Spanned::new(0..0, settings));
                Ok(Arc::new(S::deserialize(settings)?))
            },
        }
    }
}

impl Schedules {
    /// Adds a schedule. Pipeline files use its [`Schedule::name`].
    ///
    /// # Errors
    /// [`Kind::Usage`] when there is a schedule of that name.
    pub fn with<S: Schedule + Default + DeserializeOwned>(mut self) -> Result<Self> {
        let entry = Entry::of::<S>();
        let name = entry.default.name();
        if self.entries().any(|it| it.default.name() == name) {
            let message = format!("there is a schedule `{name}` already");
            return Err(Error::new(Kind::Usage, message).hint("give the new one another name"));
        }
        self.0.push(entry);
        Ok(self)
    }

    /// All schedules.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter()
    }
}
