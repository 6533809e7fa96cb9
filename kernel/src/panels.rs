//! The right side of a product, in the order in which vector registers read it.

use rayon::prelude::*;

use super::Buffer;
use super::vectors::width;

/// The right side of a product, packed as panels `[k, width]`. Columns past the last one are zero.
#[derive(Default)]
pub struct Panels {
    values: Buffer,
    pub(super) k: usize,
    pub(super) n: usize,
    pub(super) width: usize,
}

impl Panels {
    /// Packs the matrix `[k, n]` whose value at (p, j) is `at(p) + j * stride` of `values`, in place of an earlier one.
    pub fn pack(
        &mut self,
        values: &[f32],
        shape: (usize, usize),
        stride: usize,
        at: impl Fn(usize) -> usize + Sync,
    ) {
        self.pack_by(width(), values, shape, stride, at);
    }

    /// Packs a matrix as [`Self::pack`] does, in panels of `width` columns.
    pub(super) fn pack_by(
        &mut self,
        width: usize,
        values: &[f32],
        (k, n): (usize, usize),
        stride: usize,
        at: impl Fn(usize) -> usize + Sync,
    ) {
        (self.k, self.n, self.width) = (k, n, width);
        let packed = self.values.get(n.div_ceil(width) * k * width);
        if k == 0 {
            return;
        }
        packed.par_chunks_exact_mut(k * width).enumerate().for_each(|(index, panel)| {
            let first = index * width;
            let columns = width.min(n - first);
            for (p, row) in panel.chunks_exact_mut(width).enumerate() {
                let from = &values[at(p) + first * stride..];
                if stride == 1 {
                    row[..columns].copy_from_slice(&from[..columns]);
                } else {
                    row.iter_mut()
                        .zip(from.iter().step_by(stride))
                        .take(columns)
                        .for_each(|(to, from)| *to = *from);
                }
                row[columns..].fill(0.0);
            }
        });
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        self.values.bytes()
    }

    /// The panels, in order.
    pub(super) fn panels(&self) -> impl Iterator<Item = &[f32]> {
        let (len, count) = (self.k * self.width, self.n.div_ceil(self.width.max(1)));
        let values = self.values.read(count * len);
        // Even with `k` of 0 there are panels: an empty sum goes to every column.
        (0..count).map(move |index| &values[index * len..][..len])
    }
}
