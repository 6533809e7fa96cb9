//! Train neural networks one gradient-isolated module at a time, from disk.

pub mod cli;
pub mod context;
pub mod device;
pub mod error;
pub mod exchange;
pub mod loss;
pub mod media;
pub mod module;
pub mod parameters;
mod parquet_table;
pub mod pipeline;
pub mod probe;
mod processes;
pub mod random;
pub mod report;
pub mod sample;
pub mod slurm;
pub mod source;
pub mod stage;
pub mod stop;
pub mod sweep;
pub mod train;
pub mod view;

pub use error::{Error, Kind, Result};
