//! The server's clock. Ages of objects are reckoned by it alone, as the clocks of machines differ.

use std::io;
use std::time::{Duration, Instant, SystemTime};

use object_store::ObjectStoreExt;

use super::Object;

/// How often the server is asked.
const ASKED_AGAIN: Duration = Duration::from_secs(600);

/// What the server's clock said, and how long ago that was by a clock that nobody sets.
#[derive(Debug)]
pub(super) struct Clock {
    said: SystemTime,
    at: Instant,
}

impl Clock {
    /// Writes an object beside `object`, and looks when it was written.
    pub fn set_by(object: &Object) -> io::Result<Self> {
        let object = object.own("clock");
        let store = &object.bucket.store;
        object.ask(|| store.put(&object.key, Vec::new().into()))?;
        let at = Instant::now();
        let meta = object.ask(|| store.head(&object.key));
        // What stays is of no size.
        let _ = object.remove();
        Ok(Self { said: meta?.last_modified.into(), at })
    }

    /// The time by it.
    pub fn now(&self) -> SystemTime {
        self.said.checked_add(self.since()).unwrap_or(self.said)
    }

    /// Whether it was asked a short while ago: ours does not count the time in which a machine sleeps.
    pub fn is_right(&self) -> bool {
        self.since() < ASKED_AGAIN
    }

    fn since(&self) -> Duration {
        self.at.elapsed()
    }
}
