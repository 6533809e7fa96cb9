//! What can go wrong with a dataset.

use std::fmt;
use std::io;
use std::path::Path;

use crate::damage::Damage;
use crate::object::Failure;

/// What a caller can do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// What lies on disk is not what was written: recompute or restore it.
    Damaged,
    /// A damaged part was made again and came out with other bytes than were committed, on another
    /// kind of processor for instance: restore it from a copy.
    Differs,
    /// There is no such dataset, generation or column yet.
    NotFound,
    /// The disk is full, or a limit on what may be written is reached: make room and go on.
    /// [`Error::needed`] and [`Error::free`] say how much.
    NoSpace,
    /// A file would be larger than a limit of the process ([`file_size_limit`]) or of the file system allows: raise
    /// the limit and go on.
    FileLimit,
    /// The file system knows no locks.
    NoLocks,
    /// A permission is missing, or the file system is read-only.
    Denied,
    /// The credentials for object storage are missing, or wrong, or allow too little.
    Unauthorized,
    /// There is no such bucket.
    NoBucket,
    /// Object storage does not answer, or answers that it cannot now: try again later. What was
    /// committed is there.
    Unreachable,
    /// Object storage does not do what commits need: an object that is there can be created again.
    Unfit,
    /// The process has as many files open as it may: raise the limit.
    TooManyFiles,
    /// The operation failed: wrong arguments, or the disk did.
    Failed,
}

impl ErrorKind {
    /// The kind of an error of the operating system.
    pub fn of(error: &io::Error) -> Self {
        use io::ErrorKind::*;
        if let Some(failure) = error.get_ref().and_then(|it| it.downcast_ref::<Failure>()) {
            return failure.kind;
        }
        match error.kind() {
            StorageFull | QuotaExceeded => Self::NoSpace,
            FileTooLarge => Self::FileLimit,
            PermissionDenied | ReadOnlyFilesystem => Self::Denied,
            _ if too_many_files(error) => Self::TooManyFiles,
            _ => Self::Failed,
        }
    }
}

/// An error of the store: what, and where.
#[derive(Debug, thiserror::Error)]
#[error("{message}{room}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    room: Room,
    damage: Option<Box<Damage>>,
}

/// Bytes that were to be written, and that were free.
#[derive(Debug, Default)]
struct Room {
    needed: Option<u64>,
    free: Option<u64>,
}

/// The result of an operation of the store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), room: Room::default(), damage: None }
    }

    pub(crate) fn damaged(path: &Path, what: impl fmt::Display) -> Self {
        Damage::of(path, what).into()
    }

    pub(crate) fn failed(what: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Failed, what.to_string())
    }

    /// `action` reads after "cannot": "read", "create", "write".
    pub(crate) fn io(path: &Path, action: &str, error: &io::Error) -> Self {
        let kind = ErrorKind::of(error);
        let message = format!("{}: cannot {action}: {error}", path.display());
        let free = (kind == ErrorKind::NoSpace).then(|| free_at(path)).flatten();
        Self { kind, message, room: Room { needed: None, free }, damage: None }
    }

    /// That a file cannot be locked.
    pub(crate) fn lock(path: &Path, error: &io::Error) -> Self {
        let kind = if knows_no_locks(error) { ErrorKind::NoLocks } else { ErrorKind::of(error) };
        let message = format!("{}: cannot lock: {error}", path.display());
        Self::new(kind, message)
    }

    /// Says of an error for want of room how many bytes were still to be written, unless it is
    /// known of more.
    pub(crate) fn needing(mut self, bytes: u64) -> Self {
        if self.kind == ErrorKind::NoSpace && bytes > 0 {
            self.room.needed = self.room.needed.max(Some(bytes));
        }
        self
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Of [`ErrorKind::NoSpace`]: the bytes that were still to be written, as far as that is known;
    /// compressed they may be fewer.
    pub fn needed(&self) -> Option<u64> {
        self.room.needed
    }

    /// Of [`ErrorKind::NoSpace`]: the bytes that the file system had room for, where it says.
    pub fn free(&self) -> Option<u64> {
        self.room.free
    }

    /// Of [`ErrorKind::Damaged`]: where, and what.
    pub fn damage(&self) -> Option<&Damage> {
        self.damage.as_deref()
    }

    /// Of [`ErrorKind::Damaged`]: where, and what; else the error as it was.
    ///
    /// # Errors
    /// Those of other kinds.
    pub fn into_damage(mut self) -> Result<Damage> {
        self.damage.take().map(|damage| *damage).ok_or(self)
    }
}

impl From<Damage> for Error {
    fn from(damage: Damage) -> Self {
        let message = damage.to_string();
        Self {
            kind: ErrorKind::Damaged,
            message,
            room: Room::default(),
            damage: Some(Box::new(damage)),
        }
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.needed, self.free) {
            (Some(needed), Some(free)) => {
                write!(f, "; {needed} bytes were to be written, {free} are free")
            }
            (Some(needed), None) => write!(f, "; {needed} bytes were to be written"),
            (None, Some(free)) => write!(f, "; {free} bytes are free"),
            (None, None) => Ok(()),
        }
    }
}

#[cfg(unix)]
fn knows_no_locks(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let lacking = [Errno::NOSYS, Errno::NOTSUP, Errno::OPNOTSUPP, Errno::NOLCK];
    Errno::from_io_error(error).is_some_and(|it| lacking.contains(&it))
}

#[cfg(not(unix))]
fn knows_no_locks(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported
}

/// The most bytes that a file of this process may have (`ulimit -f`), where there is such a limit.
#[cfg(unix)]
pub fn file_size_limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Fsize).current
}

/// The most bytes that a file of this process may have: elsewhere there is no such limit.
#[cfg(not(unix))]
pub fn file_size_limit() -> Option<u64> {
    None
}

#[cfg(unix)]
fn too_many_files(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

#[cfg(not(unix))]
fn too_many_files(_error: &io::Error) -> bool {
    false
}

/// The bytes that whoever is not root may still write where `path` is, or would be.
#[cfg(unix)]
fn free_at(path: &Path) -> Option<u64> {
    // Of a relative path the last is empty, which is no folder to the system.
    let there = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let system = rustix::fs::statvfs(there).ok()?;
    Some(system.f_bavail.saturating_mul(system.f_frsize))
}

#[cfg(not(unix))]
fn free_at(_path: &Path) -> Option<u64> {
    None
}
