//! Where files lie: what the store asks of a disk, of a bucket, or of whatever else can hold one.
//!
//! Everything that protects committed data follows from one promise: [`Backend::create`] gives a name to whole
//! bytes, once, whoever else tries at the same time. `gimlet_store::conformance` (feature `testing`) checks that
//! a backend keeps it, and the others.

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

/// How often a lease is tried that has to be waited for.
const BETWEEN_TRIES: Duration = Duration::from_millis(500);

/// A place that holds files in folders, by paths within it.
///
/// Looking gives an [`io::Error`], which the caller puts into words; a [`crate::Failure`] inside says of which
/// kind it is. Changing gives an [`crate::Error`] in words of the backend.
pub trait Backend: fmt::Debug + Send + Sync {
    /// How it differs from others, as far as a caller has to know.
    fn properties(&self) -> Properties;

    /// What a folder holds, sorted by name; nothing when it does not exist.
    ///
    /// # Errors
    /// When it cannot be listed.
    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>>;

    /// The names in a folder, sorted; none when it does not exist.
    ///
    /// # Errors
    /// When it cannot be listed.
    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        Ok(self.list(folder)?.into_iter().map(|it| it.name).collect())
    }

    /// The size of a file; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be looked at.
    fn size(&self, path: &Path) -> io::Result<Option<u64>>;

    /// Whether there is a folder.
    ///
    /// # Errors
    /// When it cannot be looked at.
    fn is_folder(&self, path: &Path) -> io::Result<bool>;

    /// Whether there is a link, which may lead anywhere.
    fn is_link(&self, _path: &Path) -> bool {
        false
    }

    /// A whole file.
    ///
    /// # Errors
    /// `NotFound` when it is not there; when it cannot be read.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The first bytes of a plain file, no more than `limit`. Links are refused.
    ///
    /// # Errors
    /// As [`Self::read`]; `InvalidInput` when it is no plain file.
    fn read_up_to(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>>;

    /// The bytes of a range of a file, all of them.
    ///
    /// # Errors
    /// As [`Self::read`]; `UnexpectedEof` when it ends before.
    fn read_range(&self, path: &Path, range: Range<u64>) -> io::Result<Bytes>;

    /// Opens a plain file of this machine, so that rows are read from it without asking the backend again.
    /// `None` where there are no such files: [`Self::read_range`] is asked then, through the cache of blocks.
    ///
    /// # Errors
    /// As [`Self::read_up_to`].
    fn open(&self, _path: &Path) -> io::Result<Option<File>> {
        Ok(None)
    }

    /// What tells whether a file was replaced since. `None` when that cannot be told.
    fn identity(&self, _path: &Path) -> Option<Identity> {
        Some(Identity::Asked(Instant::now()))
    }

    /// The time by the clock that dates the files near this path.
    ///
    /// # Errors
    /// When a server does not say what time it is.
    fn now(&self, _near: &Path) -> io::Result<SystemTime> {
        Ok(SystemTime::now())
    }

    /// The bytes that may still be written where a path is or would be, where that is known.
    fn free_bytes(&self, _path: &Path) -> Option<u64> {
        None
    }

    /// Gives `bytes` a name that is free. `false`: it is taken, and nothing changed. Of several at once, one
    /// succeeds.
    ///
    /// # Errors
    /// `NoSpace`, `Denied` or `Failed` when it cannot be written; there is no such file then.
    fn create(&self, path: &Path, bytes: &[u8]) -> Result<bool>;

    /// Writes a file in one step, in place of whatever had its name.
    ///
    /// # Errors
    /// As [`Self::create`]; what was there is there still.
    fn replace(&self, path: &Path, bytes: &[u8]) -> Result<()>;

    /// Writes to the file that is there, and keeps leases on it.
    ///
    /// # Errors
    /// As [`Self::create`].
    fn overwrite(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        self.replace(path, bytes)
    }

    /// The folder of this machine for a file that is being written, to be called `target` in the end.
    ///
    /// # Errors
    /// When it cannot be made.
    fn staging(&self, target: &Path) -> Result<PathBuf>;

    /// [`Self::create`] of a file in [`Self::staging`]. It may stay there.
    ///
    /// # Errors
    /// As [`Self::create`].
    fn create_from(&self, staged: Staged, target: &Path) -> Result<bool>;

    /// [`Self::replace`] by a file in [`Self::staging`]. It may stay there.
    ///
    /// # Errors
    /// As [`Self::replace`].
    fn replace_by(&self, staged: Staged, target: &Path) -> Result<()>;

    /// Gives a file another name, in place of whatever had that name. It is durable once something else
    /// in that folder is.
    ///
    /// # Errors
    /// `NoSpace`, `Denied` or `Failed` when it cannot.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;

    /// Removes a file; it may be missing.
    ///
    /// # Errors
    /// `Denied` or `Failed` when it is still there.
    fn remove(&self, path: &Path) -> Result<()>;

    /// Creates a folder and those above it, and makes their names durable.
    ///
    /// # Errors
    /// `NoSpace`, `Denied` or `Failed` when a folder cannot be created.
    fn create_folder(&self, _path: &Path) -> Result<()> {
        Ok(())
    }

    /// Removes a folder in which nothing is left; it stays if there is something in it.
    ///
    /// # Errors
    /// `Denied` or `Failed` when it is empty and still there.
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
    /// `Denied` or `Failed` when the folder cannot be listed, or a file in it not removed.
    fn remove_dead_temps(&self, _folder: &Path) -> Result<()> {
        Ok(())
    }

    /// Shares a lease on a file; waits while another holds it alone. The file is made if it is missing, or,
    /// unless `make`, there is no lease on it.
    ///
    /// # Errors
    /// When the file cannot be made or opened.
    fn share(&self, path: &Path, make: bool) -> Result<Option<Lease>>;

    /// Shares the lease of those who write to `folder`, which is made if it is missing.
    ///
    /// # Errors
    /// When folder or lease cannot be made.
    fn share_to_write(&self, folder: &Path) -> Result<Option<Lease>> {
        self.share(&folder.join(WRITER_LOCK), true)
    }

    /// Leases a file alone, without waiting. The file is made if it is missing, and says `who` holds it; without
    /// `who` it is neither made nor written to.
    ///
    /// # Errors
    /// `NoLocks` when leases cannot be had; when the file cannot be made or written.
    fn take(&self, path: &Path, who: Option<&str>) -> Result<Taken>;

    /// Leases a file alone, which is made if it is missing; waits for those who share it.
    ///
    /// # Errors
    /// As [`Self::take`].
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
    /// When it cannot be found out.
    fn is_leased(&self, path: &Path) -> Result<bool>;

    /// The names of the files in a folder on which there may be leases.
    ///
    /// # Errors
    /// When they cannot be listed.
    fn leased_names(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.names(folder)
    }
}

/// How a backend differs from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Properties {
    /// Whether each call is a request to a server, so that it pays to ask for much at once. Folders are then no
    /// more than what names have in common, files are whole or not there, and nothing on it is a path of this
    /// machine.
    pub is_remote: bool,
    /// The pause between two looks of a process that waits for another.
    pub pause: Duration,
    /// For how long what was seen is taken to be so still.
    pub trusted_for: Duration,
    /// After how long a lease is free that the dead held; `None`: at once.
    pub leases_outlive: Option<Duration>,
}

/// What lies in a folder under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name in the folder.
    pub name: String,
    /// In bytes; 0 for a folder.
    pub size: u64,
    /// When it was written to, where that is known.
    pub modified: Option<SystemTime>,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Whether it is a link, which the store never makes.
    pub is_link: bool,
}

/// What tells whether a file was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// It changes when the file does.
    File {
        /// The size of the file.
        bytes: u64,
        /// When it was last written to.
        modified: SystemTime,
        /// Its number in the file system, or 0.
        number: u64,
    },
    /// To tell would be a request: so what was read stands for what is there for a moment.
    Asked(Instant),
}

/// A whole file of this machine that is to get its name.
#[derive(Debug, Clone, Copy)]
pub struct Staged<'a> {
    /// The open file.
    pub file: &'a File,
    /// Where it lies.
    pub path: &'a Path,
}

/// What came of taking a lease.
#[derive(Debug)]
pub enum Taken {
    /// It is held alone.
    Alone(Lease),
    /// Another holds it, who says so in these words.
    Held(String),
    /// There is no such file.
    Missing,
}

/// A lease: held as long as it lives, and no longer than its process.
#[derive(Debug)]
pub struct Lease {
    /// `None` where there are no locks: there no process can have one alone, and so nothing is removed.
    _held: Option<Box<dyn Any + Send + Sync>>,
}

impl Lease {
    /// A lease that ends when `held` is dropped.
    pub fn holding(held: impl Send + Sync + 'static) -> Self {
        Self { _held: Some(Box::new(held)) }
    }

    /// A lease of a place that has none.
    pub fn without_lock() -> Self {
        Self { _held: None }
    }
}
