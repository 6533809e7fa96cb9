//! Matrices whose rows lie somewhere among other values, by all threads: products, and the gradients of
//! these.
//!
//! Every value is summed in one order, whatever the number of threads.

use rayon::prelude::*;

use gimlet_kernel::gathered::{Gathered, Segment};
use gimlet_kernel::outer::add_outer;
use gimlet_kernel::panels::Panels;
use gimlet_kernel::product::{Write, multiply};

/// Rows of a result that a task computes.
const ROWS: usize = 64;

/// Rows that begin at `starts`, each of so many values.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub values: &'a [f32],
    pub starts: &'a [u32],
    pub len: usize,
}

impl Rows<'_> {
    /// These rows, one behind the other, times `right` `[len, columns]`.
    pub fn times(self, right: &[f32], columns: usize) -> Vec<f32> {
        let mut panels = Panels::default();
        panels.pack(right, (self.len, columns), 1, |p| p * columns);
        self.times_panels(&panels, columns)
    }

    /// The same, with `right` `[columns, len]`, turned.
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

    /// The sum over rows of these, turned, times the rows of `right`: `[len, right.len]`.
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

/// Where so many rows begin that lie one behind the other.
pub(super) fn in_order(rows: usize, len: usize) -> Vec<u32> {
    (0..rows).map(|row| (row * len) as u32).collect()
}

/// So many values, zero but for rows of `len` that go to `starts`.
pub(super) fn placed(rows: &[f32], starts: &[u32], len: usize, values: usize) -> Vec<f32> {
    let mut all = vec![0.0; values];
    for (start, row) in starts.iter().zip(rows.chunks_exact(len)) {
        all[*start as usize..][..len].copy_from_slice(row);
    }
    all
}
