//! What pipeline files can name: losses, layers and schedules, which a program may add to.

use crate::{Error, Kind, Result};

/// Entries by name, in the order in which they were added.
#[derive(Debug, Clone)]
pub(crate) struct Registry<E> {
    /// What an entry is called in messages: `loss`.
    what: &'static str,
    entries: Vec<(&'static str, E)>,
}

impl<E> Registry<E> {
    /// A registry of `entries`, whose names differ.
    pub fn of(what: &'static str, entries: Vec<(&'static str, E)>) -> Self {
        Self { what, entries }
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// [`Kind::Usage`] when the name is taken.
    pub fn with(mut self, name: &'static str, entry: E) -> Result<Self> {
        if self.get(name).is_some() {
            let message = format!("there is a {} `{name}` already", self.what);
            return Err(Error::new(Kind::Usage, message).hint("give the new one another name"));
        }
        self.entries.push((name, entry));
        Ok(self)
    }

    /// The names of all entries.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.entries.iter().map(|(name, _)| *name)
    }

    /// All entries.
    pub fn entries(&self) -> impl Iterator<Item = &E> {
        self.entries.iter().map(|(_, entry)| entry)
    }

    /// The entry of this name; `None` when there is none.
    pub fn get(&self, name: &str) -> Option<&E> {
        self.entries.iter().find(|(known, _)| *known == name).map(|(_, entry)| entry)
    }
}
