//! Numbered records that are written once: manifests, trained weights, results.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::error_kind::ErrorKind;
use crate::json;
use crate::key::folder_name;
use crate::limits::Limits;
use crate::location::Location;
use crate::store::Store;

/// A folder of JSON records named by number: `00000001.json`, `00000002.json`, …
///
/// A record exists when its file does, whole, and never changes. The newest is the one with the highest number.
#[derive(Debug, Clone)]
pub struct Records {
    folder: Location,
    pub(crate) limits: Limits,
}

impl Store {
    /// The records in `folder`, which need not exist. Touches nothing.
    pub fn records(&self, folder: impl Into<std::path::PathBuf>) -> Records {
        Records::at(self.locate(folder))
    }
}

impl Records {
    /// The records in `folder`, which need not exist. Touches nothing.
    pub fn at(folder: impl Into<Location>) -> Self {
        Self { folder: folder.into(), limits: Limits::default() }
    }

    /// Sets other limits on the memory that a record may take.
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The folder of the records.
    pub fn folder(&self) -> &Location {
        &self.folder
    }

    /// The file of record `number`.
    pub fn path(&self, number: u64) -> Location {
        self.folder.join(format!("{number:08}.json"))
    }

    /// The folder that belongs to the records of a key.
    pub fn folder_of(&self, key: &str) -> Location {
        self.folder.join(folder_name(key))
    }

    /// The numbers of the records, newest first; empty when the folder does not exist.
    ///
    /// # Errors
    /// `Failed` when the folder cannot be listed.
    pub fn numbers(&self) -> Result<Vec<u64>> {
        let names = self.folder.names_in()?;
        let mut numbers: Vec<u64> = names.iter().filter_map(|name| number_of(name)).collect();
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        Ok(numbers)
    }

    /// The readable records with their numbers, newest first. Skips records that are not a `T` in JSON, and records
    /// that another process has removed meanwhile. [`Self::unreadable`] gives the damaged ones.
    ///
    /// # Errors
    /// The errors of [`Self::numbers`]. The iterator gives the error of a record that is neither damaged nor removed.
    pub fn readable<T: DeserializeOwned>(&self) -> Result<impl Iterator<Item = Result<(u64, T)>>> {
        let records = self.clone();
        let read = move |number| match records.read(number) {
            Err(error) if passes_over(&error) => None,
            read => Some(read.map(|record| (number, record))),
        };
        Ok(self.numbers()?.into_iter().filter_map(read))
    }

    /// One error for each damaged record.
    ///
    /// # Errors
    /// The errors of [`Self::numbers`].
    pub fn unreadable<T: DeserializeOwned>(&self) -> Result<Vec<Error>> {
        let read = self.numbers()?.into_iter().filter_map(|number| self.read::<T>(number).err());
        Ok(read.filter(|error| error.kind() == ErrorKind::Damaged).collect())
    }

    /// Reads record `number`.
    ///
    /// # Errors
    /// `NotFound` when it does not exist, `Damaged` when it is not a `T` in JSON, `Failed` when it would take too
    /// much memory.
    pub fn read<T: DeserializeOwned>(&self, number: u64) -> Result<T> {
        json::read(&self.path(number), &self.limits)
    }

    /// Commits a record under the next free number and returns the number. `record` makes the record for a number.
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

    /// Commits a record under `number`. Returns `false` when the number is taken.
    ///
    /// # Errors
    /// `Failed` when it cannot be written.
    pub fn try_commit<T: Serialize>(&self, number: u64, record: &T) -> Result<bool> {
        self.folder.create_folder()?;
        self.folder.remove_dead_temps()?;
        json::create(&self.path(number), record)
    }

    /// The number after the newest.
    ///
    /// # Errors
    /// The errors of [`Self::numbers`].
    pub fn next(&self) -> Result<u64> {
        let newest = self.numbers()?.first().copied().unwrap_or(0);
        newest.checked_add(1).ok_or_else(|| {
            Error::damaged(self.path(newest).path(), "no record can have so high a number")
        })
    }
}

/// Whether a search skips a record with this error. A damaged record must not block the use of the others. A record
/// of another version must, as its contents are unknown.
pub(crate) fn passes_over(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Damaged | ErrorKind::NotFound)
}

/// The number in a file name: `00000012.json` is record 12. Other spellings of the same number are not records.
fn number_of(name: &str) -> Option<u64> {
    let number = name.strip_suffix(".json")?.parse().ok()?;
    (number > 0 && name == format!("{number:08}.json")).then_some(number)
}
