//! Reads everything on disk and compares it with what was written.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use rayon::prelude::*;

use crate::checked::Checked;
use crate::damage::Damage;
use crate::dataset::{Dataset, Generation};
use crate::error::{Error, Result};
use crate::error_kind::ErrorKind;
use crate::json;
use crate::key::{folder_name, is_folder_name};
use crate::location::Location;
use crate::manifest::{Manifest, Part};
use crate::part_file::PartFile;
use crate::part_record::{PartRecord, record_name};
use crate::reader::Reader;
use crate::records::passes_over;
use crate::schema::Schema;

/// Called with the result for each file, from several threads.
pub type Heard<'a> = &'a (dyn Fn(&Checked) + Sync);

impl Dataset {
    /// Reads every byte of every generation, and of complete parts of unfinished ones. Continues after damage.
    pub fn check(&self, heard: Heard) -> Checked {
        let numbers = match self.generations() {
            Ok(numbers) => numbers,
            Err(error) => return tell(heard, Checked::failed(error)),
        };
        let mut all = Checked::default();
        let mut folders = HashSet::new();
        for number in numbers {
            match self.generation_anew(number) {
                Ok(generation) => {
                    folders.insert(folder_name(&generation.manifest().key).to_owned());
                    let size = self.records.path(number).plain_size().unwrap_or(0);
                    all = all.and(tell(heard, Checked::sound(size))).and(generation.check(heard));
                }
                // Removed since it was listed.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => all = all.and(tell(heard, Checked::failed(error))),
            }
        }
        let attempts = self.check_attempts(&folders, heard);
        all.and(attempts.unwrap_or_else(|error| tell(heard, Checked::failed(error))))
    }

    /// Checks the complete parts in the folders of keys that no manifest names, against their notes.
    fn check_attempts(&self, committed: &HashSet<String>, heard: Heard) -> Result<Checked> {
        let names = self.folder().names_in()?;
        let attempts = names.iter().filter(|it| is_folder_name(it) && !committed.contains(*it));
        let each = attempts.map(|attempt| {
            let folder = self.folder().join(attempt);
            let names: HashSet<_> = match folder.names_in() {
                Ok(names) => names.into_iter().collect(),
                Err(error) => return tell(heard, Checked::failed(error)),
            };
            let parts = (0..names.len()).into_par_iter().map(record_name);
            let notes = parts.filter(|note| names.contains(note)).map(|note| folder.join(note));
            let each = notes.map(|note| tell(heard, self.check_noted(&note)));
            each.reduce(Checked::default, Checked::and)
        });
        Ok(each.fold(Checked::default(), Checked::and))
    }

    /// Checks a part against the note beside it.
    fn check_noted(&self, note: &Location) -> Checked {
        let checked = match json::read::<PartRecord>(note, &self.records.limits) {
            Ok(record) if record.belongs_to(note.path()) => {
                let PartRecord { format_version, key, schema, part, .. } = record;
                let manifest = of_part(format_version, key, schema, part.clone());
                self.holding(0, Arc::new(manifest)).check_part(&part)
            }
            Ok(_) => Checked::failed(Error::damaged(note.path(), "it is the note of another part")),
            Err(error) => Checked::failed(error),
        };
        // The part may have been finished, or removed, meanwhile.
        if note.is_file().unwrap_or(true) { checked } else { Checked::default() }
    }
}

impl Generation {
    /// Reads every byte and compares it with what was written.
    ///
    /// # Errors
    /// `Damaged` names the file, and the row group, column and row where the damage is in a page; other kinds when a
    /// file cannot be read.
    pub fn verify(&self) -> Result<()> {
        let checked = self.check(&|_| {});
        let damage = checked.damage.into_iter().map(Error::from);
        let unchecked = checked.unchecked.into_iter().map(|it| Error::new(it.kind, it.what));
        damage.chain(unchecked).next().map_or(Ok(()), Err)
    }

    /// Reads every byte and compares it with what was written. Continues after damage.
    pub fn check(&self, heard: Heard) -> Checked {
        let _lease = match self.lease() {
            Ok(lease) => lease,
            Err(error) if passes_over(&error) => return Checked::default(),
            Err(error) => return tell(heard, Checked::failed(error)),
        };
        let parts = self.manifest().parts.par_iter();
        let each = parts.map(|part| tell(heard, self.check_part(part)));
        let parts = each.reduce(Checked::default, Checked::and);
        parts.and(self.check_strangers().unwrap_or_else(Checked::failed))
    }

    /// Checks a part, and places the damage page by page where it lies in the pages.
    fn check_part(&self, part: &Part) -> Checked {
        let Manifest { format_version, key, schema, .. } = self.manifest();
        let manifest = of_part(*format_version, key.clone(), schema.clone(), part.clone());
        let alone = self.dataset.holding(self.number(), Arc::new(manifest));
        let names: Vec<_> = schema.columns.iter().map(|column| column.name.as_str()).collect();
        let opened = || Reader::open(&alone, &names, None);
        let error = match self.verify_part(part).and_then(|()| opened().map(|_| ())) {
            Ok(()) => return Checked::sound(part.bytes),
            Err(error) => error,
        };
        // Blocks that the cache kept while the object was whole would hide the damage.
        let at = self.dir().join(&part.file);
        let _ = PartFile::open(&at, part).map(|file| file.forget(0, part.bytes));
        // A page's CRC-32 places the damage more exactly. Not all damage lies in a page.
        match opened().map(|reader| reader.check_pages()) {
            Ok(pages) if !pages.damage.is_empty() => {
                Checked { files: 1, bytes: part.bytes, ..pages }
            }
            Err(inner) if inner.kind() == ErrorKind::Damaged => Checked::failed(inner),
            _ => Checked::failed(error),
        }
    }

    /// Finds files that a glob takes for parts although they are not.
    fn check_strangers(&self) -> Result<Checked> {
        let folder = self.dir();
        let names = folder.names_in()?;
        let parts: HashSet<_> = self.manifest().parts.iter().map(|it| it.file.as_str()).collect();
        let strangers = names.iter().filter(|name| {
            let data = name.ends_with(".parquet") && !name.starts_with('.');
            data && !parts.contains(name.as_str())
        });
        let what = "it is no part of the generation, but readers take it for one: remove it";
        let damage = strangers.map(|name| Damage::of(folder.join(name).path(), what)).collect();
        Ok(Checked { damage, ..Checked::default() })
    }
}

fn tell(heard: Heard, checked: Checked) -> Checked {
    heard(&checked);
    checked
}

/// The manifest of a generation with a single part.
fn of_part(format_version: u32, key: String, schema: Schema, part: Part) -> Manifest {
    Manifest {
        format_version,
        key,
        settings: serde_json::Value::Null,
        rows: part.rows,
        schema,
        compression: BTreeMap::new(),
        parts: vec![part],
        statistics: BTreeMap::new(),
        summary: serde_json::Value::Null,
        created: 0,
        code_version: String::new(),
    }
}
