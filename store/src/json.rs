//! Records as JSON: written once, sealed, and read within a memory limit.

use std::io::ErrorKind as IoKind;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::error_kind::ErrorKind;
use crate::limits::{Allowance, Limits};
use crate::location::Location;
use crate::seal;

/// Writes a record that must not exist yet. `false`: it existed, and is as it was.
pub(crate) fn create<T: Serialize>(at: &Location, value: &T) -> Result<bool> {
    at.create(&written(at, value)?)
}

/// The bytes of a record as they are written to a file.
pub(crate) fn written<T: Serialize>(at: &Location, value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(value)
        .map(seal::seal)
        .map_err(|error| Error::failed(format_args!("{at}: cannot be written as JSON: {error}")))
}

/// Reads the record in a file.
pub(crate) fn read<T: DeserializeOwned>(at: &Location, limits: &Limits) -> Result<T> {
    let path = at.path();
    let read = at.read_up_to(limits.record.saturating_add(1));
    let text = read.map_err(|error| match error.kind() {
        IoKind::NotFound => {
            Error::new(ErrorKind::NotFound, format!("{}: there is no such record", path.display()))
        }
        IoKind::InvalidInput => Error::damaged(path, error),
        _ => Error::reading(path, &error),
    })?;
    at.store().shared.counters.at_record(text.len());
    Allowance::new(limits.record, "record").take(memory_for(&text), path.display())?;
    if !seal::holds(&text) {
        return Err(Error::damaged(path, "its seal is broken: it is not what was written"));
    }
    serde_json::from_slice(&text).map_err(|error| Error::damaged(path, error))
}

/// The most memory that parsed JSON takes, text included. A map counts as one value with room for 11 entries; another
/// value as an element of a list with as much room again. Strings are copied once, or twice while they are unescaped.
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
