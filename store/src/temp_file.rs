//! A file of this machine that is being written, under a temporary name.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::file_system::{FileSystem, failed};
use crate::unique::unique;

/// A file being written beside its final name, or to be uploaded. Dropping it removes it.
///
/// It holds an advisory lock while its writer lives, so that another writer can tell it from a file of a dead writer.
#[derive(Debug)]
pub(crate) struct TempFile {
    system: FileSystem,
    pub file: File,
    pub path: PathBuf,
}

impl TempFile {
    /// A new empty file in `folder`, whose final path is `target`.
    ///
    /// # Errors
    /// `NoSpace`, `Denied` or `Failed` when it cannot be created.
    pub fn create(system: &FileSystem, folder: &Path, target: &Path) -> Result<Self> {
        let name = target.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
            Error::failed(format_args!("{}: is not a file name", target.display()))
        })?;
        loop {
            let path = folder.join(format!(".{name}.{:016x}.tmp", unique()));
            let file = system.create_new(&path).map_err(|error| failed(&path, "create", &error))?;
            // Between creation and lock another writer may have taken the file for dead. Where
            // the file system knows no locks, no process can take the lock to remove it either.
            match system.try_lock(&file, &path) {
                Err(TryLockError::WouldBlock) => continue,
                _ if !path.exists() => continue,
                _ => return Ok(Self { system: system.clone(), file, path }),
            }
        }
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        // After a rename there is nothing to remove; otherwise the next writer removes it.
        let _ = self.system.remove(&self.path);
    }
}

/// Whether a file has the name of a temporary file.
pub(crate) fn is_temp(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(".tmp")
}
