//! Widening half precision on its way from a page.

use half::f16;
use half::slice::HalfFloatSliceExt;
use zerocopy::IntoBytes;

/// Values widened at once: they stay in the first-level cache.
const BLOCK: usize = 1024;

/// The values in `bytes`, which need not be aligned. `out` has as many.
pub(crate) fn widen(bytes: &[u8], out: &mut [f32]) {
    let mut block = [f16::ZERO; BLOCK];
    for (bytes, out) in bytes.chunks(2 * BLOCK).zip(out.chunks_mut(BLOCK)) {
        let block = &mut block[..out.len()];
        block.as_mut_bytes().copy_from_slice(bytes);
        block.convert_to_f32_slice(out);
    }
}
