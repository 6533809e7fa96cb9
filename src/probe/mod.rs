//! Judging frozen modules by what can be read from their pooled vectors.

pub mod linear;
pub mod pooled;
