//! The server's clock. Ages of objects are reckoned by it alone, as the clocks of machines differ.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::bucket::Bucket;
use super::failure::Failure;
use super::runtime::wait_for;
use object_store::ObjectStoreExt;

/// What the server's clock said, and how long ago that was by a clock that nobody sets.
#[derive(Debug)]
pub(super) struct Clock {
    said: SystemTime,
    at: Instant,
}

impl Clock {
    /// Writes an object, and looks when it was written.
    pub fn set_by(bucket: &Arc<Bucket>) -> io::Result<Self> {
        let object = bucket.own("clock");
        object.ask(bucket.store.put(&object.key, Vec::new().into()))?;
        let at = Instant::now();
        let meta = wait_for(bucket.store.head(&object.key));
        // What stays is of no size.
        let _ = object.remove();
        let said = meta.map_err(|error| Failure::of(&error))?.last_modified.into();
        Ok(Self { said, at })
    }

    /// The time by it.
    pub fn now(&self) -> SystemTime {
        self.said.checked_add(self.since()).unwrap_or(self.said)
    }

    fn since(&self) -> Duration {
        self.at.elapsed()
    }
}
