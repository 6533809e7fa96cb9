//! Train neural networks one gradient-isolated module at a time, from disk.

#![warn(missing_docs)]
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

#[cfg(feature = "cli")]
pub mod cli;
pub mod context;
pub mod device;
pub mod error;
pub mod exchange;
mod folder;
pub mod loss;
pub mod module;
pub mod parameters;
mod parquet_table;
pub mod pipeline;
pub mod probe;
mod quantity;
pub mod random;
pub mod report;
pub mod slurm;
pub mod source;
pub mod stage;
pub mod stop;
pub mod sweep;
pub mod train;
pub mod view;

pub use error::{Error, Kind, Result};
