//! The footer of a part and its offset indexes: the structures of Parquet's `parquet.thrift` that reading pages needs.
//!
//! The `parquet` crate is not used, because a footer may be hostile: that crate allocates by the numbers of children
//! and pages that a file claims, and recurses as deep as the file's schema.

use std::ops::Range;

use parquet::basic::Type as PhysicalType;
use parquet::schema::types::Type;

use gimlet_thrift::{Result, Thrift, Value};

/// The last bytes of every Parquet file, after the length of its footer.
const MAGIC: &[u8; 4] = b"PAR1";

const OTHER_SCHEMA: &str = "its schema is not that of the manifest";

/// The bytes of a part from the end of its pages to the end of the file.
pub(crate) struct Index<'a> {
    /// Where these bytes begin in the file.
    start: u64,
    offset_indexes: &'a [u8],
    footer: &'a [u8],
}

/// A row group, as the footer describes it.
pub(crate) struct RowGroup {
    pub rows: u64,
    /// Where the offset index of each column lies in the file.
    pub offset_indexes: Vec<Range<u64>>,
}

impl<'a> Index<'a> {
    pub fn new(bytes: &'a [u8], start: u64) -> Result<Self> {
        let cut = || -> Option<Self> {
            let (rest, magic) = bytes.split_last_chunk()?;
            let (rest, length) = rest.split_last_chunk()?;
            let footer = rest.len().checked_sub(u32::from_le_bytes(*length) as usize)?;
            let (offset_indexes, footer) = rest.split_at(footer);
            (magic == MAGIC).then_some(Self { start, offset_indexes, footer })
        };
        cut().ok_or_else(|| "it does not end as Parquet does".into())
    }

    /// Reads the footer (`FileMetaData`), whose schema must be `schema`. Calls `group` with each row group, and
    /// `note` with the key and value of each metadata entry; returns the footer's number of rows.
    pub fn read(
        &self,
        schema: &Type,
        mut group: impl FnMut(RowGroup) -> Result<()>,
        mut note: impl FnMut(&[u8], Option<&[u8]>),
    ) -> Result<i64> {
        let elements = elements(schema);
        let leaves = elements.iter().filter(|element| element.is_primitive()).count();
        let (mut schemas, mut rows) = (0, None);
        Thrift::new(self.footer).fields(|number, value| {
            match number {
                2 => {
                    check_schema(value, &elements)?;
                    schemas += 1;
                }
                3 => rows = Some(value.number()?),
                4 => value.list(|_| Ok(()), |value| group(row_group(value, leaves)?))?,
                5 => value.list(|_| Ok(()), |value| metadata(value, &mut note))?,
                _ => value.skip()?,
            }
            Ok(())
        })?;
        if schemas == 0 {
            return Err(OTHER_SCHEMA.into());
        }
        rows.ok_or_else(|| "it does not say how many rows it has".into())
    }

    /// Reads an offset index of `count` pages. Calls `page` with the offset, the length and the first row of each.
    pub fn pages(
        &self,
        at: &Range<u64>,
        count: u64,
        mut page: impl FnMut(i64, i64, i64) -> Result<()>,
    ) -> Result<()> {
        let place = |at: u64| usize::try_from(at.checked_sub(self.start)?).ok();
        let bytes = place(at.start)
            .zip(place(at.end))
            .and_then(|(start, end)| self.offset_indexes.get(start..end))
            .ok_or("an offset index lies elsewhere")?;
        let mut found = 0;
        Thrift::new(bytes).fields(|number, value| match number {
            1 => value.list(
                |pages| {
                    found += pages as u64;
                    (found == count).then_some(()).ok_or_else(|| "it has other pages".into())
                },
                |value| {
                    let [mut offset, mut length, mut first_row] = [-1; 3];
                    value.fields(|number, value| {
                        match number {
                            1 => offset = value.number()?,
                            2 => length = value.number()?,
                            3 => first_row = value.number()?,
                            _ => value.skip()?,
                        }
                        Ok(())
                    })?;
                    page(offset, length, first_row)
                },
            ),
            _ => Ok(value.skip()?),
        })?;
        (found == count).then_some(()).ok_or_else(|| "it has other pages".into())
    }
}

/// The elements of a schema in the order of a footer: each group before its fields.
fn elements(schema: &Type) -> Vec<&Type> {
    let mut all = vec![schema];
    if schema.is_group() {
        all.extend(schema.get_fields().iter().flat_map(|field| elements(field)));
    }
    all
}

/// Compares a list of `SchemaElement`s with the expected schema, in everything that affects how values are stored.
fn check_schema(value: Value, expected: &[&Type]) -> Result<()> {
    let other = || Err(OTHER_SCHEMA.into());
    let mut expected_next = expected.iter();
    value.list(
        |count| if count == expected.len() { Ok(()) } else { other() },
        |value| {
            let found = SchemaElement::read(value)?;
            match expected_next.next() {
                Some(expected) if found == SchemaElement::of(expected) => Ok(()),
                _ => other(),
            }
        },
    )
}

#[derive(Debug, Default, PartialEq)]
struct SchemaElement<'a> {
    name: &'a [u8],
    physical: Option<i64>,
    length: i64,
    repetition: i64,
    children: i64,
}

impl<'a> SchemaElement<'a> {
    fn read(value: Value<'_, 'a>) -> Result<Self> {
        let mut found = Self::default();
        value.fields(|number, value| {
            match number {
                1 => found.physical = Some(value.number()?),
                2 => found.length = value.number()?,
                3 => found.repetition = value.number()?,
                4 => found.name = value.binary()?,
                5 => found.children = value.number()?,
                _ => value.skip()?,
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn of(expected: &'a Type) -> Self {
        let info = expected.get_basic_info();
        let repetition = if info.has_repetition() { info.repetition() as i64 } else { 0 };
        let name = info.name().as_bytes();
        match expected {
            Type::GroupType { fields, .. } => {
                Self { name, repetition, children: fields.len() as i64, ..Self::default() }
            }
            Type::PrimitiveType { physical_type, type_length, .. } => {
                let fixed = *physical_type == PhysicalType::FIXED_LEN_BYTE_ARRAY;
                let length = if fixed { i64::from(*type_length) } else { 0 };
                let physical = Some(*physical_type as i64);
                Self { name, physical, length, repetition, ..Self::default() }
            }
        }
    }
}

fn row_group(value: Value, columns: usize) -> Result<RowGroup> {
    let mut group = RowGroup { rows: 0, offset_indexes: Vec::with_capacity(columns) };
    value.fields(|number, value| {
        match number {
            1 => {
                group.offset_indexes.clear();
                value.list(
                    |count| match count == columns {
                        true => Ok(()),
                        false => Err(format!("a row group has {count} columns, not {columns}")),
                    },
                    |value| {
                        group.offset_indexes.push(column_chunk(value)?);
                        Ok(())
                    },
                )?;
            }
            3 => group.rows = u64::try_from(value.number()?).unwrap_or(0),
            _ => value.skip()?,
        }
        Ok(())
    })?;
    if group.rows == 0 || group.offset_indexes.len() != columns {
        return Err("a row group has no rows, or no columns".into());
    }
    Ok(group)
}

/// Reads a `ColumnChunk`; returns where its offset index lies.
fn column_chunk(value: Value) -> Result<Range<u64>> {
    let [mut offset, mut length] = [-1; 2];
    value.fields(|number, value| {
        match number {
            4 => offset = value.number()?,
            5 => length = value.number()?,
            _ => value.skip()?,
        }
        Ok(())
    })?;
    let start = u64::try_from(offset).ok();
    let range = || Some(start?..start?.checked_add(u64::try_from(length).ok()?)?);
    range().ok_or_else(|| "a column has no offset index".into())
}

fn metadata(value: Value, note: &mut impl FnMut(&[u8], Option<&[u8]>)) -> Result<()> {
    let (mut key, mut text) = (&[][..], None);
    value.fields(|number, value| {
        match number {
            1 => key = value.binary()?,
            2 => text = Some(value.binary()?),
            _ => value.skip()?,
        }
        Ok(())
    })?;
    note(key, text);
    Ok(())
}
