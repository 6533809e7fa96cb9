//! Meters what a step takes.

use std::time::Instant;

use super::memory;
use crate::train::checkpoint::Progress;
use crate::train::profile::Breakdown;
use crate::train::took::Took;

/// Counts from when it was begun. Bytes are those of the whole process, which does one step at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meter {
    started: Instant,
    read: u64,
}

impl Meter {
    pub fn begin() -> Self {
        Self { started: Instant::now(), read: gimlet_store::bytes_read() }
    }

    /// What was taken since it was begun.
    pub fn took(&self) -> Took {
        Took {
            seconds: self.started.elapsed().as_secs_f64(),
            peak_memory: memory::peak(),
            read_bytes: Some(self.read_bytes()),
            ..Took::default()
        }
    }

    /// What was taken by a step that reads no datasets.
    pub fn took_from_source(&self) -> Took {
        Took { read_bytes: None, ..self.took() }
    }

    /// Bytes read from part files since.
    pub fn read_bytes(&self) -> u64 {
        gimlet_store::bytes_read().saturating_sub(self.read)
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
