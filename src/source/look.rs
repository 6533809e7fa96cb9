//! Looks at what lies in a folder or file that no pipeline names yet.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::file_list::{EntryKind, FileList, entries};
pub use super::folder_holds::is_parquet;
use super::folder_holds::{RAW, files};
use super::label_column;
use super::label_value::LabelType;
use super::locate::Place;
use super::parquet_part::Part;
use super::record_names::{images_alone, is_known, name_of};
use super::{labelling, media_column, open_split};
use crate::pipeline::settings::{Data, Medium, Source as SourceSettings, Split};
use crate::{Error, Result};

/// The data in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holds {
    /// Binary files of images: MNIST, CIFAR and STL-10 as they are downloaded.
    Records(Vec<PathBuf>),
    /// Parquet files.
    Parquet(Vec<PathBuf>),
    /// Files with one image or recording each.
    Files(FilesFound),
    /// No data.
    Nothing,
}

/// Files with one sample each, at any depth of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesFound {
    /// Whether they are images or recordings.
    pub medium: Medium,
    /// Their number.
    pub count: usize,
    /// The number of files of the other medium.
    pub of_other_medium: usize,
    /// The names of the folders directly inside that hold some of them, sorted.
    pub folders: Vec<String>,
    /// The number of files that lie directly in the folder.
    pub loose: usize,
    /// Whether each folder directly inside holds a file of the medium, or no file.
    pub are_classes: bool,
    /// Names of CSV files that lie directly in the folder.
    pub tables: Vec<String>,
}

/// Tells what `folder` holds, at any depth.
///
/// # Errors
/// When a folder in it cannot be listed.
pub fn holds(folder: &Path) -> Result<Holds> {
    let inside = files_in(folder)?;
    let raw = folder.join(RAW);
    let raw = if raw.is_dir() { files_in(&raw)? } else { Vec::new() };
    for files in [&inside, &raw] {
        let known = files.iter().filter(|it| is_known(it)).cloned();
        let place = |path: PathBuf| Place { place: name_of(&path).into_owned(), path };
        let images = images_alone(known.map(place).collect());
        if !images.is_empty() {
            return Ok(Holds::Records(images.into_iter().map(|it| it.path).collect()));
        }
    }
    let folders = [folder.to_path_buf()];
    let images = FileList::all_under(&folders, Medium::Image)?;
    let sounds = FileList::all_under(&folders, Medium::Sound)?;
    let is_loose = |list: &FileList| list.files.iter().any(|it| it.class.is_none());
    let has_parquet = inside.iter().any(|it| is_parquet(it));
    // Parquet files may name the files in folders beside them.
    if images.files.is_empty() && sounds.files.is_empty()
        || has_parquet && !is_loose(&images) && !is_loose(&sounds)
    {
        return Ok(match parquet_under(folder)? {
            parquet if parquet.is_empty() => Holds::Nothing,
            parquet => Holds::Parquet(parquet),
        });
    }
    let (medium, list, other) = match images.files.len() >= sounds.files.len() {
        true => (Medium::Image, images, sounds.files.len()),
        false => (Medium::Sound, sounds, images.files.len()),
    };
    let has_ending =
        |path: &PathBuf| path.extension().is_some_and(|it| it.eq_ignore_ascii_case("csv"));
    let tables = inside.into_iter().filter(has_ending);
    Ok(Holds::Files(FilesFound {
        medium,
        count: list.files.len(),
        of_other_medium: other,
        loose: list.files.iter().filter(|it| it.class.is_none()).count(),
        are_classes: list.check_classes(medium).is_ok(),
        folders: list.classes,
        tables: tables.map(|it| name_of(&it).into_owned()).collect(),
    }))
}

/// The files directly in `folder`, sorted.
fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = files(entries(folder)?);
    files.sort();
    Ok(files)
}

/// The Parquet files in `folder`; if there are none, those in the first folder inside that has some.
fn parquet_under(folder: &Path) -> Result<Vec<PathBuf>> {
    let within = |folder: &Path| -> Result<Vec<PathBuf>> {
        Ok(files_in(folder)?.into_iter().filter(|it| is_parquet(it)).collect())
    };
    let here = within(folder)?;
    if !here.is_empty() {
        return Ok(here);
    }
    let mut inner: Vec<PathBuf> = folders(folder)?;
    inner.sort();
    for folder in inner {
        let here = within(&folder)?;
        if !here.is_empty() {
            return Ok(here);
        }
    }
    Ok(Vec::new())
}

/// The folders directly in `folder`, in no order.
///
/// # Errors
/// When the folder cannot be listed.
pub fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let inner = entries(folder)?.into_iter().filter(|it| it.kind == EntryKind::Folder);
    Ok(inner.map(|it| it.path).collect())
}

/// What a column of a Parquet file may be read as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundColumn {
    /// Its name.
    pub name: String,
    /// Whether images or recordings may be read from it.
    pub is_media: bool,
    /// Whether it only names the files of images or recordings.
    pub is_paths: bool,
    /// Whether labels may be read from it.
    pub is_label: bool,
    /// Whether the file has names for its classes.
    pub is_named: bool,
}

/// The columns of a Parquet file.
///
/// # Errors
/// When it is not Parquet, or cannot be read.
pub fn columns(path: &Path) -> Result<Vec<FoundColumn>> {
    let part = Part::open(Place { path: path.to_owned(), place: name_of(path).into_owned() }, 0)?;
    let schema = part.schema();
    let column = |field: &std::sync::Arc<arrow::datatypes::Field>| -> Result<FoundColumn> {
        let (name, kind) = (field.name(), field.data_type());
        let names = label_column::names_of(schema, path, name, |feature| &feature["names"]);
        let is_media = media_column::check(schema, name, Medium::Image, path).is_ok();
        Ok(FoundColumn {
            is_media,
            is_paths: is_media && (kind.is_string() || kind.is_nested() && !has_bytes(kind)),
            is_label: LabelType::of(kind).is_some(),
            is_named: names.is_ok_and(|it| it.is_some()),
            name: name.clone(),
        })
    };
    schema.fields().iter().map(column).collect()
}

fn has_bytes(kind: &arrow::datatypes::DataType) -> bool {
    match kind {
        arrow::datatypes::DataType::Struct(fields) => fields.find("bytes").is_some(),
        _ => false,
    }
}

/// The classes of one label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LabelFound {
    /// The name of the column.
    pub name: String,
    /// The names of the classes that rows have, sorted by their number.
    pub classes: Vec<String>,
    /// The number of rows of both splits without a label.
    pub without: u64,
}

/// The labels that `data` names, with the classes that rows of the training split have, and what is to be told of them.
///
/// # Errors
/// When a split cannot be opened; when labels are ids, or those of the splits contradict each other.
pub fn labels(data: &Data) -> Result<(Vec<LabelFound>, Vec<String>)> {
    let SourceSettings::Files(files) = &data.source else {
        return Err(Error::failed("only files have labels to be looked at"));
    };
    let mut train = open_split(data, files, Split::Train)?;
    let mut test = open_split(data, files, Split::Test)?;
    let warnings = labelling::number(train.labels(), test.labels())?;
    let of_test: Vec<u64> = {
        let columns = test.labels().columns.iter();
        columns.map(|it| it.classes.missing(&it.tally)).collect()
    };
    let without_test = |place: usize| match files.hold_out {
        // Both splits know the labels of all rows.
        Some(_) => 0,
        None => of_test.get(place).copied().unwrap_or(0),
    };
    let columns = train.labels().columns.iter().enumerate();
    let found = columns.map(|(place, it)| LabelFound {
        name: it.tally.column.clone(),
        classes: it
            .classes
            .rows(&it.tally)
            .into_keys()
            .map(|class| it.classes.name(class))
            .collect(),
        without: it.classes.missing(&it.tally) + without_test(place),
    });
    Ok((found.collect(), warnings))
}
