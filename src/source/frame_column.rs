//! The column of Parquet files that holds a label for every hop of a sound: lists of integers, with the
//! names of a ClassLabel feature, or lists of text.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray, LargeListArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type, Schema};

use super::NO_FRAME;
use super::class_order::Order;
use super::label_column::names_of;
use super::parquet_part::{Column, Part, column_of, damaged};
use crate::{Error, Result};

/// Bytes of the name of a class.
const LONGEST_NAME: usize = 1 << 10;

/// The column that labels of hops are read from.
pub(super) struct FrameColumn {
    pub name: String,
    /// Text: the label is the value's place among the sorted distinct values.
    text: bool,
    /// By label.
    pub names: Option<Vec<String>>,
}

impl FrameColumn {
    /// The column of all these files.
    ///
    /// # Errors
    /// When one lacks it, has it in another type or under other names, or there are too many classes.
    pub fn open(parts: &[Part], column: &str) -> Result<Self> {
        let mut found = None;
        for part in parts {
            let kind = kind(part.schema(), column, &part.path)?;
            if found.as_ref().is_some_and(|found| *found != kind) {
                let message = format!(
                    "`{}` and `{}` have different labels in the column `{column}`",
                    parts[0].path.display(),
                    part.path.display()
                );
                return Err(Error::failed(message).hint("name only files of one data set"));
            }
            found = Some(kind);
        }
        let (text, names) = match found {
            Some(Kind::Text) => (true, Some(distinct(parts, column)?)),
            Some(Kind::Numbers(names)) => (false, names),
            None => (false, None),
        };
        Ok(Self { name: column.to_owned(), text, names })
    }

    /// The labels of `batch`, which holds `rows` of `part`; `None` where the list is null.
    ///
    /// # Errors
    /// When one is no class.
    pub fn read(
        &self,
        part: &Part,
        rows: &[usize],
        batch: &RecordBatch,
    ) -> Result<Vec<Option<Vec<u8>>>> {
        let lists = lists(part, &self.name, self.text, batch)?;
        let values = lists.values();
        let classes: Vec<u8> = match self.text {
            true => {
                let names = self.names.as_deref().unwrap_or_default();
                let values = values.as_string::<i64>();
                let class = |name: Option<&str>| match name {
                    None => Ok(NO_FRAME),
                    Some(name) => Order::Numbers
                        .find(names, name)
                        .map(|class| class as u8)
                        .ok_or_else(|| damaged(&part.path, "it changed since it was opened")),
                };
                values.iter().map(class).collect::<Result<_>>()?
            }
            false => {
                let most = self.names.as_ref().map_or(NO_FRAME.into(), |names| names.len() as i64);
                let values = values.as_primitive::<Int64Type>();
                let class = |label: Option<i64>| match label {
                    None => Ok(NO_FRAME),
                    Some(label) if (0..most).contains(&label) => Ok(label as u8),
                    Some(label) => {
                        let message = format!(
                            "`{}`, rows {} to {}: the column `{}` has the label {label} of a hop, \
                             which is not from 0 to {}",
                            part.path.display(),
                            rows.first().unwrap_or(&0),
                            rows.last().unwrap_or(&0),
                            self.name,
                            most - 1
                        );
                        Err(Error::failed(message).hint("a hop without a label is null"))
                    }
                };
                values.iter().map(class).collect::<Result<_>>()?
            }
        };
        let frames = |row: usize| {
            let range =
                lists.value_offsets()[row] as usize..lists.value_offsets()[row + 1] as usize;
            lists.is_valid(row).then(|| classes.get(range).map(<[u8]>::to_vec)).flatten()
        };
        Ok((0..lists.len()).map(frames).collect())
    }
}

/// What such a column holds.
#[derive(PartialEq)]
enum Kind {
    Numbers(Option<Vec<String>>),
    Text,
}

fn kind(schema: &Schema, column: &str, path: &Path) -> Result<Kind> {
    let wrong = |what: String| {
        let message = format!("`{}`: the column `{column}` {what}", path.display());
        Error::failed(message)
            .hint("set `data.frames` to a column of lists of integers or strings, one for each hop")
    };
    let Ok(field) = schema.field_with_name(column) else {
        return Err(wrong("of the labels of hops is not there".to_owned()));
    };
    let (DataType::List(element)
    | DataType::LargeList(element)
    | DataType::ListView(element)
    | DataType::LargeListView(element)
    | DataType::FixedSizeList(element, _)) = field.data_type()
    else {
        return Err(wrong(format!("is {}, not lists", field.data_type())));
    };
    match element.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Ok(Kind::Text),
        DataType::Dictionary(_, value) if value.is_string() => Ok(Kind::Text),
        kind if kind.is_integer() => {
            let names = names_of(schema, path, column, |feature| &feature["feature"]["names"])?;
            match &names {
                Some(names) if names.len() > usize::from(NO_FRAME) => Err(too_many(path, column)),
                _ => Ok(Kind::Numbers(names)),
            }
        }
        kind => Err(wrong(format!("holds lists of {kind}, not of integers or strings"))),
    }
}

/// The lists of a batch, of 64-bit integers or of text.
fn lists(part: &Part, column: &str, text: bool, batch: &RecordBatch) -> Result<LargeListArray> {
    let element = if text { DataType::LargeUtf8 } else { DataType::Int64 };
    let kind = DataType::LargeList(Arc::new(Field::new_list_field(element, true)));
    let values = cast(column_of(batch, column, &part.path)?, &kind);
    let values = values.map_err(|error| damaged(&part.path, error))?;
    Ok(values.as_list::<i64>().clone())
}

/// The sorted distinct values of a column of lists of strings.
fn distinct(parts: &[Part], column: &str) -> Result<Vec<String>> {
    let mut names = BTreeSet::new();
    for part in parts.iter().filter(|part| part.rows > 0) {
        let all: Vec<usize> = (0..part.rows).collect();
        for batch in part.reader(&[Column::Lists(column)], &all)? {
            let batch = batch.map_err(|error| damaged(&part.path, error))?;
            for name in
                lists(part, column, true, &batch)?.values().as_string::<i64>().iter().flatten()
            {
                if names.contains(name) {
                    continue;
                }
                if names.len() == usize::from(NO_FRAME) || name.len() > LONGEST_NAME {
                    return Err(too_many(&part.path, column));
                }
                names.insert(name.to_owned());
            }
        }
    }
    let mut names = names.into_iter().collect();
    Order::Numbers.sort(&mut names);
    Ok(names)
}

fn too_many(path: &Path, column: &str) -> Error {
    let message = format!(
        "`{}`: the column `{column}` has more than {NO_FRAME} classes of hops, or too long names",
        path.display()
    );
    Error::failed(message).hint("set `data.frames` to a column of classes, such as phones")
}
