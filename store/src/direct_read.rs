//! Reads a row that lies uncompressed in its page straight into the caller's buffer.
//!
//! The row is read in blocks: each is checked and widened while it is in the processor's cache. A row of 1.6 MB that
//! was read as a whole would have to come from memory again for both.

use std::io::IoSliceMut;

use crate::error::{Error, Result};
use crate::half_precision;
use crate::page_header::WRONG_CRC;
use crate::part_index::{Page, PartIndex};
use crate::schema::DType;
use crate::tensor_page::TensorPage;

/// Bytes of a block: two of them fit the second-level cache of any processor.
const BLOCK: usize = 128 << 10;

/// Where the bytes of a row go.
pub(crate) trait Target {
    /// The buffer for the `bytes` bytes from `at` on.
    fn room(&mut self, at: usize, bytes: usize) -> &mut [u8];

    /// Called when that buffer has been filled.
    fn filled(&mut self, at: usize, bytes: usize);
}

/// Takes the bytes as they lie in the file.
pub(crate) struct AsTheyAre<'a>(pub &'a mut [u8]);

impl Target for AsTheyAre<'_> {
    fn room(&mut self, at: usize, bytes: usize) -> &mut [u8] {
        &mut self.0[at..at + bytes]
    }

    fn filled(&mut self, _at: usize, _bytes: usize) {}
}

/// Widens values of two bytes to f32.
pub(crate) struct Widened<'a> {
    pub block: &'a mut Vec<u8>,
    pub out: &'a mut [f32],
    /// Whether to write past the processor's cache, because the output is larger than the cache.
    pub past_the_cache: bool,
    /// What the values are: `F16` or `Bf16`.
    pub dtype: DType,
}

impl Target for Widened<'_> {
    fn room(&mut self, _at: usize, bytes: usize) -> &mut [u8] {
        self.block.resize(BLOCK.max(bytes), 0);
        &mut self.block[..bytes]
    }

    fn filled(&mut self, at: usize, bytes: usize) {
        let out = &mut self.out[at / 2..(at + bytes) / 2];
        match (self.dtype, self.past_the_cache) {
            (DType::Bf16, _) => half_precision::widen_bf16(&self.block[..bytes], out),
            (_, true) => half_precision::widen_past_the_cache(&self.block[..bytes], out),
            (_, false) => half_precision::widen(&self.block[..bytes], out),
        }
    }
}

/// Reads the row in a page; `around` is a buffer. Damage is found only after the values have gone to `target`.
///
/// # Errors
/// `damaged`, with what is wrong with the page; other errors name the file.
pub(crate) fn read_row(
    part: &PartIndex,
    layout: &TensorPage,
    page: &Page,
    around: &mut Vec<u8>,
    target: &mut impl Target,
    damaged: impl Fn(&str) -> Error,
) -> Result<()> {
    let (before, after) =
        layout.around(page.length as usize).ok_or_else(|| damaged("its page is too short"))?;
    around.resize(before + after, 0);
    let (before, after) = around.split_at_mut(before);
    let (end, mut offset, mut checks) = (layout.row_bytes, page.offset, None);
    for at in (0..end).step_by(BLOCK) {
        let bytes = BLOCK.min(end - at);
        let block = target.room(at, bytes);
        let (first, last) = (at == 0, at + bytes == end);
        let mut slices = [
            if first { &mut *before } else { &mut [] },
            &mut *block,
            if last { &mut *after } else { &mut [] },
        ]
        .map(IoSliceMut::new);
        let read: usize = slices.iter().map(|slice| slice.len()).sum();
        part.file
            .read_exact_vectored_at(&mut slices, offset)
            .map_err(|error| Error::reading(part.path(), &error))?;
        offset += read as u64;
        let (crc, _) = match &mut checks {
            Some(checks) => checks,
            None => checks.insert(layout.check_before(before).map_err(&damaged)?),
        };
        crc.add(block);
        target.filled(at, bytes);
    }
    match checks {
        Some((mut crc, expected)) => {
            crc.add(after);
            if crc.finish() == expected { Ok(()) } else { Err(damaged(WRONG_CRC)) }
        }
        // Every row has a value.
        None => Err(damaged("its page is empty")),
    }
}
