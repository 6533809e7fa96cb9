//! What can go wrong with a dataset.

use std::path::Path;

/// What a caller can do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// What lies on disk is not what was written: recompute or restore it.
    Damaged,
    /// There is no such dataset, generation or column yet.
    NotFound,
    /// The operation failed: no room, no permission, wrong arguments.
    Failed,
}

/// An error of the store: what, and where.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

/// The result of an operation of the store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(crate) fn damaged(path: &Path, what: impl std::fmt::Display) -> Self {
        Self::new(ErrorKind::Damaged, format!("{}: damaged: {what}", path.display()))
    }

    pub(crate) fn failed(what: impl std::fmt::Display) -> Self {
        Self::new(ErrorKind::Failed, what.to_string())
    }

    /// `action` reads after "cannot": "read", "create", "write".
    pub(crate) fn io(path: &Path, action: &str, error: &std::io::Error) -> Self {
        Self::failed(format_args!("{}: cannot {action}: {error}", path.display()))
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}
