//! The pages of one stored tensor column in one row group.

use std::io;
use std::ops::Range;

use rayon::prelude::*;

use crate::compression::{Codec, Compression};
use crate::page_header::MAX_HEADER;
use crate::quantise::quantise;
use crate::rows::Values;
use crate::statistics::Sums;
use crate::tensor_page::{Scratch, TensorPage};

/// Collects the bodies of pages, then turns them into pages.
#[derive(Debug)]
pub(crate) struct Pages {
    pub layout: TensorPage,
    /// A slot for each row: room for a header, then the body.
    slots: Vec<u8>,
    /// Slots of compressed pages.
    compressed: Vec<u8>,
}

impl Pages {
    pub fn new(layout: TensorPage) -> Self {
        Self { layout, slots: Vec::new(), compressed: Vec::new() }
    }

    fn slot(&self) -> usize {
        MAX_HEADER + self.layout.body()
    }

    /// Adds slots for `rows` rows, and returns them.
    fn grow(&mut self, rows: usize) -> &mut [u8] {
        let start = self.slots.len();
        self.slots.resize(start + rows * self.slot(), 0);
        &mut self.slots[start..]
    }

    /// Adds rows, and their values to `sums`. The error is the index of a value that cannot be stored.
    pub fn add(&mut self, rows: Values, sums: &mut Sums) -> Result<(), usize> {
        let (layout, slot) = (self.layout.clone(), self.slot());
        let values = layout.values;
        let filled = self.grow(rows.len() / values).par_chunks_exact_mut(slot).enumerate();
        let filled: Vec<_> = filled
            .map_init(Scratch::default, |scratch, (row, slot)| {
                let first = row * values;
                let row = rows.slice(first..first + values);
                layout.fill(&mut slot[MAX_HEADER..], row, scratch).map_err(|at| first + at)
            })
            .collect();
        add_all(filled, sums)
    }

    /// Adds rows to a column of one-byte values, and their scales to `scales`. The error is the index of a bad value.
    pub fn add_quantised(
        &mut self,
        scales: &mut Self,
        rows: &[f32],
        sums: &mut Sums,
    ) -> Result<(), usize> {
        let (layout, slot) = (self.layout.clone(), self.slot());
        let (scale_layout, scale_slot) = (scales.layout.clone(), scales.slot());
        let (values, channels) = (layout.values, scale_layout.values);
        let count = rows.len() / values;
        let slots = self.grow(count).par_chunks_exact_mut(slot);
        let slots = slots.zip(scales.grow(count).par_chunks_exact_mut(scale_slot));
        let filled: Vec<_> = slots
            .enumerate()
            .map_init(Scratch::default, |scratch, (row, (slot, scale_slot))| {
                let first = row * values;
                let row = &rows[first..first + values];
                Sums::of(row).map_err(|at| first + at)?;
                let mut scales = vec![0.0; channels];
                scratch.single.resize(values, 0.0);
                let stored = layout.begin(&mut slot[MAX_HEADER..]);
                quantise(row, stored, &mut scales, &mut scratch.single);
                let sums = Sums::of(&scratch.single).map_err(|at| first + at)?;
                let scales = Values::F32(&scales);
                let filled = scale_layout.fill(&mut scale_slot[MAX_HEADER..], scales, scratch);
                filled.map(|_| sums).map_err(|_| first)
            })
            .collect();
        add_all(filled, sums)
    }

    /// The values of each row, as they will be stored.
    pub fn rows(&self) -> impl Iterator<Item = &[u8]> {
        let start = MAX_HEADER + self.layout.values_at();
        self.slots
            .chunks_exact(self.slot())
            .map(move |slot| &slot[start..][..self.layout.row_bytes])
    }

    /// Bytes of the bodies.
    pub fn size(&self) -> usize {
        self.slots.len() / self.slot() * self.layout.body()
    }

    /// Bytes of the bodies when they are compressed.
    pub fn compressed_size(&self, compression: Compression) -> io::Result<usize> {
        let most = compression.most(self.layout.body());
        let sizes = self.slots.par_chunks_exact(self.slot()).map_init(
            || (Codec::default(), vec![0; most]),
            |(codec, buffer), slot| codec.compress(compression, &slot[MAX_HEADER..], buffer),
        );
        sizes.sum()
    }

    /// Compresses the pages and writes their headers. Returns the pages, and the bytes of all without compression.
    pub fn seal(&mut self, compression: Compression) -> io::Result<(Vec<&[u8]>, usize)> {
        let slot = self.slot();
        let layout = &self.layout;
        let (slots, slot, lengths) = if compression == Compression::None {
            let lengths = vec![layout.body(); self.slots.len() / slot];
            (&mut self.slots, slot, lengths)
        } else {
            let room = MAX_HEADER + compression.most(layout.body());
            self.compressed.resize(self.slots.len() / slot * room, 0);
            let pages = self.slots.par_chunks_exact(slot);
            let lengths: io::Result<Vec<usize>> = pages
                .zip(self.compressed.par_chunks_exact_mut(room))
                .map_init(Codec::default, |codec, (from, to)| {
                    codec.compress(compression, &from[MAX_HEADER..], &mut to[MAX_HEADER..])
                })
                .collect();
            (&mut self.compressed, room, lengths?)
        };
        let pages = slots.par_chunks_exact_mut(slot).zip(lengths);
        let ranges: Vec<Range<usize>> = pages
            .map(|(slot, length)| {
                let (head, body) = slot.split_at_mut(MAX_HEADER);
                let mut header = [0; MAX_HEADER];
                let header_length = layout.header(&body[..length], &mut header);
                let start = MAX_HEADER - header_length;
                head[start..].copy_from_slice(&header[..header_length]);
                start..MAX_HEADER + length
            })
            .collect();
        let decompressed =
            ranges.iter().map(|range| MAX_HEADER - range.start + layout.body()).sum();
        let pages = slots.chunks_exact(slot).zip(ranges).map(|(slot, range)| &slot[range]);
        Ok((pages.collect(), decompressed))
    }

    pub fn clear(&mut self) {
        self.slots.clear();
        self.compressed.clear();
    }
}

/// Adds the sums of the rows in their order, whichever thread was first: sums depend on the order.
fn add_all(rows: Vec<Result<Sums, usize>>, sums: &mut Sums) -> Result<(), usize> {
    for row in rows {
        sums.add(&row?);
    }
    Ok(())
}
