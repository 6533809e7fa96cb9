//! Widens half precision to f32 on the way from a page.

use half::f16;
use half::slice::HalfFloatSliceExt;
use zerocopy::IntoBytes;

/// Widens the values in `bytes`, which need not be aligned, to `out`, which has the same number of values.
pub(crate) fn widen(bytes: &[u8], out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx") && is_x86_feature_detected!("f16c") {
        // SAFETY: the processor has the features that the function needs.
        return unsafe { widen_f16c(bytes, out) };
    }
    widen_in_blocks(bytes, out);
}

/// [`widen`] that writes past the processor's cache: faster where `out` is part of a buffer larger than the cache.
pub(crate) fn widen_past_the_cache(bytes: &[u8], out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx") && is_x86_feature_detected!("f16c") {
        // SAFETY: the processor has the features that the function needs.
        return unsafe { stream_f16c(bytes, out) };
    }
    widen(bytes, out);
}

/// Widens bfloat16 in `bytes`, which need not be aligned, to `out`, which has the same number of values: each is the upper
/// half of an f32.
pub(crate) fn widen_bf16(bytes: &[u8], out: &mut [f32]) {
    let (values, _) = bytes.as_chunks::<2>();
    for (out, value) in out.iter_mut().zip(values) {
        *out = f32::from_bits(u32::from(u16::from_le_bytes(*value)) << 16);
    }
}

/// Widens with the crate `half`, which takes aligned values.
fn widen_in_blocks(bytes: &[u8], out: &mut [f32]) {
    /// Values per block: they stay in the first-level cache.
    const BLOCK: usize = 1024;
    let mut block = [f16::ZERO; BLOCK];
    for (bytes, out) in bytes.chunks(2 * BLOCK).zip(out.chunks_mut(BLOCK)) {
        let block = &mut block[..out.len()];
        block.as_mut_bytes().copy_from_slice(bytes);
        block.convert_to_f32_slice(out);
    }
}

/// Widens with F16C. Twice as fast as `half`, whose conversion is a function call for every eight values.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx,f16c")]
fn widen_f16c(bytes: &[u8], out: &mut [f32]) {
    use std::arch::x86_64::_mm256_cvtph_ps;
    let (eights, rest) = bytes.as_chunks::<16>();
    let (out, last) = out.as_chunks_mut::<8>();
    for (out, eight) in out.iter_mut().zip(eights) {
        *out = zerocopy::transmute!(_mm256_cvtph_ps(zerocopy::transmute!(*eight)));
    }
    widen_in_blocks(rest, last);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx,f16c")]
fn stream_f16c(bytes: &[u8], out: &mut [f32]) {
    use std::arch::x86_64::{_mm_sfence, _mm256_cvtph_ps, _mm256_stream_ps};
    let (first, out) = out.split_at_mut(out.as_ptr().align_offset(32).min(out.len()));
    let (start, bytes) = bytes.split_at(2 * first.len());
    widen_in_blocks(start, first);
    let (eights, rest) = bytes.as_chunks::<16>();
    let (out, last) = out.as_chunks_mut::<8>();
    for (out, eight) in out.iter_mut().zip(eights) {
        let values = _mm256_cvtph_ps(zerocopy::transmute!(*eight));
        // SAFETY: these are eight values, and the first lies on a multiple of 32 bytes.
        unsafe { _mm256_stream_ps(out.as_mut_ptr(), values) };
    }
    // Other threads see what was streamed only after a fence.
    _mm_sfence();
    widen_in_blocks(rest, last);
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;

    #[test]
    fn every_bf16_is_widened_wherever_it_lies() {
        let all: Vec<bf16> = (0..=u16::MAX).map(bf16::from_bits).collect();
        let bytes = [&[0], all.as_bytes()].concat();
        let mut wide = vec![0.0; all.len()];
        widen_bf16(&bytes[1..], &mut wide);
        for (wide, value) in wide.iter().zip(&all) {
            // `half` makes a signalling NaN a quiet one; here it stays as it was written.
            assert_eq!(wide.to_bits(), u32::from(value.to_bits()) << 16, "{value:?}");
            assert!(value.is_nan() || *wide == value.to_f32(), "{value:?}");
        }
    }

    #[test]
    fn every_half_is_widened_wherever_it_lies() {
        let halves: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
        for shift in 0..3 {
            let mut bytes = vec![0; shift];
            bytes.extend(halves.as_bytes());
            for length in [halves.len(), halves.len() - 3, 5] {
                let (mut fast, mut slow) = (vec![0.0; length], vec![0.0; length]);
                // Wherever the first eight aligned values begin.
                let mut streamed = vec![0.0; length + shift];
                widen_past_the_cache(&bytes[shift..][..2 * length], &mut streamed[shift..]);
                widen(&bytes[shift..][..2 * length], &mut fast);
                widen_in_blocks(&bytes[shift..][..2 * length], &mut slow);
                for (index, half) in halves[..length].iter().enumerate() {
                    let exact = half.to_f32();
                    for value in [fast[index], slow[index], streamed[shift + index]] {
                        assert!(value == exact || value.is_nan() && exact.is_nan(), "{half:?}");
                    }
                }
            }
        }
    }
}
