//! Notes beside damaged files, which say that the file must be made again.

use crate::damage::Damage;
use crate::error::Result;
use crate::json;
use crate::location::Location;
use crate::store::Store;

impl Store {
    /// Leaves a note beside a damaged file: the file must be made again.
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
    /// When the folder cannot be read.
    pub fn is_noted_as_damaged(&self) -> Result<bool> {
        note_of(self).is_file().map_err(|error| self.error("look at", &error))
    }

    /// Removes the note of damage, once the file is whole again.
    ///
    /// # Errors
    /// When the note cannot be removed.
    pub fn forget_damage(&self) -> Result<()> {
        note_of(self).remove()
    }
}

fn note_of(file: &Location) -> Location {
    file.beside(&note_name(&file.name()))
}

/// The name of the damage note for file `name`.
pub(crate) fn note_name(name: &str) -> String {
    format!(".{name}.damaged")
}
