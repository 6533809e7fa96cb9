//! The note beside a complete part.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::compression::CompressionChoice;
use crate::key::{folder_name, is_key};
use crate::manifest::{Part, part_name};
use crate::schema::Schema;
use crate::statistics::Sums;

/// The note beside a complete part, so that another writer need not make the part again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PartRecord {
    pub format_version: u32,
    pub key: String,
    pub schema: Schema,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub compression: BTreeMap<String, CompressionChoice>,
    pub rows_per_part: usize,
    pub rows_per_group: usize,
    pub part: Part,
    /// The sums for each tensor column, from which statistics are made.
    pub sums: Vec<Sums>,
    /// What the writer says about its work on this part; any JSON.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub summary: Value,
}

impl PartRecord {
    /// Whether this can be the note at path `note`.
    pub fn belongs_to(&self, note: &Path) -> bool {
        let (folder, name) = (note.parent().and_then(Path::file_name), note.file_name());
        is_key(&self.key)
            && folder.is_some_and(|folder| folder == folder_name(&self.key))
            && name.is_some_and(|name| *name == *format!(".{}.json", self.part.file))
            && self.is_consistent()
    }

    /// Whether this is the note of a part that could have been written.
    pub fn is_sound(&self) -> bool {
        // The schema is checked first, so that its values can be counted.
        self.is_consistent()
            && (self.sums.iter().zip(&self.schema.columns))
                .all(|(sums, column)| sums.can_be_of(self.part.rows * column.values() as u64))
    }

    fn is_consistent(&self) -> bool {
        self.schema.check().is_ok() && self.part.fault(&self.schema).is_none()
    }
}

/// The file name of the note for part `index`.
pub(crate) fn record_name(index: usize) -> String {
    format!(".{}.json", part_name(index))
}
