//! The positions of the pages in a part file.

use std::io;
use std::ops::{Range, RangeInclusive};
use std::path::Path;

use parquet::file::metadata::KeyValue;
use parquet::schema::types::TypePtr;

use crate::error::{Error, Result};
use crate::footer::{Index, RowGroup};
use crate::limits::Allowance;
use crate::location::Location;
use crate::manifest::Part;
use crate::part_file::PartFile;
use crate::schema::Schema;
use crate::tensor_page::TensorPage;

/// The position of a page, header included.
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

/// An open part file and the positions of its pages. All pages are within the file.
#[derive(Debug)]
pub(crate) struct PartIndex {
    pub at: Location,
    pub file: PartFile,
    pub groups: Vec<Group>,
    /// For each requested tensor column, the page of each row.
    pub columns: Vec<Vec<Page>>,
}

/// What a part must be like, for the checks when it is opened.
pub(crate) struct Expected<'a> {
    pub schema: &'a Schema,
    pub parquet: TypePtr,
    pub own_metadata: [KeyValue; 2],
    /// The requested tensor columns, by their place among the stored columns.
    pub columns: &'a [(usize, TensorPage)],
}

impl PartIndex {
    /// Opens a part, and checks everything except its pages against the manifest.
    pub fn open(
        at: Location,
        part: &Part,
        expected: &Expected,
        memory: &mut Allowance,
    ) -> Result<Self> {
        let path = at.path();
        let file = PartFile::open(&at, part).map_err(|error| Error::opening(path, &error))?;
        let size = file.size().map_err(|error| Error::io(path, "read", &error))?;
        if size != part.bytes {
            return Err(Error::damaged(path, format_args!("{size} bytes, not {}", part.bytes)));
        }
        let places = (part.rows)
            .saturating_mul(expected.columns.len() as u64)
            .saturating_mul(size_of::<Page>() as u64);
        // The index, while the part is opened, and its row groups, which take at most nine times as much memory. A
        // row group has at least two columns, with 5 bytes of the index for each column, and 5 more.
        let passing = (part.bytes - part.index_offset).saturating_mul(16);
        let taken = places.saturating_add(passing);
        memory.take(taken, format_args!("{at}: opening it"))?;
        let index = read_index(path, &file, part, expected)?;
        let columns =
            (expected.columns.iter()).map(|_| Vec::with_capacity(part.rows as usize)).collect();
        let mut opened = Self { at, file, groups: Vec::new(), columns };
        opened.take(&index, part, expected).map_err(|what| Error::damaged(opened.path(), what))?;
        memory.give(passing.saturating_sub(opened.groups_bytes()));
        Ok(opened)
    }

    /// The path of the part, as shown in messages.
    pub fn path(&self) -> &Path {
        self.at.path()
    }

    fn take(
        &mut self,
        index: &[u8],
        part: &Part,
        expected: &Expected,
    ) -> gimlet_thrift::Result<()> {
        let index = Index::new(index, part.index_offset)?;
        let own = &expected.own_metadata;
        let mut noted = own.each_ref().map(|_| false);
        let mut rows = 0u64;
        let said = index.read(
            &expected.parquet,
            |group| {
                let number = self.groups.len();
                rows = rows
                    .checked_add(group.rows)
                    .filter(|rows| *rows <= part.rows)
                    .ok_or_else(|| format!("row group {number} has rows that the part has not"))?;
                self.take_group(&index, &group, part.index_offset, expected)
                    .map_err(|what| format!("row group {number}, {what}"))
            },
            |key, value| {
                for (own, noted) in own.iter().zip(&mut noted) {
                    let text = own.value.as_deref().map(str::as_bytes);
                    *noted |= own.key.as_bytes() == key && text == value;
                }
            },
        )?;
        if noted.contains(&false) {
            return Err("it belongs to another generation, or has other shapes".into());
        }
        if rows != part.rows || u64::try_from(said) != Ok(rows) {
            return Err(format!("{rows} of its {} rows are in a row group", part.rows));
        }
        Ok(())
    }

    fn take_group(
        &mut self,
        index: &Index,
        group: &RowGroup,
        end: u64,
        expected: &Expected,
    ) -> gimlet_thrift::Result<()> {
        let key_columns = expected.schema.key_columns();
        let mut keys = Vec::with_capacity(key_columns);
        let at = &group.offset_indexes;
        let wrong = |column: usize, what: String| format!("column {column}: {what}");
        for (column, at) in at[..key_columns].iter().enumerate() {
            let shape = Shape { end, lengths: 0..=usize::MAX, rows_in_page: group.rows };
            shape.pages(index, at, 1, &mut keys).map_err(|what| wrong(column, what))?;
        }
        for (pages, (place, page)) in self.columns.iter_mut().zip(expected.columns) {
            let column = key_columns + place;
            let shape = Shape { end, lengths: page.lengths(), rows_in_page: 1 };
            let found = shape.pages(index, &at[column], group.rows, pages);
            found.map_err(|what| wrong(column, what))?;
        }
        self.groups.push(Group { rows: group.rows as usize, keys });
        Ok(())
    }

    /// Bytes of memory that the row groups take.
    fn groups_bytes(&self) -> u64 {
        let keys = self.groups.first().map_or(0, |group| group.keys.capacity() * size_of::<Page>());
        (self.groups.capacity() * (size_of::<Group>() + keys)) as u64
    }
}

/// The required shape of the pages of a column chunk.
struct Shape {
    /// The offset where the pages of the file end.
    end: u64,
    /// The allowed lengths of a page, header included.
    lengths: RangeInclusive<usize>,
    rows_in_page: u64,
}

impl Shape {
    /// Adds the pages of the offset index at `at` to `out`; there must be `count` of them.
    fn pages(
        &self,
        index: &Index,
        at: &Range<u64>,
        count: u64,
        out: &mut Vec<Page>,
    ) -> gimlet_thrift::Result<()> {
        let mut next_row = 0;
        index.pages(at, count, |offset, length, first_row| {
            let page = || {
                let offset = u64::try_from(offset).ok()?;
                let length = u32::try_from(length).ok()?;
                let inside = offset.checked_add(u64::from(length))? <= self.end;
                let fits = self.lengths.contains(&(length as usize));
                let follows = u64::try_from(first_row) == Ok(next_row);
                (inside && fits && follows).then_some(Page { offset, length })
            };
            out.push(page().ok_or("a page lies elsewhere, or has another length or row")?);
            next_row += self.rows_in_page;
            Ok(())
        })
    }
}

/// Reads the index and the footer, after a check of their length.
fn read_index(path: &Path, file: &PartFile, part: &Part, expected: &Expected) -> Result<Vec<u8>> {
    let length = part.bytes - part.index_offset;
    if length > longest_index(part.rows, expected) {
        return Err(Error::damaged(path, "its index is too long for its rows"));
    }
    let mut index = vec![0; length as usize];
    fill(path, file, part, &mut index)?;
    let is_right = |index: &[u8]| blake3::hash(index).to_hex().as_str() == part.index_blake3;
    if !is_right(&index) && file.forget(part.index_offset, length) {
        fill(path, file, part, &mut index)?;
    }
    match is_right(&index) {
        true => Ok(index),
        false => Err(Error::damaged(path, "its index or footer is not what was written")),
    }
}

fn fill(path: &Path, file: &PartFile, part: &Part, index: &mut [u8]) -> Result<()> {
    file.read_exact_at(index, part.index_offset).map_err(|error| match error.kind() {
        // For an object, only the first read shows that it is missing.
        io::ErrorKind::NotFound => Error::opening(path, &error),
        _ => Error::reading(path, &error),
    })
}

/// The most bytes that the index of an undamaged part has. A row group may have a single row, so each row and column
/// takes a `PageLocation` of 29 bytes, with each number at its longest, a `ColumnChunk` of 25 fields of at most 11
/// bytes, and the column's path. The metadata hold the schema as JSON, and as the base64 of Arrow's form, which is up
/// to ten times as long. 64 KiB are left for metadata of other writers.
fn longest_index(rows: u64, expected: &Expected) -> u64 {
    let columns = expected.parquet.get_fields();
    let paths: usize = columns.iter().map(|column| 32 + column.name().len()).sum();
    let row = 64 + paths + columns.len() * (29 + 25 * 11);
    let json = expected.own_metadata[1].value.as_ref().map_or(0, String::len) as u64;
    rows.saturating_mul(row as u64).saturating_add(16 * json + (64 << 10))
}
