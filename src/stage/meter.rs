//! Measures what a step takes: seconds, memory, bytes read.

use std::time::Instant;

use gimlet_store::Store;

use super::memory;
use crate::train::took::Took;

/// Measures from [`Self::begin`] on. Bytes are those of the whole store, in which one step is done at a time.
#[derive(Debug, Clone)]
pub(super) struct Meter {
    started: Instant,
    read: u64,
    store: Store,
}

impl Meter {
    pub fn begin(store: &Store) -> Self {
        Self { started: Instant::now(), read: store.bytes_read(), store: store.clone() }
    }

    /// Starts again, and returns the meter so far.
    pub fn lap(&mut self) -> Self {
        let next = Self::begin(&self.store);
        std::mem::replace(self, next)
    }

    /// What was taken since the start.
    pub fn took(&self) -> Took {
        Took {
            seconds: self.started.elapsed().as_secs_f64(),
            peak_memory: memory::peak(),
            read_bytes: Some(self.store.bytes_read().saturating_sub(self.read)),
            ..Took::default()
        }
    }
}
