//! The column of Parquet files that holds a label for every hop of a sound: lists of integers, with the
//! names of a ClassLabel feature, or lists of text.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray, LargeListArray, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};

use super::NO_FRAME;
use super::class_order::Order;
use super::classes::one_list;
use super::label_column::names_of;
use super::labelling::Labelling;
use super::parquet_part::{Column, Part, column_of, damaged};
use super::tally::{Kind, Names, Tally};
use crate::{Error, Result};

/// The most bytes in the name of a class.
const LONGEST_NAME: usize = 1 << 10;

/// Tallies the column in all these files. Lists of text are read through, because their classes must be numbered.
/// Lists of numbers are long and keep their numbers, so they are not read.
///
/// # Errors
/// When a file lacks the column, has it in another type or under other names, or there are too many classes.
pub(super) fn tally(parts: &[Part], column: &str) -> Result<Tally> {
    let mut found: Option<(Kind, &Part)> = None;
    let mut names = None;
    for part in parts {
        let (kind, named) = declared(part.schema(), column, &part.path)?;
        let (first, of) = *found.get_or_insert((kind, part));
        if first != kind {
            let message = format!(
                "`{}` and `{}` have different labels in the column `{column}`",
                of.path.display(),
                part.path.display()
            );
            return Err(Error::failed(message).hint("name only files of one data set"));
        }
        names = match (names.take(), named) {
            (Some(one), Some(other)) => Some(one_list(&one, &other, column)?),
            (one, other) => one.or(other),
        };
    }
    match found {
        Some((Kind::Text, _)) => texts(parts, column),
        _ => Ok(Tally::uncounted(column, names)),
    }
}

impl Labelling {
    /// The hop labels of `batch`, which holds `rows` of `part`; `None` if the list is null.
    ///
    /// # Errors
    /// When a label is not a class.
    pub fn read_lists(
        &self,
        part: &Part,
        rows: &[usize],
        batch: &RecordBatch,
    ) -> Result<Vec<Option<Vec<u8>>>> {
        let is_text = self.tally.kind == Kind::Text;
        let lists = lists(part, &self.tally.column, is_text, batch)?;
        let values = lists.values();
        let byte = |class: Option<i64>| match class {
            None => Some(NO_FRAME),
            Some(class) => u8::try_from(class).ok().filter(|it| *it != NO_FRAME),
        };
        let classes: Vec<u8> = match is_text {
            true => {
                let class = |text: Option<&str>| {
                    let class = self.classes.of_text(text.unwrap_or_default()).ok();
                    class
                        .and_then(byte)
                        .ok_or_else(|| damaged(&part.path, "it changed since it was opened"))
                };
                values.as_string::<i64>().iter().map(class).collect::<Result<_>>()?
            }
            false => {
                let class = |label: Option<i64>| match label {
                    None => Ok(NO_FRAME),
                    Some(label) => {
                        let class = self.classes.of_number(label.into()).ok();
                        class.and_then(byte).ok_or_else(|| self.no_class(part, rows, label))
                    }
                };
                let values = values.as_primitive::<Int64Type>();
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

    fn no_class(&self, part: &Part, rows: &[usize], label: i64) -> Error {
        let classes = self.classes.names().map_or(NO_FRAME.into(), <[String]>::len);
        let message = format!(
            "`{}`, rows {} to {}: the column `{}` has the label {label} of a hop, which is not from 0 \
             to {}",
            part.path.display(),
            rows.first().unwrap_or(&0),
            rows.last().unwrap_or(&0),
            self.tally.column,
            classes.saturating_sub(1)
        );
        Error::failed(message).hint(
            "a hop without a label is null or -1; classes that have other numbers may be written as text",
        )
    }
}

fn declared(schema: &Schema, column: &str, path: &Path) -> Result<(Kind, Option<Names>)> {
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
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Ok((Kind::Text, None)),
        DataType::Dictionary(_, value) if value.is_string() => Ok((Kind::Text, None)),
        kind if kind.is_integer() => {
            let names = names_of(schema, path, column, |feature| &feature["feature"]["names"])?;
            match names {
                Some(names) if names.len() > usize::from(NO_FRAME) => Err(too_many(path, column)),
                names => {
                    let file = Some(path.to_owned());
                    Ok((Kind::Numbers, names.map(|list| Names { list, file })))
                }
            }
        }
        kind => Err(wrong(format!("holds lists of {kind}, not of integers or strings"))),
    }
}

/// The lists of a batch, of 64-bit integers or of text.
fn lists(part: &Part, column: &str, text: bool, batch: &RecordBatch) -> Result<LargeListArray> {
    let element = if text { DataType::LargeUtf8 } else { DataType::Int64 };
    let kind = DataType::LargeList(Arc::new(Field::new_list_field(element, true)));
    // A number beyond 64 bits must be an error: null would mean that there is no label.
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let values = cast_with_options(column_of(batch, column, &part.path)?, &kind, &options);
    let values = values.map_err(|error| damaged(&part.path, error))?;
    Ok(values.as_list::<i64>().clone())
}

/// Tallies a column of lists of strings.
fn texts(parts: &[Part], column: &str) -> Result<Tally> {
    let mut tally = Tally::new(column, Order::Numbers);
    tally.kind = Kind::Text;
    for part in parts.iter().filter(|part| part.rows > 0) {
        let all: Vec<usize> = (0..part.rows).collect();
        for batch in part.reader(&[Column::Lists(column)], &all)? {
            let batch = batch.map_err(|error| damaged(&part.path, error))?;
            let lists = lists(part, column, true, &batch)?;
            for name in lists.values().as_string::<i64>() {
                tally.add_text(name, || format!("`{}`", part.path.display()));
                let is_long = name.is_some_and(|it| it.len() > LONGEST_NAME);
                if is_long || tally.texts.len() > usize::from(NO_FRAME) {
                    return Err(too_many(&part.path, column));
                }
            }
        }
    }
    Ok(tally)
}

fn too_many(path: &Path, column: &str) -> Error {
    let message = format!(
        "`{}`: the column `{column}` has more than {NO_FRAME} classes of hops, or too long names",
        path.display()
    );
    Error::failed(message).hint("set `data.frames` to a column of classes, such as phones")
}
