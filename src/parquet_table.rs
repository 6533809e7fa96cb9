//! A small table as one Parquet file, for the results of runs. The store writes what modules read.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema};
use parquet::arrow::ArrowWriter;

use crate::{Error, Result};

/// A column of a table.
pub struct Column {
    pub name: String,
    pub values: ArrayRef,
    /// Whether the column may have nulls in other tables of its kind.
    pub nullable: bool,
}

impl Column {
    /// A column of these values.
    pub fn new(name: impl Into<String>, values: ArrayRef, nullable: bool) -> Self {
        Self { name: name.into(), values, nullable }
    }
}

/// The bytes of a Parquet file of `columns`, which must have the same length. `what` is for messages: "the curves".
///
/// # Errors
/// [`crate::Kind::Failed`] when the columns cannot be laid out.
pub fn file(what: &str, columns: Vec<Column>) -> Result<Vec<u8>> {
    let cannot = |error: String| Error::failed(format!("could not lay out {what}: {error}"));
    let field = |it: &Column| Field::new(&it.name, it.values.data_type().clone(), it.nullable);
    let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
    let columns = columns.into_iter().map(|it| it.values).collect();
    let batch =
        RecordBatch::try_new(schema.clone(), columns).map_err(|it| cannot(it.to_string()))?;
    let mut bytes = Vec::new();
    let mut write = || {
        let mut writer = ArrowWriter::try_new(&mut bytes, schema.clone(), None)?;
        writer.write(&batch)?;
        writer.close()
    };
    write().map_err(|error| cannot(error.to_string()))?;
    Ok(bytes)
}
