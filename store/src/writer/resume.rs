//! Takes over parts that earlier writers of the key left, and parts that other shards have written.

use std::collections::HashSet;
use std::ops::Range;

use rayon::prelude::*;

use super::Writer;
use crate::compression::CompressionSetting;
use crate::damage::Damage;
use crate::damage_note::note_name;
use crate::dataset::Generation;
use crate::error::Result;
use crate::error_kind::ErrorKind;
use crate::hashed_file::hash_of;
use crate::json;
use crate::manifest::{Part, part_name};
use crate::part_record::{PartRecord, record_name};
use crate::records::passes_over;
use crate::statistics::Sums;

impl Writer {
    /// Takes over the parts that earlier attempts completed; removes damaged ones and those of other rows, in the way.
    pub(super) fn find_done(&mut self) -> Result<()> {
        let committed = self.committed.clone();
        if let Some(committed) = &committed {
            if !committed.manifest().schema.is_like(&self.spec.schema) {
                let number = committed.number();
                return Err(
                    self.fail(format_args!("generation {number} has its key and other columns"))
                );
            }
            self.choices = committed.manifest().compression.clone();
            self.settle(committed.manifest().schema.clone())?;
        }
        let names: HashSet<String> = self.folder.names_in()?.into_iter().collect();
        // A shard does not touch the parts of another: the other writer may be at work.
        let own = |index: &usize| self.shard.has(*index);
        let noted = self.indexes(names.len()).filter(own);
        let indexes: Vec<usize> =
            noted.filter(|index| names.contains(&record_name(*index))).collect();
        let found: Vec<Option<PartRecord>> = indexes
            .par_iter()
            .map(|index| self.read_record(*index, &names))
            .collect::<Result<_>>()?;
        let mut unfit = Vec::new();
        for (index, record) in indexes.into_iter().zip(found) {
            match record.filter(|record| self.fits(record)) {
                Some(record) => {
                    if self.kind.is_none() {
                        self.choices = record.compression.clone();
                        self.settle(record.schema.clone())?;
                    }
                    self.done.insert(index, record);
                }
                None => {
                    self.folder.join(record_name(index)).remove()?;
                    unfit.push(part_name(index));
                }
            }
        }
        // A part without a note stays: its writer may be about to note it, and a writer that makes it again compares
        // the bytes. A committed part stays if its bytes are those that were committed.
        let parts = committed.iter().flat_map(|it| it.manifest().parts.iter().enumerate());
        let undone: Vec<(usize, &Part)> =
            parts.filter(|(index, _)| self.is_to_do(*index)).collect();
        let checked = undone.par_iter().map(|(_, part)| match &committed {
            Some(committed) => is_sound(committed.verify_part(part).map(|()| true)),
            None => Ok(false),
        });
        let checked: Vec<bool> = checked.collect::<Result<_>>()?;
        for ((index, part), good) in undone.into_iter().zip(checked) {
            let had_note = names.contains(&record_name(index));
            unfit.retain(|name| *name != part.file);
            if !good {
                unfit.push(part.file.clone());
            } else if !had_note && self.is_cut_here(index, part) {
                self.done.insert(index, self.of_committed(part));
            }
        }
        for name in unfit {
            let at = self.folder.join(&name);
            // Until the commit the part must not count as whole, whatever file takes its place.
            if committed.is_some() && !names.contains(&note_name(&name)) {
                at.store().note(&Damage::of(at.path(), "it is being made again"))?;
            }
            at.remove()?;
        }
        self.take_choice(&names)
    }

    /// Takes the compression that another shard chose, if none is chosen yet. All shards choose from equal rows.
    fn take_choice(&mut self, names: &HashSet<String>) -> Result<()> {
        let notes = self.indexes(names.len()).map(record_name);
        for note in notes.filter(|note| names.contains(note)) {
            if self.kind.is_some() {
                break;
            }
            let at = self.folder.join(note);
            let noted: Result<PartRecord> = json::read(&at, &self.dataset.records.limits);
            if let Some(record) = noted.ok().filter(|it| it.is_sound() && self.fits(it)) {
                self.choices = record.compression;
                self.settle(record.schema)?;
            }
        }
        Ok(())
    }

    /// Takes over the complete parts of the other shards. Returns how many of `parts` are complete, its own included.
    pub(super) fn find_others(&mut self, parts: usize) -> Result<usize> {
        let others: Vec<usize> = (0..parts).filter(|index| !self.shard.has(*index)).collect();
        if others.is_empty() {
            return Ok(self.done.len());
        }
        let names: HashSet<String> = self.folder.names_in()?.into_iter().collect();
        let noted = others.iter().filter(|index| names.contains(&record_name(**index))).count();
        if self.committed.is_none() && noted < others.len() {
            // Reading the existing parts would be useless.
            return Ok(self.done.len() + noted);
        }
        self.take_choice(&names)?;
        let found: Vec<Option<PartRecord>> =
            others.par_iter().map(|index| self.other(*index, &names)).collect::<Result<_>>()?;
        for (index, record) in others.into_iter().zip(found) {
            self.done.extend(record.map(|record| (index, record)));
        }
        Ok(self.done.len())
    }

    /// The note of a part of another shard, if the part is complete.
    fn other(&self, index: usize, names: &HashSet<String>) -> Result<Option<PartRecord>> {
        if names.contains(&record_name(index)) {
            return Ok(self.read_record(index, names)?.filter(|record| self.fits(record)));
        }
        let Some(committed) = &self.committed else { return Ok(None) };
        let Some(part) = committed.manifest().parts.get(index) else { return Ok(None) };
        let good =
            self.is_cut_here(index, part) && is_sound(committed.verify_part(part).map(|()| true))?;
        Ok(good.then(|| self.of_committed(part)))
    }

    /// A note for a part that was restored from a copy. Its sums are in the statistics of the manifest already.
    fn of_committed(&self, part: &Part) -> PartRecord {
        self.record(part.clone(), vec![Sums::NONE; self.spec.schema.columns.len()])
    }

    /// The part numbers to look for notes of, in a folder of `files` files: some notes may be missing.
    fn indexes(&self, files: usize) -> Range<usize> {
        0..files.max(self.spec.rows.map_or(0, |rows| self.parts_of(rows)))
    }

    /// Whether a committed part has the rows that this writer would put in it.
    fn is_cut_here(&self, index: usize, part: &Part) -> bool {
        let per_part = self.spec.rows_per_part as u64;
        let parts = self.committed.as_ref().map_or(0, |it| it.manifest().parts.len());
        part.rows == per_part || (part.rows < per_part && index + 1 == parts)
    }

    /// Whether a complete part is one that this writer would make.
    fn fits(&self, record: &PartRecord) -> bool {
        let other = |it: &Generation| !it.manifest().parts.contains(&record.part);
        if self.committed.as_ref().is_some_and(other) {
            return false;
        }
        let mut expected = self.record(record.part.clone(), record.sums.clone());
        expected.summary = record.summary.clone();
        // The chosen compression is in the schema. JSON may have rounded the measurements.
        expected.compression = record.compression.clone();
        if self.kind.is_none() && self.spec.compression == CompressionSetting::Auto {
            // The writer of this note has seen the first row group, and chosen.
            let columns = expected.schema.columns.iter_mut();
            for (column, found) in columns.zip(&record.schema.columns) {
                column.compression = found.compression;
            }
        }
        *record == expected
    }

    /// The note of part `index`, if the part has the bytes that the note names.
    fn read_record(&self, index: usize, names: &HashSet<String>) -> Result<Option<PartRecord>> {
        let is_remote = self.folder.properties().is_remote;
        let note = self.folder.join(record_name(index));
        let noted: Result<PartRecord> = json::read(&note, &self.dataset.records.limits);
        let noted = match noted {
            Ok(noted) => noted,
            // If the server does not answer, it is unknown what it has.
            Err(error) if is_remote && !passes_over(&error) => return Err(error),
            Err(_) => return Ok(None),
        };
        let plausible = noted.part.file == part_name(index)
            && noted.part.rows <= self.spec.rows_per_part as u64
            && noted.sums.len() == self.spec.schema.columns.len()
            && noted.is_sound();
        let at = self.folder.join(part_name(index));
        let size = at.size().map_err(|error| at.error("read", &error))?;
        // An object is whole or does not exist, and is created once: it need not be fetched for a check.
        let is_noted = names.contains(&note_name(&part_name(index)));
        let same = || match is_remote && !is_noted {
            true => Ok(true),
            false => is_sound(hash_of(&at).map(|hash| hash == noted.part.blake3)),
        };
        let good = plausible && size == Some(noted.part.bytes) && same()?;
        Ok(good.then_some(noted))
    }
}

/// Turns damage into `false`. Other errors stay errors: a part that cannot be read for another reason is not damaged.
fn is_sound(checked: Result<bool>) -> Result<bool> {
    match checked {
        Err(error) if error.kind() == ErrorKind::Damaged => Ok(false),
        checked => checked,
    }
}
