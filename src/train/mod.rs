//! Training one module: its input, optimiser, steps and checkpoints.

pub mod activation_rows;
pub mod adam;
pub mod checkpoint;
pub mod events;
pub mod feed;
pub mod input;
pub mod learning;
pub mod learns_nothing;
pub mod log;
pub mod noise;
mod normals;
pub mod profile;
pub mod recordings;
pub mod replay;
#[cfg(test)]
mod test_input;
pub mod took;
pub mod trainer;
