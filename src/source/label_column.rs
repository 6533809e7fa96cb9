//! The label column of Parquet files: integers, with the names of a ClassLabel feature, or text.

use std::collections::BTreeSet;
use std::path::Path;

use arrow::array::{Array, AsArray, Int64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, Schema};
use serde_json::Value;

use super::parquet_part::{Part, column_of, damaged, describe, text};
use crate::{Error, Result};

/// The longest JSON of label names. It takes a hundred times as much memory, at most.
const LONGEST_JSON: usize = 4 << 20;

/// Bytes of all names of labels together, where they are text.
const LONGEST_NAMES: usize = 4 << 20;

/// The column that labels are read from.
pub(super) struct LabelColumn {
    pub name: String,
    /// Strings: the label is the value's place among the sorted distinct values.
    pub text: bool,
}

impl LabelColumn {
    /// The labels of `batch`, which holds `rows` of `part`.
    /// Text is found among `names`, numbers are below how many there are.
    ///
    /// # Errors
    /// When one is null or no class.
    pub fn read(
        &self,
        names: Option<&[String]>,
        part: &Part,
        rows: &[usize],
        batch: &RecordBatch,
    ) -> Result<Vec<i64>> {
        let at = |i: usize| format!("row {} of `{}`", rows[i], part.path.display());
        let values = column_of(batch, &self.name, &part.path)?;
        if let Some(i) = (0..values.len()).find(|&i| values.is_null(i)) {
            return Err(null_label(&at(i), &self.name));
        }
        if self.text {
            let names = names.unwrap_or_default();
            let values = text(values, &part.path)?;
            return (0..rows.len())
                .map(|i| match names.binary_search_by(|name| name.as_str().cmp(values.value(i))) {
                    Ok(label) => Ok(label as i64),
                    Err(_) => Err(damaged(&part.path, "it changed since it was opened")),
                })
                .collect();
        }
        let values = cast(values, &DataType::Int64).map_err(|e| damaged(&part.path, e))?;
        let values: &Int64Array = values.as_primitive::<Int64Type>();
        for i in 0..rows.len() {
            let label = values.value(i);
            let known = names.is_none_or(|names| (label as u64) < names.len() as u64);
            if values.is_null(i) || label < 0 || !known {
                let classes = names.map_or(String::new(), |n| format!(" (of {} classes)", n.len()));
                let label =
                    if values.is_null(i) { "too large".to_owned() } else { label.to_string() };
                return Err(Error::failed(format!(
                    "{}: the label in column `{}` is {label}, which is no class{classes}",
                    at(i),
                    self.name
                ))
                .hint("a split without labels is read with `data.label = false`"));
            }
        }
        Ok(values.values().to_vec())
    }
}

/// What a label column holds.
#[derive(PartialEq)]
pub(super) enum Labels {
    /// Integers, and the names of the ClassLabel feature where there are any.
    Numbers(Option<Vec<String>>),
    Text,
}

impl Labels {
    pub fn of(schema: &Schema, column: &str, path: &Path) -> Result<Self> {
        let Ok(field) = schema.field_with_name(column) else {
            return Err(Error::failed(format!(
                "`{}` has no label column `{column}`; it has {}",
                path.display(),
                describe(schema)
            ))
            .hint("set `data.label` to the label column's name, or to false if there is none"));
        };
        match field.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Ok(Self::Text),
            DataType::Dictionary(_, value) if value.is_string() => Ok(Self::Text),
            kind if kind.is_integer() => Ok(Self::Numbers(class_names(schema, column, path)?)),
            kind => Err(Error::failed(format!(
                "`{}`: the label column `{column}` is {kind}, not integers or strings",
                path.display()
            ))
            .hint("set `data.label` to the label column's name, or to false if there is none")),
        }
    }
}

/// The names of the ClassLabel feature `column` in the `huggingface` metadata; `None` when it has
/// none.
fn class_names(schema: &Schema, column: &str, path: &Path) -> Result<Option<Vec<String>>> {
    let Some(text) = schema.metadata().get("huggingface") else { return Ok(None) };
    if text.len() > LONGEST_JSON {
        let message = format!("`{}`: its `huggingface` metadata is too long", path.display());
        return Err(Error::failed(message));
    }
    let metadata: Value = serde_json::from_str(text).map_err(|error| {
        Error::failed(format!(
            "`{}`: its `huggingface` metadata is not JSON: {error}",
            path.display()
        ))
    })?;
    let Some(names) = metadata["info"]["features"][column]["names"].as_array() else {
        return Ok(None);
    };
    let names: Option<Vec<String>> =
        names.iter().map(|name| name.as_str().map(str::to_owned)).collect();
    names.map(Some).ok_or_else(|| {
        Error::failed(format!(
            "`{}`: a label name of `{column}` in its `huggingface` metadata is not a string",
            path.display()
        ))
    })
}

/// The sorted distinct values of a column of strings.
pub(super) fn distinct(parts: &[Part], column: &str) -> Result<Vec<String>> {
    let mut names = BTreeSet::new();
    let mut length = 0;
    for part in parts.iter().filter(|part| part.rows > 0) {
        let all: Vec<usize> = (0..part.rows).collect();
        let mut row = 0;
        for batch in part.reader(&[column], &all)? {
            let batch = batch.map_err(|error| damaged(&part.path, error))?;
            let values = text(column_of(&batch, column, &part.path)?, &part.path)?;
            for value in values.iter() {
                let at = || format!("row {row} of `{}`", part.path.display());
                let value = value.ok_or_else(|| null_label(&at(), column))?;
                if !names.contains(value) {
                    length += value.len();
                    if length > LONGEST_NAMES {
                        return Err(too_many_names(&part.path, column));
                    }
                    names.insert(value.to_owned());
                }
                row += 1;
            }
        }
    }
    Ok(names.into_iter().collect())
}

fn null_label(at: &str, column: &str) -> Error {
    Error::failed(format!("{at}: the label in column `{column}` is null"))
        .hint("data without labels is read with `data.label = false`")
}

fn too_many_names(path: &Path, column: &str) -> Error {
    let message = format!(
        "`{}`: the different labels in column `{column}` have more than {LONGEST_NAMES} bytes",
        path.display()
    );
    Error::failed(message).hint("set `data.label` to a column that names classes, or to false")
}
