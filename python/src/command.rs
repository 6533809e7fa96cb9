//! The command `gimlet`, run in the process of a Python interpreter.

use std::ffi::OsString;

use pyo3::prelude::*;

/// Runs the command with `arguments`, and returns its exit code. `program` are the words that start the command in
/// another process.
#[pyfunction]
pub fn main(py: Python<'_>, program: Vec<OsString>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| gimlet::cli::run_as(program, arguments))
}
