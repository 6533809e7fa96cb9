//! The column of Parquet files that holds encoded images or sounds: `struct<bytes: binary, path: string>`
//! as Hugging Face has it, or binary.

use std::path::Path;

use arrow::array::{AsArray, BinaryArray, RecordBatch, StringArray};
use arrow::compute::{cast, is_null, nullif};
use arrow::datatypes::{DataType, Schema};

use super::parquet_part::{Part, column_of, damaged, describe, text};
use crate::pipeline::settings::Medium;
use crate::{Error, Result};

/// Bytes of the path of an image or sound, which are kept with it.
const LONGEST_PATH: usize = 32 << 10;

/// Checks that `column` holds encoded images or sounds.
///
/// # Errors
/// When there is no such column, or it has another type.
pub(super) fn check(schema: &Schema, column: &str, medium: Medium, path: &Path) -> Result<()> {
    let (noun, key) = (medium.noun(), medium.key());
    let problem = match schema.field_with_name(column).map(|field| field.data_type()) {
        Ok(kind) if is_binary(kind) => return Ok(()),
        Ok(DataType::Struct(fields)) => match fields.find("bytes") {
            Some((_, field)) if is_binary(field.data_type()) => return Ok(()),
            _ => format!("the column `{column}` is a struct without binary `bytes`"),
        },
        Ok(kind) => format!("the column `{column}` is {kind}, not encoded {noun}s"),
        Err(_) => format!("there is no {noun} column `{column}`"),
    };
    Err(Error::failed(format!(
        "`{}`: {problem}; the columns are {}",
        path.display(),
        describe(schema)
    ))
    .hint(format!(
        "set `data.{key}` to a column of `struct<bytes: binary, path: string>` or binary"
    )))
}

fn is_binary(kind: &DataType) -> bool {
    matches!(kind, DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
}

/// Whether the column has paths beside the encoded images or sounds.
pub(super) fn has_paths(schema: &Schema, column: &str) -> bool {
    match schema.field_with_name(column).map(|field| field.data_type()) {
        Ok(DataType::Struct(fields)) => fields.find("path").is_some(),
        _ => false,
    }
}

/// The paths of a batch.
///
/// # Errors
/// When the file is not what it says.
pub(super) fn paths(part: &Part, column: &str, batch: &RecordBatch) -> Result<StringArray> {
    let values = column_of(batch, column, &part.path)?.as_struct_opt();
    let paths = values.and_then(|fields| fields.column_by_name("path"));
    let paths = paths.ok_or_else(|| damaged(&part.path, format!("`{column}` has no paths")))?;
    text(paths, &part.path)
}

/// The encoded images or sounds of a batch, and their paths where the column has them.
///
/// # Errors
/// When a path is too long, or the file is not what it says.
pub(super) fn encoded(
    part: &Part,
    column: &str,
    batch: &RecordBatch,
) -> Result<(BinaryArray, Option<StringArray>)> {
    let values = column_of(batch, column, &part.path)?;
    let (bytes, paths) = match values.as_struct_opt() {
        None => (values.clone(), None),
        Some(fields) => {
            let bytes = fields
                .column_by_name("bytes")
                .ok_or_else(|| damaged(&part.path, format!("`{column}` has no bytes")))?;
            // A null struct may lie over bytes that are not null.
            let bytes = match is_null(fields) {
                Ok(null) => nullif(bytes, &null),
                Err(error) => Err(error),
            }
            .map_err(|error| damaged(&part.path, error))?;
            let paths = fields.column_by_name("path").map(|p| text(p, &part.path)).transpose()?;
            if paths.iter().flatten().flatten().any(|path| path.len() > LONGEST_PATH) {
                let message = format!("a path in `{column}` has more than {LONGEST_PATH} bytes");
                return Err(damaged(&part.path, message));
            }
            (bytes, paths)
        }
    };
    let bytes = cast(&bytes, &DataType::Binary).map_err(|error| damaged(&part.path, error))?;
    Ok((bytes.as_binary::<i32>().clone(), paths))
}
