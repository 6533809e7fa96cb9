//! The tensor columns of Parquet: lists of floats, of one length.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array as ArrowArray, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, Float16Type, Float32Type, Float64Type, Int64Type};
use serde_json::Value;

use super::element::{Element, Encoded};
use super::label_column::names_of;
use super::label_value::{LabelType, Values, Wrong};
use super::locate::Place;
use super::parquet_part::{Column, Part, column_of, damaged, describe};
use super::row_array::Array;
use super::table::{Given, Table, Wanted, no_column, which};
use crate::{Error, Result};

/// Opens a file. Its rows are unpacked into a temporary file when the first is read.
///
/// # Errors
/// When it is not Parquet, or lacks what is wanted.
pub fn open(place: &Place, wanted: Wanted<'_>) -> Result<Table> {
    let path = place.path.clone();
    let part = Arc::new(Part::open(place.clone(), 0)?);
    let schema = part.schema();
    let name = match wanted.column {
        Some(name) => {
            let field = schema.field_with_name(name);
            let field = field.map_err(|_| no_column(&path, name, &describe(schema)))?;
            element_of(field).ok_or_else(|| {
                let kind = field.data_type();
                Error::failed(format!("column `{name}` of `{}` is {kind}", path.display())).hint(
                    "activations are lists of float16, float32 or float64, one list in each row",
                )
            })?;
            name.to_owned()
        }
        None => {
            let mut of_floats = schema.fields().iter().filter(|it| element_of(it).is_some());
            match (of_floats.next(), of_floats.next()) {
                (Some(field), None) => field.name().clone(),
                _ => return Err(which(&path, &describe(schema))),
            }
        }
    };
    let field = schema.field_with_name(&name).map_err(|error| damaged(&path, error))?;
    let element = element_of(field).unwrap_or(Element::F32);
    let shape = match shape_of(field, &path)? {
        Some(shape) => shape,
        None => vec![first_length(&part, &name)?],
    };
    let ids = schema.field_with_name("id").is_ok_and(|it| it.data_type() == &DataType::Int64);
    let ids = if ids { Some(read_ids(&part)?) } else { None };
    let (labels, names) = read_labels(&part, wanted)?;
    let values = (part.rows, shape.clone());
    let values = Array::unpacked(&path, values, Encoded::little(element), move |out| {
        unpack(&part, &name, &shape, out)
    });
    Ok(Table { values, ids, labels, names })
}

/// The type of the values of a column of lists of floats; `None` for another column.
fn element_of(field: &Field) -> Option<Element> {
    let (DataType::FixedSizeList(inner, _) | DataType::List(inner) | DataType::LargeList(inner)) =
        field.data_type()
    else {
        return None;
    };
    match inner.data_type() {
        DataType::Float16 => Some(Element::F16),
        DataType::Float32 => Some(Element::F32),
        DataType::Float64 => Some(Element::F64),
        _ => None,
    }
}

/// The shape of a row, if the schema has it: of `arrow.fixed_shape_tensor`, else the length of the lists.
fn shape_of(field: &Field, path: &Path) -> Result<Option<Vec<usize>>> {
    let length = match field.data_type() {
        DataType::FixedSizeList(_, length) => usize::try_from(*length).ok(),
        _ => None,
    };
    let metadata = field.metadata();
    let Some(text) = metadata.get("ARROW:extension:metadata").filter(|_| {
        metadata.get("ARROW:extension:name").is_some_and(|it| it == "arrow.fixed_shape_tensor")
    }) else {
        return Ok(length.map(|it| vec![it]));
    };
    let told: Option<Value> = serde_json::from_str(text).ok();
    let sides = told.as_ref().and_then(|it| it["shape"].as_array()).map(|sides| {
        let side = |it: &Value| it.as_u64().and_then(|it| usize::try_from(it).ok());
        sides.iter().map(side).collect::<Option<Vec<usize>>>()
    });
    let turned = told.as_ref().and_then(|it| it["permutation"].as_array()).is_some_and(|it| {
        !it.iter().enumerate().all(|(place, side)| side.as_u64() == Some(place as u64))
    });
    let values = |shape: &[usize]| shape.iter().try_fold(1usize, |all, it| all.checked_mul(*it));
    match sides.flatten() {
        Some(_) if turned => {
            let message = format!(
                "the tensors `{}` of `{}` have their dimensions in another order (`permutation`)",
                field.name(),
                path.display()
            );
            Err(Error::failed(message).hint("write them in the order of their dimensions"))
        }
        Some(shape) if length.is_none() || length == values(&shape) => Ok(Some(shape)),
        _ => Err(damaged(path, format!("the shape of its tensors `{}` is {text}", field.name()))),
    }
}

/// The length of the first row's list.
fn first_length(part: &Part, name: &str) -> Result<usize> {
    let first = part.reader(&[Column::Lists(name)], &[0])?.next();
    let batch = first.transpose().map_err(|error| damaged(&part.path, error))?;
    let lists = batch.as_ref().map(|it| column_of(it, name, &part.path)).transpose()?;
    match lists.and_then(|it| each(it).into_iter().next().flatten()) {
        Some(values) => Ok(values.len()),
        None => Err(damaged(&part.path, format!("column `{name}` has no list in its first row"))),
    }
}

/// The lists of a column; `None` for a row without a list.
fn each(lists: &ArrayRef) -> Vec<Option<ArrayRef>> {
    if let Some(lists) = lists.as_fixed_size_list_opt() {
        lists.iter().collect()
    } else if let Some(lists) = lists.as_list_opt::<i32>() {
        lists.iter().collect()
    } else if let Some(lists) = lists.as_list_opt::<i64>() {
        lists.iter().collect()
    } else {
        Vec::new()
    }
}

/// Writes the values of all rows, one after another.
fn unpack(part: &Part, name: &str, shape: &[usize], out: &mut File) -> Result<()> {
    let wanted: usize = shape.iter().product();
    let rows: Vec<usize> = (0..part.rows).collect();
    let mut out = BufWriter::new(out);
    let mut row = 0usize;
    for batch in part.reader(&[Column::Lists(name)], &rows)? {
        let batch = batch.map_err(|error| damaged(&part.path, error))?;
        for values in each(column_of(&batch, name, &part.path)?) {
            let told = |what: String| {
                let message = format!("row {row} of `{}`: {what}", part.path.display());
                Error::failed(message).hint("every row has one list of the same length")
            };
            let values = values.ok_or_else(|| told(format!("`{name}` is null")))?;
            if values.len() != wanted || values.null_count() > 0 {
                let (found, nulls) = (values.len(), values.null_count());
                return Err(told(format!(
                    "`{name}` has {found} values, {nulls} of them null, the first row has {wanted}"
                )));
            }
            let written = if let Some(it) = values.as_primitive_opt::<Float16Type>() {
                it.values().iter().try_for_each(|it| out.write_all(&it.to_le_bytes()))
            } else if let Some(it) = values.as_primitive_opt::<Float32Type>() {
                it.values().iter().try_for_each(|it| out.write_all(&it.to_le_bytes()))
            } else if let Some(it) = values.as_primitive_opt::<Float64Type>() {
                it.values().iter().try_for_each(|it| out.write_all(&it.to_le_bytes()))
            } else {
                return Err(told(format!("`{name}` holds {}", values.data_type())));
            };
            written.map_err(|error| Error::io("unpack", &part.path, error))?;
            row += 1;
        }
    }
    out.flush().map_err(|error| Error::io("unpack", &part.path, error))
}

fn read_ids(part: &Part) -> Result<Vec<i64>> {
    let mut ids = Vec::with_capacity(part.rows);
    read_column(part, "id", |column| {
        match column.as_primitive_opt::<Int64Type>().filter(|it| it.null_count() == 0) {
            Some(column) => ids.extend(column.values().iter().copied()),
            None => return Err("column `id` has a row without an id".to_owned()),
        }
        Ok(())
    })?;
    Ok(ids)
}

/// The labels that are wanted, and the names of their classes.
fn read_labels(part: &Part, wanted: Wanted<'_>) -> Result<(Option<Given>, Option<Vec<String>>)> {
    let Some(name) = wanted.label else { return Ok((None, None)) };
    let schema = part.schema();
    let Ok(field) = schema.field_with_name(name) else {
        if !wanted.is_needed {
            return Ok((None, None));
        }
        let message = format!(
            "`{}` has no column `{name}`; it has {}",
            part.path.display(),
            describe(schema)
        );
        return Err(Error::failed(message)
            .hint("set `data.activations.labels` to one of them, to a CSV file, or to false"));
    };
    let Some(kind) = LabelType::of(field.data_type()) else {
        let message =
            format!("column `{name}` of `{}` is {}", part.path.display(), field.data_type());
        return Err(Error::failed(message).hint("labels are whole numbers or text"));
    };
    let (mut numbers, mut texts) = (Vec::new(), Vec::new());
    read_column(part, name, |column| {
        match Values::of(column, kind) {
            Ok(Values::Nulls(rows)) => numbers.extend(std::iter::repeat_n(None, rows)),
            Ok(Values::Numbers(all)) => numbers.extend(all),
            Ok(Values::Texts(all)) => texts.extend(all.iter().map(|it| it.map(str::to_owned))),
            Err(Wrong::Damaged(what)) => return Err(what),
            Err(Wrong::NotWhole(_, value)) => {
                return Err(format!("a label in column `{name}` is {value}, which is not whole"));
            }
        }
        Ok(())
    })?;
    let given = match kind {
        LabelType::Text => Given::Texts(texts),
        _ => Given::Numbers(numbers),
    };
    let names = names_of(schema, &part.path, name, |feature| &feature["names"])?;
    Ok((Some(given), names))
}

/// Reads a column of one value in each row, batch by batch.
fn read_column(
    part: &Part,
    name: &str,
    mut take: impl FnMut(&ArrayRef) -> Result<(), String>,
) -> Result<()> {
    if part.rows == 0 {
        return Ok(());
    }
    let rows: Vec<usize> = (0..part.rows).collect();
    for batch in part.reader(&[Column::Flat(name)], &rows)? {
        let batch = batch.map_err(|error| damaged(&part.path, error))?;
        take(column_of(&batch, name, &part.path)?).map_err(|what| damaged(&part.path, what))?;
    }
    Ok(())
}
