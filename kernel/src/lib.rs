//! The arithmetic on the hot path, channels-last: functions for the maps of one thread, and candle operations.
//!
//! A result depends only on the inputs and, for weight gradients, on the number of rayon's threads.

#![warn(missing_docs)]
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

pub mod activation;
mod buffer;
pub mod conv;
pub mod conv_op;
pub mod eigenvalues;
pub mod gate;
pub mod gathered;
mod geometry;
pub mod outer;
pub mod panels;
pub mod pool;
pub mod product;
pub mod recurrence;
mod sigmoid;
mod vectors;

use std::cell::Cell;

use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Storage, Tensor};

pub use buffer::Buffer;
pub use geometry::Geometry;

/// The number of maps with `positions` positions that a thread works on at once. There are enough rows that reading a
/// layer's weights costs little compared with their use, and few enough that the maps stay in or near the caches.
pub fn maps_per_tile(positions: usize) -> usize {
    (1024 / positions.max(1)).max(1)
}

/// The number of maps per tile for `maps` maps: at most `most`, and chosen so that all threads get the same work.
pub fn tile(maps: usize, most: usize) -> usize {
    let share = maps.div_ceil(rayon::current_num_threads());
    share.div_ceil(share.div_ceil(most).max(1)).max(1)
}

/// The values of a contiguous f32 operand.
pub fn values<'a>(storage: &'a CpuStorage, layout: &Layout, op: &str) -> Result<&'a [f32]> {
    let Some((start, end)) = layout.contiguous_offsets() else {
        candle_core::bail!("{op} needs a contiguous operand, got strides {:?}", layout.stride())
    };
    Ok(&storage.as_slice::<f32>()?[start..end])
}

/// Calls `f` to overwrite the values of a contiguous f32 tensor on the CPU. Tensors that share its memory change, too.
pub fn overwrite<T>(tensor: &Tensor, f: impl FnOnce(&mut [f32]) -> T) -> Result<T> {
    struct Overwrite<F, T>(Cell<Option<F>>, Cell<Option<T>>);

    impl<F: FnOnce(&mut [f32]) -> T, T> InplaceOp1 for Overwrite<F, T> {
        fn name(&self) -> &'static str {
            "overwrite"
        }

        fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
            let (Some((start, end)), CpuStorage::F32(values)) =
                (layout.contiguous_offsets(), storage)
            else {
                candle_core::bail!("only a contiguous tensor of f32 is overwritten")
            };
            self.1.set(self.0.take().map(|f| f(&mut values[start..end])));
            Ok(())
        }
    }

    let overwrite = Overwrite(Cell::new(Some(f)), Cell::new(None));
    tensor.inplace_op1(&overwrite)?;
    let done = overwrite.1.take();
    done.ok_or_else(|| candle_core::Error::Msg("only tensors on the CPU are overwritten".into()))
}

/// Calls `f` with the values of a contiguous f32 tensor on the CPU.
pub fn with_values<T>(tensor: &Tensor, op: &str, f: impl FnOnce(&[f32]) -> Result<T>) -> Result<T> {
    with_all_values([tensor], op, |values| f(values[0]))
}

/// Calls `f` with the values of several contiguous f32 tensors on the CPU.
pub fn with_all_values<'t, T, E: From<candle_core::Error>>(
    tensors: impl IntoIterator<Item = &'t Tensor>,
    op: &str,
    f: impl FnOnce(Vec<&[f32]>) -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    let guards: Vec<_> = tensors.into_iter().map(Tensor::storage_and_layout).collect();
    let all = guards.iter().map(|(storage, layout)| match &**storage {
        Storage::Cpu(storage) => values(storage, layout, op),
        _ => candle_core::bail!("{op} is implemented for the CPU only"),
    });
    f(all.collect::<Result<_>>()?)
}
