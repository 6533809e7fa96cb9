//! The manifest of a generation: what the generation holds, and what it was made from.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::compression::CompressionChoice;
use crate::error::{Error, Result};
use crate::key::is_key;
use crate::schema::Schema;
use crate::statistics::Statistics;

/// The version of the layout on disk that this code writes, and the only one that it reads.
pub const FORMAT_VERSION: u32 = 1;

/// The manifest: what a generation holds, and what it was made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The [`FORMAT_VERSION`] of the code that wrote it.
    pub format_version: u32,
    /// The key, which determines every byte of the parts: 64 hex digits.
    pub key: String,
    /// What the key was made of, for people.
    pub settings: serde_json::Value,
    /// Rows in all parts.
    pub rows: u64,
    /// The columns of the rows.
    pub schema: Schema,
    /// Measurements by column name, where the writer chose the compression.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub compression: BTreeMap<String, CompressionChoice>,
    /// The part files, in the order of their rows.
    pub parts: Vec<Part>,
    /// Statistics of every tensor column, by name.
    pub statistics: BTreeMap<String, Statistics>,
    /// What the writer says about its work, as any JSON.
    pub summary: serde_json::Value,
    /// When it was committed, in seconds since 1970.
    pub created: u64,
    /// The version of the code that wrote it.
    pub code_version: String,
}

/// A part file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The file name in the folder of the generation.
    pub file: String,
    /// The number of rows.
    pub rows: u64,
    /// The size in bytes.
    pub bytes: u64,
    /// BLAKE3 of the whole file, in hex.
    pub blake3: String,
    /// The offset in bytes where the pages end and the page index and footer begin.
    pub index_offset: u64,
    /// BLAKE3 of the file from `index_offset` on, in hex: checked before any of it is parsed.
    pub index_blake3: String,
}

/// The name of part `index`.
pub(crate) fn part_name(index: usize) -> String {
    format!("part-{index:05}.parquet")
}

impl Manifest {
    /// Checks everything that can be checked without looking at the parts.
    pub(crate) fn check(&self, path: &Path) -> Result<()> {
        if self.format_version != FORMAT_VERSION {
            return Err(Error::failed(format_args!(
                "{}: is of format version {}; this code reads version {FORMAT_VERSION}",
                path.display(),
                self.format_version
            )));
        }
        self.fault().map_or(Ok(()), |what| Err(Error::damaged(path, what)))
    }

    fn fault(&self) -> Option<String> {
        if !is_key(&self.key) {
            return Some("its key is not 64 hex digits".into());
        }
        if let Err(what) = self.schema.check() {
            return Some(what);
        }
        for (index, part) in self.parts.iter().enumerate() {
            // Only the one right name is accepted, so no manifest leads out of its folder.
            if part.file != part_name(index) {
                return Some(format!("part {index} is called {:?}", part.file));
            }
            if let Some(what) = part.fault(&self.schema) {
                return Some(format!("{}: {what}", part.file));
            }
        }
        let rows = self.parts.iter().try_fold(0u64, |rows, part| rows.checked_add(part.rows));
        if rows != Some(self.rows) || self.rows == 0 {
            return Some(format!("its parts do not have {} rows", self.rows));
        }
        if !self.statistics.keys().eq(&self.columns_by_name()) {
            return Some("its statistics are not those of its columns".into());
        }
        None
    }

    fn columns_by_name(&self) -> Vec<String> {
        let mut names: Vec<_> = self.schema.columns.iter().map(|c| c.name.clone()).collect();
        names.sort();
        names
    }
}

impl Part {
    /// What is wrong with the numbers, if anything. After this check, allocating by rows stays near the file's size.
    pub(crate) fn fault(&self, schema: &Schema) -> Option<&'static str> {
        // A row has an id of 8 bytes and its tensors.
        let least = (self.rows).checked_mul(8 + schema.least_row_bytes());
        if self.rows == 0 || least.is_none_or(|least| least > self.index_offset) {
            return Some("it is too small for its rows");
        }
        if self.index_offset >= self.bytes {
            return Some("it ends before its index begins");
        }
        if !is_key(&self.blake3) || !is_key(&self.index_blake3) {
            return Some("a BLAKE3 is not 64 hex digits");
        }
        None
    }
}
