//! Checks foreign Parquet files before the `parquet` crate reads them. That crate allocates the sizes that a file
//! claims, and recurses as deep as the schema goes: a file of a few hundred bytes could ask for more memory
//! than there is, which ends the process.

use std::cell::Cell;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use gimlet_thrift::{Thrift, Value};
use parquet::basic::{Encoding as Levels, Type as Physical};
use parquet::column::page::Page;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::serialized_reader::SerializedPageReader;

use super::{arrow_schema, delta};

/// The most bytes that a file's metadata may take in memory.
const METADATA_MEMORY: u64 = 256 << 20;

/// Upper bounds of the memory for a struct of the metadata, and for each of its bytes.
const STRUCT: u64 = 256;
const BYTE: u64 = 8;

/// The most elements of a schema, each of which becomes types of several kinds, and their deepest nesting.
const SCHEMA_ELEMENTS: usize = 10_000;
const SCHEMA_DEPTH: usize = 64;

/// The most bytes of a page when it is decompressed, and of one page from each column that is read together. The
/// length on disk says nothing: pyarrow writes a thousand uncompressed images into one page, and zstd may shrink
/// that page to almost nothing.
const LONGEST_PAGE: u64 = 1 << 30;
const LONGEST_TOGETHER: u64 = 2 << 30;

/// The compression codecs of Parquet by number, and whether each is built in.
const CODECS: [(&str, bool); 8] = [
    ("none", true),
    ("snappy", true),
    ("gzip", true),
    ("LZO", false),
    ("brotli", true),
    ("LZ4", true),
    ("zstd", true),
    ("LZ4_RAW", true),
];

/// What is wrong with a file.
#[derive(Debug)]
pub struct Wrong {
    pub what: String,
    pub why: Why,
}

/// The reason why a file is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is not a valid file.
    Damaged,
    /// It may be valid, but exceeds a limit on what is read at once.
    Limit,
    /// Its compression is not built in.
    Codec,
}

impl<T: Into<String>> From<T> for Wrong {
    fn from(what: T) -> Self {
        Self { what: what.into(), why: Why::Damaged }
    }
}

fn beyond(what: String) -> Wrong {
    Wrong { what, why: Why::Limit }
}

/// Encodings whose pages are at least as long as their values, except values that lie in a dictionary:
/// PLAIN, PLAIN_DICTIONARY, DELTA_LENGTH_BYTE_ARRAY, RLE_DICTIONARY.
const AS_LONG_AS_VALUES: [i64; 4] = [0, 2, 6, 8];
const DICTIONARY_PAGE: i64 = 2;

/// The most list values in a page; the most bytes of all lists of a column in a row group, since a single row
/// may have them all; the bytes of a value. A text also takes as much as the longest page of values that rows
/// may repeat.
const LIST_VALUES: u64 = 1 << 24;
const LIST_BYTES: u64 = 1 << 30;
const LIST_VALUE: u64 = 16;

/// How many bytes the values of columns may have.
#[derive(Debug, Clone, Copy, Default)]
pub struct Values {
    /// The number of values in pages other than dictionaries.
    count: u64,
    /// Bytes of all pages together, decompressed.
    all: u64,
    /// Bytes of the longest page, summed over columns.
    longest: u64,
    /// Bytes of the longest page from which any number of rows may take a value, such as a dictionary, summed over
    /// columns.
    said_again: u64,
    /// Whether there are pages with lengths stored as deltas.
    deltas: bool,
}

impl Values {
    /// The most bytes of `rows` rows.
    pub fn of_rows(&self, rows: u64) -> u64 {
        let once = self.all.min(rows.saturating_mul(self.longest));
        once.saturating_add(rows.saturating_mul(self.said_again))
    }

    /// Adds another column of the same rows.
    pub fn beside(self, other: Self) -> Self {
        Self {
            count: self.count.saturating_add(other.count),
            all: self.all.saturating_add(other.all),
            longest: self.longest.saturating_add(other.longest),
            said_again: self.said_again.saturating_add(other.said_again),
            deltas: self.deltas || other.deltas,
        }
    }

    /// Adds other rows of the same columns.
    pub fn above(self, other: Self) -> Self {
        Self {
            count: self.count.saturating_add(other.count),
            all: self.all.saturating_add(other.all),
            longest: self.longest.max(other.longest),
            said_again: self.said_again.max(other.said_again),
            deltas: self.deltas || other.deltas,
        }
    }

    /// Checks that one page of each column may be held at the same time.
    ///
    /// # Errors
    /// When the pages are too long together.
    pub fn check_together(&self) -> Result<(), Wrong> {
        if self.longest <= LONGEST_TOGETHER {
            return Ok(());
        }
        Err(beyond(format!(
            "the longest pages of its columns hold {} bytes together, more than the {LONGEST_TOGETHER} that are \
             read at once",
            self.longest
        )))
    }

    /// The values of a column of lists: a single row may have them all.
    fn of_lists(self, text: bool) -> Result<Self, Wrong> {
        if self.deltas {
            return Err("the lengths of text in lists are stored as deltas".into());
        }
        let each = LIST_VALUE + if text { self.said_again } else { 0 };
        let all = self.all.saturating_add(self.count.saturating_mul(each));
        if all > LIST_BYTES {
            return Err(beyond(format!(
                "the {} values in the lists of a row group take {all} bytes, more than the {LIST_BYTES} that \
                 are read at once",
                self.count
            )));
        }
        Ok(Self { all, longest: all, said_again: 0, ..self })
    }
}

/// Bytes that are read to parse a page header, tried in turn; one with statistics may need the last.
const HEADERS: [u64; 3] = [256, 16 << 10, 1 << 20];

/// Checks the footer of a file, and the offset indexes that it names.
///
/// # Errors
/// What is wrong with them, for people.
pub fn check_metadata(file: &mut File, bytes: u64) -> Result<(), Wrong> {
    let tail = read(file, bytes.checked_sub(8).ok_or("it is too short")?..bytes)?;
    let (length, magic) = tail.split_at(4);
    if magic != b"PAR1" {
        return Err("it does not end as Parquet does".into());
    }
    let length = length.iter().rev().fold(0, |length, byte| length << 8 | u64::from(*byte));
    let end = bytes - 8;
    let start = end.checked_sub(length).ok_or("its footer is longer than the file")?;
    let mut memory = METADATA_MEMORY;
    take(&mut memory, BYTE * length)?;
    let footer = read(file, start..end)?;
    let mut thrift = Thrift::new(&footer);
    let mut indexes = Vec::new();
    let mut codec = None;
    let mut rows = (0, None);
    thrift.fields(|number, value| {
        match number {
            2 => schema(value)?,
            3 => rows.1 = Some(value.number()?),
            4 => value.list(
                |_| Ok(()),
                |group| -> Result<(), String> {
                    let more = row_group(group, &mut indexes, &mut codec)?;
                    rows.0 = i64::checked_add(rows.0, more).ok_or("it has too many rows")?;
                    Ok(())
                },
            )?,
            5 => value.list(|_| Ok(()), note)?,
            _ => value.skip()?,
        }
        Ok(())
    })?;
    if let Some(codec) = codec {
        let name = usize::try_from(codec).ok().and_then(|number| CODECS.get(number));
        let name =
            name.map_or(format!("in way {codec}, which is not known"), |it| format!("by {}", it.0));
        let what = format!("it is compressed {name}, which is not built in");
        return Err(Wrong { what, why: Why::Codec });
    }
    take(&mut memory, STRUCT * thrift.structs())?;
    // Row counts are summed up, and lists get as many items. Each image alone takes a byte or more.
    if rows.1 != Some(rows.0) || rows.0 as u64 > bytes {
        return Err(format!("it claims {} rows in {bytes} bytes", rows.0).into());
    }
    Ok(check_offset_indexes(file, start, &indexes, &mut memory)?)
}

fn take(memory: &mut u64, bytes: u64) -> Result<(), String> {
    *memory = memory
        .checked_sub(bytes)
        .ok_or_else(|| format!("its metadata would take more than {METADATA_MEMORY} bytes"))?;
    Ok(())
}

/// Checks a `KeyValue` of the metadata.
fn note(value: Value) -> Result<(), String> {
    let (mut key, mut text) = (&[][..], &[][..]);
    value.fields(|number, value| {
        match number {
            1 => key = value.binary()?,
            2 => text = value.binary()?,
            _ => value.skip()?,
        }
        Ok(())
    })?;
    if key == arrow_schema::KEY { arrow_schema::check(text) } else { Ok(()) }
}

/// Checks a list of `SchemaElement`s: each group has as many children as it says, none is nested too deep.
fn schema(value: Value) -> Result<(), String> {
    // For each open group, the number of children that are still to come.
    let mut open = Vec::new();
    let left = Cell::new(0);
    value.list(
        |count| {
            left.set(count);
            match count {
                ..=SCHEMA_ELEMENTS => Ok(()),
                _ => Err(format!("its schema has {count} elements")),
            }
        },
        |element| {
            let mut children = 0;
            element.fields(|number, value| {
                match number {
                    5 => children = value.number()?,
                    _ => value.skip()?,
                }
                Ok(())
            })?;
            left.set(left.get() - 1);
            while open.last() == Some(&0) {
                open.pop();
            }
            if let Some(last) = open.last_mut() {
                *last -= 1;
            }
            match usize::try_from(children) {
                Ok(children) if children <= left.get() && open.len() < SCHEMA_DEPTH => {
                    open.push(children);
                    Ok(())
                }
                _ => Err("its schema is no tree, or too deep a one".into()),
            }
        },
    )
}

/// The number of rows in a `RowGroup`. Adds the places of its columns' offset indexes, and sets `codec` if one is
/// not built in.
fn row_group(
    value: Value,
    indexes: &mut Vec<Range<u64>>,
    codec: &mut Option<i64>,
) -> Result<i64, String> {
    let mut rows = 0;
    value.fields(|number, value| {
        match number {
            1 => value.list(
                |_| Ok(()),
                |chunk| -> Result<(), String> {
                    let [mut start, mut length] = [None; 2];
                    chunk.fields(|number, value| {
                        match number {
                            3 => value.fields(|number, value| {
                                let 4 = number else { return value.skip() };
                                let number = value.number()?;
                                let known =
                                    usize::try_from(number).ok().and_then(|it| CODECS.get(it));
                                if !known.is_some_and(|(_, built_in)| *built_in) {
                                    *codec = Some(number);
                                }
                                Ok(())
                            })?,
                            4 => start = u64::try_from(value.number()?).ok(),
                            5 => length = u64::try_from(value.number()?).ok(),
                            _ => value.skip()?,
                        }
                        Ok(())
                    })?;
                    if let (Some(start), Some(length)) = (start, length) {
                        indexes.push(start..start.saturating_add(length));
                    }
                    Ok(())
                },
            )?,
            3 => rows = value.number()?,
            _ => value.skip()?,
        }
        Ok(())
    })?;
    if rows < 0 { Err("a row group has a negative number of rows".into()) } else { Ok(rows) }
}

/// Checks that the offset indexes lie before the footer and are well formed. Reads them at once, from the first to
/// the last, with anything between them.
fn check_offset_indexes(
    file: &mut File,
    end: u64,
    indexes: &[Range<u64>],
    memory: &mut u64,
) -> Result<(), String> {
    let Some(first) = indexes.iter().map(|index| index.start).min() else { return Ok(()) };
    let last = indexes.iter().map(|index| index.end).max().unwrap_or(end);
    if last > end {
        return Err("a page index lies elsewhere".into());
    }
    take(memory, last - first)?;
    let bytes = read(file, first..last)?;
    for index in indexes {
        let mut thrift =
            Thrift::new(&bytes[(index.start - first) as usize..(index.end - first) as usize]);
        thrift.fields(|_, value| value.skip()).map_err(|what| format!("a page index: {what}"))?;
        take(memory, STRUCT * thrift.structs() + BYTE * (index.end - index.start))?;
    }
    Ok(())
}

/// Checks the headers of all pages that the `parquet` crate may read, of a column in a row group. Returns how
/// long its values may be.
///
/// # Errors
/// What is wrong with a page, for people.
pub fn check_pages(
    file: &mut File,
    bytes: u64,
    metadata: &ParquetMetaData,
    group: usize,
    column: usize,
) -> Result<Values, Wrong> {
    let chunk = metadata.row_group(group).column(column);
    let rows = metadata.row_group(group).num_rows() as u64;
    let lists = chunk.column_descr().max_rep_level() > 0;
    let most = if lists { LIST_VALUES.max(rows) } else { rows };
    let range = chunk_range(chunk).filter(|range| range.end <= bytes);
    let mut range = range.ok_or("a column lies beyond the end of the file")?;
    let index = metadata.page_index().and_then(|index| index.offset_index(group, column));
    let pages = index.map(|index| index.page_locations());
    let mut values = Values::default();
    if let Some(pages) = pages {
        values = check_located(file, bytes, range, pages, most)?;
    } else {
        while !range.is_empty() {
            range.start += check_page(file, range.clone(), most, &mut values)?;
        }
    }
    if lists {
        // Values of a short, fixed length, such as f16, take no more than `LIST_VALUE`, however they are encoded.
        let length = u64::try_from(chunk.column_descr().type_length()).unwrap_or(u64::MAX);
        let text = match chunk.column_type() {
            Physical::BYTE_ARRAY | Physical::INT96 => true,
            Physical::FIXED_LEN_BYTE_ARRAY => length > LIST_VALUE,
            _ => false,
        };
        return values.of_lists(text);
    }
    if values.deltas {
        check_deltas(file, chunk, rows, pages)?;
    }
    Ok(values)
}

/// Decompresses and checks the pages of a column that store lengths as deltas.
fn check_deltas(
    file: &File,
    chunk: &ColumnChunkMetaData,
    rows: u64,
    pages: Option<&Vec<PageLocation>>,
) -> Result<(), String> {
    let said = |error: ParquetError| error.to_string();
    let file = file.try_clone().map_err(|error| error.to_string())?;
    let most = rows as usize;
    let reader = SerializedPageReader::new(Arc::new(file), chunk, most, pages.cloned());
    for page in reader.map_err(said)? {
        let page = page.map_err(said)?;
        let encoding = page.encoding() as i64;
        if !delta::has_deltas(encoding) {
            continue;
        }
        let levels = match &page {
            Page::DataPage { .. } if chunk.column_descr().max_def_level() == 0 => Some(0),
            // The length of RLE levels lies before them. Other levels are hardly written any more.
            Page::DataPage { buf, def_level_encoding: Levels::RLE, .. } => {
                let length = buf.first_chunk().map(|length| u32::from_le_bytes(*length));
                length.and_then(|length| length.checked_add(4))
            }
            Page::DataPageV2 { def_levels_byte_len, rep_levels_byte_len, .. } => {
                def_levels_byte_len.checked_add(*rep_levels_byte_len)
            }
            _ => None,
        };
        let values = levels.and_then(|levels| page.buffer().get(levels as usize..));
        delta::check(values.ok_or("a page has levels without an end")?, encoding, rows)?;
    }
    Ok(())
}

/// Checks pages that an offset index locates. Bytes before the first of them are taken for a dictionary.
fn check_located(
    file: &mut File,
    bytes: u64,
    range: Range<u64>,
    pages: &[PageLocation],
    most: u64,
) -> Result<Values, Wrong> {
    let mut values = Values::default();
    let place = |page: &PageLocation| {
        let start = u64::try_from(page.offset).ok()?;
        let end = start.checked_add(u64::try_from(page.compressed_page_size).ok()?)?;
        (end <= bytes).then_some(start..end)
    };
    for (number, page) in pages.iter().enumerate() {
        let page = place(page).ok_or("a page lies elsewhere")?;
        if number == 0 && page.start != range.start {
            check_page(file, range.start..page.start.max(range.start), most, &mut values)?;
        }
        check_page(file, page, most, &mut values)?;
    }
    Ok(values)
}

/// Checks the page at the front of `range`, which may have up to `most_values` values. Adds its values, and returns its
/// length with the header.
fn check_page(
    file: &mut File,
    range: Range<u64>,
    most_values: u64,
    values: &mut Values,
) -> Result<u64, Wrong> {
    for window in HEADERS {
        let bytes = read(file, range.start..range.end.min(range.start.saturating_add(window)))?;
        let [mut decompressed, mut length] = [None; 2];
        let [mut kind, mut count, mut encoding] = [-1; 3];
        let mut thrift = Thrift::new(&bytes);
        let parsed = thrift.fields(|number, value| {
            match number {
                1 => kind = value.number()?,
                2 => decompressed = u64::try_from(value.number()?).ok(),
                3 => length = u64::try_from(value.number()?).ok(),
                5 | 7 => [count, encoding] = numbers(value, [1, 2])?,
                8 => [count, encoding] = numbers(value, [1, 4])?,
                _ => value.skip()?,
            }
            Ok(())
        });
        if parsed.is_err() {
            // The header may be longer than what was read of it.
            continue;
        }
        let header = bytes.len() - thrift.rest().len();
        let (Some(decompressed), Some(length)) = (decompressed, length) else { break };
        if length > range.end - range.start - header as u64 {
            return Err("a page is longer than its column".into());
        }
        if decompressed > LONGEST_PAGE {
            return Err(beyond(format!(
                "a page of {length} bytes says that it holds {decompressed}, more than the {LONGEST_PAGE} \
                 that are read at once"
            )));
        }
        let bytes = decompressed.max(length);
        // Each value of a dictionary takes a byte or more.
        let is_dictionary = kind == DICTIONARY_PAGE;
        let most_values = if is_dictionary { bytes } else { most_values };
        if !u64::try_from(count).is_ok_and(|count| count <= most_values) {
            return Err(format!("a page of {length} bytes claims to have {count} values").into());
        }
        let again = is_dictionary || !AS_LONG_AS_VALUES.contains(&encoding);
        let said_again = if again { bytes } else { 0 };
        *values = values.above(Values {
            count: if is_dictionary { 0 } else { count as u64 },
            all: bytes,
            longest: bytes,
            said_again,
            deltas: delta::has_deltas(encoding),
        });
        return Ok(header as u64 + length);
    }
    Err("a page has no header".into())
}

/// Two numeric fields of a struct; -1 for a missing one.
fn numbers(value: Value, fields: [i16; 2]) -> Result<[i64; 2], String> {
    let mut found = [-1; 2];
    value.fields(|number, value| {
        match fields.iter().position(|field| *field == number) {
            Some(place) => found[place] = value.number()?,
            None => value.skip()?,
        }
        Ok(())
    })?;
    Ok(found)
}

fn chunk_range(chunk: &ColumnChunkMetaData) -> Option<Range<u64>> {
    let start = chunk.dictionary_page_offset().unwrap_or_else(|| chunk.data_page_offset());
    let start = u64::try_from(start).ok()?;
    Some(start..start.checked_add(u64::try_from(chunk.compressed_size()).ok()?)?)
}

fn read(file: &mut File, range: Range<u64>) -> Result<Vec<u8>, String> {
    let mut read = || {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(range.start))?;
        file.take(range.end.saturating_sub(range.start)).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|error: std::io::Error| error.to_string())
}
