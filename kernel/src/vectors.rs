//! The vectors of this machine, and blocks of rows whose sums stay in its registers.

use std::ops::Range;
use std::sync::OnceLock;

use pulp::{Arch, Simd, WithSimd};

/// The number of adjacent vectors in a block of sums.
pub(super) const VECTORS: usize = 2;
/// The widest block: two vectors of AVX-512.
pub(super) const WIDEST: usize = 32;
/// Rows per block whose sums stay in 16 registers, for every kind of sum.
pub(super) const ROWS_OF_16: usize = 6;
/// The most rows of a block.
pub(super) const MOST_ROWS: usize = 13;

/// The sums of a block, row by row.
pub(super) type Sums = [[f32; WIDEST]; MOST_ROWS];

/// Columns of a panel on this machine.
pub(super) fn width() -> usize {
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
pub(super) fn dispatch<Op: WithSimd>(op: Op) -> Op::Output {
    match Arch::new() {
        // Arrays of four, which compilers turn into vectors.
        Arch::Scalar => pulp::Scalar128b.vectorize(op),
        arch => arch.dispatch(op),
    }
}

/// Evaluates `$body` with `$m` as a constant equal to `$count`, so that sums of that many rows stay in registers.
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

pub(super) use with_constant;

/// Cuts `rows` into blocks of nearly equal size, of at most `most` rows.
#[inline(always)]
pub(super) fn blocks(rows: Range<usize>, most: usize) -> impl Iterator<Item = Range<usize>> {
    let count = rows.len().div_ceil(most);
    let cut = move |index: usize| rows.start + rows.len() * index / count.max(1);
    (0..count).map(move |index| cut(index)..cut(index + 1))
}

#[inline(always)]
pub(super) fn store<S: Simd, const M: usize>(
    sums: [[S::f32s; VECTORS]; M],
    out: &mut [[f32; WIDEST]],
) {
    for (sums, out) in sums.into_iter().zip(out) {
        let (out, _) = S::as_mut_simd_f32s(out);
        out[..VECTORS].copy_from_slice(&sums);
    }
}
