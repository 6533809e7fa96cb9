//! Reads the Parquet column with encoded images or sounds: `struct<bytes: binary, path: string>` as Hugging Face has
//! it, or binary. The column may also name files instead: a struct without bytes, or text.

use std::path::Path;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, RecordBatch, StringArray, new_null_array,
};
use arrow::compute::{cast, is_null, nullif};
use arrow::datatypes::{DataType, Schema};

use super::encoding;
use super::parquet_part::{Part, column_of, damaged, describe, text};
use crate::pipeline::settings::Medium;
use crate::{Error, Result};

/// The most bytes of the path of an image or sound, which is kept with it.
const LONGEST_PATH: usize = 32 << 10;

/// Checks that `column` holds encoded images or sounds, or names their files.
///
/// # Errors
/// When there is no such column, or it has another type.
pub(super) fn check(schema: &Schema, column: &str, medium: Medium, path: &Path) -> Result<()> {
    let (noun, key) = (medium.noun(), medium.key());
    let mut hint = format!(
        "set `data.{key}` to a column of `struct<bytes: binary, path: string>`, binary, or paths of files"
    );
    let problem = match schema.field_with_name(column).map(|field| field.data_type()) {
        Ok(kind) if is_binary(kind) || is_text(kind) => return Ok(()),
        Ok(DataType::Struct(fields)) => {
            let field = |name: &str| fields.find(name).map(|(_, field)| field.data_type());
            match (field("bytes"), field("path"), field("array")) {
                (Some(bytes), ..) if is_binary(bytes) => return Ok(()),
                (_, _, Some(_)) => {
                    hint = format!(
                        "write them encoded, as `struct<bytes: binary, path: string>`: before \
                         `to_parquet`, `ds.cast_column(\"{column}\", datasets.{})` of Hugging Face \
                         datasets; else make a WAV or FLAC file of each array",
                        encoding::of(medium).feature
                    );
                    let names: Vec<_> =
                        fields.iter().map(|it| format!("`{}`", it.name())).collect();
                    let names = names.join(", ");
                    format!(
                        "the column `{column}` is a struct of {names}: {noun}s that were decoded to an \
                         `array` of numbers, not encoded ones"
                    )
                }
                (None | Some(DataType::Null), Some(path), None) if is_text(path) => return Ok(()),
                _ => format!("the column `{column}` is a struct without binary `bytes`"),
            }
        }
        Ok(kind) => format!("the column `{column}` is {kind}, not encoded {noun}s"),
        Err(_) => format!("there is no {noun} column `{column}`"),
    };
    let message = format!("`{}`: {problem}; the columns are {}", path.display(), describe(schema));
    Err(Error::failed(message).hint(hint))
}

fn is_binary(kind: &DataType) -> bool {
    matches!(kind, DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
}

fn is_text(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, values) => values.is_string(),
        kind => kind.is_string(),
    }
}

/// Whether the column has paths: beside the encoded images or sounds, or instead of them.
pub(super) fn has_paths(schema: &Schema, column: &str) -> bool {
    match schema.field_with_name(column).map(|field| field.data_type()) {
        Ok(DataType::Struct(fields)) => {
            fields.find("path").is_some_and(|(_, field)| is_text(field.data_type()))
        }
        Ok(kind) => is_text(kind),
        Err(_) => false,
    }
}

/// The encoded images or sounds of a batch.
pub(super) struct Encoded {
    bytes: BinaryArray,
    paths: Option<StringArray>,
}

/// The content of one row.
pub(super) enum Cell<'a> {
    Bytes(&'a [u8]),
    /// Only the path of a file.
    Path(&'a str),
    Nothing,
}

impl Encoded {
    /// Reads a column that [`check`] has passed.
    ///
    /// # Errors
    /// When a path is too long, or the file does not hold what its schema says.
    pub fn of(part: &Part, column: &str, batch: &RecordBatch) -> Result<Self> {
        let wrong = |error| damaged(&part.path, error);
        let values = column_of(batch, column, &part.path)?;
        let no_bytes = || new_null_array(&DataType::Binary, values.len());
        let (bytes, paths): (ArrayRef, _) = match values.as_struct_opt() {
            None if is_text(values.data_type()) => (no_bytes(), Some(values.clone())),
            None => (values.clone(), None),
            Some(fields) => {
                // A null struct may hide values that are not null.
                let field = |name: &str| match fields.column_by_name(name) {
                    Some(values) => {
                        is_null(fields).and_then(|null| nullif(values, &null)).map(Some)
                    }
                    None => Ok(None),
                };
                let bytes = field("bytes").map_err(wrong)?.filter(|it| is_binary(it.data_type()));
                (bytes.unwrap_or_else(no_bytes), field("path").map_err(wrong)?)
            }
        };
        let paths = paths.map(|paths| text(&paths, &part.path)).transpose()?;
        if paths.iter().flatten().flatten().any(|path| path.len() > LONGEST_PATH) {
            let message = format!("a path in `{column}` has more than {LONGEST_PATH} bytes");
            return Err(damaged(&part.path, message));
        }
        let bytes = cast(&bytes, &DataType::Binary).map_err(wrong)?;
        Ok(Self { bytes: bytes.as_binary::<i32>().clone(), paths })
    }

    /// The number of rows in the batch.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The path in a row, if it has one.
    pub fn path(&self, row: usize) -> Option<&str> {
        let paths = self.paths.as_ref().filter(|it| row < it.len() && it.is_valid(row))?;
        Some(paths.value(row)).filter(|it| !it.is_empty())
    }

    /// The content of a row.
    pub fn cell(&self, row: usize) -> Cell<'_> {
        match (row < self.bytes.len() && self.bytes.is_valid(row), self.path(row)) {
            (true, _) => Cell::Bytes(self.bytes.value(row)),
            (false, Some(path)) => Cell::Path(path),
            (false, None) => Cell::Nothing,
        }
    }
}
