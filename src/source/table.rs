//! What a file of activations holds: the activations, and with them ids and labels of the rows.

use std::collections::BTreeMap;
use std::path::Path;

use super::element::Element;
use super::locate::Place;
use super::npz::{self, Arrays};
use super::row_array::Array;
use super::shorten;
use super::{npy, safetensors_file, tensor_column};
use crate::{Error, Result};

/// The names of columns and arrays that are read when the pipeline names no others.
pub const LABEL: &str = "label";
const ID: &str = "id";

/// The rows of one file.
pub struct Table {
    /// The activations.
    pub values: Array,
    /// The ids of the rows, if the file has an array of them.
    pub ids: Option<Vec<i64>>,
    /// The labels of the rows, if they are read and the file has them.
    pub labels: Option<Given>,
    /// The names of the labels' classes, if the file has them.
    pub names: Option<Vec<String>>,
}

/// The labels of rows as they are given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// Whole numbers.
    Numbers(Vec<Option<i128>>),
    /// Text.
    Texts(Vec<Option<String>>),
}

impl Given {
    /// The number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Numbers(all) => all.len(),
            Self::Texts(all) => all.len(),
        }
    }
}

/// The arrays of a file to read.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The name of the activations; the only ones there are when `None`.
    pub column: Option<&'a str>,
    /// The name of the labels; no labels are read when `None`.
    pub label: Option<&'a str>,
    /// Whether a file without these labels is an error.
    pub is_needed: bool,
}

/// A kind of file that holds activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `.npy`.
    Npy,
    /// `.npz`.
    Npz,
    /// `.safetensors`.
    Safetensors,
    /// `.parquet`.
    Parquet,
}

impl Kind {
    /// The kind of file that a name belongs to.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "npy" => Some(Self::Npy),
            "npz" => Some(Self::Npz),
            "safetensors" => Some(Self::Safetensors),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }
}

impl Table {
    /// Opens a file.
    ///
    /// # Errors
    /// When it is not what its name says, or lacks what is wanted.
    pub fn open(place: &Place, kind: Kind, wanted: Wanted<'_>) -> Result<Self> {
        let path = &place.path;
        match kind {
            Kind::Npy => of_npy(path, wanted),
            Kind::Npz => of_arrays(path, npz::open(path)?, wanted),
            Kind::Safetensors => of_arrays(path, safetensors_file::open(path)?, wanted),
            Kind::Parquet => tensor_column::open(place, wanted),
        }
    }
}

/// The one array of a `.npy` file, which has no names.
fn of_npy(path: &Path, wanted: Wanted<'_>) -> Result<Table> {
    let shown = path.display();
    let name = match (wanted.column, wanted.label.filter(|_| wanted.is_needed)) {
        (Some(column), _) => Some(("column", column)),
        (None, Some(label)) => Some(("labels", label)),
        (None, None) => None,
    };
    if let Some((key, name)) = name {
        let message = format!("`{shown}` holds one array without a name, and no `{name}`");
        return Err(Error::failed(message).hint(match key {
            "column" => "leave out `data.activations.column`".to_owned(),
            _ => "set `data.activations.labels` to a CSV file, or write both arrays into one .npz file".to_owned(),
        }));
    }
    let values = npy::open(path)?;
    if !values.encoded.element.is_float() {
        return Err(no_floats(path, "its array", values.encoded.element));
    }
    Ok(Table { values, ids: None, labels: None, names: None })
}

/// The arrays of a file that has a name for each.
fn of_arrays(path: &Path, all: Arrays, wanted: Wanted<'_>) -> Result<Table> {
    let shown = path.display();
    let mut arrays = BTreeMap::new();
    for (name, array) in all {
        // An array that cannot be read, such as one of text, matters only where it is wanted.
        let is_wanted = [wanted.column, wanted.label, Some(ID)].contains(&Some(name.as_str()));
        match array {
            Ok(array) => drop(arrays.insert(name, array)),
            Err(error) if is_wanted => return Err(error),
            Err(_) => {}
        }
    }
    let labels = match wanted.label.map(|name| (name, arrays.remove(name))) {
        None => None,
        Some((_, Some(array))) => Some(array),
        Some((name, None)) if wanted.is_needed => {
            let message = format!("`{shown}` has no array `{name}`; it has {}", list(&arrays));
            return Err(Error::failed(message)
                .hint("set `data.activations.labels` to one of them, to a CSV file, or to false"));
        }
        Some((_, None)) => None,
    };
    let ids = arrays.remove(ID);
    let (name, values) = match wanted.column {
        Some(name) => {
            let there = list(&arrays);
            let array = arrays.remove(name).ok_or_else(|| no_column(path, name, &there))?;
            (name.to_owned(), array)
        }
        None => {
            let there = list(&arrays);
            arrays.retain(|_, array| array.encoded.element.is_float());
            match arrays.len() {
                1 => arrays.pop_first().ok_or_else(|| which(path, &there))?,
                _ => return Err(which(path, &there)),
            }
        }
    };
    if !values.encoded.element.is_float() {
        return Err(no_floats(path, &format!("`{name}`"), values.encoded.element));
    }
    let numbers = |what: &str, array: Array| -> Result<Vec<i64>> {
        let (element, rows) = (array.encoded.element, values.rows);
        if element.is_float() || !array.shape.is_empty() || array.rows != rows {
            let message = format!(
                "the {what} of `{shown}` are {} of shape {:?} in {} rows, not one whole number for each of \
                 {rows} rows",
                element.name(),
                array.shape,
                array.rows
            );
            return Err(Error::failed(message)
                .hint("write them as one array of int64, with a number for each row"));
        }
        Ok(array.encoded.whole(&array.read(0, rows)?))
    };
    let labels = labels.map(|it| numbers("labels", it)).transpose()?;
    let labels = labels.map(|it| it.into_iter().map(|it| Some(i128::from(it))).collect());
    Ok(Table {
        ids: ids.map(|it| numbers("ids", it)).transpose()?,
        labels: labels.map(Given::Numbers),
        names: None,
        values,
    })
}

fn list(arrays: &BTreeMap<String, Array>) -> String {
    let each = arrays.iter().map(|(name, array)| {
        let rows = std::iter::once(array.rows).chain(array.shape.iter().copied());
        format!("`{name}` ({} {:?})", array.encoded.element.name(), rows.collect::<Vec<_>>())
    });
    let all: Vec<String> = each.collect();
    if all.is_empty() { "none".to_owned() } else { shorten(&all) }
}

/// The error of a file without the column of activations that the pipeline names.
pub fn no_column(path: &Path, name: &str, there: &str) -> Error {
    let message = format!("`{}` has no `{name}`; it has {there}", path.display());
    Error::failed(message).hint("set `data.activations.column` to one of them")
}

/// The error of a file in which no column, or several, may hold the activations.
pub fn which(path: &Path, there: &str) -> Error {
    let message = format!(
        "it is not known which array of `{}` holds activations: it has {there}",
        path.display()
    );
    Error::failed(message).hint("set `data.activations.column` to the name of an array of floats")
}

/// The error of activations that are whole numbers.
fn no_floats(path: &Path, what: &str, element: Element) -> Error {
    let message = format!("{what} in `{}` holds {}, not floats", path.display(), element.name());
    Error::failed(message).hint("write activations as float16 or float32")
}
