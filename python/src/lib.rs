//! The native part of the Python package `gimlet`. What it has is private to that package, which gives it its names,
//! its types and its documentation (`python/gimlet/`).

mod buffer;
#[cfg(feature = "cli")]
mod command;
mod dataset;
mod dtype;
mod error;
mod given;
mod loader;
mod owner;
mod run;
mod writer;

use pyo3::prelude::*;

/// `gimlet._native`.
#[pymodule]
mod _native {
    #[pymodule_export]
    use super::buffer::Buffer;
    #[cfg(feature = "cli")]
    #[pymodule_export]
    use super::command::main;
    #[pymodule_export]
    use super::dataset::Dataset;
    #[pymodule_export]
    use super::loader::{Loader, Stream};
    #[pymodule_export]
    use super::run::run;
    #[pymodule_export]
    use super::writer::{Writer, key_of};

    /// The version of the code that was compiled.
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");

    /// The version of the store's layout on disk that it reads and writes.
    #[pymodule_export]
    const FORMAT_VERSION: u32 = gimlet_store::FORMAT_VERSION;
}
