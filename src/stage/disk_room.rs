//! Whether a run fits on the disk and into `store.max_bytes`.

use gimlet_store::{Limits, Location};
use serde::Serialize;

use crate::quantity::bytes_in_words;
use crate::{Error, Result};

/// The bytes that a run takes and the bytes that are free.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Room {
    /// Bytes of everything in the run's directory, including earlier generations. The locks do not count: they come and
    /// go with the processes at work.
    pub used: u64,
    /// Bytes that are still to be written, with their values uncompressed.
    pub needed: u64,
    /// Parts of the largest dataset that is still to be written.
    pub parts: u64,
    /// Bytes that are free on the disk for this user; `None` where the system does not tell.
    pub available: Option<u64>,
    /// `store.max_bytes`.
    pub max_bytes: Option<u64>,
    /// Whether `needed` is an upper bound, because some of it will be compressed.
    pub compressed: bool,
}

impl Room {
    /// Fails when `needed` does not fit the disk or `store.max_bytes`, and says by how much; or when a dataset would
    /// have more parts than can be read.
    pub fn check(&self) -> Result<()> {
        if self.needed == 0 {
            return Ok(());
        }
        let needed = match self.compressed {
            true => format!("up to {}", bytes_in_words(self.needed)),
            false => format!("about {}", bytes_in_words(self.needed)),
        };
        let (over, message) = match (self.over_disk(), self.over_limit()) {
            (0, 0) => return self.check_parts(),
            (over, 0) => {
                let free = bytes_in_words(self.available.unwrap_or(0));
                (over, format!("{needed} are to be written and {free} are free on the disk"))
            }
            (_, over) => {
                let used = bytes_in_words(self.used);
                let limit = bytes_in_words(self.max_bytes.unwrap_or(0));
                let message = format!(
                    "{needed} are to be written, {used} are there, and `store.max_bytes` is {limit}"
                );
                (over, message)
            }
        };
        let over = bytes_in_words(over);
        let mut hint =
            "set `store.activations` to \"auto\" or \"recompute\", a smaller `store.dtype`, \
                        or fewer `view.views` or samples; `gimlet plan` shows what each step takes"
                .to_owned();
        if self.used > 0 {
            hint += ", and earlier generations take room, too";
        }
        Err(Error::failed(format!("this does not fit, by {over}: {message}")).hint(hint))
    }

    fn check_parts(&self) -> Result<()> {
        let most = Limits::default().parts();
        if self.parts <= most {
            return Ok(());
        }
        let times = self.parts.div_ceil(most);
        let message = format!(
            "a dataset would have {} parts, of which a manifest holds {most} at most",
            self.parts
        );
        Err(Error::failed(message).hint(format!("set `store.rows_per_part` {times} times as high")))
    }

    /// Bytes that are missing on the disk.
    pub fn over_disk(&self) -> u64 {
        self.available.map_or(0, |free| self.needed.saturating_sub(free))
    }

    /// Bytes above `store.max_bytes`.
    pub fn over_limit(&self) -> u64 {
        self.max_bytes
            .map_or(0, |limit| self.used.saturating_add(self.needed).saturating_sub(limit))
    }
}

/// Counts the bytes of all files below a folder; 0 when it does not exist.
pub fn size_of_folder(folder: &Location) -> Result<u64> {
    let mut bytes = 0;
    for entry in folder.list().map_err(|error| Error::io("list", folder.path(), error))? {
        bytes += match entry.is_folder {
            true => size_of_folder(&folder.join(entry.name))?,
            false => entry.size,
        };
    }
    Ok(bytes)
}
