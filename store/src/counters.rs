//! What a store has read.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a store has looked at that is no row: what planning and status cost, wherever the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Looks {
    /// Records that were read: manifests, notes of parts and others.
    pub records: u64,
    /// Their bytes.
    pub record_bytes: u64,
    /// How often the parts of a generation were looked for.
    pub generations: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    bytes_read: AtomicU64,
    records: AtomicU64,
    record_bytes: AtomicU64,
    generations: AtomicU64,
}

impl Counters {
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    pub fn looks(&self) -> Looks {
        Looks {
            records: self.records.load(Ordering::Relaxed),
            record_bytes: self.record_bytes.load(Ordering::Relaxed),
            generations: self.generations.load(Ordering::Relaxed),
        }
    }

    /// Bytes of a part were read.
    pub fn read(&self, bytes: usize) {
        self.bytes_read.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// A record was read.
    pub fn at_record(&self, bytes: usize) {
        self.records.fetch_add(1, Ordering::Relaxed);
        self.record_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The parts of a generation were looked for.
    pub fn at_generation(&self) {
        self.generations.fetch_add(1, Ordering::Relaxed);
    }
}
