//! Meters what a step takes.

use std::time::Instant;

use super::memory;
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
            read_bytes: Some(gimlet_store::bytes_read().saturating_sub(self.read)),
            ..Took::default()
        }
    }

    /// What was taken by a step that reads no datasets.
    pub fn took_from_source(&self) -> Took {
        Took { read_bytes: None, ..self.took() }
    }
}
