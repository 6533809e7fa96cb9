//! Reads rows of a generation at random positions, their keys (`reader/keys.rs`), or all (`reader/every_page.rs`).

mod every_page;
pub(crate) mod keys;

use std::cell::RefCell;

use half::f16;
use zerocopy::IntoBytes;

use crate::backend::Lease;
use crate::damage::Damage;
use crate::dataset::Generation;
use crate::direct_read::{AsTheyAre, Target, Widened, read_row};
use crate::error::{Error, Result};
use crate::error_kind::ErrorKind;
use crate::limits::{Allowance, Limits};
use crate::location::Location;
use crate::manifest::Part;
use crate::part_file::PartFile;
use crate::part_index::{Expected, Page, PartIndex};
use crate::quantise::dequantise;
use crate::schema::{Column, DType, Schema};
use crate::tensor_page::{Scratch, TensorPage};

/// The most bytes of adjacent pages that are read in one call, to stay in the cache: small rows share a system call.
const READ_AT_ONCE: u64 = 256 << 10;

/// How many remote parts have their index fetched ahead: one request after another would be slow.
const OPENED_AHEAD: usize = 32;

/// Rows of at least this many bytes are read straight into the caller's buffer, with one system call per row.
const READ_DIRECTLY: usize = 32 << 10;

/// From this many bytes of f32 on, output is written past the processor's cache. The cache could not hold the output
/// until it is read, and would have to load each line before writing to it.
const PAST_THE_CACHE: usize = 64 << 20;

/// An open generation. Positions are 0 to `rows()`, over all parts in order. Several threads can read at once: share
/// it between them. While it lives, no process removes the generation.
#[derive(Debug)]
pub struct Reader {
    parts: Vec<PartIndex>,
    /// The position of the first row of each part.
    starts: Vec<u64>,
    rows: u64,
    columns: Vec<(Column, TensorPage)>,
    source: bool,
    key_names: Vec<String>,
    limits: Limits,
    _lease: Option<Lease>,
}

/// The buffers of a reading thread.
#[derive(Default)]
struct Buffers {
    /// Pages that are read together, or the bytes around the values of one page.
    pages: Vec<u8>,
    /// A piece of a row.
    block: Vec<u8>,
    scratch: Scratch,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

impl Generation {
    /// Opens the generation to read rows of the named tensor columns, and the keys.
    ///
    /// # Errors
    /// `NotFound` when there is no such column, or when the generation was removed; `Damaged` when
    /// a part is missing or its size, index or footer is not what was written.
    pub fn reader(&self, columns: &[&str]) -> Result<Reader> {
        Reader::open(self, columns, Some(self.lease()?))
    }
}

impl Reader {
    pub(crate) fn open(
        generation: &Generation,
        columns: &[&str],
        lease: Option<Lease>,
    ) -> Result<Self> {
        let manifest = generation.manifest();
        let limits = generation.dataset.records.limits;
        let schema = &manifest.schema;
        let stored = schema.stored();
        let mut places = Vec::new();
        for name in columns {
            let place = place(schema, name)?;
            let scaled = usize::from(schema.columns[place].dtype == DType::I8);
            let place = schema.stored_place(place);
            places.extend(place..=place + scaled);
        }
        let own_metadata = schema.own_metadata(&manifest.key)?;
        // The schema in the forms of Arrow and Parquet, while these are made.
        let text = own_metadata[1].value.as_ref().map_or(0, String::len);
        Allowance::new(limits.record, "record")
            .take(8 * (text + 1024 * stored.len()) as u64, "the schema")?;
        let expected = Expected {
            schema,
            parquet: schema.parquet(&manifest.key)?.0.root_schema_ptr(),
            own_metadata,
            columns: &places
                .iter()
                .map(|place| (*place, TensorPage::new(&stored[*place])))
                .collect::<Vec<_>>(),
        };
        for (_, page) in expected.columns {
            Allowance::new(limits.page, "page").take(*page.lengths().end() as u64, "a row")?;
        }
        let mut memory = Allowance::new(limits.index, "index");
        let folder = generation.dir();
        folder.check_no_link()?;
        let mut parts = Vec::new();
        let mut starts = Vec::new();
        let mut rows = 0;
        let is_remote = folder.properties().is_remote;
        let mut ahead = manifest.parts.iter().filter(|_| is_remote);
        ahead.by_ref().take(OPENED_AHEAD).for_each(|part| will_open(&folder, part));
        for part in &manifest.parts {
            ahead.by_ref().take(1).for_each(|part| will_open(&folder, part));
            parts.push(PartIndex::open(folder.join(&part.file), part, &expected, &mut memory)?);
            starts.push(rows);
            rows += part.rows;
        }
        let columns = expected
            .columns
            .iter()
            .map(|(place, page)| (stored[*place].clone(), page.clone()))
            .collect();
        let (source, key_names) = (schema.source, schema.key_names());
        Ok(Self { parts, starts, rows, columns, source, key_names, limits, _lease: lease })
    }

    /// Rows in all parts.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Reads the values of `column` at `positions` as f32, row after row: `f16` and `bf16` are widened, `i8` is scaled, `u8` is 0
    /// to 255. The length of `out` is `positions.len() * product(shape)`.
    ///
    /// # Errors
    /// `NotFound` when the reader was not opened for the column; `Failed` when a position or the length of `out` is
    /// wrong; `Damaged`, with file, row group and row, when a page is damaged.
    pub fn read_f32(&self, column: &str, positions: &[u64], out: &mut [f32]) -> Result<()> {
        let (place, page) = self.column(column)?;
        check_length(column, positions, page.values, out.len())?;
        if page.dtype == DType::F32 {
            return self.read_as_it_is(place, positions, out.as_mut_bytes());
        }
        if matches!(page.dtype, DType::F16 | DType::Bf16) && self.is_direct(place) {
            let past_the_cache = size_of_val(out) >= PAST_THE_CACHE;
            let dtype = page.dtype;
            return BUFFERS.with_borrow_mut(|Buffers { pages, block, .. }| {
                for (position, out) in positions.iter().zip(out.chunks_exact_mut(page.values)) {
                    let row = Widened { block, out, past_the_cache, dtype };
                    self.read_row(place, *position, pages, row)?;
                }
                Ok(())
            });
        }
        let mut scales = Vec::new();
        if page.dtype == DType::I8 {
            let (_, scale_page) = &self.columns[place + 1];
            scales.resize(positions.len() * scale_page.values, 0.0);
            let mut rows = scales.chunks_exact_mut(scale_page.values);
            self.for_each_row(place + 1, positions, |stored| {
                rows.next().into_iter().for_each(|row| scale_page.to_f32(stored, row));
            })?;
        }
        let mut scales = scales.chunks_exact(self.columns[place].0.channels());
        let mut rows = out.chunks_exact_mut(page.values);
        self.for_each_row(place, positions, |stored| match (rows.next(), scales.next()) {
            (Some(row), Some(scales)) => dequantise(stored, scales, row),
            (Some(row), None) => page.to_f32(stored, row),
            (None, _) => {}
        })
    }

    /// Reads the values of a `u8` column at `positions`, row after row.
    ///
    /// # Errors
    /// The errors of [`Self::read_f32`]; `Failed` also when the column has another type.
    pub fn read_u8(&self, column: &str, positions: &[u64], out: &mut [u8]) -> Result<()> {
        let (place, page) = self.column(column)?;
        check_type(column, page, DType::U8)?;
        check_length(column, positions, page.values, out.len())?;
        self.read_as_it_is(place, positions, out)
    }

    /// Reads the values of an `f16` column at `positions`, row after row, as they lie in the file.
    ///
    /// # Errors
    /// The errors of [`Self::read_f32`]; `Failed` also when the column has another type.
    pub fn read_f16(&self, column: &str, positions: &[u64], out: &mut [f16]) -> Result<()> {
        let (place, page) = self.column(column)?;
        check_type(column, page, DType::F16)?;
        check_length(column, positions, page.values, out.len())?;
        self.read_as_it_is(place, positions, out.as_mut_bytes())
    }

    /// Reads the values of a column of any type at `positions`, row after row, as they lie in the file. The scales of
    /// an `i8` column are a column of their own, `NAME_scale`.
    ///
    /// # Errors
    /// The errors of [`Self::read_f32`], where lengths are in bytes.
    pub fn read_stored(&self, column: &str, positions: &[u64], out: &mut [u8]) -> Result<()> {
        let (place, page) = self.column(column)?;
        check_length(column, positions, page.row_bytes, out.len())?;
        self.read_as_it_is(place, positions, out)
    }

    /// Bytes that the pages of `column` take on disk, page headers and scales included.
    ///
    /// # Errors
    /// `NotFound` when the reader was not opened for the column.
    pub fn stored_bytes(&self, column: &str) -> Result<u64> {
        let (place, page) = self.column(column)?;
        let places = place..=place + usize::from(page.dtype == DType::I8);
        let pages =
            self.parts.iter().flat_map(|part| part.columns[places.clone()].iter().flatten());
        Ok(pages.map(|page| u64::from(page.length)).fold(0, u64::saturating_add))
    }

    /// Tells the system that `column` will be read at `positions` soon, so that it fetches them from
    /// the disk while the caller does something else. Takes no memory of this process.
    ///
    /// # Errors
    /// `NotFound` when the reader was not opened for the column, `Failed` when a position is wrong.
    pub fn will_need(&self, column: &str, positions: &[u64]) -> Result<()> {
        let (place, page) = self.column(column)?;
        for place in place..=place + usize::from(page.dtype == DType::I8) {
            self.for_each_run(place, positions, |part, pages| {
                let start = pages[0].offset;
                part.file.will_need(start, end_of(&pages[pages.len() - 1]) - start);
                Ok(())
            })?;
        }
        Ok(())
    }

    fn column(&self, name: &str) -> Result<(usize, &TensorPage)> {
        let found = self.columns.iter().position(|(column, _)| column.name == name);
        found.map(|place| (place, &self.columns[place].1)).ok_or_else(|| {
            let what = format!("the reader was not opened for column `{name}`");
            Error::new(ErrorKind::NotFound, what)
        })
    }

    /// Whether rows are read straight into the caller's buffer, without a buffer of pages.
    fn is_direct(&self, place: usize) -> bool {
        let (_, layout) = &self.columns[place];
        layout.row_bytes >= READ_DIRECTLY && layout.around(usize::MAX).is_some()
    }

    fn read_row(
        &self,
        place: usize,
        position: u64,
        around: &mut Vec<u8>,
        mut target: impl Target,
    ) -> Result<()> {
        let (part, row) = self.locate(position)?;
        let ((column, layout), page) = (&self.columns[place], &part.columns[place][row]);
        let damaged = |what: &str| damaged_page(part, place, page, &column.name, what);
        let read = read_row(part, layout, page, around, &mut target, damaged);
        match read {
            Err(error) if error.kind() == ErrorKind::Damaged && forget(part, page) => {
                read_row(part, layout, page, around, &mut target, damaged)
            }
            read => read,
        }
    }

    /// Reads the stored values of each row, in the order of `positions`.
    fn read_as_it_is(&self, place: usize, positions: &[u64], out: &mut [u8]) -> Result<()> {
        let mut rows = out.chunks_exact_mut(self.columns[place].1.row_bytes);
        if !self.is_direct(place) {
            return self.for_each_row(place, positions, |stored| {
                rows.next().into_iter().for_each(|row| row.copy_from_slice(stored));
            });
        }
        BUFFERS.with_borrow_mut(|Buffers { pages, .. }| {
            for (position, row) in positions.iter().zip(rows) {
                self.read_row(place, *position, pages, AsTheyAre(row))?;
            }
            Ok(())
        })
    }

    /// Calls `take` with the stored values of each row, in the order of `positions`.
    fn for_each_row(
        &self,
        place: usize,
        positions: &[u64],
        mut take: impl FnMut(&[u8]),
    ) -> Result<()> {
        let (column, layout) = &self.columns[place];
        BUFFERS.with_borrow_mut(|Buffers { pages, scratch, .. }| {
            self.for_each_run(place, positions, |part, at| {
                let start = at[0].offset;
                pages.resize((end_of(&at[at.len() - 1]) - start) as usize, 0);
                part.file
                    .read_exact_at(pages, start)
                    .map_err(|error| Error::reading(part.path(), &error))?;
                for page in at {
                    let from = (page.offset - start) as usize;
                    let at = from..from + page.length as usize;
                    let damaged = |what| damaged_page(part, place, page, &column.name, what);
                    match layout.open(&pages[at.clone()], scratch) {
                        Ok(stored) => take(stored),
                        Err(what) if !forget(part, page) => return Err(damaged(what)),
                        Err(_) => {
                            let again =
                                part.file.read_exact_at(&mut pages[at.clone()], page.offset);
                            again.map_err(|error| Error::reading(part.path(), &error))?;
                            take(layout.open(&pages[at], scratch).map_err(damaged)?);
                        }
                    }
                }
                Ok(())
            })
        })
    }

    /// Calls `take` with the pages of rows that lie side by side, in the order of `positions`.
    fn for_each_run(
        &self,
        place: usize,
        positions: &[u64],
        mut take: impl FnMut(&PartIndex, &[Page]) -> Result<()>,
    ) -> Result<()> {
        let mut left = positions;
        while let Some(first) = left.first() {
            let (part, row) = self.locate(*first)?;
            let pages = &part.columns[place][row..];
            let run = run(left, pages);
            take(part, &pages[..run])?;
            left = &left[run..];
        }
        Ok(())
    }

    /// Finds the part that holds `position`, and the row within that part.
    fn locate(&self, position: u64) -> Result<(&PartIndex, usize)> {
        if position >= self.rows {
            let rows = self.rows;
            return Err(Error::failed(format_args!("there is no row {position} of {rows}")));
        }
        let part = self.starts.partition_point(|start| *start <= position) - 1;
        Ok((&self.parts[part], (position - self.starts[part]) as usize))
    }
}

/// Begins to fetch the index of a part. Errors are left to the later opening of the part.
fn will_open(folder: &Location, part: &Part) {
    if let Ok(file) = PartFile::open(&folder.join(&part.file), part) {
        file.will_need(part.index_offset, part.bytes - part.index_offset);
    }
}

fn place(schema: &Schema, name: &str) -> Result<usize> {
    schema.columns.iter().position(|column| column.name == name).ok_or_else(|| {
        let names: Vec<_> = schema.columns.iter().map(|column| column.name.as_str()).collect();
        let names = names.join(", ");
        let what = format!("there is no tensor column `{name}`; there are: {names}");
        Error::new(ErrorKind::NotFound, what)
    })
}

fn check_length(column: &str, positions: &[u64], values: usize, out: usize) -> Result<()> {
    let rows = positions.len();
    if rows.checked_mul(values) == Some(out) {
        return Ok(());
    }
    let what = format!("column `{column}`: {rows} rows of {values} values do not go into {out}");
    Err(Error::failed(what))
}

fn check_type(column: &str, page: &TensorPage, wanted: DType) -> Result<()> {
    let dtype = page.dtype;
    if dtype == wanted {
        return Ok(());
    }
    Err(Error::failed(format_args!("column `{column}` is of type {dtype:?}, not {wanted:?}")))
}

/// How many positions at the front are consecutive and have adjacent pages.
fn run(positions: &[u64], pages: &[Page]) -> usize {
    let mut run = 1;
    while run < positions.len()
        && run < pages.len()
        && positions[run].checked_sub(run as u64) == Some(positions[0])
        && pages[run].offset == end_of(&pages[run - 1])
        && end_of(&pages[run]) - pages[0].offset <= READ_AT_ONCE
    {
        run += 1;
    }
    run
}

/// Drops a wrong page from the cache. Returns whether reading it again may give other bytes.
fn forget(part: &PartIndex, page: &Page) -> bool {
    part.file.forget(page.offset, u64::from(page.length))
}

fn end_of(page: &Page) -> u64 {
    page.offset + u64::from(page.length)
}

fn damaged_page(part: &PartIndex, place: usize, page: &Page, column: &str, what: &str) -> Error {
    let at = |it: &Page| it.offset == page.offset;
    let row = part.columns[place].iter().position(at).unwrap_or_default();
    let mut row_in_group = row;
    let mut number = 0;
    for group in &part.groups {
        if row_in_group < group.rows {
            break;
        }
        row_in_group -= group.rows;
        number += 1;
    }
    Damage::of(part.path(), what).in_column(number, column).in_row(row_in_group).into()
}
