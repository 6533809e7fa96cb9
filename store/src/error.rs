//! Errors of the store.

use std::fmt;
use std::io;
use std::path::Path;

use rustix::io::Errno;

use crate::damage::Damage;
use crate::error_kind::ErrorKind;

/// An error of the store: what, and where.
#[derive(Debug, thiserror::Error)]
#[error("{message}{}", room(*needed, *free))]
pub struct Error {
    kind: ErrorKind,
    message: String,
    needed: Option<u64>,
    free: Option<u64>,
    damage: Option<Box<Damage>>,
}

/// The result of an operation of the store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), needed: None, free: None, damage: None }
    }

    pub(crate) fn damaged(path: &Path, what: impl fmt::Display) -> Self {
        Damage::of(path, what).into()
    }

    pub(crate) fn failed(what: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Failed, what.to_string())
    }

    /// The error of an operation on a file. `action` is a verb that follows "cannot": "read", "create", "write".
    pub(crate) fn io(path: &Path, action: &str, error: &io::Error) -> Self {
        let message = format!("{}: cannot {action}: {error}", path.display());
        Self::new(ErrorKind::of(error), message)
    }

    /// The error of reading a file: damage where the disk gives back too few bytes or none, but not without permission.
    pub(crate) fn reading(path: &Path, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::damaged(path, "it is too short"),
            _ if Errno::from_io_error(error) == Some(Errno::IO) => {
                Self::damaged(path, format_args!("unreadable: {error}"))
            }
            _ => Self::io(path, "read", error),
        }
    }

    /// The error of opening a part. If the manifest names a part that is not there, that is damage, not absence.
    pub(crate) fn opening(path: &Path, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::damaged(path, "the file is missing"),
            io::ErrorKind::InvalidInput => Self::damaged(path, error),
            _ => Self::io(path, "open", error),
        }
    }

    /// Adds the number of free bytes to a no-space error.
    pub(crate) fn with_free(mut self, free: impl FnOnce() -> Option<u64>) -> Self {
        if self.kind == ErrorKind::NoSpace {
            self.free = free();
        }
        self
    }

    /// Adds the number of bytes still to be written to a no-space error, unless it already has a larger number.
    pub(crate) fn needing(mut self, bytes: u64) -> Self {
        if self.kind == ErrorKind::NoSpace && bytes > 0 {
            self.needed = self.needed.max(Some(bytes));
        }
        self
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// For [`ErrorKind::NoSpace`]: the bytes still to be written, before compression, as far as that is known.
    pub fn needed(&self) -> Option<u64> {
        self.needed
    }

    /// For [`ErrorKind::NoSpace`]: the bytes that the file system had free, where it says so.
    pub fn free(&self) -> Option<u64> {
        self.free
    }

    /// For [`ErrorKind::Damaged`]: the damage and its place.
    pub fn damage(&self) -> Option<&Damage> {
        self.damage.as_deref()
    }

    /// Takes the damage out of an [`ErrorKind::Damaged`].
    ///
    /// # Errors
    /// The error itself, when it is of another kind.
    pub fn into_damage(mut self) -> Result<Damage> {
        self.damage.take().map(|damage| *damage).ok_or(self)
    }
}

impl From<Damage> for Error {
    fn from(damage: Damage) -> Self {
        let error = Self::new(ErrorKind::Damaged, damage.to_string());
        Self { damage: Some(Box::new(damage)), ..error }
    }
}

/// For a disk without room: bytes still to be written, and bytes free, in words.
fn room(needed: Option<u64>, free: Option<u64>) -> String {
    match (needed, free) {
        (Some(needed), Some(free)) => {
            format!("; {needed} bytes were to be written, {free} are free")
        }
        (Some(needed), None) => format!("; {needed} bytes were to be written"),
        (None, Some(free)) => format!("; {free} bytes are free"),
        (None, None) => String::new(),
    }
}
