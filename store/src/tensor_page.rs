//! A row of a tensor column as a Parquet page.
//!
//! The level streams of a list of fixed length without nulls are the same in every row, and the
//! values follow them as they are in memory. Values of one byte, for which Parquet has only
//! four-byte storage, are written as indices into a dictionary that maps each byte to itself.

use std::io;
use std::ops::RangeInclusive;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use zerocopy::IntoBytes;

use crate::checksum::{Crc32, crc32};
use crate::compression::{Codec, Compression};
use crate::half_precision;
use crate::page_header::{MAX_HEADER, PageHeader, PageKind, UNREADABLE, push_varint};
use crate::rows::Values;
use crate::schema::{Column, DType};
use crate::statistics::Sums;

#[cfg(target_endian = "big")]
compile_error!("the store's pages hold little-endian values as they are in memory");

/// The layout of the pages of a stored tensor column.
#[derive(Debug, Clone)]
pub(crate) struct TensorPage {
    pub dtype: DType,
    compression: Compression,
    /// Values in a row.
    pub values: usize,
    /// The level streams, and the start of the indices of one-byte values.
    prefix: Vec<u8>,
    /// The checksum so far, after the prefix.
    begun: Crc32,
    /// Bytes of a row's values, decompressed.
    pub row_bytes: usize,
    /// Zeros after the values: indices come in groups of eight.
    padding: usize,
}

/// Reusable buffers for a row.
#[derive(Default)]
pub(crate) struct Scratch {
    pub codec: Codec,
    body: Vec<u8>,
    half: Vec<f16>,
    brain: Vec<bf16>,
    pub single: Vec<f32>,
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
        if column.dtype.bytes() == 1 {
            let groups = values.div_ceil(8);
            padding = groups * 8 - values;
            prefix.push(8);
            push_varint((groups << 1 | 1) as u32, &mut |byte| prefix.push(byte));
        }
        let row_bytes = values * column.dtype.bytes();
        let (dtype, compression) = (column.dtype, column.compression);
        let begun = Crc32::of(&prefix);
        Self { dtype, compression, values, prefix, begun, row_bytes, padding }
    }

    /// Bytes after the page header, decompressed.
    pub fn body(&self) -> usize {
        self.prefix.len() + self.row_bytes + self.padding
    }

    /// Where the values begin in the body.
    pub fn values_at(&self) -> usize {
        self.prefix.len()
    }

    /// The possible lengths of a page, header included.
    pub fn lengths(&self) -> RangeInclusive<usize> {
        let most = MAX_HEADER + self.compression.most(self.body());
        match self.compression {
            Compression::None => self.body()..=most,
            _ => 1..=most,
        }
    }

    fn kind(&self) -> PageKind {
        if self.dtype.bytes() == 1 { PageKind::Indices } else { PageKind::Plain }
    }

    /// Writes the header for a page with this body, compressed or not; returns its length.
    pub fn header(&self, body: &[u8], out: &mut [u8; MAX_HEADER]) -> usize {
        let header = PageHeader {
            kind: self.kind(),
            body: body.len(),
            decompressed: self.body(),
            crc: crc32(body),
            values: self.values,
        };
        header.encode(out)
    }

    /// Builds the body of a row's page, except its values. Returns the room in which the caller writes them.
    pub fn begin<'a>(&self, body: &'a mut [u8]) -> &'a mut [u8] {
        let (prefix, rest) = body.split_at_mut(self.prefix.len());
        let (stored, padding) = rest.split_at_mut(self.row_bytes);
        prefix.copy_from_slice(&self.prefix);
        padding.fill(0);
        stored
    }

    /// Builds the body of a row's page. Returns the sums over the values as they are stored.
    ///
    /// # Errors
    /// The index of the first value that is not a number, or that the type cannot hold.
    pub fn fill(&self, body: &mut [u8], row: Values, scratch: &mut Scratch) -> Result<Sums, usize> {
        let stored = self.begin(body);
        match row {
            Values::U8(row) => {
                stored.copy_from_slice(row);
                Ok(Sums::of_bytes(row))
            }
            Values::F32(row) if self.dtype == DType::F16 => {
                scratch.half.resize(row.len(), f16::ZERO);
                scratch.single.resize(row.len(), 0.0);
                scratch.half.convert_from_f32_slice(row);
                scratch.half.convert_to_f32_slice(&mut scratch.single);
                stored.copy_from_slice(scratch.half.as_bytes());
                Sums::of(&scratch.single)
            }
            Values::F32(row) if self.dtype == DType::Bf16 => {
                scratch.brain.resize(row.len(), bf16::ZERO);
                scratch.single.resize(row.len(), 0.0);
                scratch.brain.convert_from_f32_slice(row);
                scratch.brain.convert_to_f32_slice(&mut scratch.single);
                stored.copy_from_slice(scratch.brain.as_bytes());
                Sums::of(&scratch.single)
            }
            Values::F32(row) => {
                stored.copy_from_slice(row.as_bytes());
                Sums::of(row)
            }
        }
    }

    /// The bytes of the row's values in its page, after all checks.
    ///
    /// # Errors
    /// What is wrong with the page.
    pub fn open<'a>(
        &self,
        page: &'a [u8],
        scratch: &'a mut Scratch,
    ) -> Result<&'a [u8], &'static str> {
        let (size, mut body) = PageHeader::open_sized(page, self.kind(), self.values)?;
        if size != self.body() {
            return Err(WRONG_SHAPE);
        }
        if self.compression != Compression::None {
            let Scratch { codec, body: decompressed, .. } = scratch;
            decompressed.resize(size, 0);
            codec
                .decompress(self.compression, body, decompressed)
                .ok_or("its page cannot be decompressed")?;
            body = decompressed;
        }
        if body.len() != size || !body.starts_with(&self.prefix) {
            return Err(WRONG_SHAPE);
        }
        Ok(&body[self.prefix.len()..][..self.row_bytes])
    }

    /// The numbers of bytes before and after the values in a page of `length` bytes, which is one of
    /// [`Self::lengths`]. `None` where the values do not lie uncompressed in the page.
    pub fn around(&self, length: usize) -> Option<(usize, usize)> {
        let before = length.checked_sub(self.row_bytes + self.padding)?;
        (self.compression == Compression::None).then_some((before, self.padding))
    }

    /// Checks the bytes before the values ([`Self::around`]). Returns the checksum so far, and the one at the end.
    ///
    /// # Errors
    /// What is wrong with the page.
    pub fn check_before(&self, before: &[u8]) -> Result<(Crc32, u32), &'static str> {
        let (header, prefix) = PageHeader::decode(before).ok_or(UNREADABLE)?;
        let expected = PageHeader {
            kind: self.kind(),
            body: self.body(),
            decompressed: self.body(),
            crc: header.crc,
            values: self.values,
        };
        match header == expected && prefix == self.prefix {
            true => Ok((self.begun, header.crc)),
            false => Err(WRONG_SHAPE),
        }
    }

    /// Converts a row's bytes from [`Self::open`] to f32. `out` has the same number of values.
    pub fn to_f32(&self, stored: &[u8], out: &mut [f32]) {
        match self.dtype {
            DType::U8 => out.iter_mut().zip(stored).for_each(|(out, it)| *out = f32::from(*it)),
            DType::I8 => {
                out.iter_mut().zip(stored).for_each(|(out, it)| *out = f32::from(*it as i8));
            }
            DType::F16 => half_precision::widen(stored, out),
            DType::Bf16 => half_precision::widen_bf16(stored, out),
            DType::F32 => out.as_mut_bytes().copy_from_slice(stored),
        }
    }

    /// The dictionary page for one-byte values, header included: each byte's own value, as INT32. Returns also its
    /// length without compression. Empty for other types.
    ///
    /// # Errors
    /// When it cannot be compressed.
    pub fn dictionary(&self, compression: Compression) -> io::Result<(Vec<u8>, usize)> {
        let value: fn(u8) -> i32 = match self.dtype {
            DType::U8 => i32::from,
            DType::I8 => |byte| i32::from(byte as i8),
            DType::F16 | DType::Bf16 | DType::F32 => return Ok((Vec::new(), 0)),
        };
        let plain: Vec<u8> = (0..=255).flat_map(|byte| value(byte).to_le_bytes()).collect();
        let mut body = vec![0; compression.most(plain.len())];
        let length = Codec::default().compress(compression, &plain, &mut body)?;
        body.truncate(length);
        let header = PageHeader {
            kind: PageKind::Dictionary,
            body: length,
            decompressed: plain.len(),
            crc: crc32(&body),
            values: 256,
        };
        let mut bytes = [0; MAX_HEADER];
        let length = header.encode(&mut bytes);
        Ok(([&bytes[..length], &body].concat(), length + plain.len()))
    }
}

const WRONG_SHAPE: &str = "its page does not have the shape that the schema says";

/// Writes a level stream of bit width 1 or 2: its length, then runs of (how many, which level).
fn push_levels(out: &mut Vec<u8>, runs: &[(usize, u8)]) {
    let mut stream = Vec::new();
    for (count, level) in runs {
        push_varint((count << 1) as u32, &mut |byte| stream.push(byte));
        stream.push(*level);
    }
    out.extend((stream.len() as u32).to_le_bytes());
    out.extend(stream);
}
