//! Counters of what a store has read.

use std::sync::atomic::{AtomicU64, Ordering};

/// Reads other than rows: what planning and status cost, on disk or on a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Looks {
    /// Records that were read: manifests, notes of parts and others.
    pub records: u64,
    /// Bytes of these records.
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

    /// Counts bytes that were read from a part.
    pub fn read(&self, bytes: usize) {
        self.bytes_read.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts a record that was read.
    pub fn at_record(&self, bytes: usize) {
        self.records.fetch_add(1, Ordering::Relaxed);
        self.record_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts a search for the parts of a generation.
    pub fn at_generation(&self) {
        self.generations.fetch_add(1, Ordering::Relaxed);
    }
}
