//! Files that get their final name when they are whole.

use std::fs::File;
use std::path::Path;

use crate::backend::Staged;
use crate::error::Result;
use crate::location::Location;
use crate::temp_file::TempFile;

/// A file being written on this machine: beside its final name, or to be uploaded. Dropping it removes it.
#[derive(Debug)]
pub struct Unfinished {
    temp: TempFile,
    target: Location,
}

impl Unfinished {
    /// A new empty file, whose final location is `target`.
    ///
    /// # Errors
    /// `NoSpace`, `Denied` or `Failed` when it cannot be created.
    pub fn create(target: &Location) -> Result<Self> {
        let folder = target.backend().staging(target.within())?;
        let temp = TempFile::create(&target.store().shared.system, &folder, target.path())?;
        Ok(Self { temp, target: target.clone() })
    }

    /// The open file.
    pub fn file(&self) -> &File {
        &self.temp.file
    }

    /// The temporary path.
    pub fn path(&self) -> &Path {
        &self.temp.path
    }

    /// Makes the file durable and gives it its final name; `false` when the name is taken, and nothing has changed.
    ///
    /// # Errors
    /// `NoSpace`, `Denied` or `Failed` when that fails; the file is removed then.
    pub fn publish(&self) -> Result<bool> {
        self.target.backend().create_from(self.staged(), self.target.within())
    }

    /// Makes the file durable and gives it its final name, in place of whatever had that name.
    ///
    /// # Errors
    /// The errors of [`Self::publish`].
    pub fn replace(self) -> Result<()> {
        self.target.store().shared.manifests.forget(self.target.path());
        self.target.backend().replace_by(self.staged(), self.target.within())
    }

    fn staged(&self) -> Staged<'_> {
        Staged { file: &self.temp.file, path: &self.temp.path }
    }
}
