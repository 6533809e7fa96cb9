//! What a check has found.

use crate::damage::Damage;
use crate::error::Error;
use crate::error_kind::ErrorKind;

/// What was looked at, and what was found.
#[derive(Debug, Clone, Default)]
pub struct Checked {
    /// Files that were read to their end.
    pub files: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// All damage there is.
    pub damage: Vec<Damage>,
    /// What could not be looked at.
    pub unchecked: Vec<Unchecked>,
}

/// Something that could not be looked at: a permission is missing, or another version wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unchecked {
    /// What can be done about it.
    pub kind: ErrorKind,
    /// What it is, and why.
    pub what: String,
}

impl Checked {
    /// One file that is as it was written.
    pub fn sound(bytes: u64) -> Self {
        Self { files: 1, bytes, ..Self::default() }
    }

    /// One file that is damaged, or that could not be looked at.
    pub fn failed(error: Error) -> Self {
        match error.into_damage() {
            Ok(damage) => Self { files: 1, damage: vec![damage], ..Self::default() },
            Err(error) => Self::unchecked(error.kind(), &error),
        }
    }

    /// Something that could not be looked at.
    pub fn unchecked(kind: ErrorKind, why: impl ToString) -> Self {
        let what = why.to_string();
        Self { unchecked: vec![Unchecked { kind, what }], ..Self::default() }
    }

    /// Adds a place to the damage, or to the one before if it goes on there.
    pub(crate) fn push(&mut self, damage: Damage) {
        if !self.damage.last_mut().is_some_and(|last| last.goes_on_with(&damage)) {
            self.damage.push(damage);
        }
    }

    /// This, and what was found elsewhere.
    pub fn and(mut self, other: Self) -> Self {
        self.files += other.files;
        self.bytes += other.bytes;
        self.damage.extend(other.damage);
        self.unchecked.extend(other.unchecked);
        self
    }
}
