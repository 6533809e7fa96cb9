//! Sums of outer products on one thread: the gradients of weights.

use pulp::{Simd, WithSimd};

use super::gathered::{Gathered, Segment};
use super::vectors::{
    MOST_ROWS, ROWS_OF_16, Sums, VECTORS, WIDEST, blocks, dispatch, store, with_constant,
};

/// Rows per block whose sums stay in 32 registers, beside one vector of each side.
const ROWS: usize = 13;
/// The number of rows of the right side that stay in the first-level cache.
const DEPTH: usize = 128;

/// Adds `a^T b` to `out` `[k, n]`. For each segment, the rows of `out` from the segment's `row` on get the sum over i
/// of the segment's values in row i times the `n` values of `b` from `places[i]` on.
///
/// # Panics
/// When a row of either side reaches past its values, or the sizes do not fit.
pub fn add_outer(a: Gathered<'_>, b: &[f32], places: &[u32], n: usize, out: &mut [f32]) {
    a.check();
    assert_eq!(a.starts.len(), places.len(), "a place for each row of a sum of outer products");
    assert!(a.inner() * n <= out.len(), "output of a sum of outer products");
    dispatch(AddOuter { a, b, places, n, out });
}

pub(super) struct AddOuter<'a> {
    pub a: Gathered<'a>,
    pub b: &'a [f32],
    pub places: &'a [u32],
    pub n: usize,
    pub out: &'a mut [f32],
}

impl WithSimd for AddOuter<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { a, b, places, n, out } = self;
        let width = VECTORS * S::F32_LANES;
        let most = if S::REGISTER_COUNT >= 32 { ROWS } else { ROWS_OF_16 };
        let mut sums: Sums = [[0.0; WIDEST]; MOST_ROWS];
        let mut narrow = Vec::new();
        let unpadded: Vec<u32> = (0..DEPTH).map(|row| (row * width) as u32).collect();
        for (starts, places) in a.starts.chunks(DEPTH).zip(places.chunks(DEPTH)) {
            for piece in pieces(a.segments) {
                for first in (0..n).step_by(width) {
                    let columns = width.min(n - first);
                    // Rows are read where they lie; rows that are too short for the vectors are padded.
                    let right = if columns == width {
                        (&b[first..], places)
                    } else {
                        narrow.clear();
                        narrow.resize(starts.len() * width, 0.0);
                        for (to, place) in narrow.chunks_exact_mut(width).zip(places) {
                            let from = &b[*place as usize + first..][..columns];
                            to[..columns].copy_from_slice(from);
                        }
                        (&narrow[..], &unpadded[..starts.len()])
                    };
                    for block in blocks(0..piece.len, most) {
                        let left = (a.values, starts, piece.offset + block.start);
                        with_constant!(
                            block.len(),
                            M => sum_outer::<S, M>(simd, left, right, &mut sums),
                            1 2 3 4 5 6 7 8 9 10 11 12 13
                        );
                        for (sums, row) in sums.iter().zip(block) {
                            let out = &mut out[(piece.row + row) * n + first..][..columns];
                            if columns == width {
                                let (out, _) = S::as_mut_simd_f32s(out);
                                let (sums, _) = S::as_simd_f32s(sums);
                                for (out, sum) in out.iter_mut().zip(sums) {
                                    *out = simd.add_f32s(*out, *sum);
                                }
                            } else {
                                out.iter_mut().zip(sums).for_each(|(out, sum)| *out += sum);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Adjacent columns of gathered rows.
struct Piece {
    offset: usize,
    len: usize,
    /// The row of the output that the first column belongs to.
    row: usize,
}

/// Cuts segments into pieces, [`DEPTH`] rows of which stay in the second-level cache while every panel passes.
fn pieces(segments: &[Segment]) -> impl Iterator<Item = Piece> + '_ {
    const LONGEST: usize = 20 * ROWS;
    segments.iter().flat_map(|segment| {
        let len = segment.len as usize;
        (0..len).step_by(LONGEST).map(move |first| Piece {
            offset: segment.offset as usize + first,
            len: LONGEST.min(len - first),
            row: segment.row as usize + first,
        })
    })
}

/// Computes sums of outer products: `out[i]` is the sum over all starts of value `start + at + i` times the row of
/// the right side that belongs to the start.
#[inline(always)]
fn sum_outer<S: Simd, const M: usize>(
    simd: S,
    (values, starts, at): (&[f32], &[u32], usize),
    (right, places): (&[f32], &[u32]),
    out: &mut [[f32; WIDEST]],
) {
    let mut sums = [[simd.splat_f32s(0.0); VECTORS]; M];
    for (start, place) in starts.iter().zip(places) {
        let (right, _) = S::as_simd_f32s(&right[*place as usize..][..VECTORS * S::F32_LANES]);
        let right: &[S::f32s; VECTORS] = right.try_into().expect("vectors of a panel");
        let start = *start as usize + at;
        // SAFETY: `Gathered::check` has found every segment of every row within the values, and
        // `at..at + M` lies within a segment.
        let left = unsafe { values.get_unchecked(start..start + M) };
        for (sums, left) in sums.iter_mut().zip(left) {
            let left = simd.splat_f32s(*left);
            for (sum, right) in sums.iter_mut().zip(right) {
                *sum = simd.mul_add_e_f32s(left, *right, *sum);
            }
        }
    }
    store::<S, M>(sums, out);
}
