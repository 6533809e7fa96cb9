//! Numbered records that are written once: manifests, trained weights, results.

use std::fs;
use std::io::ErrorKind as IoKind;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::durable;
use crate::error::{Error, ErrorKind, Result};

/// No honest record is near this size; one that is gets refused before it is read.
const MAX_BYTES: u64 = 256 << 20;

/// A folder of JSON records named by number: `00000001.json`, `00000002.json`, …
///
/// A record exists when its file does, whole, and never changes. The newest is the one with the
/// highest number.
#[derive(Debug, Clone)]
pub struct Records {
    folder: PathBuf,
}

impl Records {
    /// The records in `folder`, which need not exist. Touches nothing.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Where the records lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file of record `number`.
    pub fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:08}.json"))
    }

    /// The numbers there are, newest first. None when the folder does not exist.
    ///
    /// # Errors
    /// `Failed` when the folder cannot be listed.
    pub fn numbers(&self) -> Result<Vec<u64>> {
        let names = durable::names_in(&self.folder)?;
        let mut numbers: Vec<u64> = names.iter().filter_map(|name| number_of(name)).collect();
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        Ok(numbers)
    }

    /// Record `number`.
    ///
    /// # Errors
    /// `NotFound` when there is none, `Damaged` when it is not a `T` in JSON.
    pub fn read<T: DeserializeOwned>(&self, number: u64) -> Result<T> {
        read_json(&self.path(number))
    }

    /// Commits what `record` makes for the next free number, and returns the number.
    ///
    /// # Errors
    /// `Failed` when it cannot be written.
    pub fn commit<T: Serialize>(&self, mut record: impl FnMut(u64) -> T) -> Result<u64> {
        loop {
            let number = self.next()?;
            if self.try_commit(number, &record(number))? {
                return Ok(number);
            }
        }
    }

    /// Commits a record under `number`. `false`: the number is taken.
    ///
    /// # Errors
    /// `Failed` when it cannot be written.
    pub fn try_commit<T: Serialize>(&self, number: u64, record: &T) -> Result<bool> {
        durable::create_folder(&self.folder)?;
        durable::remove_dead_temps(&self.folder)?;
        write_new_json(&self.path(number), record)
    }

    /// The number after the newest.
    pub(crate) fn next(&self) -> Result<u64> {
        let newest = self.numbers()?.first().copied().unwrap_or(0);
        newest.checked_add(1).ok_or_else(|| {
            Error::damaged(&self.path(newest), "no record can have so high a number")
        })
    }
}

/// `00000012.json` is record 12; other spellings of the same number are no records.
fn number_of(name: &str) -> Option<u64> {
    let number = name.strip_suffix(".json")?.parse().ok()?;
    (number > 0 && name == format!("{number:08}.json")).then_some(number)
}

pub(crate) fn write_new_json<T: Serialize>(path: &Path, value: &T) -> Result<bool> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|error| {
        Error::failed(format_args!("{}: cannot be written as JSON: {error}", path.display()))
    })?;
    bytes.push(b'\n');
    durable::write_new(path, &bytes)
}

pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = match fs::metadata(path) {
        Ok(metadata) if metadata.len() > MAX_BYTES => {
            let what = format!("{} bytes are no record", metadata.len());
            return Err(Error::damaged(path, what));
        }
        Ok(_) => fs::read(path),
        Err(error) => Err(error),
    };
    let bytes = bytes.map_err(|error| match error.kind() {
        IoKind::NotFound => {
            Error::new(ErrorKind::NotFound, format!("{}: there is no such record", path.display()))
        }
        _ => Error::io(path, "read", &error),
    })?;
    serde_json::from_slice(&bytes).map_err(|error| Error::damaged(path, error))
}
