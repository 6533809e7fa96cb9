//! What a step takes besides memory (`memory.rs`): seconds, and bytes that it reads from datasets.

use std::time::Instant;

use gimlet_store::Store;

use crate::train::checkpoint::Progress;
use crate::train::profile::Breakdown;

/// Counts from when it was begun. Bytes are those of a whole store, for which one step is done at a time.
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

    /// Begins again; what was counted so far.
    pub fn lap(&mut self) -> Self {
        let next = Self::begin(&self.store);
        std::mem::replace(self, next)
    }

    pub fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Bytes read from part files since.
    pub fn read_bytes(&self) -> u64 {
        self.store.bytes_read().saturating_sub(self.read)
    }

    /// Sets in `so_far` what this attempt has read, and where the time of its steps went, of each module
    /// that trains; added to what was there `before` it.
    pub fn note(&self, before: &Progress, here: &[Breakdown], so_far: &mut Progress) {
        so_far.read_bytes = before.read_bytes + self.read_bytes();
        let before =
            before.breakdown.iter().copied().chain(std::iter::repeat(Breakdown::default()));
        so_far.breakdown = here.iter().zip(before).map(|(here, before)| *here + before).collect();
    }
}
