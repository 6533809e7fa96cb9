//! A connection to a bucket, and what is known of its server.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use object_store::ObjectStore;

/// A connection to a bucket.
pub(super) struct Connection {
    pub store: Arc<dyn ObjectStore>,
    pub url: String,
    /// What the server can do, once it was asked.
    pub ability: Mutex<Option<Ability>>,
    pub clock: Mutex<Option<Clock>>,
}

/// What a server can do that can be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ability {
    /// Whether copies can be create-only, too.
    pub creates_by_copy: bool,
}

/// What the server's clock said, and when that was by a clock that is never set.
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
        // The connection knows credentials.
        f.write_str(&self.url)
    }
}
