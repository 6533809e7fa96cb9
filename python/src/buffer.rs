//! Memory that goes round: a buffer is filled by a thread of ours, handed to Python as an array without a copy, and
//! filled again once no array refers to it.

use std::alloc::{Layout, alloc_zeroed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gimlet_store::DType;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use zerocopy::{FromBytes, IntoBytes, KnownLayout};

use crate::dtype;

/// The unit of memory: values of every type are aligned in it.
type Unit = u128;

/// Buffers that no array refers to, to be filled again: new memory costs more than reading into it.
pub struct Pool {
    idle: Mutex<Vec<Memory>>,
    /// The most buffers that wait.
    most: usize,
}

/// Zeroed memory of some length.
pub struct Memory {
    units: Vec<Unit>,
    bytes: usize,
}

impl Pool {
    /// A pool in which at most `most` buffers wait.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { idle: Mutex::default(), most })
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Memory>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Memory of `bytes` bytes: used before, where some of this size waits.
    ///
    /// # Errors
    /// When the system has no memory left.
    pub fn take(&self, bytes: usize) -> gimlet::Result<Memory> {
        let mut idle = self.idle();
        if let Some(place) = idle.iter().position(|it| it.bytes == bytes) {
            return Ok(idle.swap_remove(place));
        }
        drop(idle);
        let units = zeroed(bytes.div_ceil(size_of::<Unit>())).ok_or_else(|| {
            gimlet::Error::failed(format!("there is no memory for {bytes} bytes"))
                .hint("read fewer rows at a time, or fewer columns")
        })?;
        Ok(Memory { units, bytes })
    }

    /// Takes back memory that nothing refers to.
    pub fn give_back(&self, memory: Memory) {
        let mut idle = self.idle();
        idle.push(memory);
        // The oldest goes: it may be of a size that is not asked for again, that of the last batch of an epoch.
        if idle.len() > self.most {
            idle.remove(0);
        }
    }
}

/// Zeros, `None` where the system has no memory for them: a vector would end the process. The system gives pages of
/// zeros when they are first written to, so that none is written twice.
fn zeroed(count: usize) -> Option<Vec<Unit>> {
    let layout = Layout::array::<Unit>(count).ok()?;
    if layout.size() == 0 {
        return Some(Vec::new());
    }
    // SAFETY: the layout is not of size 0.
    let start = unsafe { alloc_zeroed(layout) }.cast::<Unit>();
    if start.is_null() {
        return None;
    }
    // SAFETY: the memory is of the global allocator, in the layout of a vector with this capacity, and all of it is
    // zeros, which are values of the type.
    Some(unsafe { Vec::from_raw_parts(start, count, count) })
}

impl Memory {
    /// Its bytes.
    pub fn bytes(&mut self) -> &mut [u8] {
        &mut self.units.as_mut_bytes()[..self.bytes]
    }

    /// Its bytes as values of one type, which fill it.
    pub fn values<T: FromBytes + IntoBytes + KnownLayout>(&mut self) -> &mut [T] {
        // Units are aligned for every type; bytes that fill no value are left out.
        let whole = self.bytes / size_of::<T>() * size_of::<T>();
        <[T]>::mut_from_bytes(&mut self.units.as_mut_bytes()[..whole]).unwrap_or_default()
    }

    /// Hands it to Python as an array of this shape; it goes back to `pool` when no array refers to it.
    pub fn into_buffer(self, pool: &Arc<Pool>, typestr: &'static str, shape: Vec<usize>) -> Buffer {
        Buffer { memory: Some(self), pool: pool.clone(), typestr, shape }
    }
}

/// Values of a tensor column as an array of rows.
pub fn of_column(memory: Memory, pool: &Arc<Pool>, dtype: DType, shape: Vec<usize>) -> Buffer {
    memory.into_buffer(pool, dtype::typestr(dtype), shape)
}

/// Memory of ours that `numpy.asarray` takes as it is.
#[pyclass(frozen, module = "gimlet._native")]
pub struct Buffer {
    memory: Option<Memory>,
    pool: Arc<Pool>,
    typestr: &'static str,
    shape: Vec<usize>,
}

#[pymethods]
impl Buffer {
    /// NumPy's description of memory; the array that it makes refers to this object.
    #[getter]
    fn __array_interface__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let start = self.memory.as_ref().map_or(0, |it| it.units.as_ptr() as usize);
        let interface = PyDict::new(py);
        interface.set_item("version", 3)?;
        interface.set_item("typestr", self.typestr)?;
        interface.set_item("shape", PyTuple::new(py, &self.shape)?)?;
        interface.set_item("data", (start, false))?;
        Ok(interface)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            self.pool.give_back(memory);
        }
    }
}
