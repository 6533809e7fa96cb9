//! Counters of what a store has read.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// Reads other than rows: what planning and status cost, on disk or on a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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
    pub bytes_read: AtomicU64,
    pub looks: Mutex<Looks>,
}

impl Counters {
    /// Counts bytes that were read from a part.
    pub fn read(&self, bytes: usize) {
        self.bytes_read.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts a record that was read.
    pub fn at_record(&self, bytes: usize) {
        let mut looks = self.looks.lock();
        looks.records += 1;
        looks.record_bytes += bytes as u64;
    }

    /// Counts a search for the parts of a generation.
    pub fn at_generation(&self) {
        self.looks.lock().generations += 1;
    }
}
