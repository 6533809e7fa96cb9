//! Reads the label column of Parquet files: whole numbers, with the names of a ClassLabel feature, or text.

use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema};
use serde_json::Value;

use super::classes::{NoClass, one_list};
use super::encoding;
use super::label_value::{LabelType, Values, Wrong};
use super::labelling::Labelling;
use super::parquet_part::{Column, Part, column_of, damaged, describe};
use super::tally::{Kind, Names, Tally};
use crate::pipeline::settings::Medium;
use crate::{Error, Result};

/// The most bytes of the JSON with label names. In memory it takes up to a hundred times as much.
const LONGEST_JSON: usize = 4 << 20;

/// Tallies the column in all these files, which hold samples of a medium. Looks at all rows: the column is
/// short, and errors in it are reported before any work.
///
/// # Errors
/// When a file lacks the column or has it in a type that cannot hold labels, when names or kinds of two files
/// contradict each other, or when a label is not whole.
pub(super) fn tally(parts: &[Part], column: &str, medium: Medium) -> Result<Tally> {
    let order = encoding::of(medium).order;
    let mut tally = Tally::new(column, order);
    // The file that decides which kind of labels these are.
    let mut decisive: Option<&Part> = None;
    for part in parts {
        let (label, names) = declared(part.schema(), column, &part.path)?;
        let kind = kind_of(label);
        match (tally.kind, kind) {
            (Kind::Numbers, Kind::Text) | (Kind::Text, Kind::Numbers) => {
                return Err(two_kinds(column, decisive, part));
            }
            (Kind::Nothing, Kind::Numbers | Kind::Text) => {
                (tally.kind, decisive) = (kind, Some(part));
            }
            _ => {}
        }
        tally.names = match (tally.names.take(), names) {
            (Some(one), Some(other)) => Some(one_list(&one, &other, column)?),
            (one, other) => one.or(other),
        };
        add(&mut tally, part, label)?;
    }
    Ok(tally)
}

/// Adds the rows of a file.
fn add(tally: &mut Tally, part: &Part, label: LabelType) -> Result<()> {
    if part.rows == 0 {
        return Ok(());
    }
    let all: Vec<usize> = (0..part.rows).collect();
    let column = tally.column.clone();
    let mut first = 0;
    for batch in part.reader(&[Column::Flat(&column)], &all)? {
        let batch = batch.map_err(|error| damaged(&part.path, error))?;
        let values = values(part, &batch, &column, label, |place| first + place)?;
        let at = |place: usize| format!("row {} of `{}`", first + place, part.path.display());
        match &values {
            Values::Nulls(rows) => tally.missing += *rows as u64,
            Values::Numbers(numbers) => {
                for (place, number) in numbers.iter().enumerate() {
                    tally.add_number(*number, || at(place));
                }
            }
            Values::Texts(texts) => {
                for (place, text) in texts.iter().enumerate() {
                    tally.add_text(text, || at(place));
                }
            }
        }
        first += values.len();
    }
    Ok(())
}

impl Labelling {
    /// The labels of `batch`, which holds `rows` of `part`.
    ///
    /// # Errors
    /// When a label is not a class, for example because the file has changed since it was opened.
    pub fn read(
        &self,
        part: &Part,
        rows: &[usize],
        batch: &RecordBatch,
    ) -> Result<Vec<Option<i64>>> {
        let column = &self.tally.column;
        let kind = batch.schema_ref().field_with_name(column).map(Field::data_type);
        let label = kind.ok().and_then(LabelType::of);
        let label = label.ok_or_else(|| damaged(&part.path, format!("it has no `{column}`")))?;
        let row = |place: usize| rows.get(place).copied().unwrap_or(place);
        let changed = |NoClass| damaged(&part.path, CHANGED);
        match values(part, batch, column, label, row)? {
            Values::Nulls(rows) => Ok(vec![None; rows]),
            Values::Numbers(numbers) => {
                let class = |it: Option<i128>| it.map_or(Ok(None), |it| self.classes.of_number(it));
                numbers.into_iter().map(class).collect::<Result<_, _>>().map_err(changed)
            }
            Values::Texts(texts) => {
                let class = |it: Option<&str>| it.map_or(Ok(None), |it| self.classes.of_text(it));
                texts.iter().map(class).collect::<Result<_, _>>().map_err(changed)
            }
        }
    }
}

const CHANGED: &str = "it changed since it was opened";

/// The labels in a batch; `row` gives the file's row for a place in the batch.
fn values(
    part: &Part,
    batch: &RecordBatch,
    column: &str,
    label: LabelType,
    row: impl Fn(usize) -> usize,
) -> Result<Values> {
    let array = column_of(batch, column, &part.path)?;
    Values::of(array, label).map_err(|wrong| match wrong {
        Wrong::Damaged(why) => damaged(&part.path, why),
        Wrong::NotWhole(place, value) => {
            let (row, path) = (row(place), part.path.display());
            let message = format!(
                "row {row} of `{path}`: the label in column `{column}` is {value}, and classes are whole \
                 numbers"
            );
            Error::failed(message).hint(
                "a column of measurements has no classes: set `data.label` to another column, or to false",
            )
        }
    })
}

/// The type of the column in a file, and the names of its classes.
fn declared(schema: &Schema, column: &str, path: &Path) -> Result<(LabelType, Option<Names>)> {
    let Ok(field) = schema.field_with_name(column) else {
        let (shown, there) = (path.display(), describe(schema));
        let message = format!("`{shown}` has no label column `{column}`; it has {there}");
        return Err(Error::failed(message)
            .hint("set `data.label` to the label column's name, or to false if there is none"));
    };
    let Some(label) = LabelType::of(field.data_type()) else {
        return Err(no_labels(path, column, field.data_type()));
    };
    let names = match label {
        LabelType::Text => None,
        LabelType::Boolean => {
            Some(Names { list: ["false", "true"].map(str::to_owned).to_vec(), file: None })
        }
        LabelType::Null | LabelType::Integer | LabelType::Float => {
            let list = names_of(schema, path, column, |feature| &feature["names"])?;
            list.map(|list| Names { list, file: Some(path.to_owned()) })
        }
    };
    Ok((label, names))
}

fn kind_of(label: LabelType) -> Kind {
    match label {
        LabelType::Null => Kind::Nothing,
        LabelType::Boolean | LabelType::Integer | LabelType::Float => Kind::Numbers,
        LabelType::Text => Kind::Text,
    }
}

/// The error of a column whose type cannot hold labels.
fn no_labels(path: &Path, column: &str, kind: &DataType) -> Error {
    let message = format!(
        "`{}`: the label column `{column}` is {kind}, and labels are whole numbers, booleans or text",
        path.display()
    );
    let hint = match kind {
        kind if kind.is_nested() => {
            "one row has one label: set `data.label` to a column of single values, or to false"
        }
        _ => "write it as integers or text, or set `data.label` to another column, or to false",
    };
    Error::failed(message).hint(hint)
}

fn two_kinds(column: &str, decisive: Option<&Part>, other: &Part) -> Error {
    let show = |part: &Part| {
        let kind = part.schema().field_with_name(column).map(|it| it.data_type().to_string());
        format!("{} in `{}`", kind.unwrap_or_default(), part.path.display())
    };
    let message = format!(
        "the labels in column `{column}` are {}, and {}",
        decisive.map(show).unwrap_or_default(),
        show(other)
    );
    Error::failed(message).hint("name only files of one data set, or write the column in one type")
}

/// The names of classes in the feature `column` of the `huggingface` metadata; `None` if it has none.
///
/// # Errors
/// When the metadata is too long or malformed.
pub(super) fn names_of(
    schema: &Schema,
    path: &Path,
    column: &str,
    lie: impl FnOnce(&Value) -> &Value,
) -> Result<Option<Vec<String>>> {
    let Some(text) = schema.metadata().get("huggingface") else { return Ok(None) };
    let wrong = |what: String| Error::failed(format!("`{}`: {what}", path.display()));
    if text.len() > LONGEST_JSON {
        return Err(wrong("its `huggingface` metadata is too long".to_owned()));
    }
    let metadata: Value = serde_json::from_str(text)
        .map_err(|error| wrong(format!("its `huggingface` metadata is not JSON: {error}")))?;
    let feature = &metadata["info"]["features"][column];
    let Some(names) = lie(feature).as_array() else { return Ok(None) };
    let names: Option<Vec<String>> =
        names.iter().map(|name| name.as_str().map(str::to_owned)).collect();
    names.map(Some).ok_or_else(|| {
        let what = "in its `huggingface` metadata is not a string";
        wrong(format!("a label name of `{column}` {what}"))
    })
}
