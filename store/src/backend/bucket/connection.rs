//! A connection to a bucket, and what is known about its server.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use object_store::ObjectStore;

/// A connection to a bucket.
pub(super) struct Connection {
    pub store: Arc<dyn ObjectStore>,
    pub url: String,
    /// What the server can do; `None` before the probe.
    pub ability: Mutex<Option<Ability>>,
    pub clock: Mutex<Option<Clock>>,
}

/// What a server that can be written to can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ability {
    /// Whether a copy can also fail when the name is taken.
    pub creates_by_copy: bool,
}

/// A reading of the server's clock, and the time of that reading by a monotonic clock.
#[derive(Debug)]
pub(super) struct Clock {
    pub said: SystemTime,
    pub at: Instant,
}

impl Connection {
    pub fn new(store: Arc<dyn ObjectStore>, url: String) -> Self {
        Self { store, url, ability: Mutex::default(), clock: Mutex::default() }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Shows only the URL, as the connection knows credentials.
        f.write_str(&self.url)
    }
}
