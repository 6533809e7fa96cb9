//! Training one module: its input, its optimiser, its steps, and what survives a stop.

pub mod adam;
pub mod checkpoint;
pub mod feed;
pub mod input;
pub mod log;
pub mod profile;
pub mod recordings;
pub mod trainer;
