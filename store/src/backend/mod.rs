//! Backends: what the store needs from a disk, a bucket, or anything else that can hold a store.
//!
//! All protection of committed data follows from one promise: [`Backend::create`] gives a name to whole bytes, once,
//! even if several processes try at the same time. `gimlet_store::conformance` (feature `testing`) checks that a
//! backend keeps this promise and the others.

pub(crate) mod bucket;
pub(crate) mod disk;

use std::any::Any;
use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;

use crate::error::Result;

/// The file in the folder of a key that is locked while a process writes there.
pub(crate) const WRITER_LOCK: &str = ".writer.lock";

/// The pause between tries to take a lease that another process holds.
const BETWEEN_TRIES: Duration = Duration::from_millis(500);

/// A place that holds files in folders, addressed by paths within it.
///
/// Methods that read give an [`io::Error`], which the caller puts into words; a [`crate::Failure`] inside gives its
/// kind. Methods that change something give a [`crate::Error`] in the words of the backend.
pub trait Backend: fmt::Debug + Send + Sync {
    /// The properties of this backend that a caller has to know.
    fn properties(&self) -> Properties;

    /// The entries of a folder, sorted by name; empty when it does not exist.
    ///
    /// # Errors
    /// When it cannot be listed.
    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>>;

    /// The names in a folder, sorted; empty when it does not exist.
    ///
    /// # Errors
    /// When it cannot be listed.
    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        Ok(self.list(folder)?.into_iter().map(|it| it.name).collect())
    }

    /// The size of a file in bytes; `None` when it does not exist.
    ///
    /// # Errors
    /// When it cannot be looked at.
    fn size(&self, path: &Path) -> io::Result<Option<u64>>;

    /// Whether a path is an existing folder.
    ///
    /// # Errors
    /// When it cannot be looked at.
    fn is_folder(&self, path: &Path) -> io::Result<bool>;

    /// Whether a path is a link, which may lead anywhere.
    fn is_link(&self, _path: &Path) -> bool {
        false
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// `NotFound` when it is not there; when it cannot be read.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Reads up to `limit` bytes from the start of a plain file. Refuses links.
    ///
    /// # Errors
    /// The errors of [`Self::read`]; `InvalidInput` when it is not a plain file.
    fn read_up_to(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>>;

    /// Reads all bytes of a range of a file.
    ///
    /// # Errors
    /// The errors of [`Self::read`]; `UnexpectedEof` when the file ends too early.
    fn read_range(&self, path: &Path, range: Range<u64>) -> io::Result<Bytes>;

    /// Opens a plain file of this machine, so that rows are read from it without asking the backend again. `None` where
    /// files do not lie on this machine: then rows are read with [`Self::read_range`], through the cache of blocks.
    ///
    /// # Errors
    /// The errors of [`Self::read_up_to`].
    fn open(&self, _path: &Path) -> io::Result<Option<File>> {
        Ok(None)
    }

    /// The identity of a file, which shows whether the file was replaced later. `None` when that cannot be known.
    fn identity(&self, _path: &Path) -> Option<Identity> {
        Some(Identity::Asked(Instant::now()))
    }

    /// The time by the clock that dates the files near this path.
    ///
    /// # Errors
    /// When a server does not tell its time.
    fn now(&self, _near: &Path) -> io::Result<SystemTime> {
        Ok(SystemTime::now())
    }

    /// The free bytes at a path, where that is known. The path need not exist.
    fn free_bytes(&self, _path: &Path) -> Option<u64> {
        None
    }

    /// Writes `bytes` under a name that must be free; `false` when it is taken. Of several calls at once, one succeeds.
    ///
    /// # Errors
    /// `NoSpace`, `Denied` or `Failed` when it cannot be written; then the file does not exist.
    fn create(&self, path: &Path, bytes: &[u8]) -> Result<bool>;

    /// Writes a file in one step, in place of whatever had its name.
    ///
    /// # Errors
    /// The errors of [`Self::create`]; the old file is still there.
    fn replace(&self, path: &Path, bytes: &[u8]) -> Result<()>;

    /// Overwrites an existing file in place, so that leases on it stay valid.
    ///
    /// # Errors
    /// The errors of [`Self::create`].
    fn overwrite(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        self.replace(path, bytes)
    }

    /// The folder of this machine in which to write a file whose final path is `target`.
    ///
    /// # Errors
    /// When it cannot be made.
    fn staging(&self, target: &Path) -> Result<PathBuf>;

    /// Makes a file in [`Self::staging`] visible as `target`, as [`Self::create`] does. The staged file may stay there.
    ///
    /// # Errors
    /// The errors of [`Self::create`].
    fn create_from(&self, staged: Staged, target: &Path) -> Result<bool>;

    /// Puts a file in [`Self::staging`] in place of `target`, as [`Self::replace`] does. The staged file may stay.
    ///
    /// # Errors
    /// The errors of [`Self::replace`].
    fn replace_by(&self, staged: Staged, target: &Path) -> Result<()>;

    /// Renames a file, in place of whatever had that name. The rename is durable once a later change in that folder is.
    ///
    /// # Errors
    /// `NoSpace`, `Denied` or `Failed` when it cannot be renamed.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;

    /// Removes a file; it may be missing.
    ///
    /// # Errors
    /// `Denied` or `Failed` when it cannot be removed.
    fn remove(&self, path: &Path) -> Result<()>;

    /// Creates a folder and those above it, and makes their names durable.
    ///
    /// # Errors
    /// `NoSpace`, `Denied` or `Failed` when a folder cannot be created.
    fn create_folder(&self, _path: &Path) -> Result<()> {
        Ok(())
    }

    /// Removes a folder if it is empty.
    ///
    /// # Errors
    /// `Denied` or `Failed` when it is empty and cannot be removed.
    fn remove_folder(&self, _path: &Path) -> Result<()> {
        Ok(())
    }

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// When they cannot be.
    fn sync_folder(&self, _folder: &Path) -> Result<()> {
        Ok(())
    }

    /// The temporary files that dead writers left in a folder, by their paths from it. Where
    /// [`Properties::is_remote`], also those in all folders below it, and leases of dead processes.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    fn dead_temps(&self, folder: &Path) -> io::Result<Vec<String>>;

    /// Removes the temporary files that dead writers left in a folder, where that costs little.
    ///
    /// # Errors
    /// `Denied` or `Failed` when the folder cannot be listed, or a file in it cannot be removed.
    fn remove_dead_temps(&self, _folder: &Path) -> Result<()> {
        Ok(())
    }

    /// Shares a lease on a file; waits while another process holds it alone. If the file is missing, it is made when
    /// `make` is true; otherwise the result is `None`.
    ///
    /// # Errors
    /// When the file cannot be made or opened.
    fn share(&self, path: &Path, make: bool) -> Result<Option<Lease>>;

    /// Shares the writers' lease of `folder`, which is made if it is missing.
    ///
    /// # Errors
    /// When the folder or the lease cannot be made.
    fn share_to_write(&self, folder: &Path) -> Result<Option<Lease>> {
        self.share(&folder.join(WRITER_LOCK), true)
    }

    /// Leases a file alone, without waiting. With `who`, the file is made if it is missing, and `who` is written to
    /// it as the holder. Without `who`, it is neither made nor written to.
    ///
    /// # Errors
    /// `NoLocks` when leases cannot be had; when the file cannot be made or written.
    fn take(&self, path: &Path, who: Option<&str>) -> Result<Taken>;

    /// Leases a file alone; makes it if it is missing. Waits for the processes that share it.
    ///
    /// # Errors
    /// The errors of [`Self::take`].
    fn wait_alone(&self, path: &Path) -> Result<Lease> {
        loop {
            match self.take(path, Some(""))? {
                Taken::Alone(lease) => return Ok(lease),
                _ => std::thread::sleep(BETWEEN_TRIES),
            }
        }
    }

    /// Whether a process holds a lease on a file. Changes nothing.
    ///
    /// # Errors
    /// When the file or the server cannot be asked.
    fn is_leased(&self, path: &Path) -> Result<bool>;

    /// The names of the files in a folder on which there may be leases.
    ///
    /// # Errors
    /// When they cannot be listed.
    fn leased_names(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.names(folder)
    }
}

/// The properties in which backends differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Properties {
    /// Whether each call is a request to a server, so that it pays to ask for much at once. A folder is then only a
    /// common prefix of names, a file is whole or does not exist, and no file has a path on this machine.
    pub is_remote: bool,
    /// The pause between two looks of a process that waits for another process.
    pub pause: Duration,
    /// How long an observation is assumed to be still true.
    pub trusted_for: Duration,
    /// How long the lease of a dead process outlives it; `None` when it ends at once.
    pub leases_outlive: Option<Duration>,
}

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name in the folder.
    pub name: String,
    /// The size in bytes; 0 for a folder.
    pub size: u64,
    /// When it was written to, where that is known.
    pub modified: Option<SystemTime>,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Whether it is a link, which the store never makes.
    pub is_link: bool,
}

/// The identity of a file, which shows whether the file was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// Properties that change when the file does.
    File {
        /// The size of the file.
        bytes: u64,
        /// When it was last written to.
        modified: SystemTime,
        /// The file's number in the file system, or 0.
        number: u64,
    },
    /// The time of the read. Comparing would take a request, so what was read counts as current for a moment.
    Asked(Instant),
}

/// A whole file of this machine that is to get its final name.
#[derive(Debug, Clone, Copy)]
pub struct Staged<'a> {
    /// The open file.
    pub file: &'a File,
    /// The path of the file.
    pub path: &'a Path,
}

/// The result of taking a lease.
#[derive(Debug)]
pub enum Taken {
    /// The caller holds it alone.
    Alone(Lease),
    /// Another process holds it, and has written these words.
    Held(String),
    /// The file does not exist.
    Missing,
}

/// A lease, held until it is dropped or its process ends.
#[derive(Debug)]
pub struct Lease {
    /// `None` where there are no locks. There no process can hold a lease alone, so nothing is removed.
    _held: Option<Box<dyn Any + Send + Sync>>,
}

impl Lease {
    /// A lease that ends when `held` is dropped.
    pub fn holding(held: impl Send + Sync + 'static) -> Self {
        Self { _held: Some(Box::new(held)) }
    }

    /// A lease for a place that has no locks.
    pub fn without_lock() -> Self {
        Self { _held: None }
    }
}
