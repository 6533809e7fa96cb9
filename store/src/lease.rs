//! Advisory locks that say what is in use. Whoever uses something shares its lock; whoever removes it
//! must have the lock alone, and does not wait for it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind as IoKind, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::durable;
use crate::error::{Error, ErrorKind, Result};
use crate::faults::{self, Operation};
use crate::files::is_url;
use crate::object::{Held, LEASES, Object};

/// How often a lease is tried that has to be waited for and has no lock.
const BETWEEN_TRIES: Duration = Duration::from_millis(500);

const IN_USE: &str = "it is in use";

/// The file in the folder of a key that is locked while somebody writes there.
pub(crate) const WRITER_LOCK: &str = ".writer.lock";

/// Held as long as it lives, and no longer than its process.
#[derive(Debug)]
pub struct Lease {
    /// `None` where the file system knows no locks: there nobody can have one alone, and so nothing
    /// is removed.
    _file: Option<File>,
    /// Of an object, which has no lock.
    _held: Option<Held>,
}

impl From<Option<File>> for Lease {
    fn from(file: Option<File>) -> Self {
        Self { _file: file, _held: None }
    }
}

impl From<Held> for Lease {
    fn from(held: Held) -> Self {
        Self { _file: None, _held: Some(held) }
    }
}

impl Lease {
    /// Shares the lock of a file, which is made if it is missing. Waits while somebody removes it,
    /// and makes it again.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn share(path: &Path) -> Result<Self> {
        if let Some(object) = Object::of(path) {
            let held = object.and_then(|it| Held::share(&it));
            return held.map(Self::from).map_err(|error| Error::io(path, "lease", &error));
        }
        loop {
            if let Some(lease) = Self::shared(open_or_make(path)?, path) {
                return Ok(lease);
            }
        }
    }

    /// Shares the lock of those who write to `folder`, which is made if it is missing.
    ///
    /// # Errors
    /// When folder or lock cannot be made.
    pub fn write_to(folder: &Path) -> Result<Self> {
        loop {
            durable::create_folder(folder)?;
            let lease = Self::share(&folder.join(WRITER_LOCK));
            // The folder may have gone again before the lock was there.
            if lease.is_ok() || folder.is_dir() || is_url(folder) {
                return lease;
            }
        }
    }

    /// Shares the lock of a file that is there; `None` when it is not, or is being removed.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>> {
        if let Some(object) = Object::of(path) {
            let read = object.and_then(|it| {
                let held = match Held::share(&it) {
                    // Who may write nothing removes nothing, and is not seen by those who do.
                    Err(error) if writes_nothing(&error) => Self::from(None),
                    held => held?.into(),
                };
                Ok(it.size()?.map(|_| held))
            });
            return read.map_err(|error| Error::io(path, "lease", &error));
        }
        match File::open(path) {
            Ok(file) => Ok(Self::shared(file, path)),
            Err(error) if error.kind() == IoKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(path, "open", &error)),
        }
    }

    /// `None` when `path` is no longer that file.
    fn shared(file: File, path: &Path) -> Option<Self> {
        match faults::lacked(Operation::Lock, path).and_then(|()| file.lock_shared()) {
            Ok(()) => is_at(&file, path).then_some(Some(file).into()),
            Err(_) => Some(None.into()),
        }
    }

    /// Locks a file alone, which is made if it is missing. Waits for those who share it.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn wait_alone(path: &Path) -> Result<Self> {
        if is_url(path) {
            loop {
                match Self::take(path, "")? {
                    Ok(lease) => return Ok(lease),
                    Err(_) => std::thread::sleep(BETWEEN_TRIES),
                }
            }
        }
        let file = open_or_make(path)?;
        let locked = faults::lacked(Operation::Lock, path).and_then(|()| file.lock());
        Ok(locked.is_ok().then_some(file).into())
    }

    /// Locks a file alone, without waiting; `Err` says in words why not. `None` when there is no
    /// such file: nobody uses it.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn alone(path: &Path) -> Result<Option<Result<Self, &'static str>>> {
        if is_url(path) {
            return Ok(Some(Self::take(path, "")?.map_err(|_| IN_USE)));
        }
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == IoKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io(path, "lock", &error)),
        };
        Ok(Some(match try_lock(&file, path) {
            Ok(()) => Ok(Some(file).into()),
            Err(TryLockError::WouldBlock) => Err(IN_USE),
            Err(TryLockError::Error(_)) => {
                Err("the file system knows no locks, so it may be in use")
            }
        }))
    }

    /// Locks a file alone, which is made if it is missing, without waiting, and says in it who does. `Err`
    /// is who else has it, as far as they have said.
    ///
    /// # Errors
    /// `NoLocks` when the file system knows none; when the file cannot be made or written.
    pub fn take(path: &Path, who: &str) -> Result<Result<Self, String>> {
        if let Some(object) = Object::of(path) {
            let held = object.and_then(|it| Held::alone(&it, who));
            let held = held.map_err(|error| Error::io(path, "lease", &error))?;
            return Ok(held.map(Self::from));
        }
        let mut file = open_or_make(path)?;
        match try_lock(&file, path) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Without its name it is still held.
                let _ = file.read_to_string(&mut holder);
                return Ok(Err(holder.trim().to_owned()));
            }
            Err(TryLockError::Error(error)) => return Err(Error::lock(path, &error)),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(who.as_bytes()))
            .map_err(|error| Error::io(path, "write", &error))?;
        Ok(Ok(Some(file).into()))
    }

    /// The folder that holds a folder for each of the objects in `folder` on which there are leases, called as
    /// the object is.
    pub fn folder_of(folder: &Path) -> PathBuf {
        folder.join(LEASES)
    }

    /// Whether somebody has a file locked alone, or shares it where there are no locks. Changes nothing.
    ///
    /// # Errors
    /// When object storage cannot be asked.
    pub fn is_held(path: &Path) -> Result<bool> {
        if let Some(object) = Object::of(path) {
            let holder = object.and_then(|it| Held::holder(&it));
            return Ok(holder.map_err(|error| Error::io(path, "look at", &error))?.is_some());
        }
        let file = File::open(path);
        Ok(file.is_ok_and(|it| matches!(it.try_lock_shared(), Err(TryLockError::WouldBlock))))
    }
}

/// Whether an error says that nothing may be written to object storage.
fn writes_nothing(error: &io::Error) -> bool {
    matches!(ErrorKind::of(error), ErrorKind::Unauthorized | ErrorKind::Unfit)
}

/// Makes the file of a lock if it is missing. Objects need none.
pub(crate) fn make(path: &Path) -> Result<()> {
    if is_url(path) { Ok(()) } else { open_or_make(path).map(|_| ()) }
}

/// Opens the file of a lock, and makes it if it is missing.
fn open_or_make(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    let there = match options.open(path) {
        Err(error) if error.kind() == IoKind::NotFound => faults::point(Operation::Create, path)
            .and_then(|()| options.create(true).truncate(false).open(path)),
        there => there,
    };
    there.map_err(|error| Error::io(path, "lock", &error))
}

/// Locks an open file alone, without waiting.
///
/// # Errors
/// When another has it locked, and where there are no locks.
pub(crate) fn try_lock(file: &File, path: &Path) -> Result<(), TryLockError> {
    faults::lacked(Operation::Lock, path).map_err(TryLockError::Error)?;
    file.try_lock()
}

/// Whether an open file is the one at `path`.
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    let same = || -> io::Result<bool> { Ok(same_file(&file.metadata()?, &fs::metadata(path)?)) };
    same().unwrap_or(false)
}

#[cfg(unix)]
fn same_file(a: &fs::Metadata, b: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// Elsewhere a file that is open cannot be replaced.
#[cfg(not(unix))]
fn same_file(_: &fs::Metadata, _: &fs::Metadata) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_cannot_be_had_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        assert!(Lease::alone(&path).unwrap().is_none());
        assert!(Lease::read(&path).unwrap().is_none());
        let first = Lease::share(&path).unwrap();
        let second = Lease::read(&path).unwrap().unwrap();
        drop(first);
        assert!(Lease::alone(&path).unwrap().unwrap().is_err());
        drop(second);
        assert!(Lease::alone(&path).unwrap().unwrap().is_ok());
    }

    #[test]
    fn who_waits_for_a_file_that_is_removed_finds_it_gone_or_makes_it_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        for _ in 0..50 {
            drop(Lease::share(&path).unwrap());
            let alone = Lease::alone(&path).unwrap().unwrap().unwrap();
            std::thread::scope(|scope| {
                let reader = scope.spawn(|| Lease::read(&path).unwrap());
                let writer = scope.spawn(|| Lease::share(&path).unwrap());
                fs::remove_file(&path).unwrap();
                drop(alone);
                let written = writer.join().unwrap();
                // The reader may have come after the writer.
                let _ = reader.join().unwrap();
                assert!(Lease::alone(&path).unwrap().unwrap().is_err());
                drop(written);
            });
        }
    }
}
