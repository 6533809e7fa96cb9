//! A dataset: a folder of generations.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::damage::is_noted;
use crate::durable;
use crate::error::{Error, ErrorKind, Result};
use crate::hashed_file::hash_from;
use crate::lease::Lease;
use crate::limits::Limits;
use crate::manifest::{Manifest, Part, folder_name, is_folder_name, is_key};
use crate::part_index::cannot_open;
use crate::plain_file;
use crate::reader::Reader;
use crate::records::{Records, passes_over};
use crate::shard::Shard;
use crate::writer::{Spec, Writer};

/// A folder of generations, each a set of rows that never changes once it is there.
#[derive(Debug, Clone)]
pub struct Dataset {
    records: Records,
    limits: Limits,
}

impl Dataset {
    /// The dataset in `folder`, which need not exist. Touches nothing.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        let limits = Limits::default();
        Self { records: Records::at(folder), limits }
    }

    /// With other limits to the memory that its files may cost.
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { records: self.records.with_limits(limits), limits }
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

    /// The newest generation made under `key`, if there is any. Damaged manifests are passed over:
    /// whatever they said is no longer a generation.
    ///
    /// # Errors
    /// As [`Self::readable`].
    pub fn find(&self, key: &str) -> Result<Option<Generation>> {
        self.readable()?
            .find(|found| found.as_ref().map_or(true, |it| it.manifest.key == key))
            .transpose()
    }

    /// The generations whose manifests can be read, newest first. [`Self::unreadable`] gives the
    /// others.
    ///
    /// # Errors
    /// `Failed` when the folder cannot be listed; and when it is met, a manifest of another format
    /// version: nobody knows what is its.
    pub fn readable(&self) -> Result<impl Iterator<Item = Result<Generation>>> {
        let dataset = self.clone();
        let read = move |number| match dataset.generation(number) {
            Err(error) if passes_over(&error) => None,
            generation => Some(generation),
        };
        Ok(self.generations()?.into_iter().filter_map(read))
    }

    /// What is wrong with the manifests that are damaged.
    ///
    /// # Errors
    /// `Failed` when the folder cannot be listed.
    pub fn unreadable(&self) -> Result<Vec<Error>> {
        let read = self.generations()?.into_iter().filter_map(|it| self.generation(it).err());
        Ok(read.filter(|error| error.kind() == ErrorKind::Damaged).collect())
    }

    /// Generation `number`. Its parts are not looked at yet.
    ///
    /// # Errors
    /// `NotFound` when there is none, `Damaged` when its manifest is, `Failed` when the manifest
    /// is of another format version.
    pub fn generation(&self, number: u64) -> Result<Generation> {
        let manifest: Manifest = self.records.read(number)?;
        manifest.check(&self.records.path(number))?;
        Ok(self.holding(number, manifest))
    }

    /// A generation of this dataset with a manifest that was checked.
    pub(crate) fn holding(&self, number: u64, manifest: Manifest) -> Generation {
        Generation { dataset: self.clone(), number, manifest: Arc::new(manifest) }
    }

    /// Begins a generation, or goes on with one whose writer stopped before its commit.
    ///
    /// # Errors
    /// `Failed` when the spec is wrong or the folder cannot be written to.
    pub fn begin(&self, spec: Spec) -> Result<Writer> {
        Writer::begin(self.clone(), spec, Shard::WHOLE)
    }

    /// The same for one of several writers that write a generation together, at the same time or one after
    /// another. Each writes the parts of its shard; [`Writer::finish`] of whoever finds all of them there
    /// makes the generation visible.
    ///
    /// # Errors
    /// `Failed` also when the spec does not say how many rows there will be.
    pub fn begin_shard(&self, spec: Spec, shard: Shard) -> Result<Writer> {
        Writer::begin(self.clone(), spec, shard)
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
        Ok(names.iter().filter(|name| name.ends_with(".parquet")).count())
    }

    /// Whether there is a folder of a key, committed or not.
    ///
    /// # Errors
    /// `Failed` when the folder cannot be listed.
    pub fn was_begun(&self) -> Result<bool> {
        Ok(durable::names_in(self.folder())?.iter().any(|name| is_folder_name(name)))
    }

    pub(crate) fn records(&self) -> &Records {
        &self.records
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
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
    /// Where it belongs.
    pub(crate) fn dataset(&self) -> &Dataset {
        &self.dataset
    }

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
    /// `NotFound` when there is no such column, or when the generation was removed; `Damaged` when
    /// a part is missing or its size, index or footer is not what was written.
    pub fn reader(&self, columns: &[&str]) -> Result<Reader> {
        Reader::open(self, columns, Some(self.lease()?))
    }

    /// As long as it is held, nobody removes the generation.
    pub(crate) fn lease(&self) -> Result<Lease> {
        let path = self.dataset.records.path(self.number);
        Lease::read(&path)?.ok_or_else(|| {
            let what = format!("{}: generation {} was removed", path.display(), self.number);
            Error::new(ErrorKind::NotFound, what)
        })
    }

    /// The parts that have to be made anew: those that are missing, have another size than was
    /// written, or were noted as damaged. Looks at no byte of them.
    pub fn broken_parts(&self) -> Vec<PathBuf> {
        let folder = self.dir();
        let parts = self.manifest.parts.iter().map(|part| (folder.join(&part.file), part.bytes));
        let is_whole = |path: &Path, bytes| {
            path.metadata().is_ok_and(|it| it.is_file() && it.len() == bytes) && !is_noted(path)
        };
        parts.filter(|(path, bytes)| !is_whole(path, *bytes)).map(|(path, _)| path).collect()
    }

    /// Whether there are no [`Self::broken_parts`].
    pub fn is_whole(&self) -> bool {
        self.broken_parts().is_empty()
    }

    pub(crate) fn verify_part(&self, part: &Part) -> Result<()> {
        plain_file::check_folder(&self.dir())?;
        let path = self.dir().join(&part.file);
        match plain_file::open(&path).and_then(|file| file.metadata()) {
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
