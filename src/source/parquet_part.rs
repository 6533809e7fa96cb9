//! Opens one Parquet file of a source, checks it with [`parquet_guard`], and reads it row by row.

use std::collections::HashMap;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::file::metadata::PageIndexPolicy;

use super::locate::Place;
use super::parquet_guard::{self, Values, Why, Wrong};
use super::{first_bytes, folder_holds, plain_file, shorten};
use crate::{Error, Result};

/// The most rows that are decoded at a time, and the most bytes that their values may have; a single row may
/// have more. A value is no longer than a page.
const BATCH_ROWS: usize = 256;
const BATCH_BYTES: u64 = 512 << 20;

/// One Parquet file of a source.
pub(super) struct Part {
    pub path: PathBuf,
    /// Its place, as in [`Place`].
    pub place: String,
    metadata: ArrowReaderMetadata,
    /// The first row's number in the source.
    pub first: usize,
    pub rows: usize,
    /// The column chunks whose pages were checked and claim nothing absurd, by row group and column.
    checked: Mutex<HashMap<(usize, usize), Values>>,
}

impl Part {
    /// Opens a file whose first row has the number `first`.
    ///
    /// # Errors
    /// When it is not Parquet, or cannot be read.
    pub fn open(Place { path, place }: Place, first: usize) -> Result<Self> {
        let failed = |error| Error::io("read", &path, error);
        let mut file = plain_file::open(&path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        let options = ArrowReaderOptions::new().with_offset_index_policy(PageIndexPolicy::Optional);
        let metadata = parquet_guard::check_metadata(&mut file, bytes)
            .and_then(|()| Ok(guarded(|| ArrowReaderMetadata::load(&file, options))?))
            .map_err(|wrong| not_parquet(&path, bytes, wrong))?;
        let rows = usize::try_from(metadata.metadata().file_metadata().num_rows())
            .map_err(|_| Error::failed(format!("`{}` is damaged", path.display())))?;
        Ok(Self { path, place, metadata, first, rows, checked: Mutex::default() })
    }

    /// The columns of the file.
    pub fn schema(&self) -> &Schema {
        self.metadata.schema()
    }

    /// The rows of all row groups in which a leaf of the schema may be null. Row groups whose statistics say that no
    /// value is null are left out.
    pub fn rows_with_nulls(&self, leaf: &[&str]) -> Vec<usize> {
        let mut found = Vec::new();
        let mut first = 0;
        for group in self.metadata.metadata().row_groups() {
            let length = usize::try_from(group.num_rows()).unwrap_or(0);
            let rows = first..(first + length).min(self.rows);
            first += length;
            let column = group.columns().iter().find(|it| {
                it.column_path().parts().iter().map(String::as_str).eq(leaf.iter().copied())
            });
            let nulls = column.and_then(|it| it.statistics()).and_then(|it| it.null_count_opt());
            if nulls != Some(0) {
                found.extend(rows);
            }
        }
        found
    }

    /// Reads batches of `columns` at `rows` (ascending, each once, at least one).
    ///
    /// # Errors
    /// When a page claims more than it can hold, or the file cannot be read.
    pub fn reader(
        &self,
        columns: &[Column],
        rows: &[usize],
    ) -> Result<impl Iterator<Item = Result<RecordBatch, String>>> {
        let mut groups = Vec::new();
        let mut ranges = Vec::new();
        let (mut start, mut kept, mut rest) = (0, 0, rows);
        for (group, metadata) in self.metadata.metadata().row_groups().iter().enumerate() {
            let length = usize::try_from(metadata.num_rows())
                .map_err(|_| damaged(&self.path, "a row group has a negative length"))?;
            let (here, after) = rest.split_at(rest.partition_point(|&row| row < start + length));
            if !here.is_empty() {
                groups.push(group);
                ranges.extend(here.iter().map(|&row| kept + row - start..kept + row - start + 1));
                kept += length;
            }
            start += length;
            rest = after;
        }
        let selection = RowSelection::from_consecutive_ranges(ranges.into_iter(), kept);
        // Opened again: clones of a `File` share one position, and reads may run in parallel.
        let mut file =
            plain_file::open(&self.path).map_err(|error| Error::io("read", &self.path, error))?;
        let mask = projection(&self.metadata, columns);
        let values = self.check_pages(&mut file, &groups, &mask)?;
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
        let builder = builder
            .with_projection(mask)
            .with_row_groups(groups)
            .with_row_selection(selection)
            .with_batch_size(batch_rows(&values));
        let mut reader = guarded(|| builder.build()).map_err(|error| damaged(&self.path, error))?;
        Ok(std::iter::from_fn(move || guarded(|| reader.next().transpose()).transpose()))
    }

    /// Checks the pages of the columns in `mask` that have not been checked before. Returns how long their values
    /// may be.
    fn check_pages(
        &self,
        file: &mut File,
        groups: &[usize],
        mask: &ProjectionMask,
    ) -> Result<Values> {
        let failed = |error| Error::io("read", &self.path, error);
        let bytes = file.metadata().map_err(failed)?.len();
        let metadata = self.metadata.metadata();
        let leaves = self.metadata.parquet_schema().num_columns();
        let mut checked = self.checked.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut all = Values::default();
        for &group in groups {
            let mut row_group = Values::default();
            for column in (0..leaves).filter(|&column| mask.leaf_included(column)) {
                let values = match checked.get(&(group, column)) {
                    Some(values) => *values,
                    None => {
                        let check =
                            || parquet_guard::check_pages(file, bytes, metadata, group, column);
                        catch_unwind(AssertUnwindSafe(check))
                            .unwrap_or_else(|_| Err("its reader panicked".into()))
                            .map_err(|wrong| refused(&self.path, wrong))?
                    }
                };
                checked.insert((group, column), values);
                row_group = row_group.beside(values);
            }
            row_group.check_together().map_err(|wrong| refused(&self.path, wrong))?;
            all = all.above(row_group);
        }
        Ok(all)
    }
}

/// How many rows with these values may be decoded at a time.
fn batch_rows(values: &Values) -> usize {
    let mut rows = BATCH_ROWS;
    while rows > 1 && values.of_rows(rows as u64) > BATCH_BYTES {
        rows /= 2;
    }
    rows
}

/// A column to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column<'a> {
    /// One value per row, or the struct of an image or sound.
    Flat(&'a str),
    /// Only the paths: those in the struct of an image or sound, or a column of paths.
    Paths(&'a str),
    /// Lists of values.
    Lists(&'a str),
}

/// The leaves of `columns` that are read. Other fields in the struct of an image are left out: they may be lists
/// with any number of values per row.
fn projection(metadata: &ArrowReaderMetadata, columns: &[Column]) -> ProjectionMask {
    let schema = metadata.parquet_schema();
    let leaves = schema.columns().iter().enumerate().filter(|(_, leaf)| {
        let [column, fields @ ..] = leaf.path().parts() else { return false };
        match leaf.max_rep_level() {
            0 => {
                let flat = columns.contains(&Column::Flat(column));
                let paths = flat || columns.contains(&Column::Paths(column));
                match fields {
                    [] => paths,
                    [field] if field == "path" => paths,
                    [field] if field == "bytes" => flat,
                    _ => false,
                }
            }
            1 => columns.contains(&Column::Lists(column)),
            _ => false,
        }
    });
    ProjectionMask::leaves(schema, leaves.map(|(number, _)| number))
}

/// Calls the `parquet` crate. It is foreign code that meets damaged bytes: a bug in it must not end a
/// long run.
fn guarded<T, E: std::fmt::Display>(read: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(read) => read.map_err(|error| error.to_string()),
        Err(_) => Err("its reader panicked".to_owned()),
    }
}

/// Values as text.
pub(super) fn text(values: &dyn Array, path: &Path) -> Result<StringArray> {
    let values = cast(values, &DataType::Utf8).map_err(|error| damaged(path, error))?;
    Ok(values.as_string::<i32>().clone())
}

/// A column of the batch; an error if the file lacks it.
pub(super) fn column_of<'a>(
    batch: &'a RecordBatch,
    column: &str,
    path: &Path,
) -> Result<&'a ArrayRef> {
    batch
        .column_by_name(column)
        .ok_or_else(|| damaged(path, format!("it has no column `{column}`")))
}

/// The columns of a schema, for a message.
pub(super) fn describe(schema: &Schema) -> String {
    let columns: Vec<String> =
        schema.fields().iter().map(|f| format!("`{}` ({})", f.name(), f.data_type())).collect();
    if columns.is_empty() { "no column".to_owned() } else { shorten(&columns) }
}

/// The error of a file that cannot be read.
pub(super) fn damaged(path: &Path, reason: impl std::fmt::Display) -> Error {
    Error::failed(format!("could not read `{}`: {reason}", path.display()))
        .hint("the file may be damaged: get it again from where it came from")
}

/// What to do about a page that is too long.
const SMALLER: &str = "the file may well be whole: write it with smaller row groups, such as \
                       `pyarrow.parquet.write_table(table, path, row_group_size=100)`";

/// The error of a file that the guard refuses.
fn refused(path: &Path, wrong: Wrong) -> Error {
    match wrong.why {
        Why::Damaged | Why::Codec => damaged(path, wrong.what),
        Why::Limit => {
            Error::failed(format!("`{}` is beyond a limit: {}", path.display(), wrong.what))
                .hint(SMALLER)
        }
    }
}

/// The error of a file of `bytes` bytes whose metadata cannot be read.
fn not_parquet(path: &Path, bytes: u64, wrong: Wrong) -> Error {
    let shown = path.display();
    let Wrong { what, why } = wrong;
    match why {
        Why::Codec => {
            return Error::failed(format!("`{shown}`: {what}")).hint(
                "write it with zstd, snappy, gzip, brotli or lz4, by the program that has written it",
            );
        }
        Why::Limit => return refused(path, Wrong { what, why }),
        Why::Damaged => {}
    }
    // A file that can no longer be read is reported elsewhere.
    let head = plain_file::start(path, first_bytes::ENOUGH as u64).unwrap_or_default();
    if bytes == 0 {
        return Error::failed(format!("`{shown}` is empty: it has 0 bytes"))
            .hint("get it again from where it came from");
    }
    if head.starts_with(b"PAR1") {
        return Error::failed(format!(
            "`{shown}` is cut off, or damaged, after {bytes} bytes: {what}"
        ))
        .hint("it begins as Parquet does: get it again from where it came from");
    }
    match first_bytes::tell(&head) {
        Some(told) => Error::failed(format!("`{shown}` is {}, not a Parquet file", told.what))
            .hint(folder_holds::instead(path).unwrap_or(told.advice)),
        None => Error::failed(format!("`{shown}` is not a Parquet file: {what}")).hint(
            "data files are Parquet; images and sounds in files of their own are named by their folder",
        ),
    }
}
