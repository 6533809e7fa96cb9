//! Products of matrices on one thread.
//!
//! Two functions compute every convolution and its gradients. [`multiply`] reads the rows of its left side where they
//! lie ([`Gathered`]), so no im2col form is ever written; its right side is packed into [`Panels`].
//! [`super::outer::add_outer`] sums the outer products of gathered rows and the rows of a second matrix.
//!
//! Every value is summed over the inner dimension in order, so a row's result does not depend on the rows around it.
//!
//! The code is generic over the vectors of `pulp`, which picks AVX-512, AVX2 with FMA, NEON or arrays when the
//! program runs. LOG.md compares the rates with the `gemm` crate and the peak.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::gathered::{Gathered, Segment};
use super::panels::Panels;
use super::vectors::{
    MOST_ROWS, ROWS_OF_16, Sums, VECTORS, WIDEST, blocks, dispatch, store, with_constant,
};

/// Rows per block whose sums stay in 32 registers, beside the pointers to the rows.
const ROWS: usize = 10;
/// Values of the left side per chunk: a chunk stays in the second-level cache while all panels pass. `FEWEST` and
/// `MOST` limit the rows of a chunk.
const CHUNK: usize = 1 << 17;
const FEWEST: usize = 128;
const MOST: usize = 1024;

/// The operations on each sum of a product, in this order. Slices other than `bias` have the output's length.
#[derive(Clone, Copy, Default)]
pub struct Write<'a> {
    /// Adds these values.
    pub plus: Option<&'a [f32]>,
    /// Adds a value to each column.
    pub bias: Option<&'a [f32]>,
    /// Takes the positive part.
    pub relu: bool,
    /// Takes zero where the value of this slice is not positive.
    pub mask: Option<&'a [f32]>,
    /// Adds these values after the mask.
    pub plus_unmasked: Option<&'a [f32]>,
}

/// Computes `a b`, applies `write`, and stores row i at `out[places[i]..]`; without `places`, row after row.
///
/// # Panics
/// When a row of the left side or of the output reaches past its values.
pub fn multiply(
    a: Gathered<'_>,
    b: &Panels,
    out: &mut [f32],
    places: Option<&[u32]>,
    write: Write<'_>,
) {
    a.check();
    assert!(a.inner() <= b.k, "inner sizes of a product");
    let places_fit = places.is_none_or(|places| places.len() == a.starts.len());
    assert!(places_fit, "a place for each row of a product");
    dispatch(Multiply { a, b, out, places, write });
}

struct Multiply<'a> {
    a: Gathered<'a>,
    b: &'a Panels,
    out: &'a mut [f32],
    places: Option<&'a [u32]>,
    write: Write<'a>,
}

impl WithSimd for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { a, b, out, places, write } = self;
        assert_eq!(b.width, VECTORS * S::F32_LANES, "panels for these vectors");
        let (width, rows) = (VECTORS * S::F32_LANES, a.starts.len());
        let most = if S::REGISTER_COUNT >= 32 { ROWS } else { ROWS_OF_16 };
        let chunk = (CHUNK / b.k.max(1)).clamp(FEWEST, MOST);
        let mut sums: Sums = [[0.0; WIDEST]; MOST_ROWS];
        for first in (0..rows).step_by(chunk) {
            for (index, panel) in b.panels().enumerate() {
                let columns = index * width..b.n.min((index + 1) * width);
                for block in blocks(first..rows.min(first + chunk), most) {
                    let starts = &a.starts[block.clone()];
                    with_constant!(
                        block.len(),
                        M => sum_rows::<S, M>(simd, &a, starts, panel, &mut sums),
                        1 2 3 4 5 6 7 8 9 10
                    );
                    for (sums, row) in sums.iter().zip(block) {
                        let place = places.map_or(row * b.n, |places| places[row] as usize);
                        let to = place + columns.start..place + columns.end;
                        finish(simd, sums, out, to, columns.start, &write);
                    }
                }
            }
        }
    }
}

/// Computes sums of products: `out[i]` is the product of the row of `a` that begins at `starts[i]`, and a panel.
#[inline(always)]
fn sum_rows<S: Simd, const M: usize>(
    simd: S,
    a: &Gathered<'_>,
    starts: &[u32],
    panel: &[f32],
    out: &mut [[f32; WIDEST]],
) {
    let starts: &[u32; M] = starts.try_into().expect("a row for each start");
    let mut sums = [[simd.splat_f32s(0.0); VECTORS]; M];
    let (panel, _) = S::as_simd_f32s(panel);
    for &Segment { offset, len, row } in a.segments {
        let (offset, len, row) = (offset as usize, len as usize, row as usize);
        let steps = &panel[row * VECTORS..(row + len) * VECTORS];
        // SAFETY: `Gathered::check` has found `start + offset + len` within the values for every start and segment.
        // With checked reads, the sums leave their registers, and the speed halves.
        let rows = starts.map(|it| unsafe { a.values.as_ptr().add(it as usize + offset) });
        for (p, right) in steps.chunks_exact(VECTORS).enumerate() {
            for (sums, row) in sums.iter_mut().zip(rows) {
                // SAFETY: p < len, see above.
                let left = simd.splat_f32s(unsafe { *row.add(p) });
                for (sum, right) in sums.iter_mut().zip(right) {
                    *sum = simd.mul_add_e_f32s(left, *right, *sum);
                }
            }
        }
    }
    store::<S, M>(sums, out);
}

/// Applies `write` to the sums of one row, and stores the result at `to`.
#[inline(always)]
fn finish<S: Simd>(
    simd: S,
    sums: &[f32; WIDEST],
    out: &mut [f32],
    to: Range<usize>,
    column: usize,
    write: &Write<'_>,
) {
    let mut row = [simd.splat_f32s(0.0); VECTORS];
    let whole = to.len() == VECTORS * S::F32_LANES;
    // The last panel may be narrower than its vectors.
    let mut padded = [0.0; WIDEST];
    let mut read = |from: &[f32]| -> [S::f32s; VECTORS] {
        let (vectors, _) = if whole {
            S::as_simd_f32s(from)
        } else {
            padded[..from.len()].copy_from_slice(from);
            S::as_simd_f32s(&padded)
        };
        [vectors[0], vectors[1]]
    };
    let columns = column..column + to.len();
    row.copy_from_slice(&S::as_simd_f32s(sums).0[..VECTORS]);
    let add = |row: &mut [S::f32s; VECTORS], plus: [S::f32s; VECTORS]| {
        row.iter_mut().zip(plus).for_each(|(sum, plus)| *sum = simd.add_f32s(*sum, plus));
    };
    if let Some(plus) = write.plus {
        add(&mut row, read(&plus[to.clone()]));
    }
    if let Some(bias) = write.bias {
        add(&mut row, read(&bias[columns]));
    }
    let zero = simd.splat_f32s(0.0);
    if write.relu {
        row.iter_mut().for_each(|sum| *sum = simd.max_f32s(*sum, zero));
    }
    if let Some(mask) = write.mask {
        row.iter_mut().zip(read(&mask[to.clone()])).for_each(|(sum, mask)| {
            *sum = simd.select_f32s(simd.greater_than_f32s(mask, zero), *sum, zero);
        });
    }
    if let Some(plus) = write.plus_unmasked {
        add(&mut row, read(&plus[to.clone()]));
    }
    let out = &mut out[to];
    if whole {
        S::as_mut_simd_f32s(out).0.copy_from_slice(&row);
    } else {
        let mut narrow = [0.0; WIDEST];
        S::as_mut_simd_f32s(&mut narrow).0[..VECTORS].copy_from_slice(&row);
        out.copy_from_slice(&narrow[..out.len()]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::outer::{AddOuter, add_outer};

    /// Calls `run` once for every kind of vectors that this machine has.
    fn each_kind(mut run: impl FnMut(&str, &dyn Fn(&mut Job<'_>))) {
        run("arrays", &|job| Simd::vectorize(pulp::Scalar128b, job));
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            run("AVX2", &move |job| Simd::vectorize(simd, job));
        }
        run("the widest", &|job| dispatch(job));
    }

    /// One of the two products, whose panels are packed for the vectors that it runs with.
    enum Job<'a> {
        Multiply(Gathered<'a>, &'a [f32], usize, &'a mut [f32], Option<&'a [u32]>, Write<'a>),
        AddOuter(Gathered<'a>, &'a [f32], &'a [u32], usize, &'a mut [f32]),
    }

    impl WithSimd for &mut Job<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            match self {
                Job::Multiply(a, b, n, out, places, write) => {
                    let mut panels = Panels::default();
                    let width = VECTORS * S::F32_LANES;
                    panels.pack_by(width, b, (a.inner(), *n), 1, |p| p * *n);
                    let (a, places, write) = (*a, *places, *write);
                    Multiply { a, b: &panels, out, places, write }.with_simd(simd);
                }
                Job::AddOuter(a, b, places, n, out) => {
                    AddOuter { a: *a, b, places, n: *n, out }.with_simd(simd);
                }
            }
        }
    }

    /// Numbers that follow from a seed (Vigna's SplitMix64).
    struct Draws(u64);

    impl Draws {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }

        fn below(&mut self, bound: u32) -> u32 {
            (self.next() % u64::from(bound)) as u32
        }

        /// A number of mean 0 and variance 1: the sum of twelve uniform numbers, minus 6.
        fn normal(&mut self) -> f32 {
            (0..12).map(|_| (self.next() >> 40) as f32 / (1u32 << 24) as f32).sum::<f32>() - 6.0
        }
    }

    /// The values, starts and segments of a gathered matrix with random rows, which overlap.
    fn gathered(seed: u64, rows: usize, lens: &[u32]) -> (Vec<f32>, Vec<u32>, Vec<Segment>) {
        let mut draws = Draws(seed);
        let mut row = 0;
        let segment = |&len: &u32| {
            // Between the segments there are rows of the right side that no segment uses.
            let segment = Segment { offset: draws.below(50), len, row: row + draws.below(3) };
            row = segment.row + len;
            segment
        };
        let segments: Vec<Segment> = lens.iter().map(segment).collect();
        let reach = segments.iter().map(|it| it.offset + it.len).max().unwrap_or(0);
        let starts = (0..rows).map(|_| draws.below(100)).collect();
        let values = (0..100 + reach).map(|_| draws.normal()).collect();
        (values, starts, segments)
    }

    /// The values in row `row` of `a`, each with its row of the right side.
    fn row<'a>(a: &'a Gathered<'a>, row: usize) -> impl Iterator<Item = (usize, f64)> + 'a {
        a.segments.iter().flat_map(move |segment| {
            let start = (a.starts[row] + segment.offset) as usize;
            let values = &a.values[start..start + segment.len as usize];
            (segment.row as usize..).zip(values.iter().map(|value| f64::from(*value)))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn products_are_the_naive_ones(
            rows in 1..300usize, lens in prop::collection::vec(1..20u32, 0..4), n in 1..80usize,
            seed: u64, scattered: bool, relu: bool, with: [bool; 4],
        ) {
            let (values, starts, segments) = gathered(seed, rows, &lens);
            let a = Gathered { values: &values, starts: &starts, segments: &segments };
            let k = a.inner();
            let mut draws = Draws(!seed);
            let mut normal = |len: usize| -> Vec<f32> { (0..len).map(|_| draws.normal()).collect() };
            let (b, bias, plus) = (normal(k * n), normal(n), normal(rows * n));
            let (mask, unmasked) = (normal(rows * n), normal(rows * n));
            // The rows in reverse.
            let places: Vec<u32> = (0..rows as u32).rev().map(|row| row * n as u32).collect();
            let write = Write {
                plus: with[0].then_some(&plus),
                bias: with[1].then_some(&bias),
                relu,
                mask: with[2].then_some(&mask),
                plus_unmasked: with[3].then_some(&unmasked),
            };
            let mut expected = vec![0.0; rows * n];
            for i in 0..rows {
                let place = if scattered { rows - 1 - i } else { i };
                for j in 0..n {
                    let at = place * n + j;
                    let products = row(&a, i).map(|(p, left)| left * f64::from(b[p * n + j]));
                    let mut sum: f64 = products.sum();
                    sum += f64::from(if with[0] { plus[at] } else { 0.0 });
                    sum += f64::from(if with[1] { bias[j] } else { 0.0 });
                    sum = if relu { sum.max(0.0) } else { sum };
                    sum = if with[2] && mask[at] <= 0.0 { 0.0 } else { sum };
                    expected[at] = sum + f64::from(if with[3] { unmasked[at] } else { 0.0 });
                }
            }
            each_kind(|kind, run| {
                let mut out = vec![f32::NAN; rows * n];
                let places = scattered.then_some(&places[..]);
                run(&mut Job::Multiply(a, &b, n, &mut out, places, write));
                for (found, expected) in out.iter().zip(&expected) {
                    assert!((f64::from(*found) - expected).abs() < 1e-4, "{kind}: {found}, not {expected}");
                }
            });
        }

        #[test]
        fn sums_of_outer_products_are_the_naive_ones(
            rows in 1..300usize, lens in prop::collection::vec(1..20u32, 1..4), n in 1..80usize,
            seed: u64,
        ) {
            let (values, starts, segments) = gathered(seed, rows, &lens);
            let a = Gathered { values: &values, starts: &starts, segments: &segments };
            let k = a.inner();
            let mut draws = Draws(!seed);
            let mut normal = |len: usize| -> Vec<f32> { (0..len).map(|_| draws.normal()).collect() };
            let (b, before) = (normal(rows * n), normal(k * n));
            let places: Vec<u32> = (0..rows as u32).rev().map(|row| row * n as u32).collect();
            let mut expected: Vec<f64> = before.iter().map(|value| f64::from(*value)).collect();
            for i in 0..rows {
                for (p, left) in row(&a, i) {
                    for j in 0..n {
                        expected[p * n + j] += left * f64::from(b[places[i] as usize + j]);
                    }
                }
            }
            each_kind(|kind, run| {
                let mut out = before.clone();
                run(&mut Job::AddOuter(a, &b, &places, n, &mut out));
                for (found, expected) in out.iter().zip(&expected) {
                    assert!((f64::from(*found) - expected).abs() < 1e-3, "{kind}: {found}, not {expected}");
                }
            });
        }
    }

    #[test]
    #[should_panic(expected = "rows within the values")]
    fn a_row_that_reaches_past_the_values_is_not_read() {
        let segments = [Segment { offset: 0, len: 3, row: 0 }];
        let rows = Gathered { values: &[0.0; 4], starts: &[2], segments: &segments };
        add_outer(rows, &[1.0], &[0], 1, &mut [0.0; 3]);
    }
}
