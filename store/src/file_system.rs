//! The file system of this machine: every call that changes it, and safe opening of files that others have put there.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::Error;
#[cfg(feature = "testing")]
use crate::faults::Faults;
use crate::operation::Operation;

/// Makes every change to a disk. In tests, a fault may happen instead.
#[derive(Debug, Clone, Default)]
pub(crate) struct FileSystem {
    #[cfg(feature = "testing")]
    pub faults: Faults,
}

impl FileSystem {
    /// Makes a folder inside an existing folder.
    pub fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.before(Operation::CreateFolder, path)?;
        fs::create_dir(path)
    }

    /// Makes a file that must not exist yet, for reading and writing.
    pub fn create_new(&self, path: &Path) -> io::Result<File> {
        self.before(Operation::Create, path)?;
        OpenOptions::new().read(true).write(true).create_new(true).open(path)
    }

    /// Opens a file for reading and writing, and makes it if it is missing.
    pub fn open_or_create(&self, path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        match options.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.before(Operation::Create, path)?;
                options.create(true).truncate(false).open(path)
            }
            there => there,
        }
    }

    /// Appends `bytes` to `file`, which lies at `path`.
    pub fn write_all(&self, mut file: &File, bytes: &[u8], path: &Path) -> io::Result<()> {
        #[cfg(feature = "testing")]
        self.faults.before_write(file, bytes, path)?;
        #[cfg(not(feature = "testing"))]
        let _ = path;
        file.write_all(bytes)
    }

    /// Makes everything written to `file`, which lies at `path`, durable.
    pub fn sync(&self, file: &File, path: &Path) -> io::Result<()> {
        self.before(Operation::Sync, path)?;
        file.sync_all()
    }

    /// Gives a file a second name, which must be free.
    pub fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.before(Operation::Link, to)?;
        fs::hard_link(from, to)
    }

    /// Gives a file another name, which must be free.
    pub fn move_to_free(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.before(Operation::Move, to)?;
        move_to_free(from, to)
    }

    /// Gives a file another name, taken or not.
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.before(Operation::Rename, to)?;
        fs::rename(from, to)
    }

    /// Removes a file.
    pub fn remove(&self, path: &Path) -> io::Result<()> {
        self.before(Operation::Remove, path)?;
        fs::remove_file(path)
    }

    /// Removes an empty folder.
    pub fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.before(Operation::RemoveFolder, path)?;
        fs::remove_dir(path)
    }

    /// Makes the names in a folder durable.
    pub fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.before(Operation::SyncFolder, folder)?;
        File::open(folder)?.sync_all()
    }

    /// Takes the exclusive lock of an open file; waits for the processes that hold it.
    pub fn lock(&self, file: &File, path: &Path) -> io::Result<()> {
        self.before(Operation::Lock, path)?;
        file.lock()
    }

    /// Takes a shared lock of an open file; waits for a process that holds it exclusively.
    pub fn lock_shared(&self, file: &File, path: &Path) -> io::Result<()> {
        self.before(Operation::Lock, path)?;
        file.lock_shared()
    }

    /// Tries to take the exclusive lock of an open file, without waiting.
    pub fn try_lock(&self, file: &File, path: &Path) -> Result<(), TryLockError> {
        self.before(Operation::Lock, path).map_err(TryLockError::Error)?;
        file.try_lock()
    }

    /// Called before an operation; in tests, returns the error to fail with.
    #[cfg(feature = "testing")]
    pub fn before(&self, operation: Operation, path: &Path) -> io::Result<()> {
        self.faults.before(operation, path)
    }

    /// Called before an operation.
    #[cfg(not(feature = "testing"))]
    pub fn before(&self, _operation: Operation, _path: &Path) -> io::Result<()> {
        Ok(())
    }
}

/// The error of an operation on a file of this machine. A no-space error also gets the number of free bytes.
pub(crate) fn failed(path: &Path, action: &str, error: &io::Error) -> Error {
    Error::io(path, action, error).with_free(|| free_bytes(path))
}

/// Opens a plain file for reading. Refuses links, which may lead anywhere, pipes, which block, and endless devices.
pub(crate) fn open_plain(path: &Path) -> io::Result<File> {
    let is_file = |metadata: fs::Metadata| match metadata.is_file() {
        true => Ok(()),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a plain file")),
    };
    is_file(fs::symlink_metadata(path)?)?;
    let file = File::open(path)?;
    is_file(file.metadata()?)?;
    Ok(file)
}

/// What an operation gave; `None` when there is no file of that name.
pub(crate) fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

/// The folder that holds a file.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        None if path.has_root() => path,
        _ => Path::new("."),
    }
}

/// Whether an open file is the one at `path`.
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    let same = || -> io::Result<bool> {
        let (open, there) = (file.metadata()?, fs::metadata(path)?);
        Ok((open.dev(), open.ino()) == (there.dev(), there.ino()))
    };
    same().unwrap_or(false)
}

/// Renames a file; fails if the new name is taken.
#[cfg(target_os = "linux")]
fn move_to_free(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
}

#[cfg(not(target_os = "linux"))]
fn move_to_free(_from: &Path, _to: &Path) -> io::Result<()> {
    Err(rustix::io::Errno::NOSYS.into())
}

/// The bytes that a user without root rights may still write where `path` is, or would be.
pub(crate) fn free_bytes(path: &Path) -> Option<u64> {
    // The last ancestor of a relative path is empty, which the system does not accept as a folder.
    let there = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let system = rustix::fs::statvfs(there).ok()?;
    Some(system.f_bavail.saturating_mul(system.f_frsize))
}

/// The most bytes that a file of this process may have (`ulimit -f`), where there is such a limit.
pub fn file_size_limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Fsize).current
}
