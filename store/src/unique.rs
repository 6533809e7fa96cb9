//! Numbers for names that no other process uses.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// A number that no other process draws, on any machine.
pub fn unique() -> u64 {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    // With the system's randomness: another machine may have the same process id at the same time.
    RandomState::new().hash_one((SystemTime::now(), std::process::id(), count))
}
