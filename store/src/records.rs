//! Numbered records that are written once: manifests, trained weights, results.

use std::io::ErrorKind as IoKind;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::damage::cannot_read;
use crate::durable;
use crate::error::{Error, ErrorKind, Result};
use crate::files;
use crate::limits::{Allowance, Limits};
use crate::looks;
use crate::seal;

/// A folder of JSON records named by number: `00000001.json`, `00000002.json`, …
///
/// A record exists when its file does, whole, and never changes. The newest is the one with the
/// highest number.
#[derive(Debug, Clone)]
pub struct Records {
    folder: PathBuf,
    limits: Limits,
}

impl Records {
    /// The records in `folder`, which need not exist. Touches nothing.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), limits: Limits::default() }
    }

    /// With other limits to the memory that a record may cost.
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
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

    /// The numbers and records that can be read, newest first: `T`s in JSON that no other process
    /// has removed meanwhile. [`Self::unreadable`] gives the others.
    ///
    /// # Errors
    /// As [`Self::numbers`]; those of a record that is neither damaged nor gone, when it is met.
    pub fn readable<T: DeserializeOwned>(&self) -> Result<impl Iterator<Item = Result<(u64, T)>>> {
        let records = self.clone();
        let read = move |number| match records.read(number) {
            Err(error) if passes_over(&error) => None,
            read => Some(read.map(|record| (number, record))),
        };
        Ok(self.numbers()?.into_iter().filter_map(read))
    }

    /// What is wrong with the records that are damaged.
    ///
    /// # Errors
    /// As [`Self::numbers`].
    pub fn unreadable<T: DeserializeOwned>(&self) -> Result<Vec<Error>> {
        let read = self.numbers()?.into_iter().filter_map(|number| self.read::<T>(number).err());
        Ok(read.filter(|error| error.kind() == ErrorKind::Damaged).collect())
    }

    /// Record `number`.
    ///
    /// # Errors
    /// `NotFound` when there is none, `Damaged` when it is not a `T` in JSON, `Failed` when it would
    /// take too much memory.
    pub fn read<T: DeserializeOwned>(&self, number: u64) -> Result<T> {
        read_json(&self.path(number), &self.limits)
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
    ///
    /// # Errors
    /// As [`Self::numbers`].
    pub fn next(&self) -> Result<u64> {
        let newest = self.numbers()?.first().copied().unwrap_or(0);
        newest.checked_add(1).ok_or_else(|| {
            Error::damaged(&self.path(newest), "no record can have so high a number")
        })
    }
}

/// A record that is damaged must not keep the others from being used; one that is of another version
/// must, as nobody knows what it says.
pub(crate) fn passes_over(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Damaged | ErrorKind::NotFound)
}

/// `00000012.json` is record 12; other spellings of the same number are no records.
fn number_of(name: &str) -> Option<u64> {
    let number = name.strip_suffix(".json")?.parse().ok()?;
    (number > 0 && name == format!("{number:08}.json")).then_some(number)
}

pub(crate) fn write_new_json<T: Serialize>(path: &Path, value: &T) -> Result<bool> {
    durable::write_new(path, &to_json(path, value)?)
}

/// A record as it is written to `path`.
pub(crate) fn to_json<T: Serialize>(path: &Path, value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(value).map(seal::seal).map_err(|error| {
        Error::failed(format_args!("{}: cannot be written as JSON: {error}", path.display()))
    })
}

pub(crate) fn read_json<T: DeserializeOwned>(path: &Path, limits: &Limits) -> Result<T> {
    let read = files::read_up_to(path, limits.record.saturating_add(1));
    let text = read.map_err(|error| match error.kind() {
        IoKind::NotFound => {
            Error::new(ErrorKind::NotFound, format!("{}: there is no such record", path.display()))
        }
        IoKind::InvalidInput => Error::damaged(path, error),
        _ => cannot_read(path, &error),
    })?;
    looks::at_record(text.len());
    Allowance::new(limits.record, "record").take(memory_for(&text), path.display())?;
    if !seal::holds(&text) {
        return Err(Error::damaged(path, "its seal is broken: it is not what was written"));
    }
    serde_json::from_slice(&text).map_err(|error| Error::damaged(path, error))
}

/// The most memory that JSON takes, text and all. A map may be a value of its own with room for 11
/// entries, any other value one that stands in a list with as much room again; strings are copied
/// once or, while they are unescaped, twice.
fn memory_for(json: &[u8]) -> u64 {
    const MAP: u64 = 640;
    const VALUE: u64 = 160;
    let mut memory = 3 * json.len() as u64;
    let (mut in_string, mut escaped) = (false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'{' if !in_string => memory += MAP,
            b'[' | b',' if !in_string => memory += VALUE,
            _ => {}
        }
    }
    memory
}
