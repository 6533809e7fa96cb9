//! The result of a check.

use crate::damage::Damage;
use crate::error::Error;
use crate::error_kind::ErrorKind;

/// What a check read, and the damage it found.
#[derive(Debug, Clone, Default)]
pub struct Checked {
    /// Files that were read to their end.
    pub files: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// All damage that was found.
    pub damage: Vec<Damage>,
    /// Everything that could not be checked.
    pub unchecked: Vec<Unchecked>,
}

/// Something that could not be checked: a permission is missing, or another version wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unchecked {
    /// What can be done about it.
    pub kind: ErrorKind,
    /// What it is, and why.
    pub what: String,
}

impl Checked {
    /// The result for one file that is as it was written.
    pub fn sound(bytes: u64) -> Self {
        Self { files: 1, bytes, ..Self::default() }
    }

    /// The result for one file that is damaged or could not be checked.
    pub fn failed(error: Error) -> Self {
        match error.into_damage() {
            Ok(damage) => Self { files: 1, damage: vec![damage], ..Self::default() },
            Err(error) => Self::unchecked(error.kind(), &error),
        }
    }

    /// The result for something that could not be checked.
    pub fn unchecked(kind: ErrorKind, why: impl ToString) -> Self {
        let what = why.to_string();
        Self { unchecked: vec![Unchecked { kind, what }], ..Self::default() }
    }

    /// Adds damage, or extends the last entry if this is its continuation.
    pub(crate) fn push(&mut self, damage: Damage) {
        if !self.damage.last_mut().is_some_and(|last| last.goes_on_with(&damage)) {
            self.damage.push(damage);
        }
    }

    /// Adds the result of another check to this one.
    pub fn and(mut self, other: Self) -> Self {
        self.files += other.files;
        self.bytes += other.bytes;
        self.damage.extend(other.damage);
        self.unchecked.extend(other.unchecked);
        self
    }
}
