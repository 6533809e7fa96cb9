//! What the fuzz targets share with the plain tests `store/tests/corpus.rs` and `tests/corpus.rs`,
//! which take these files in by their paths.

pub mod memory;
pub mod pipeline;
pub mod store;
#[path = "../../store/tests/support/mod.rs"]
mod support;
pub mod tree;
