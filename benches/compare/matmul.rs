//! The best rate at which this machine multiplies matrices: what a step is held against.

use std::time::Instant;

/// Floating-point operations a second of the `gemm` crate on matrices of 2048 x 2048, best of some.
pub fn best_rate(threads: usize) -> f64 {
    const SIDE: usize = 2048;
    let (a, b) = (vec![0.5f32; SIDE * SIDE], vec![0.25f32; SIDE * SIDE]);
    let mut c = vec![0.0f32; SIDE * SIDE];
    let stride = SIDE as isize;
    let seconds = (0..20).map(|_| {
        let started = Instant::now();
        // SAFETY: three matrices of these sizes and strides, the first of which is written to.
        unsafe {
            gemm::gemm(
                SIDE,
                SIDE,
                SIDE,
                c.as_mut_ptr(),
                1,
                stride,
                false,
                a.as_ptr(),
                1,
                stride,
                b.as_ptr(),
                1,
                stride,
                0.0,
                1.0,
                false,
                false,
                false,
                gemm::Parallelism::Rayon(threads),
            );
        }
        started.elapsed().as_secs_f64()
    });
    2.0 * (SIDE as f64).powi(3) / seconds.fold(f64::INFINITY, f64::min)
}
