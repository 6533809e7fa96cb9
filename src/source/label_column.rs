//! The label column of Parquet files: integers, with the names of a ClassLabel feature, or text.

use std::collections::BTreeSet;
use std::path::Path;

use arrow::array::{Array, AsArray, Int64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, Schema};
use serde_json::Value;

use super::LabelSet;
use super::class_order::Order;
use super::parquet_part::{Column, Part, column_of, damaged, describe, text};
use crate::pipeline::settings::Medium;
use crate::{Error, Result};

/// The longest JSON of label names. It takes a hundred times as much memory, at most.
const LONGEST_JSON: usize = 4 << 20;

/// Bytes of all names of labels together, where they are text.
const LONGEST_NAMES: usize = 4 << 20;

/// A column that labels are read from.
pub(super) struct LabelColumn {
    pub set: LabelSet,
    /// Strings: the label is the value's place among the sorted distinct values.
    text: bool,
    order: Order,
    /// Whether a sample may have none.
    nulls: bool,
}

impl LabelColumn {
    /// The column of all these files, which hold samples of a medium.
    ///
    /// # Errors
    /// When one lacks it, or has it in another type or under other names.
    pub fn open(parts: &[Part], column: &str, medium: Medium) -> Result<Self> {
        let mut found: Option<Labels> = None;
        for part in parts {
            let labels = Labels::of(part.schema(), column, &part.path)?;
            if found.as_ref().is_some_and(|found| *found != labels) {
                return Err(Error::failed(format!(
                    "`{}` and `{}` have different label names in the column `{column}`",
                    parts[0].path.display(),
                    part.path.display()
                ))
                .hint("name only files of one data set"));
            }
            found = Some(labels);
        }
        let (order, nulls) = match medium {
            Medium::Image => (Order::Text, false),
            Medium::Sound => (Order::Numbers, true),
        };
        let (text, names) = match found {
            Some(Labels::Text) => (true, Some(distinct(parts, column, order, nulls)?)),
            Some(Labels::Numbers(names)) => (false, names),
            None => (false, None),
        };
        let set = LabelSet { name: column.to_owned(), names };
        Ok(Self { set, text, order, nulls })
    }

    /// The labels of `batch`, which holds `rows` of `part`: below how many names there are.
    ///
    /// # Errors
    /// When one is no class, or null where it may not be.
    pub fn read(
        &self,
        part: &Part,
        rows: &[usize],
        batch: &RecordBatch,
    ) -> Result<Vec<Option<i64>>> {
        let LabelSet { name: column, names } = &self.set;
        let at = |i: usize| format!("row {} of `{}`", rows[i], part.path.display());
        let values = column_of(batch, column, &part.path)?;
        if let Some(i) = (0..values.len()).find(|&i| values.is_null(i) && !self.nulls) {
            return Err(null_label(&at(i), column));
        }
        let given: Vec<bool> = (0..values.len()).map(|i| values.is_valid(i)).collect();
        if self.text {
            let names = names.as_deref().unwrap_or_default();
            let values = text(values, &part.path)?;
            let label = |value: Option<&str>| match value {
                None => Ok(None),
                Some(value) => match self.order.find(names, value) {
                    Some(label) => Ok(Some(label)),
                    None => Err(damaged(&part.path, "it changed since it was opened")),
                },
            };
            return values.iter().map(label).collect();
        }
        let values = cast(values, &DataType::Int64).map_err(|e| damaged(&part.path, e))?;
        let values: &Int64Array = values.as_primitive::<Int64Type>();
        let label = |i: usize| {
            if !given[i] {
                return Ok(None);
            }
            let label = values.value(i);
            let known = names.as_ref().is_none_or(|names| (label as u64) < names.len() as u64);
            if values.is_null(i) || label < 0 || !known {
                let classes =
                    names.as_ref().map_or(String::new(), |n| format!(" (of {} classes)", n.len()));
                let label =
                    if values.is_null(i) { "too large".to_owned() } else { label.to_string() };
                return Err(Error::failed(format!(
                    "{}: the label in column `{column}` is {label}, which is no class{classes}",
                    at(i)
                ))
                .hint("a split without labels is read with `data.label = false`"));
            }
            Ok(Some(label))
        };
        (0..rows.len().min(given.len())).map(label).collect()
    }
}

/// What a label column holds.
#[derive(PartialEq)]
enum Labels {
    /// Integers, and the names of the ClassLabel feature where there are any.
    Numbers(Option<Vec<String>>),
    Text,
}

impl Labels {
    fn of(schema: &Schema, column: &str, path: &Path) -> Result<Self> {
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
            kind if kind.is_integer() => {
                let names = names_of(schema, path, column, |feature| &feature["names"])?;
                Ok(Self::Numbers(names))
            }
            kind => Err(Error::failed(format!(
                "`{}`: the label column `{column}` is {kind}, not integers or strings",
                path.display()
            ))
            .hint("set `data.label` to the label column's name, or to false if there is none")),
        }
    }
}

/// The names of classes where they lie in the feature `column` of the `huggingface` metadata; `None`
/// when it has none.
///
/// # Errors
/// When the metadata is too long or not what it should be.
pub(super) fn names_of(
    schema: &Schema,
    path: &Path,
    column: &str,
    lie: impl FnOnce(&Value) -> &Value,
) -> Result<Option<Vec<String>>> {
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
    let feature = &metadata["info"]["features"][column];
    let Some(names) = lie(feature).as_array() else { return Ok(None) };
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
fn distinct(parts: &[Part], column: &str, order: Order, nulls: bool) -> Result<Vec<String>> {
    let mut names = BTreeSet::new();
    let mut length = 0;
    for part in parts.iter().filter(|part| part.rows > 0) {
        let all: Vec<usize> = (0..part.rows).collect();
        let mut row = 0;
        for batch in part.reader(&[Column::Flat(column)], &all)? {
            let batch = batch.map_err(|error| damaged(&part.path, error))?;
            let values = text(column_of(&batch, column, &part.path)?, &part.path)?;
            for value in values.iter() {
                let at = || format!("row {row} of `{}`", part.path.display());
                if value.is_none() && !nulls {
                    return Err(null_label(&at(), column));
                }
                if let Some(value) = value.filter(|value| !names.contains(*value)) {
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
    let mut names = names.into_iter().collect();
    order.sort(&mut names);
    Ok(names)
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
