//! Local losses: what a module is trained with, without a gradient from above.

mod contrast;
mod graph;
pub mod infonce;
