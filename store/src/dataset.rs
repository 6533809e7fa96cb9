//! A dataset: a folder of generations.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use crate::durable;
use crate::error::{Error, Result};
use crate::hashed_file::hash_from;
use crate::manifest::{Manifest, Part, folder_name, is_key, part_name};
use crate::part_index::cannot_open;
use crate::reader::Reader;
use crate::records::Records;
use crate::writer::{Spec, Writer};

/// A folder of generations, each a set of rows that never changes once it is there.
#[derive(Debug, Clone)]
pub struct Dataset {
    records: Records,
}

impl Dataset {
    /// The dataset in `folder`, which need not exist. Touches nothing.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { records: Records::at(folder) }
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        self.records.folder()
    }

    /// The numbers of the generations there are, newest first.
    ///
    /// # Errors
    /// `Failed` when the folder cannot be listed.
    pub fn generations(&self) -> Result<Vec<u64>> {
        self.records.numbers()
    }

    /// The newest generation, if there is any.
    ///
    /// # Errors
    /// `Damaged` when its manifest is.
    pub fn newest(&self) -> Result<Option<Generation>> {
        self.generations()?.first().map(|number| self.generation(*number)).transpose()
    }

    /// The newest generation made under `key`, if there is any.
    ///
    /// # Errors
    /// `Damaged` when the manifest of a newer one is.
    pub fn find(&self, key: &str) -> Result<Option<Generation>> {
        for number in self.generations()? {
            let generation = self.generation(number)?;
            if generation.manifest.key == key {
                return Ok(Some(generation));
            }
        }
        Ok(None)
    }

    /// Generation `number`. Its parts are not looked at yet.
    ///
    /// # Errors
    /// `NotFound` when there is none, `Damaged` when its manifest is, `Failed` when the manifest
    /// is of another format version.
    pub fn generation(&self, number: u64) -> Result<Generation> {
        let manifest: Manifest = self.records.read(number)?;
        manifest.check(&self.records.path(number))?;
        Ok(Generation { dataset: self.clone(), number, manifest: Arc::new(manifest) })
    }

    /// Begins a generation, or goes on with one whose writer stopped before its commit.
    ///
    /// # Errors
    /// `Failed` when the spec is wrong or the folder cannot be written to.
    pub fn begin(&self, spec: Spec) -> Result<Writer> {
        Writer::begin(self.clone(), spec)
    }

    /// Complete parts of a generation of `key` that is not committed, or not yet.
    ///
    /// # Errors
    /// `Failed` when `key` is none, or its folder cannot be listed.
    pub fn parts_on_disk(&self, key: &str) -> Result<usize> {
        if !is_key(key) {
            return Err(Error::failed(format_args!("`{key}` is not a key: 64 hex digits")));
        }
        let names = durable::names_in(&self.folder().join(folder_name(key)))?;
        let names: HashSet<String> = names.into_iter().collect();
        Ok((0..).take_while(|index| names.contains(&part_name(*index))).count())
    }

    pub(crate) fn records(&self) -> &Records {
        &self.records
    }
}

/// A committed generation.
#[derive(Debug, Clone)]
pub struct Generation {
    dataset: Dataset,
    number: u64,
    manifest: Arc<Manifest>,
}

impl Generation {
    /// Its number: the newest has the highest.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What it holds and what it was made from.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Rows in all parts.
    pub fn rows(&self) -> u64 {
        self.manifest.rows
    }

    /// Bytes in all parts.
    pub fn bytes(&self) -> u64 {
        self.manifest.parts.iter().map(|part| part.bytes).fold(0, u64::saturating_add)
    }

    /// The folder of its parts.
    pub fn dir(&self) -> PathBuf {
        self.dataset.folder().join(folder_name(&self.manifest.key))
    }

    /// A glob for any reader of Parquet: all rows of this generation, and no others.
    pub fn glob(&self) -> PathBuf {
        self.dir().join("*.parquet")
    }

    /// Opens it to read rows of the named tensor columns, and the keys.
    ///
    /// # Errors
    /// `NotFound` when there is no such column, `Damaged` when a part is missing or its size,
    /// index or footer is not what was written.
    pub fn reader(&self, columns: &[&str]) -> Result<Reader> {
        Reader::open(self, columns)
    }

    /// Reads every byte and compares it with what was written.
    ///
    /// # Errors
    /// `Damaged` names the file, and the row group, column and row where the damage is in a page.
    pub fn verify(&self) -> Result<()> {
        let parts = &self.manifest.parts;
        let whole = parts.par_iter().find_map_first(|part| self.verify_part(part).err());
        let Some(damage) = whole else { return Ok(()) };
        // A page's CRC-32 says more exactly where. Not every damage lies in a page.
        let names: Vec<_> = self.manifest.schema.columns.iter().map(|c| c.name.as_str()).collect();
        self.reader(&names).and_then(|reader| reader.check_pages())?;
        Err(damage)
    }

    pub(crate) fn verify_part(&self, part: &Part) -> Result<()> {
        let path = self.dir().join(&part.file);
        match path.metadata() {
            Ok(metadata) if metadata.len() == part.bytes => {}
            Ok(metadata) => {
                let what = format!("{} bytes, not {}", metadata.len(), part.bytes);
                return Err(Error::damaged(&path, what));
            }
            Err(error) => return Err(cannot_open(&path, &error)),
        }
        if hash_from(&path, 0)? != part.blake3 {
            return Err(Error::damaged(&path, "its BLAKE3 is not what was written"));
        }
        Ok(())
    }
}
