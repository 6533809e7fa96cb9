//! Products of matrices on one thread.
//!
//! Two forms carry every convolution and its gradients. [`multiply`] takes the rows of its left side
//! from wherever they lie ([`Gathered`]), so that no im2col form is ever written; [`add_outer`] sums
//! the outer products of such rows and those of a second matrix. The right side of the first is
//! packed into [`Panels`] that the vector registers run down.
//!
//! Every value is summed over the inner dimension from first to last, wherever it lies in the
//! output: a row's result does not depend on the rows around it.
//!
//! The code is generic over the vectors of `pulp`, which picks AVX-512, AVX2 with FMA, NEON or arrays
//! when the program runs. Rates beside the `gemm` crate and the peak are in LOG.md.

use std::ops::Range;
use std::sync::OnceLock;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::Buffer;

/// Vectors side by side in a panel.
const VECTORS: usize = 2;
/// The widest panel: two vectors of AVX-512.
const WIDEST: usize = 32;
/// Rows whose sums, one pair of vectors each, stay in 32 registers beside the pointers to them.
const ROWS: usize = 10;
/// The same for [`add_outer`], whose rows need no pointers.
const OUTER_ROWS: usize = 13;
/// The same for both where there are 16 registers.
const ROWS_OF_16: usize = 6;
/// Values of the left side that are gone through panel by panel, so that they stay in the
/// second-level cache; and the fewest and most rows of them.
const CHUNK: usize = 1 << 17;
const FEWEST: usize = 128;
const MOST: usize = 1024;
/// Rows of the right side of [`add_outer`] that stay in the first-level cache.
const DEPTH: usize = 128;

/// Values that lie side by side in a gathered row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// How far they are from the row's start.
    pub offset: u32,
    pub len: u32,
    /// The row of the right side that the first is multiplied with.
    pub row: u32,
}

/// A matrix whose row i is the values in all segments, counted from `starts[i]`.
#[derive(Clone, Copy)]
pub struct Gathered<'a> {
    pub values: &'a [f32],
    pub starts: &'a [u32],
    pub segments: &'a [Segment],
}

impl Gathered<'_> {
    /// Rows of the right side that there have to be.
    fn inner(&self) -> usize {
        self.segments.iter().map(|it| (it.row + it.len) as usize).max().unwrap_or(0)
    }

    /// # Panics
    /// When a row reaches past the values: the kernels read without a check.
    fn check(&self) {
        let reach = self.segments.iter().map(|it| it.offset as usize + it.len as usize).max();
        let last = self.starts.iter().max().map_or(0, |start| *start as usize);
        assert!(last + reach.unwrap_or(0) <= self.values.len(), "rows within the values");
    }
}

/// What becomes of each sum of a product, in this order. Slices have a value for each of the output.
#[derive(Clone, Copy, Default)]
pub struct Write<'a> {
    /// Adds these.
    pub plus: Option<&'a [f32]>,
    /// Adds a value to each column.
    pub bias: Option<&'a [f32]>,
    /// Takes the positive part.
    pub relu: bool,
    /// Takes zero where this is not positive.
    pub mask: Option<&'a [f32]>,
    /// Adds these, mask or not.
    pub plus_unmasked: Option<&'a [f32]>,
}

/// The right side of a product, packed: panels `[k, width]`, the columns past the last one zero.
#[derive(Default)]
pub struct Panels {
    values: Buffer,
    k: usize,
    n: usize,
    width: usize,
}

impl Panels {
    /// Packs the matrix `[k, n]` whose value at (p, j) is `at(p) + j * stride` of `values`, in place
    /// of what was packed before.
    pub fn pack(
        &mut self,
        values: &[f32],
        shape: (usize, usize),
        stride: usize,
        at: impl Fn(usize) -> usize + Sync,
    ) {
        self.pack_by(width(), values, shape, stride, at);
    }

    /// The same in panels of `width` columns.
    fn pack_by(
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

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.values.bytes()
    }

    /// The panels, in order.
    fn panels(&self) -> impl Iterator<Item = &[f32]> {
        let (len, count) = (self.k * self.width, self.n.div_ceil(self.width.max(1)));
        let values = self.values.read(count * len);
        // An empty sum still goes to every column.
        (0..count).map(move |index| &values[index * len..][..len])
    }
}

/// Columns of a panel on this machine.
fn width() -> usize {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;
        fn with_simd<S: Simd>(self, _simd: S) -> usize {
            VECTORS * S::F32_LANES
        }
    }
    static WIDTH: OnceLock<usize> = OnceLock::new();
    *WIDTH.get_or_init(|| dispatch(Lanes))
}

/// Runs `op` with the widest vectors that this machine has.
fn dispatch<Op: WithSimd>(op: Op) -> Op::Output {
    match Arch::new() {
        // Arrays of four, which compilers know to put into vectors.
        Arch::Scalar => pulp::Scalar128b.vectorize(op),
        arch => arch.dispatch(op),
    }
}

/// Row i of `a b` goes through `write` to `out[places[i]..]`; without places, row behind row.
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

/// Evaluates `$body` with `$m` as a constant of the value of `$count`: the sums of a fixed number of
/// rows can stay in registers.
macro_rules! with_constant {
    ($count:expr, $m:ident => $body:expr, $($value:literal)*) => {
        match $count {
            $($value => {
                const $m: usize = $value;
                $body
            })*
            other => unreachable!("a block of {other} rows"),
        }
    };
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
        let mut sums = [[0.0; WIDEST]; OUTER_ROWS];
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

/// `rows` cut into blocks of nearly equal size, none of more than `most`.
#[inline(always)]
fn blocks(rows: Range<usize>, most: usize) -> impl Iterator<Item = Range<usize>> {
    let count = rows.len().div_ceil(most);
    let cut = move |index: usize| rows.start + rows.len() * index / count.max(1);
    (0..count).map(move |index| cut(index)..cut(index + 1))
}

/// `sums[i]` is the product of row i of `a`, which begins at `starts[i]`, and a panel.
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
        // SAFETY: `Gathered::check` has found `start + offset + len` within the values for every
        // start and segment. Checked reads take the sums out of their registers, and half the speed.
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

#[inline(always)]
fn store<S: Simd, const M: usize>(sums: [[S::f32s; VECTORS]; M], out: &mut [[f32; WIDEST]]) {
    for (sums, out) in sums.into_iter().zip(out) {
        let (out, _) = S::as_mut_simd_f32s(out);
        out[..VECTORS].copy_from_slice(&sums);
    }
}

/// Puts what `write` makes of the sums of one row to `to`.
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

/// `out += a^T b`: to the row of `out` `[k, n]` that a segment names, and those after it, goes the sum
/// over i of the segment's values in row i times the `n` values of `b` from `places[i]` on.
///
/// # Panics
/// When a row of either side reaches past its values, or the sizes do not fit.
pub fn add_outer(a: Gathered<'_>, b: &[f32], places: &[u32], n: usize, out: &mut [f32]) {
    a.check();
    assert_eq!(a.starts.len(), places.len(), "a place for each row of a sum of outer products");
    assert!(a.inner() * n <= out.len(), "output of a sum of outer products");
    dispatch(AddOuter { a, b, places, n, out });
}

struct AddOuter<'a> {
    a: Gathered<'a>,
    b: &'a [f32],
    places: &'a [u32],
    n: usize,
    out: &'a mut [f32],
}

impl WithSimd for AddOuter<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { a, b, places, n, out } = self;
        let width = VECTORS * S::F32_LANES;
        let most = if S::REGISTER_COUNT >= 32 { OUTER_ROWS } else { ROWS_OF_16 };
        let mut sums = [[0.0; WIDEST]; OUTER_ROWS];
        let mut narrow = Vec::new();
        let unpadded: Vec<u32> = (0..DEPTH).map(|row| (row * width) as u32).collect();
        for (starts, places) in a.starts.chunks(DEPTH).zip(places.chunks(DEPTH)) {
            for piece in pieces(a.segments) {
                for first in (0..n).step_by(width) {
                    let columns = width.min(n - first);
                    // Rows as they lie; those too short for the vectors, padded.
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

/// Columns of gathered rows that lie side by side.
struct Piece {
    offset: usize,
    len: usize,
    /// The row of the output that the first belongs to.
    row: usize,
}

/// Segments cut into pieces so short that [`DEPTH`] rows of one stay in the second-level cache while
/// every panel of the right side goes by.
fn pieces(segments: &[Segment]) -> impl Iterator<Item = Piece> + '_ {
    const LONGEST: usize = 13 * 20;
    segments.iter().flat_map(|segment| {
        let len = segment.len as usize;
        (0..len).step_by(LONGEST).map(move |first| Piece {
            offset: segment.offset as usize + first,
            len: LONGEST.min(len - first),
            row: segment.row as usize + first,
        })
    })
}

/// `sums[i]` is the sum over the starts of value `start + at + i` times the row of the right side
/// that belongs to the start.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::random::generator;

    /// Runs `op` once with the vectors of every kind that this machine has.
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

    /// A gathered matrix of random rows, which overlap, and its values row by row.
    fn gathered(seed: u64, rows: usize, lens: &[u32]) -> (Vec<f32>, Vec<u32>, Vec<Segment>) {
        let mut draws = generator(seed, "gathered", &[]);
        let mut row = 0;
        let segment = |&len: &u32| {
            // Rows of the right side that no segment asks for lie between.
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

    /// Row `row` of `a`: which row of the right side, and the value.
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
            let mut draws = generator(seed, "b", &[]);
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
            let mut draws = generator(seed, "b", &[]);
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
