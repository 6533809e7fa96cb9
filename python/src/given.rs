//! Arrays that Python gives: borrowed as they lie, for the time of a call.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

/// An array of NumPy whose values lie side by side, in the order of their indices.
///
/// The Python package passes arrays of its own making (`numpy.ascontiguousarray`), and holds them for the call.
pub struct Given<'py> {
    /// Keeps the memory alive.
    _array: Bound<'py, PyAny>,
    start: *const u8,
    /// NumPy's word for the type of the values.
    typestr: String,
    /// The size of each dimension.
    pub shape: Vec<usize>,
}

impl<'py> Given<'py> {
    /// Borrows `array`.
    pub fn of(array: Bound<'py, PyAny>) -> PyResult<Self> {
        let interface = array.getattr("__array_interface__")?;
        if !interface.get_item("strides").map_or(true, |it| it.is_none()) {
            return Err(PyTypeError::new_err("the values of an array do not lie side by side"));
        }
        let typestr = interface.get_item("typestr")?.extract()?;
        let shape: Vec<usize> = interface.get_item("shape")?.extract()?;
        let (start, _): (usize, bool) = interface.get_item("data")?.extract()?;
        Ok(Self { _array: array, start: start as *const u8, typestr, shape })
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether its values are of the type that NumPy calls `typestr`.
    pub fn is(&self, typestr: &str) -> bool {
        self.typestr == typestr
    }

    /// NumPy's word for the type of its values.
    pub fn typestr(&self) -> &str {
        &self.typestr
    }

    /// Its values, which have to be of the type that `T` says.
    pub fn values<T: Element>(&self) -> PyResult<&[T]> {
        if !self.is(T::TYPESTR) {
            let what = format!("an array of `{}`, not of `{}`", self.typestr, T::TYPESTR);
            return Err(PyTypeError::new_err(what));
        }
        if self.len() == 0 {
            return Ok(&[]);
        }
        if !(self.start as usize).is_multiple_of(align_of::<T>()) {
            return Err(PyTypeError::new_err("the values of an array are not aligned"));
        }
        // SAFETY: NumPy says that so many values of this type lie there, side by side, and they are aligned. The array
        // lives as long as `self`. Every pattern of bits is a value of `T`. Python code that writes to an array while
        // a call reads it would race with every library that lets go of the interpreter meanwhile.
        Ok(unsafe { std::slice::from_raw_parts(self.start.cast(), self.len()) })
    }
}

/// A type of numbers that NumPy has too.
pub trait Element: Copy {
    /// NumPy's word for it.
    const TYPESTR: &'static str;
}

impl Element for u8 {
    const TYPESTR: &'static str = "|u1";
}

impl Element for i64 {
    const TYPESTR: &'static str = "<i8";
}

impl Element for half::f16 {
    const TYPESTR: &'static str = "<f2";
}

impl Element for f32 {
    const TYPESTR: &'static str = "<f4";
}
