//! A row of a tensor column as a Parquet page.
//!
//! The level streams of a list of fixed length without nulls are the same in every row, and the
//! values follow them as they are in memory. `u8` values, for which Parquet has only four-byte
//! storage, are written as indices into a dictionary that maps each byte to itself.

use half::f16;
use half::slice::HalfFloatSliceExt;
use zerocopy::IntoBytes;

use crate::checksum::crc32;
use crate::page_header::{MAX_HEADER, PageHeader, PageKind, push_varint};
use crate::rows::Values;
use crate::schema::{Column, DType};
use crate::statistics::Sums;

#[cfg(target_endian = "big")]
compile_error!("the store's pages hold little-endian values as they are in memory");

/// How the pages of a tensor column look.
#[derive(Debug, Clone)]
pub(crate) struct TensorPage {
    dtype: DType,
    values: usize,
    /// The level streams, and what a `u8` column's indices begin with.
    prefix: Vec<u8>,
    /// Bytes of the values.
    row_bytes: usize,
    /// Zeros after the values: indices come in groups of eight.
    padding: usize,
}

/// Buffers for converting a row, to be reused.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    half: Vec<f16>,
    single: Vec<f32>,
}

impl TensorPage {
    pub fn new(column: &Column) -> Self {
        let values = column.values();
        let mut prefix = Vec::new();
        // Repetition levels: 0 for the first value of the row, 1 for the others.
        let first = (1, 0);
        if values == 1 {
            push_levels(&mut prefix, &[first]);
        } else {
            push_levels(&mut prefix, &[first, (values - 1, 1)]);
        }
        // Definition levels: 2 for a value that is there, as all are.
        push_levels(&mut prefix, &[(values, 2)]);
        let mut padding = 0;
        if column.dtype == DType::U8 {
            let groups = values.div_ceil(8);
            padding = groups * 8 - values;
            prefix.push(8);
            push_varint((groups << 1 | 1) as u32, &mut |byte| prefix.push(byte));
        }
        Self { dtype: column.dtype, values, prefix, row_bytes: column.row_bytes(), padding }
    }

    pub fn kind(&self) -> PageKind {
        if self.dtype == DType::U8 { PageKind::Indices } else { PageKind::Plain }
    }

    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Values in a row.
    pub fn values(&self) -> usize {
        self.values
    }

    /// Bytes after the page header.
    pub fn body(&self) -> usize {
        self.prefix.len() + self.row_bytes + self.padding
    }

    /// Room for a page whose header may have any length.
    pub fn slot(&self) -> usize {
        MAX_HEADER + self.body()
    }

    /// Builds the page of one row at the end of `slot`. Gives the length of its header, which
    /// ends where the body begins, and the sums over the values as they are stored.
    ///
    /// # Errors
    /// The index of the first value that is not a number, or that the type cannot hold.
    pub fn fill(
        &self,
        slot: &mut [u8],
        row: Values,
        scratch: &mut Scratch,
    ) -> Result<(usize, Sums), usize> {
        let (head, body) = slot.split_at_mut(MAX_HEADER);
        let (prefix, rest) = body.split_at_mut(self.prefix.len());
        let (stored, padding) = rest.split_at_mut(self.row_bytes);
        prefix.copy_from_slice(&self.prefix);
        padding.fill(0);
        let sums = match row {
            Values::U8(row) => {
                stored.copy_from_slice(row);
                Sums::of_bytes(row)
            }
            Values::F32(row) if self.dtype == DType::F16 => {
                scratch.half.resize(row.len(), f16::ZERO);
                scratch.single.resize(row.len(), 0.0);
                scratch.half.convert_from_f32_slice(row);
                scratch.half.convert_to_f32_slice(&mut scratch.single);
                stored.copy_from_slice(scratch.half.as_bytes());
                Sums::of(&scratch.single)?
            }
            Values::F32(row) => {
                stored.copy_from_slice(row.as_bytes());
                Sums::of(row)?
            }
        };
        let crc = crc32(body);
        let header = PageHeader { kind: self.kind(), body: body.len(), crc, values: self.values };
        let mut bytes = [0; MAX_HEADER];
        let length = header.encode(&mut bytes);
        head[MAX_HEADER - length..].copy_from_slice(&bytes[..length]);
        Ok((length, sums))
    }

    /// The bytes of the row's values in its page, after all checks.
    ///
    /// # Errors
    /// What is wrong with the page.
    pub fn open<'a>(&self, page: &'a [u8]) -> Result<&'a [u8], &'static str> {
        let body = PageHeader::open(page, self.kind(), self.values)?;
        if body.len() != self.body() || !body.starts_with(&self.prefix) {
            return Err("its page does not have the shape that the schema says");
        }
        Ok(&body[self.prefix.len()..][..self.row_bytes])
    }

    /// Converts a row's bytes from [`Self::open`] to f32. `out` has as many values.
    pub fn to_f32(&self, stored: &[u8], out: &mut [f32], scratch: &mut Scratch) {
        match self.dtype {
            DType::U8 => {
                for (out, value) in out.iter_mut().zip(stored) {
                    *out = f32::from(*value);
                }
            }
            DType::F16 => {
                scratch.half.resize(out.len(), f16::ZERO);
                scratch.half.as_mut_bytes().copy_from_slice(stored);
                scratch.half.convert_to_f32_slice(out);
            }
            DType::F32 => out.as_mut_bytes().copy_from_slice(stored),
        }
    }
}

/// The dictionary page of a `u8` column, header and all: each byte's own value, as INT32.
pub(crate) fn identity_dictionary() -> Vec<u8> {
    let body: Vec<u8> = (0i32..256).flat_map(i32::to_le_bytes).collect();
    let crc = crc32(&body);
    let header = PageHeader { kind: PageKind::Dictionary, body: body.len(), crc, values: 256 };
    let mut bytes = [0; MAX_HEADER];
    let length = header.encode(&mut bytes);
    [&bytes[..length], &body].concat()
}

/// A level stream of bit width 1 or 2: its length, then runs of (how many, which level).
fn push_levels(out: &mut Vec<u8>, runs: &[(usize, u8)]) {
    let mut stream = Vec::new();
    for (count, level) in runs {
        push_varint((count << 1) as u32, &mut |byte| stream.push(byte));
        stream.push(*level);
    }
    out.extend((stream.len() as u32).to_le_bytes());
    out.extend(stream);
}
