//! What this process has looked at that is no row: what planning and status cost, wherever the store is.

use std::sync::atomic::{AtomicU64, Ordering};

static RECORDS: AtomicU64 = AtomicU64::new(0);
static RECORD_BYTES: AtomicU64 = AtomicU64::new(0);
static GENERATIONS: AtomicU64 = AtomicU64::new(0);

/// Counts since this process began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Looks {
    /// Records that were read: manifests, notes of parts and others.
    pub records: u64,
    /// Their bytes.
    pub record_bytes: u64,
    /// How often the parts of a generation were looked for.
    pub generations: u64,
}

/// What this process has looked at since it began.
pub fn looks() -> Looks {
    Looks {
        records: RECORDS.load(Ordering::Relaxed),
        record_bytes: RECORD_BYTES.load(Ordering::Relaxed),
        generations: GENERATIONS.load(Ordering::Relaxed),
    }
}

pub(crate) fn at_record(bytes: usize) {
    RECORDS.fetch_add(1, Ordering::Relaxed);
    RECORD_BYTES.fetch_add(bytes as u64, Ordering::Relaxed);
}

pub(crate) fn at_generation() {
    GENERATIONS.fetch_add(1, Ordering::Relaxed);
}
