//! The rows that a writer need not write again: which they are, and whether rows that are given once more equal them.

use serde_json::Value;

use super::Writer;
use crate::error::{Error, Result};
use crate::error_kind::ErrorKind;
use crate::reader::Reader;
use crate::reader::keys::Keys;
use crate::row_group::RowGroup;
use crate::rows::Rows;
use crate::schema::Schema;

/// The rows of the complete parts at the front of a generation that is not committed yet, or is being repaired.
///
/// Holds no lease: the writer that it comes from has one on their folder.
#[derive(Debug)]
pub struct DoneRows {
    reader: Reader,
    schema: Schema,
    keys: Keys,
}

impl Writer {
    /// The rows of the complete parts before the first part that is missing; `None` when part 0 is. A writer of whole
    /// datasets goes on after them, with [`Writer::skip`].
    ///
    /// # Errors
    /// `Damaged` when one of them cannot be read.
    pub fn done_rows(&self) -> Result<Option<DoneRows>> {
        let front = self.done.iter().enumerate().take_while(|(index, (at, _))| index == *at);
        let parts: Vec<_> = front.map(|(_, (_, record))| record.part.clone()).collect();
        if parts.is_empty() {
            return Ok(None);
        }
        let rows = parts.iter().map(|part| part.rows).sum();
        let mut manifest = self.manifest(rows, Value::Null);
        manifest.parts = parts;
        let schema = manifest.schema.clone();
        let columns: Vec<&str> = schema.columns.iter().map(|column| column.name.as_str()).collect();
        // No reader sees this generation, so any number does.
        let generation = self.dataset.holding(0, manifest.into());
        let reader = Reader::open(&generation, &columns, None)?;
        let keys = reader.keys()?;
        Ok(Some(DoneRows { reader, schema, keys }))
    }
}

impl DoneRows {
    /// The ids, labels, sources and attributes of the rows, in the order of their positions.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The number of rows.
    pub fn rows(&self) -> u64 {
        self.reader.rows()
    }

    /// Checks that `rows`, rounded as a writer rounds, are those at `positions`: bit for bit, with their labels,
    /// sources and attributes.
    ///
    /// # Errors
    /// `Differs` when a row is another one; `Failed` when the rows do not fit the schema; the errors of reading.
    pub fn compare(&self, positions: &[u64], rows: &Rows) -> Result<()> {
        rows.check(&self.schema)?;
        if positions.len() != rows.ids.len() {
            let (found, expected) = (positions.len(), rows.ids.len());
            return Err(Error::failed(format_args!("{found} positions of {expected} rows")));
        }
        let differs = |row: usize, column: &str| {
            let (id, at) = (rows.ids[row], positions[row]);
            let what =
                format!("row {at}, with id {id}: its `{column}` is not what was written before");
            Err(Error::new(ErrorKind::Differs, what))
        };
        for (row, position) in positions.iter().enumerate() {
            let at = usize::try_from(*position).ok().filter(|at| *at < self.keys.ids.len());
            let Some(at) = at else {
                return Err(Error::failed(format_args!("there is no row {position} yet")));
            };
            let sources = rows.sources.map(|sources| &sources[row]);
            if self.keys.ids[at] != rows.ids[row] {
                return differs(row, "id");
            }
            if self.keys.labels[at] != rows.labels[row] {
                return differs(row, "label");
            }
            if self.keys.sources.as_ref().map(|sources| &sources[at]) != sources {
                return differs(row, "source");
            }
            let attributes = self.keys.attributes.iter().zip(rows.attributes);
            if let Some(other) = attributes.clone().position(|(all, it)| all[at] != it[row]) {
                return differs(row, &self.schema.attributes[other]);
            }
        }
        let mut group = RowGroup::new(&self.schema);
        group.add(rows, &self.schema)?;
        let mut stored = Vec::new();
        for (place, column) in self.schema.stored().iter().enumerate() {
            stored.resize(column.row_bytes(), 0);
            for (row, (position, given)) in
                positions.iter().zip(group.stored_rows(place)).enumerate()
            {
                self.reader.read_stored(&column.name, &[*position], &mut stored)?;
                if stored != given {
                    return differs(row, &column.name);
                }
            }
        }
        Ok(())
    }
}
