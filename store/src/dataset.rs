//! A dataset: a folder of generations.

use std::path::PathBuf;
use std::sync::Arc;

use crate::backend::{Entry, Lease};
use crate::damage_note::note_name;
use crate::error::{Error, Result};
use crate::error_kind::ErrorKind;
use crate::hashed_file::hash_of;
use crate::key::{is_folder_name, is_key};
use crate::limits::Limits;
use crate::location::Location;
use crate::manifest::{Manifest, Part};
use crate::records::{Records, passes_over};
use crate::store::Store;

/// A folder of generations, each a set of rows that never changes once it is there.
#[derive(Debug, Clone)]
pub struct Dataset {
    pub(crate) records: Records,
}

impl Store {
    /// The dataset in `folder`, which need not exist. Touches nothing.
    pub fn dataset(&self, folder: impl Into<PathBuf>) -> Dataset {
        Dataset::at(self.locate(folder))
    }
}

impl Dataset {
    /// The dataset in `folder`, which need not exist. Touches nothing.
    pub fn at(folder: impl Into<Location>) -> Self {
        Self { records: Records::at(folder) }
    }

    /// Sets other limits on the memory that its files may take.
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { records: self.records.with_limits(limits) }
    }

    /// The folder of the dataset.
    pub fn folder(&self) -> &Location {
        self.records.folder()
    }

    /// The folder for the parts of a key, committed or not.
    pub fn folder_of(&self, key: &str) -> Location {
        self.records.folder_of(key)
    }

    /// The numbers of the existing generations, newest first.
    ///
    /// # Errors
    /// `Failed` when the folder cannot be listed.
    pub fn generations(&self) -> Result<Vec<u64>> {
        self.records.numbers()
    }

    /// The newest generation, if one exists.
    ///
    /// # Errors
    /// `Damaged` when its manifest is.
    pub fn newest(&self) -> Result<Option<Generation>> {
        self.generations()?.first().map(|number| self.generation(*number)).transpose()
    }

    /// The newest generation of `key`, if one exists. Skips damaged manifests: these are no longer generations.
    ///
    /// # Errors
    /// The errors of [`Self::readable`].
    pub fn find(&self, key: &str) -> Result<Option<Generation>> {
        self.readable()?
            .find(|found| found.as_ref().map_or(true, |it| it.manifest.key == key))
            .transpose()
    }

    /// The generations whose manifests can be read, newest first. [`Self::unreadable`] gives the others.
    ///
    /// # Errors
    /// `Failed` when the folder cannot be listed. The iterator gives `Failed` at a manifest of another format
    /// version, as it is not known which folder belongs to it.
    pub fn readable(&self) -> Result<impl Iterator<Item = Result<Generation>>> {
        let dataset = self.clone();
        let read = move |number| match dataset.generation(number) {
            Err(error) if passes_over(&error) => None,
            generation => Some(generation),
        };
        Ok(self.generations()?.into_iter().filter_map(read))
    }

    /// One error for each damaged manifest.
    ///
    /// # Errors
    /// `Failed` when the folder cannot be listed.
    pub fn unreadable(&self) -> Result<Vec<Error>> {
        let read = self.generations()?.into_iter().filter_map(|it| self.generation(it).err());
        Ok(read.filter(|error| error.kind() == ErrorKind::Damaged).collect())
    }

    /// Opens generation `number`, without looking at its parts.
    ///
    /// # Errors
    /// `NotFound` when it does not exist, `Damaged` when its manifest is damaged, `Failed` when the manifest has
    /// another format version.
    pub fn generation(&self, number: u64) -> Result<Generation> {
        let at = self.records.path(number);
        let (known, limit) = (&at.store().shared.manifests, self.records.limits.record);
        let Some(identity) = at.backend().identity(at.within()) else {
            return self.generation_anew(number);
        };
        if let Some(manifest) = known.get(at.path(), limit, &identity) {
            return Ok(self.holding(number, manifest));
        }
        let manifest = Arc::new(self.read_manifest(number)?);
        known.add(at.path(), limit, identity, &manifest);
        Ok(self.holding(number, manifest))
    }

    /// Opens generation `number`, and reads its manifest again even if it is known.
    pub(crate) fn generation_anew(&self, number: u64) -> Result<Generation> {
        Ok(self.holding(number, Arc::new(self.read_manifest(number)?)))
    }

    fn read_manifest(&self, number: u64) -> Result<Manifest> {
        let manifest: Manifest = self.records.read(number)?;
        manifest.check(self.records.path(number).path())?;
        Ok(manifest)
    }

    /// A generation of this dataset, from a manifest that was checked.
    pub(crate) fn holding(&self, number: u64, manifest: Arc<Manifest>) -> Generation {
        Generation { dataset: self.clone(), number, manifest }
    }

    /// The number of complete parts of `key` on disk, where `key` is not committed.
    ///
    /// # Errors
    /// `Failed` when `key` is not a key, or its folder cannot be listed.
    pub fn parts_on_disk(&self, key: &str) -> Result<usize> {
        if !is_key(key) {
            return Err(Error::failed(format_args!("`{key}` is not a key: 64 hex digits")));
        }
        let names = self.folder_of(key).names_in()?;
        Ok(names.iter().filter(|name| name.ends_with(".parquet")).count())
    }

    /// Whether the folder of any key exists, committed or not.
    ///
    /// # Errors
    /// `Failed` when the folder cannot be listed.
    pub fn was_begun(&self) -> Result<bool> {
        Ok(self.folder().names_in()?.iter().any(|name| is_folder_name(name)))
    }
}

/// A committed generation.
#[derive(Debug, Clone)]
pub struct Generation {
    /// The dataset that it belongs to.
    pub(crate) dataset: Dataset,
    number: u64,
    manifest: Arc<Manifest>,
}

impl Generation {
    /// The number of the generation: the newest has the highest.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The manifest: what the generation holds and what it was made from.
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

    /// The folder that holds its parts.
    pub fn dir(&self) -> Location {
        self.dataset.folder_of(&self.manifest.key)
    }

    /// A glob for any Parquet reader. It gives all rows of this generation and no others.
    pub fn glob(&self) -> PathBuf {
        self.dir().path().join("*.parquet")
    }

    /// Shares the lease on the generation: while it is held, no process removes the generation.
    pub(crate) fn lease(&self) -> Result<Lease> {
        let path = self.dataset.records.path(self.number);
        Lease::read(&path)?.ok_or_else(|| {
            let what = format!("{path}: generation {} was removed", self.number);
            Error::new(ErrorKind::NotFound, what)
        })
    }

    /// The parts that must be made again: missing, of another size, or noted as damaged. Reads no byte of them.
    ///
    /// # Errors
    /// When their folder cannot be listed.
    pub fn broken_parts(&self) -> Result<Vec<Location>> {
        let folder = self.dir();
        folder.store().shared.counters.at_generation();
        let entries = folder.list().map_err(|error| folder.error("list", &error))?;
        let place = |name: &str| entries.binary_search_by(|it| it.name.as_str().cmp(name));
        let is_whole = |part: &&Part| {
            let found = place(&part.file).ok().and_then(|at| entries.get(at));
            let whole = |it: &Entry| !it.is_folder && !it.is_link && it.size == part.bytes;
            found.is_some_and(whole) && place(&note_name(&part.file)).is_err()
        };
        let broken = self.manifest.parts.iter().filter(|part| !is_whole(part));
        Ok(broken.map(|part| folder.join(&part.file)).collect())
    }

    /// Whether no part is broken ([`Self::broken_parts`]).
    ///
    /// # Errors
    /// The errors of [`Self::broken_parts`].
    pub fn is_whole(&self) -> Result<bool> {
        Ok(self.broken_parts()?.is_empty())
    }

    pub(crate) fn verify_part(&self, part: &Part) -> Result<()> {
        let folder = self.dir();
        folder.check_no_link()?;
        let at = folder.join(&part.file);
        match at.plain_size() {
            Ok(size) if size == part.bytes => {}
            Ok(size) => {
                let what = format!("{size} bytes, not {}", part.bytes);
                return Err(Error::damaged(at.path(), what));
            }
            Err(error) => return Err(Error::opening(at.path(), &error)),
        }
        if hash_of(&at)? != part.blake3 {
            return Err(Error::damaged(at.path(), "its BLAKE3 is not what was written"));
        }
        Ok(())
    }
}
