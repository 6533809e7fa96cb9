//! Reads what identifies the rows of a generation, always for all rows.

use super::{Reader, forget};
use crate::damage::Damage;
use crate::error::{Error, Result};
use crate::key_page;
use crate::limits::Allowance;
use crate::part_index::PartIndex;

/// Ids, labels, sources and attributes of the rows, in the order of their positions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    /// The stable id of each sample.
    pub ids: Vec<i64>,
    /// The label of each sample that has one.
    pub labels: Vec<Option<i64>>,
    /// Where each sample came from, if the dataset has sources.
    pub sources: Option<Vec<String>>,
    /// The values of each attribute of the schema.
    pub attributes: Vec<Vec<i64>>,
}

impl Reader {
    /// Reads the ids, labels, sources and attributes of all rows.
    ///
    /// # Errors
    /// `Damaged`, with file and row group, when a page is damaged.
    pub fn keys(&self) -> Result<Keys> {
        let attributes = self.key_names.len() - 2 - usize::from(self.source);
        let row =
            size_of::<i64>() * (1 + attributes) + size_of::<Option<i64>>() + size_of::<String>();
        // The memory counts twice: for the keys of a row group, and for all before it.
        let mut memory = Allowance::new(self.limits.index, "index");
        memory.take(self.rows.saturating_mul(2 * row as u64), "the keys")?;
        let rows = self.rows as usize;
        let mut keys = Keys {
            ids: Vec::with_capacity(rows),
            labels: Vec::with_capacity(rows),
            sources: self.source.then(|| Vec::with_capacity(rows)),
            attributes: (0..attributes).map(|_| Vec::with_capacity(rows)).collect(),
        };
        let mut page = Vec::new();
        for part in &self.parts {
            for (number, group) in part.groups.iter().enumerate() {
                for (column, at) in group.keys.iter().enumerate() {
                    memory.take(u64::from(at.length), "the keys")?;
                    self.read_keys(part, number, column, &mut page, &mut keys)?;
                }
            }
        }
        Ok(keys)
    }

    /// Adds the values of a key column in a row group.
    pub(super) fn read_keys(
        &self,
        part: &PartIndex,
        number: usize,
        column: usize,
        page: &mut Vec<u8>,
        keys: &mut Keys,
    ) -> Result<()> {
        let group = &part.groups[number];
        let at = group.keys[column];
        let length = u64::from(at.length);
        Allowance::new(self.limits.page, "page").take(length, "a page of keys")?;
        page.resize(at.length as usize, 0);
        let fill = |page: &mut [u8]| part.file.read_exact_at(page, at.offset);
        fill(page).map_err(|error| Error::reading(part.path(), &error))?;
        let mut added = keys.add(column, page, group.rows);
        if added.is_err() && forget(part, &at) {
            fill(page).map_err(|error| Error::reading(part.path(), &error))?;
            added = keys.add(column, page, group.rows);
        }
        added.map_err(|what| {
            Damage::of(part.path(), what).in_column(number, &self.key_names[column]).into()
        })
    }
}

impl Keys {
    /// Adds the `rows` values in `page`, a page of key column `column`.
    fn add(&mut self, column: usize, page: &[u8], rows: usize) -> Result<(), &'static str> {
        match (column, &mut self.sources) {
            (0, _) => self.ids.extend(key_page::read_numbers(page, rows)?),
            (1, _) => self.labels.extend(key_page::read_labels(page, rows)?),
            (2, Some(sources)) => sources.extend(key_page::read_sources(page, rows)?),
            (_, sources) => {
                let attribute = column - 2 - usize::from(sources.is_some());
                self.attributes[attribute].extend(key_page::read_numbers(page, rows)?);
            }
        }
        Ok(())
    }
}
