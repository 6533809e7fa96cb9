//! How much memory the files of a dataset may cost whoever reads them.

use crate::error::{Error, Result};

/// How much memory the files of a dataset may cost whoever reads them, whatever they say of
/// themselves. What would take more is refused before the memory is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes for a manifest or another record: its text and what it becomes. The default, 256 MiB,
    /// is that of a manifest of 90,000 parts.
    pub record: u64,
    /// Bytes for where the pages of an open generation lie, which takes 16 for each row and column;
    /// and as much again for the keys of its rows, where they are asked for. The default is 1 GiB.
    pub index: u64,
    /// Bytes of the longest page: as it lies on disk, and once more decompressed. Each thread that
    /// reads holds one. The default, 1.25 GiB, is enough for the longest row that a schema may have.
    pub page: u64,
}

/// Bytes of [`Limits::record`] that a part of a manifest takes, with its numbers at their longest.
const PART_BYTES: u64 = 2980;

impl Limits {
    /// The most parts of a generation whose manifest can be read.
    pub fn parts(&self) -> u64 {
        self.record / PART_BYTES
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { record: 256 << 20, index: 1 << 30, page: 5 << 28 }
    }
}

/// What is left of a limit.
#[derive(Debug)]
pub(crate) struct Allowance {
    limit: u64,
    left: u64,
    name: &'static str,
}

impl Allowance {
    /// All of `limit`, which is the field `name` of [`Limits`].
    pub fn new(limit: u64, name: &'static str) -> Self {
        Self { limit, left: limit, name }
    }

    /// Takes bytes off.
    ///
    /// # Errors
    /// `Failed` when fewer are left.
    pub fn take(&mut self, bytes: u64, what: impl std::fmt::Display) -> Result<()> {
        let left = self.left.checked_sub(bytes).ok_or_else(|| {
            let Self { limit, name, .. } = self;
            Error::failed(format_args!(
                "{what} would take more than the {limit} bytes of memory that `Limits::{name}` \
                 allows"
            ))
        })?;
        self.left = left;
        Ok(())
    }

    /// Gives bytes back.
    pub fn give(&mut self, bytes: u64) {
        self.left += bytes;
    }
}
