//! How activations are stored, and where: `[store]`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How activations are stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Store {
    /// The type of stored activations.
    pub dtype: ActivationType,
    /// How stored values are compressed.
    pub compression: Compression,
    /// Store relu(z) where the next module reads nothing else of z.
    pub relu: bool,
    /// Rows in one Parquet file.
    pub rows_per_part: usize,
    /// What becomes of the activations of modules that do not say so themselves.
    pub activations: Activations,
    /// The largest number of bytes that the whole run may take on disk; no limit when `None`.
    pub max_bytes: Option<u64>,
    /// The largest number of bytes of batches that are read ahead of the trainer; one batch always is.
    pub read_memory: u64,
    /// The number of newest generations of a dataset that cleaning up keeps.
    pub keep_generations: usize,
    /// Where runs lie, each in a folder of its name: a URL of object storage, or a folder; `runs` when `None`.
    pub url: Option<PathBuf>,
    /// The largest number of bytes of object storage that this machine keeps a copy of.
    pub cache_bytes: u64,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            dtype: ActivationType::F16,
            compression: Compression::Auto,
            relu: true,
            rows_per_part: 2048,
            activations: Activations::Store,
            max_bytes: None,
            read_memory: 256_000_000,
            keep_generations: 2,
            url: None,
            cache_bytes: 20_000_000_000,
        }
    }
}

/// The type activations are stored in; training computes in f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActivationType {
    /// 32 bits.
    F32,
    /// 16 bits.
    F16,
    /// Whole numbers of 8 bits, with a scale for each sample and channel.
    Int8,
}

/// How stored values are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Chosen by the first rows that are written.
    Auto,
    /// Not at all.
    None,
    /// By LZ4: faster than Zstandard, but larger.
    Lz4,
    /// By Zstandard.
    Zstd,
}

/// What becomes of a module's activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activations {
    /// The module writes its activations, and the next module reads them.
    Store,
    /// The frozen predecessors compute them whenever the next module needs them. Only the pooled vectors are written.
    Recompute,
    /// Whichever a cost model says is faster, within `store.max_bytes`.
    Auto,
}
