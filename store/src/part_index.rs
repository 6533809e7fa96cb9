//! Where the pages of a part file lie.

use std::fs::File;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use parquet::file::metadata::{KeyValue, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::page_index::offset_index::PageLocation;
use parquet::schema::types::TypePtr;

use crate::damage::cannot_read;
use crate::error::{Error, Result};
use crate::manifest::Part;
use crate::positioned::read_exact_at;
use crate::schema::Schema;
use crate::tensor_page::TensorPage;

/// Where a page lies, header and all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    pub offset: u64,
    pub length: u32,
}

/// A row group of a part: its rows, and the pages of each key column.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub rows: usize,
    pub keys: Vec<Page>,
}

/// An open part file and where its pages lie. All pages are within the file.
#[derive(Debug)]
pub(crate) struct PartIndex {
    pub path: PathBuf,
    pub file: File,
    pub groups: Vec<Group>,
    /// For each tensor column asked for, the page of each row.
    pub columns: Vec<Vec<Page>>,
}

/// What parts are checked against.
pub(crate) struct Expected<'a> {
    pub schema: &'a Schema,
    pub parquet: TypePtr,
    pub own_metadata: [KeyValue; 2],
    /// The tensor columns asked for, by their place among the stored ones.
    pub columns: &'a [(usize, TensorPage)],
}

impl PartIndex {
    /// Opens a part, and checks that it is what the manifest says, short of its pages.
    pub fn open(path: PathBuf, part: &Part, expected: &Expected) -> Result<Self> {
        let file = File::open(&path).map_err(|error| cannot_open(&path, &error))?;
        let size = file.metadata().map_err(|error| Error::io(&path, "read", &error))?.len();
        if size != part.bytes {
            return Err(Error::damaged(&path, format_args!("{size} bytes, not {}", part.bytes)));
        }
        let metadata = read_metadata(&path, &file, part, expected)?;
        let mut index = Self {
            path,
            file,
            groups: Vec::new(),
            columns: vec![Vec::new(); expected.columns.len()],
        };
        match index.take(&metadata, part, expected) {
            Ok(()) => Ok(index),
            Err(what) => Err(Error::damaged(&index.path, what)),
        }
    }

    fn take(
        &mut self,
        metadata: &ParquetMetaData,
        part: &Part,
        expected: &Expected,
    ) -> std::result::Result<(), String> {
        if metadata.file_metadata().schema_descr().root_schema() != expected.parquet.as_ref() {
            return Err("its schema is not that of the manifest".into());
        }
        let noted = metadata.file_metadata().key_value_metadata();
        if !expected.own_metadata.iter().all(|own| noted.is_some_and(|all| all.contains(own))) {
            return Err("it belongs to another generation, or has other shapes".into());
        }
        let offsets = metadata.page_index().ok_or("it has no page index")?;
        let mut rows_left = part.rows;
        for (number, group) in metadata.row_groups().iter().enumerate() {
            let rows = u64::try_from(group.num_rows()).ok().filter(|rows| *rows > 0);
            let left = rows.and_then(|rows| rows_left.checked_sub(rows));
            let (Some(rows), Some(left)) = (rows, left) else {
                return Err(format!("row group {number} has rows that the part has not"));
            };
            rows_left = left;
            let pages = |column: usize, lengths: RangeInclusive<usize>, rows_in_page: u64| {
                let locations = offsets.offset_index(number, column).map(|at| at.page_locations());
                locations
                    .and_then(|at| pages(at, part.index_offset, lengths, rows, rows_in_page))
                    .ok_or_else(|| format!("row group {number}, column {column}: a wrong index"))
            };
            let mut keys = Vec::new();
            for column in 0..expected.schema.key_columns() {
                keys.extend(pages(column, 0..=usize::MAX, rows)?);
            }
            for (found, (place, page)) in self.columns.iter_mut().zip(expected.columns) {
                found.extend(pages(expected.schema.key_columns() + place, page.lengths(), 1)?);
            }
            self.groups.push(Group { rows: rows as usize, keys });
        }
        if rows_left > 0 {
            return Err(format!("{rows_left} of its {} rows are in no row group", part.rows));
        }
        Ok(())
    }
}

/// The pages of a column in a row group; `None` if they are not one for each `rows_in_page` rows,
/// or not all within the first `end` bytes of the file, or not as long as a page may be.
fn pages(
    locations: &[PageLocation],
    end: u64,
    lengths: RangeInclusive<usize>,
    rows: u64,
    rows_in_page: u64,
) -> Option<Vec<Page>> {
    if locations.len() as u64 != rows / rows_in_page {
        return None;
    }
    let page = |(number, location): (usize, &PageLocation)| {
        let offset = u64::try_from(location.offset).ok()?;
        let length = u32::try_from(location.compressed_page_size).ok()?;
        let fits = lengths.contains(&(length as usize));
        let inside = offset.checked_add(u64::from(length)).is_some_and(|at| at <= end);
        let first_row = u64::try_from(location.first_row_index).ok()?;
        (fits && inside && first_row == number as u64 * rows_in_page)
            .then_some(Page { offset, length })
    };
    locations.iter().enumerate().map(page).collect()
}

/// Page index and footer. Their hash is checked first: Parquet's parser believes the sizes it
/// reads and allocates by them.
fn read_metadata(
    path: &Path,
    file: &File,
    part: &Part,
    expected: &Expected,
) -> Result<ParquetMetaData> {
    let length = part.bytes - part.index_offset;
    // Some 20 bytes for each page's place, and a footer of a few kilobytes for each row group.
    let columns = (expected.schema.columns.len() + 3) as u64;
    let most = part.rows.saturating_mul(columns).saturating_mul(1024).saturating_add(16 << 20);
    let length = usize::try_from(length).ok().filter(|_| length <= most);
    let Some(length) = length else {
        return Err(Error::damaged(path, "its index is too large for its rows"));
    };
    let mut index = vec![0; length];
    read_exact_at(file, &mut index, part.index_offset)
        .map_err(|error| cannot_read(path, &error))?;
    if blake3::hash(&index).to_hex().as_str() != part.index_blake3 {
        return Err(Error::damaged(path, "its index or footer is not what was written"));
    }
    let mut reader = ParquetMetaDataReader::new()
        .with_column_index_policy(PageIndexPolicy::Skip)
        .with_offset_index_policy(PageIndexPolicy::Required);
    reader
        .try_parse_sized(&Bytes::from(index), part.bytes)
        .and_then(|()| reader.finish())
        .map_err(|error| Error::damaged(path, error))
}

/// A part that the manifest names and that is not there is damage, not absence.
pub(crate) fn cannot_open(path: &Path, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::damaged(path, "the file is missing"),
        _ => Error::io(path, "open", error),
    }
}
