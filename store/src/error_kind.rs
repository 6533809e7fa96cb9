//! The kinds of errors, by what the caller can do about them.

use std::io;

use rustix::io::Errno;

/// What a caller can do about an [`crate::Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Data on disk differs from what was written: recompute or restore it.
    Damaged,
    /// A damaged part was made again, and its bytes differ from what was committed, for instance because of another
    /// kind of processor: restore it from a copy.
    Differs,
    /// The dataset, generation or column does not exist yet.
    NotFound,
    /// The disk is full, or a limit on what may be written is reached: make room and continue.
    /// [`crate::Error::needed`] and [`crate::Error::free`] say how much.
    NoSpace,
    /// A file would be larger than the process ([`crate::file_size_limit`]) or the file system allows: raise the limit.
    FileLimit,
    /// The file system does not support locks.
    NoLocks,
    /// A permission is missing, or the file system is read-only.
    Denied,
    /// The credentials for object storage are missing, or wrong, or allow too little.
    Unauthorized,
    /// The bucket does not exist.
    NoBucket,
    /// Object storage does not answer, or is temporarily unable to: try again later. What was committed is safe.
    Unreachable,
    /// Object storage lacks what commits need: it lets an existing object be created again.
    Unfit,
    /// The process has reached its limit of open files: raise the limit.
    TooManyFiles,
    /// The operation failed: wrong arguments, or an error of the disk.
    Failed,
}

impl ErrorKind {
    /// The kind that an error of the operating system belongs to.
    pub fn of(error: &io::Error) -> Self {
        use io::ErrorKind::*;
        if let Some(failure) = error.get_ref().and_then(|it| it.downcast_ref::<Failure>()) {
            return failure.kind;
        }
        match error.kind() {
            StorageFull | QuotaExceeded => Self::NoSpace,
            FileTooLarge => Self::FileLimit,
            PermissionDenied | ReadOnlyFilesystem => Self::Denied,
            _ => match Errno::from_io_error(error) {
                Some(Errno::MFILE | Errno::NFILE) => Self::TooManyFiles,
                _ => Self::Failed,
            },
        }
    }
}

/// Why a backend could not do something, in a kind that a caller can act on. It travels inside an [`io::Error`].
#[derive(Debug, Clone, thiserror::Error)]
#[error("{what}")]
pub struct Failure {
    kind: ErrorKind,
    what: String,
}

impl Failure {
    /// A failure of `kind`. `what` describes it and must hold no secret.
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
