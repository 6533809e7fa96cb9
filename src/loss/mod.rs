//! Local losses: what a module is trained with, without a gradient from above.

pub mod infonce;
