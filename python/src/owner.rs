//! The process that made an object. A child that was forked has a copy of it, and neither its threads nor its locks.

use pyo3::prelude::*;

use crate::error::exception;

/// The process that made an object.
#[derive(Debug, Clone, Copy)]
pub struct Owner(u32);

impl Owner {
    /// This process.
    pub fn this() -> Self {
        Self(std::process::id())
    }

    /// Whether this is still the process that made the object.
    pub fn is_here(self) -> bool {
        self.0 == std::process::id()
    }

    /// Fails in a process that was forked from the one that made the object.
    pub fn check(self, what: &str) -> PyResult<()> {
        if self.is_here() {
            return Ok(());
        }
        let message = format!("{what} was made before this process was forked");
        Err(exception(gimlet::Error::failed(message).hint("make it in the process that uses it")))
    }
}
