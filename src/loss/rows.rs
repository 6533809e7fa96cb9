//! Products of matrices whose rows lie scattered among other values, and their gradients, by all threads.
//!
//! Every value is summed in the same order, whatever the number of threads.

use rayon::prelude::*;

use gimlet_kernel::gathered::{Gathered, Segment};
use gimlet_kernel::outer::add_outer;
use gimlet_kernel::panels::Panels;
use gimlet_kernel::product::{Write, multiply};

/// The number of rows of a result that one task computes.
const ROWS: usize = 64;

/// Rows of `len` values each, which begin at `starts` in `values`.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub values: &'a [f32],
    pub starts: &'a [u32],
    pub len: usize,
}

impl Rows<'_> {
    /// The matrix of these rows, times `right` `[len, columns]`.
    pub fn times(self, right: &[f32], columns: usize) -> Vec<f32> {
        let mut panels = Panels::default();
        panels.pack(right, (self.len, columns), 1, |p| p * columns);
        self.times_panels(&panels, columns)
    }

    /// The matrix of these rows, times the transpose of `right` `[columns, len]`.
    pub fn times_turned(self, right: &[f32], columns: usize) -> Vec<f32> {
        let mut panels = Panels::default();
        panels.pack(right, (self.len, columns), self.len, |p| p);
        self.times_panels(&panels, columns)
    }

    fn times_panels(self, right: &Panels, columns: usize) -> Vec<f32> {
        let Self { values, starts, len } = self;
        let mut out = vec![0.0; starts.len() * columns];
        let segments = [Segment { offset: 0, len: len as u32, row: 0 }];
        let tasks = out.par_chunks_mut(ROWS * columns).zip(starts.par_chunks(ROWS));
        tasks.for_each(|(out, starts)| {
            let rows = Gathered { values, starts, segments: &segments };
            multiply(rows, right, out, None, Write::default());
        });
        out
    }

    /// The transpose of the matrix of these rows, times that of `right`: `[len, right.len]`.
    pub fn turned_times(self, right: Rows<'_>) -> Vec<f32> {
        let Self { values, starts, len } = self;
        let mut out = vec![0.0; len * right.len];
        let tasks = out.par_chunks_mut(ROWS * right.len).enumerate();
        tasks.for_each(|(index, out)| {
            let len = (out.len() / right.len) as u32;
            let segments = [Segment { offset: (index * ROWS) as u32, len, row: 0 }];
            let rows = Gathered { values, starts, segments: &segments };
            add_outer(rows, right.values, right.starts, right.len, out);
        });
        out
    }
}

/// The starts of `rows` rows of `len` values that lie one behind the other.
pub(super) fn in_order(rows: usize, len: usize) -> Vec<u32> {
    (0..rows).map(|row| (row * len) as u32).collect()
}

/// Puts `rows` of `len` values each at `starts` among `values` values; all others are zero.
pub(super) fn placed(rows: &[f32], starts: &[u32], len: usize, values: usize) -> Vec<f32> {
    let mut all = vec![0.0; values];
    for (start, row) in starts.iter().zip(rows.chunks_exact(len)) {
        all[*start as usize..][..len].copy_from_slice(row);
    }
    all
}
