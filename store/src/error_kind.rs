//! The kinds of what can go wrong.

use std::fmt;
use std::io;

/// What a caller can do about an [`crate::Error`].
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
    /// [`crate::Error::needed`] and [`crate::Error::free`] say how much.
    NoSpace,
    /// A file would be larger than a limit of the process ([`crate::file_size_limit`]) or of the file system allows: raise
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

/// Why a backend could not do something, in a kind that a caller can act on. It travels inside an
/// [`io::Error`].
#[derive(Debug, Clone)]
pub struct Failure {
    kind: ErrorKind,
    what: String,
}

impl Failure {
    /// A failure of a kind, in words that hold no secret.
    pub fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into() }
    }

    pub(crate) fn failed(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Failed, what)
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Failure {}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        let kind = match failure.kind {
            ErrorKind::NotFound => io::ErrorKind::NotFound,
            ErrorKind::Unauthorized => io::ErrorKind::PermissionDenied,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, failure)
    }
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
