//! What can go wrong with a dataset.

use std::path::Path;

use crate::damage::Damage;

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
    /// The operation failed: no room, no permission, wrong arguments.
    Failed,
}

/// An error of the store: what, and where.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    damage: Option<Box<Damage>>,
}

/// The result of an operation of the store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), damage: None }
    }

    pub(crate) fn damaged(path: &Path, what: impl std::fmt::Display) -> Self {
        Damage::of(path, what).into()
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
        Self { kind: ErrorKind::Damaged, message, damage: Some(Box::new(damage)) }
    }
}
