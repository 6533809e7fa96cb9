//! The arithmetic on the hot path, as candle custom ops with a backward pass, channels-last.
//!
//! Every kernel splits its work over rayon tasks such that a result depends on nothing but the
//! inputs and, for weight gradients, the number of threads.

pub mod activation;
pub mod conv;
mod geometry;
mod matmul;
pub mod pool;

use candle_core::{CpuStorage, Layout, Result, Storage, Tensor};

pub use geometry::Geometry;

/// The values of a contiguous f32 operand.
pub(crate) fn values<'a>(storage: &'a CpuStorage, layout: &Layout, op: &str) -> Result<&'a [f32]> {
    let Some((start, end)) = layout.contiguous_offsets() else {
        candle_core::bail!("{op} needs a contiguous operand, got strides {:?}", layout.stride())
    };
    Ok(&storage.as_slice::<f32>()?[start..end])
}

/// Calls `f` with the values of a contiguous f32 tensor on the CPU.
pub(crate) fn with_values<T>(
    tensor: &Tensor,
    op: &str,
    f: impl FnOnce(&[f32]) -> Result<T>,
) -> Result<T> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => f(values(storage, layout, op)?),
        _ => candle_core::bail!("{op} is implemented for the CPU only"),
    }
}
