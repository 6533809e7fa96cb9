//! Shows the progress while the files of a source are read and hashed.

use std::sync::atomic::{AtomicU64, Ordering};

use super::progress::Progress;
use crate::Result;
use crate::source::known_files::Watch;
use crate::stop::Stop;

/// Fewer bytes are read in an instant, and their progress is not shown.
const WORTH_TELLING: u64 = 512 << 20;

/// Bytes per unit of progress.
const MEGABYTE: u64 = 1_000_000;

/// Shows the reading of files whose content is not known, and stops it.
pub struct Reading<'a> {
    progress: &'a dyn Progress,
    stop: &'a Stop,
    /// Bytes to be read, where progress is shown; otherwise 0.
    bytes: AtomicU64,
}

impl<'a> Reading<'a> {
    /// Reports to `progress`, and ends the reading when `stop` is set.
    pub fn new(progress: &'a dyn Progress, stop: &'a Stop) -> Self {
        Self { progress, stop, bytes: AtomicU64::new(0) }
    }
}

impl Watch for Reading<'_> {
    fn begin(&self, bytes: u64) {
        if bytes >= WORTH_TELLING {
            self.bytes.store(bytes, Ordering::Relaxed);
            self.progress.begin("read the data", bytes / MEGABYTE, 0);
        }
    }

    fn advance(&self, bytes: u64) -> Result<()> {
        if self.bytes.load(Ordering::Relaxed) > 0 {
            self.progress.advance(bytes / MEGABYTE, "MB");
        }
        self.stop.check("nothing was begun")
    }

    fn end(&self) {
        let bytes = self.bytes.swap(0, Ordering::Relaxed);
        if bytes > 0 {
            self.progress.end(&format!("{} MB, to know them again", bytes / MEGABYTE));
        }
    }
}
