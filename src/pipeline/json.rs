//! Writes settings as JSON.

use serde::Serialize;
use serde_json::Value;

use crate::{Error, Result};

/// Describes `value` as JSON, with numbers as short as in the pipeline file.
///
/// # Errors
/// When it cannot be described.
pub fn json_of<T: Serialize + ?Sized>(value: &T) -> Result<Value> {
    let text = serde_json::to_string(value).and_then(|text| serde_json::from_str(&text));
    text.map_err(|error| Error::failed(format!("could not describe the settings: {error}")))
}
