//! Limits on the memory that reading a dataset may take.

use crate::error::{Error, Result};

/// How much memory reading a dataset may take, whatever its files claim. More is refused before it is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes for a manifest or another record, as text and parsed. The default, 256 MiB, is enough for 90,000 parts.
    pub record: u64,
    /// Bytes for the positions of the pages of an open generation, at 16 bytes per row and column. The same limit
    /// applies again to the keys of its rows, where they are read. The default is 1 GiB.
    pub index: u64,
    /// Bytes of the longest page, as it lies on disk and again decompressed. Each reading thread holds one. The
    /// default, 1.25 GiB, is enough for the longest row that a schema may have.
    pub page: u64,
}

/// Bytes of [`Limits::record`] that one part in a manifest takes, with its numbers at their longest.
const PART_BYTES: u64 = 2980;

impl Limits {
    /// The most parts that a generation may have for its manifest to be readable.
    pub fn parts(&self) -> u64 {
        self.record / PART_BYTES
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { record: 256 << 20, index: 1 << 30, page: 5 << 28 }
    }
}

/// The unused rest of a limit.
#[derive(Debug)]
pub(crate) struct Allowance {
    limit: u64,
    left: u64,
    name: &'static str,
}

impl Allowance {
    /// Starts with all of `limit`, which is the field `name` of [`Limits`].
    pub fn new(limit: u64, name: &'static str) -> Self {
        Self { limit, left: limit, name }
    }

    /// Takes `bytes` from the rest.
    ///
    /// # Errors
    /// `Failed` when fewer bytes are left.
    pub fn take(&mut self, bytes: u64, what: impl std::fmt::Display) -> Result<()> {
        let Self { limit, left, name } = *self;
        self.left = left.checked_sub(bytes).ok_or_else(|| {
            let limit = format!("the {limit} bytes of memory that `Limits::{name}` allows");
            Error::failed(format_args!("{what} would take more than {limit}"))
        })?;
        Ok(())
    }

    /// Gives `bytes` back.
    pub fn give(&mut self, bytes: u64) {
        self.left += bytes;
    }
}
