//! The note beside a damaged file that says that it has to be made again.

use crate::damage::Damage;
use crate::error::Result;
use crate::json;
use crate::location::Location;
use crate::store::Store;

impl Store {
    /// Leaves a note beside a damaged file that says that it has to be made again.
    ///
    /// # Errors
    /// When the note cannot be written.
    pub fn note(&self, damage: &Damage) -> Result<()> {
        let file = self.locate(&damage.file);
        note_of(&file).replace(&json::written(&file, damage)?)
    }
}

impl Location {
    /// Whether this file was noted as damaged.
    ///
    /// # Errors
    /// When it cannot be looked.
    pub fn is_noted_as_damaged(&self) -> Result<bool> {
        note_of(self).is_file().map_err(|error| self.error("look at", &error))
    }

    /// Removes the note that this file is damaged: it is as it was written again.
    ///
    /// # Errors
    /// When it is still there.
    pub fn forget_damage(&self) -> Result<()> {
        note_of(self).remove()
    }
}

fn note_of(file: &Location) -> Location {
    file.beside(&note_name(&file.name()))
}

/// The name of the note of damage to the file of this name.
pub(crate) fn note_name(name: &str) -> String {
    format!(".{name}.damaged")
}
