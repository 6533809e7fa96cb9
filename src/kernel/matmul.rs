//! Single-threaded matrix products inside a rayon task.
//!
//! The right side is packed into panels of 16 columns; a tile of 6 rows by 16 columns of the product
//! stays in registers while it is summed. Every value is summed over the inner dimension from first
//! to last, wherever it lies in the matrix: so a row's result does not depend on the rows around it.
//!
//! On CPUs with AVX2 and FMA this is about twice as fast as the `gemm` crate's kernel for them, for
//! the tall, thin products of convolutions (LOG.md); with AVX-512, and elsewhere, `gemm` is used.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    _mm256_broadcast_ss, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_setzero_ps, _mm256_storeu_ps,
};

/// Columns of a panel: two AVX2 registers.
const COLUMNS: usize = 16;
/// Rows of a tile: 6 x 2 sums, 2 registers of the panel and 1 of the left side fill the 16 there are.
#[cfg(target_arch = "x86_64")]
const ROWS: usize = 6;

/// A row-major matrix, or the transpose of one.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    values: &'a [f32],
    /// Of the matrix as it lies in memory.
    rows: usize,
    columns: usize,
    transposed: bool,
}

impl<'a> Matrix<'a> {
    /// `values`, row-major, as `[rows, columns]`.
    pub fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(values.len(), rows * columns, "a matrix of {rows} x {columns}");
        Self { values, rows, columns, transposed: false }
    }

    /// The same values as `[columns, rows]`.
    pub fn transpose(self) -> Self {
        Self { transposed: !self.transposed, ..self }
    }

    fn shape(&self) -> (usize, usize) {
        if self.transposed { (self.columns, self.rows) } else { (self.rows, self.columns) }
    }

    /// Distance in values between neighbouring columns and neighbouring rows.
    fn strides(&self) -> (isize, isize) {
        let along_row = self.columns as isize;
        if self.transposed { (along_row, 1) } else { (1, along_row) }
    }
}

/// The right side of a product, packed.
#[derive(Default)]
pub(super) struct Panels {
    /// `[panels, k, COLUMNS]`, the columns beyond the last filled with zeros.
    values: Vec<f32>,
    k: usize,
    n: usize,
}

impl Panels {
    /// The panels of `b`.
    pub fn of(b: Matrix<'_>) -> Self {
        let mut panels = Self::default();
        panels.pack(b);
        panels
    }

    /// Packs `b` in place of what was packed before.
    pub fn pack(&mut self, b: Matrix<'_>) {
        (self.k, self.n) = b.shape();
        self.values.clear();
        self.values.resize(self.n.div_ceil(COLUMNS) * self.k * COLUMNS, 0.0);
        if self.k == 0 {
            return;
        }
        for (index, panel) in self.values.chunks_exact_mut(self.k * COLUMNS).enumerate() {
            let first = index * COLUMNS;
            let columns = COLUMNS.min(self.n - first);
            let rows = panel.chunks_exact_mut(COLUMNS).enumerate();
            for (p, to) in rows.map(|(p, row)| (p, &mut row[..columns])) {
                if b.transposed {
                    let from = b.values[first * b.columns + p..].iter().step_by(b.columns);
                    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
                } else {
                    to.copy_from_slice(&b.values[p * b.columns + first..][..columns]);
                }
            }
        }
    }
}

/// `out = a b`, or `out += a b` when `accumulate`; `out` is row-major.
pub(super) fn matmul(a: Matrix<'_>, b: &Panels, out: &mut [f32], accumulate: bool) {
    assert_eq!(a.shape().1, b.k, "inner sizes of a matrix product");
    assert_eq!(out.len(), a.shape().0 * b.n, "output of a matrix product");
    if b.k == 0 || b.n == 0 {
        if !accumulate {
            out.fill(0.0);
        }
        return;
    }
    #[cfg(target_arch = "x86_64")]
    if prefers_tiles() {
        // SAFETY: `prefers_tiles` has found the features that `by_avx2_tiles` is compiled for.
        return unsafe { by_avx2_tiles(a, b, out, accumulate) };
    }
    by_gemm(a, b, out, accumulate);
}

/// Whether this CPU has AVX2 and FMA and lacks the AVX-512 that `gemm` has faster kernels for.
#[cfg(target_arch = "x86_64")]
fn prefers_tiles() -> bool {
    use std::arch::is_x86_feature_detected as has;
    has!("avx2") && has!("fma") && !has!("avx512f")
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn by_avx2_tiles(a: Matrix<'_>, b: &Panels, out: &mut [f32], accumulate: bool) {
    let (m, _) = a.shape();
    for (index, panel) in b.values.chunks_exact(b.k * COLUMNS).enumerate() {
        let first = index * COLUMNS;
        let columns = COLUMNS.min(b.n - first);
        let (panel, _) = panel.as_chunks::<COLUMNS>();
        let mut store = |row: usize, sums: &[[f32; COLUMNS]]| {
            for (row, sums) in (row..).zip(sums) {
                let out = &mut out[row * b.n + first..][..columns];
                if accumulate {
                    out.iter_mut().zip(sums).for_each(|(out, sum)| *out += sum);
                } else {
                    out.copy_from_slice(&sums[..columns]);
                }
            }
        };
        let whole = m - m % ROWS;
        for row in (0..whole).step_by(ROWS) {
            store(row, &tile::<ROWS>(a, row, panel));
        }
        for row in whole..m {
            store(row, &tile::<1>(a, row, panel));
        }
    }
}

/// Rows `row..row + M` of the product of `a` and a panel `[k, COLUMNS]`.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
#[inline]
fn tile<const M: usize>(
    a: Matrix<'_>,
    row: usize,
    panel: &[[f32; COLUMNS]],
) -> [[f32; COLUMNS]; M] {
    let mut sums = [[_mm256_setzero_ps(); 2]; M];
    // Where step p of row i lies.
    let (along_rows, along_steps) = if a.transposed { (1, a.columns) } else { (a.columns, 1) };
    let left = &a.values[row * along_rows..];
    assert!((M - 1) * along_rows + panel.len().saturating_sub(1) * along_steps < left.len());
    let mut left = left.as_ptr();
    for right in panel {
        // SAFETY: `right` is 16 values long. The last value read on the left is that of the last
        // row and step, which lies within the slice by the assertion above. Checking each read
        // instead takes the sums out of their registers, and half the speed.
        unsafe {
            let low = _mm256_loadu_ps(right.as_ptr());
            let high = _mm256_loadu_ps(right.as_ptr().add(COLUMNS / 2));
            for (i, sums) in sums.iter_mut().enumerate() {
                let left = _mm256_broadcast_ss(&*left.add(i * along_rows));
                sums[0] = _mm256_fmadd_ps(left, low, sums[0]);
                sums[1] = _mm256_fmadd_ps(left, high, sums[1]);
            }
            left = left.wrapping_add(along_steps);
        }
    }
    let mut values = [[0.0; COLUMNS]; M];
    for (values, sums) in values.iter_mut().zip(sums) {
        let (low, high) = values.split_at_mut(COLUMNS / 2);
        // SAFETY: both halves are 8 values long.
        unsafe {
            _mm256_storeu_ps(low.as_mut_ptr(), sums[0]);
            _mm256_storeu_ps(high.as_mut_ptr(), sums[1]);
        }
    }
    values
}

/// The same by the `gemm` crate, which picks the CPU's best kernel when it runs.
fn by_gemm(a: Matrix<'_>, b: &Panels, out: &mut [f32], accumulate: bool) {
    let (m, k) = a.shape();
    let (a_cs, a_rs) = a.strides();
    for (index, panel) in b.values.chunks_exact(k * COLUMNS).enumerate() {
        let first = index * COLUMNS;
        let out = &mut out[first..];
        // SAFETY: `a` lies within its slice by the assertion in `Matrix::new`; the panel is
        // `[k, COLUMNS]`; the output's last value is at `(m - 1) * n + columns - 1` from `first`,
        // within the slice by the assertion in `matmul`, and borrowed mutably, so that it overlaps
        // neither operand.
        unsafe {
            gemm::gemm(
                m,
                COLUMNS.min(b.n - first),
                k,
                out.as_mut_ptr(),
                1,
                b.n as isize,
                accumulate,
                a.values.as_ptr(),
                a_cs,
                a_rs,
                panel.as_ptr(),
                1,
                COLUMNS as isize,
                1.0,
                1.0,
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::random::generator;

    type Product = fn(Matrix<'_>, &Panels, &mut [f32], bool);

    /// Every way to multiply that this CPU has.
    fn ways() -> Vec<(&'static str, Product)> {
        let mut ways: Vec<(&'static str, Product)> = vec![("matmul", matmul), ("gemm", by_gemm)];
        #[cfg(target_arch = "x86_64")]
        if prefers_tiles() {
            // SAFETY: the features were found.
            ways.push(("tiles", |a, b, out, add| unsafe { by_avx2_tiles(a, b, out, add) }));
        }
        ways
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn a_product_is_the_naive_one(
            m in 1..40usize, k in 1..40usize, n in 1..40usize,
            a_transposed: bool, b_transposed: bool, accumulate: bool, seed: u64,
        ) {
            let mut draws = generator(seed, "test", &[]);
            let mut normal = |len: usize| -> Vec<f32> { (0..len).map(|_| draws.normal()).collect() };
            let (a, b, start) = (normal(m * k), normal(k * n), normal(m * n));
            let matrix = |v, rows, columns, transposed| match transposed {
                true => Matrix::new(v, columns, rows).transpose(),
                false => Matrix::new(v, rows, columns),
            };
            let (ma, mb) = (matrix(&a, m, k, a_transposed), matrix(&b, k, n, b_transposed));
            for (name, multiply) in ways() {
                let mut out = start.clone();
                multiply(ma, &Panels::of(mb), &mut out, accumulate);
                for i in 0..m {
                    for j in 0..n {
                        let mut sum = if accumulate { f64::from(start[i * n + j]) } else { 0.0 };
                        for p in 0..k {
                            let left = if a_transposed { a[p * m + i] } else { a[i * k + p] };
                            let right = if b_transposed { b[j * k + p] } else { b[p * n + j] };
                            sum += f64::from(left) * f64::from(right);
                        }
                        let found = f64::from(out[i * n + j]);
                        prop_assert!((found - sum).abs() <= 1e-4, "{name}: {found} is not {sum}");
                    }
                }
            }
        }
    }
}
