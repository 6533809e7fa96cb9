//! A connection to a bucket, and what is known about its server.

use std::fmt;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use object_store::ObjectStore;
use parking_lot::Mutex;

/// A connection to a bucket.
pub(super) struct Connection {
    pub store: Arc<dyn ObjectStore>,
    pub url: String,
    /// Whether a copy can also fail when the name is taken; `None` before the server was found fit to write to.
    pub creates_by_copy: Mutex<Option<bool>>,
    pub clock: Mutex<Option<Clock>>,
}

/// A reading of the server's clock, and the time of that reading by a monotonic clock.
#[derive(Debug)]
pub(super) struct Clock {
    pub said: SystemTime,
    pub at: Instant,
}

impl Connection {
    pub fn new(store: Arc<dyn ObjectStore>, url: String) -> Self {
        Self { store, url, creates_by_copy: Mutex::default(), clock: Mutex::default() }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Shows only the URL, as the connection knows credentials.
        f.write_str(&self.url)
    }
}
