//! The header of a Parquet page, in Thrift's compact protocol, written and read by hand.
//!
//! Format: `PageHeader` in the Parquet project's `parquet.thrift`. Only what `FORMAT.md` allows is written and read.

use crate::checksum::crc32;

/// The most bytes of a header: every number at its longest.
pub(crate) const MAX_HEADER: usize = 40;

/// The kind of a page, by what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageKind {
    /// The 256 values that the indices of a `u8` column point to.
    Dictionary,
    /// Levels, then values as they are.
    Plain,
    /// Levels, then indices into the dictionary.
    Indices,
}

/// The header of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageHeader {
    pub kind: PageKind,
    /// Bytes after the header.
    pub body: usize,
    /// Bytes of the body when it is decompressed.
    pub decompressed: usize,
    /// CRC-32 of the bytes after the header.
    pub crc: u32,
    /// Values in the page, nulls included.
    pub values: usize,
}

pub(crate) const UNREADABLE: &str = "its page header cannot be read";
pub(crate) const WRONG_CRC: &str = "its page has another CRC-32 than was written";

const I32: u8 = 0x15;
const DATA_HEADER: u8 = 0x1c;
const DICTIONARY_HEADER: u8 = 0x3c;
const STOP: u8 = 0;
const RLE: i32 = 3;

impl PageHeader {
    /// Writes the header to the front of `out`; returns its length. The schema keeps `body` and `values` below 2^31.
    pub fn encode(&self, out: &mut [u8; MAX_HEADER]) -> usize {
        let (page_type, encoding) = self.kind.codes();
        let mut length = 0;
        let mut push = |byte| {
            out[length] = byte;
            length += 1;
        };
        let sizes = [self.decompressed as i32, self.body as i32];
        for value in [page_type, sizes[0], sizes[1], self.crc as i32] {
            push_i32(value, &mut push);
        }
        if self.kind == PageKind::Dictionary {
            push(DICTIONARY_HEADER);
        } else {
            push(DATA_HEADER);
        }
        push_i32(self.values as i32, &mut push);
        push_i32(encoding, &mut push);
        if self.kind != PageKind::Dictionary {
            push_i32(RLE, &mut push);
            push_i32(RLE, &mut push);
        }
        push(STOP);
        push(STOP);
        length
    }

    /// Reads the header at the front of `page`; returns it and the bytes after it. `None` when `FORMAT.md` forbids it.
    pub fn decode(page: &[u8]) -> Option<(Self, &[u8])> {
        let mut rest = page;
        let page_type = take_i32(&mut rest)?;
        let decompressed = usize::try_from(take_i32(&mut rest)?).ok()?;
        let body = usize::try_from(take_i32(&mut rest)?).ok()?;
        let crc = take_i32(&mut rest)? as u32;
        let dictionary = match take(&mut rest)? {
            DICTIONARY_HEADER => true,
            DATA_HEADER => false,
            _ => return None,
        };
        let values = usize::try_from(take_i32(&mut rest)?).ok()?;
        let kind = PageKind::from_codes(page_type, take_i32(&mut rest)?)?;
        if dictionary != (kind == PageKind::Dictionary) {
            return None;
        }
        if !dictionary && (take_i32(&mut rest)? != RLE || take_i32(&mut rest)? != RLE) {
            return None;
        }
        if take(&mut rest)? != STOP || take(&mut rest)? != STOP {
            return None;
        }
        Some((Self { kind, body, decompressed, crc, values }, rest))
    }

    /// Returns the body of an uncompressed `page`, after the checks of [`Self::open_sized`].
    ///
    /// # Errors
    /// What is wrong with the page.
    pub fn open(page: &[u8], kind: PageKind, values: usize) -> Result<&[u8], &'static str> {
        let (size, body) = Self::open_sized(page, kind, values)?;
        if size != body.len() {
            return Err("its page is compressed, which it must not be");
        }
        Ok(body)
    }

    /// Returns the body of `page` and its decompressed size. Checks the header (kind, length and count) and the CRC-32.
    ///
    /// # Errors
    /// What is wrong with the page.
    pub fn open_sized(
        page: &[u8],
        kind: PageKind,
        values: usize,
    ) -> Result<(usize, &[u8]), &'static str> {
        let (header, body) = Self::decode(page).ok_or(UNREADABLE)?;
        if header.body != body.len() || header.kind != kind || header.values != values {
            return Err("its page header says something else than the schema and the index");
        }
        if header.crc != crc32(body) {
            return Err(WRONG_CRC);
        }
        Ok((header.decompressed, body))
    }
}

impl PageKind {
    /// Parquet's numbers for the type of the page and the encoding of its values.
    fn codes(self) -> (i32, i32) {
        match self {
            Self::Dictionary => (2, 0),
            Self::Plain => (0, 0),
            Self::Indices => (0, 8),
        }
    }

    fn from_codes(page_type: i32, encoding: i32) -> Option<Self> {
        [Self::Dictionary, Self::Plain, Self::Indices]
            .into_iter()
            .find(|kind| kind.codes() == (page_type, encoding))
    }
}

/// Writes a field of type i32, whose field number is one above the field before it.
fn push_i32(value: i32, push: &mut impl FnMut(u8)) {
    push(I32);
    push_varint(((value << 1) ^ (value >> 31)) as u32, push);
}

/// Writes an unsigned number, seven bits per byte, the lowest first.
pub(crate) fn push_varint(mut value: u32, push: &mut impl FnMut(u8)) {
    while value >= 0x80 {
        push(value as u8 | 0x80);
        value >>= 7;
    }
    push(value as u8);
}

fn take(rest: &mut &[u8]) -> Option<u8> {
    let (first, after) = rest.split_first()?;
    *rest = after;
    Some(*first)
}

fn take_i32(rest: &mut &[u8]) -> Option<i32> {
    if take(rest)? != I32 {
        return None;
    }
    let zigzag = take_varint(rest)?;
    Some((zigzag >> 1) as i32 ^ -((zigzag & 1) as i32))
}

/// Takes the number at the front of `rest`.
pub(crate) fn take_varint(rest: &mut &[u8]) -> Option<u32> {
    let mut value = 0u64;
    for shift in (0..35).step_by(7) {
        let byte = take(rest)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return u32::try_from(value).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back_as_it_was() {
        for kind in [PageKind::Dictionary, PageKind::Plain, PageKind::Indices] {
            for (body, crc, values) in [(0, 0, 0), (1 << 30, u32::MAX, 1 << 28), (77, 1 << 31, 5)] {
                let header = PageHeader { kind, body, decompressed: body / 2 + 9, crc, values };
                let mut bytes = [0; MAX_HEADER];
                let length = header.encode(&mut bytes);
                assert_eq!(PageHeader::decode(&bytes[..length]), Some((header, &[][..])));
                for short in 0..length {
                    assert_eq!(PageHeader::decode(&bytes[..short]), None);
                }
            }
        }
    }
}
