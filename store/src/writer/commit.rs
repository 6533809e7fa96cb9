//! Makes a generation visible: when all its parts are complete, a manifest names them.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::Writer;
use crate::dataset::Generation;
use crate::error::{Error, Result};
use crate::manifest::{FORMAT_VERSION, Manifest};
use crate::statistics::Sums;

/// The result of [`Writer::finish`].
#[derive(Debug)]
pub enum Finished {
    /// The generation is committed.
    Committed(Generation),
    /// The writer's shard is complete; other shards are not.
    Waiting {
        /// Complete parts, of all shards.
        done: usize,
        /// Parts of the generation.
        parts: usize,
    },
}

impl Writer {
    /// Makes the generation visible, up to [`Writer::position`], or returns the one that another writer has committed.
    ///
    /// # Errors
    /// `Failed` when there are no rows or not as many as announced, when parts of other shards are missing, or when
    /// another writer's parts of this key are different; `NoSpace`, `Denied` or `Failed` when the disk cannot take
    /// the last part or the manifest.
    pub fn commit(self, summary: Value) -> Result<Generation> {
        let folder = self.folder.clone();
        match self.finish(|_| summary)? {
            Finished::Committed(generation) => Ok(generation),
            Finished::Waiting { done, parts } => {
                Err(Error::failed(format_args!("{folder}: {done} of {parts} parts are complete")))
            }
        }
    }

    /// Finishes this writer's shard, and makes the generation visible if the parts of all shards are complete. It is
    /// no error if some are not. `summary` gets the note of each part, in their order; null where nothing was noted.
    ///
    /// # Errors
    /// The errors of [`Writer::commit`].
    pub fn finish(mut self, summary: impl FnOnce(&[Value]) -> Value) -> Result<Finished> {
        self.whole()?;
        let rows = self.position;
        if rows == 0 {
            return Err(self.fail("there are no rows to commit"));
        }
        if let Some(announced) = self.spec.rows
            && announced != rows
        {
            return Err(self.fail(format_args!("{rows} rows, not {announced} as announced")));
        }
        // If the last part is full, it was already finished with its last row.
        self.end_part((rows / self.spec.rows_per_part as u64) as usize)?;
        let parts = self.parts_of(rows);
        let done = self.find_others(parts)?;
        if done < parts && !self.shard.is_whole() {
            return Ok(Finished::Waiting { done, parts });
        }
        if self.rows_done() != rows {
            let done = self.rows_done();
            return Err(self.fail(format_args!("the parts have {done} rows, not {rows}")));
        }
        let noted: Vec<Value> = self.done.values().map(|it| it.summary.clone()).collect();
        let summary = summary(&noted);
        self.check_folder()?;
        let manifest = self.manifest(rows, summary);
        let records = &self.dataset.records;
        loop {
            // The number is taken from a listing before the search for the key: a writer that commits the key after
            // the search takes this number or a later one.
            let number = records.next()?;
            if let Some(found) = self.dataset.find(&self.spec.key)? {
                if found.manifest().parts != manifest.parts {
                    return Err(self.fail(format_args!(
                        "generation {} was committed under the same key with other parts, so \
                         the key leaves out something that the rows depend on",
                        found.number()
                    )));
                }
                return self.forget_damage().map(|()| Finished::Committed(found));
            }
            if let Some(committed) = &self.committed {
                let number = committed.number();
                return Err(self.fail(format_args!("generation {number} has gone; run it again")));
            }
            self.forget_damage()?;
            if records.try_commit(number, &manifest)? {
                return self.dataset.generation(number).map(Finished::Committed);
            }
        }
    }

    /// Removes the notes of damage, last of all: by now every part is equal to the committed one.
    fn forget_damage(&self) -> Result<()> {
        let parts = self.done.values().map(|record| self.folder.join(&record.part.file));
        parts.into_iter().try_for_each(|part| part.forget_damage())
    }

    /// Checks that a glob over the folder reads all of this generation and nothing else.
    fn check_folder(&self) -> Result<()> {
        let mut names = self.folder.names_in()?;
        names.retain(|name| name.ends_with(".parquet"));
        let parts: Vec<_> = self.done.values().map(|record| record.part.file.clone()).collect();
        if names == parts {
            return Ok(());
        }
        match names.iter().find(|name| !parts.contains(name)) {
            Some(name) => Err(self.fail(format_args!("{name} is no part of this generation"))),
            None => Err(self.fail("a part is gone; run it again to have it written again")),
        }
    }

    pub(super) fn manifest(&self, rows: u64, summary: Value) -> Manifest {
        let schema = self.kind.as_ref().map_or(&self.spec.schema, |kind| &kind.schema);
        let statistics = schema.columns.iter().enumerate().map(|(index, column)| {
            let mut sums = Sums::NONE;
            self.done.values().for_each(|record| sums.add(&record.sums[index]));
            (column.name.clone(), sums.statistics())
        });
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Manifest {
            format_version: FORMAT_VERSION,
            key: self.spec.key.clone(),
            settings: self.spec.settings.clone(),
            rows,
            statistics: statistics.collect(),
            schema: schema.clone(),
            compression: self.choices.clone(),
            parts: self.done.values().map(|record| record.part.clone()).collect(),
            summary,
            created: now.as_secs(),
            code_version: env!("CARGO_PKG_VERSION").to_string(),
        }
    }
}
