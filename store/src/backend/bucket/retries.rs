//! Decides when to retry a request whose outcome is not known, and when to give up.

use std::io;
use std::time::{Duration, Instant};

use super::connect::patience;
use crate::error_kind::Failure;

/// The most tries of a request. `object_store` makes its own retries within each of them.
const MOST: u32 = 5;

/// The pause before the second try, doubled each time.
const PAUSE: Duration = Duration::from_millis(200);

/// The tries of one request, all within the patience for a server.
#[derive(Debug)]
pub(super) struct Tries {
    begun: Instant,
    made: u32,
}

impl Tries {
    /// Begins counting before the first try.
    pub fn begin() -> Self {
        Self { begun: Instant::now(), made: 1 }
    }

    /// Waits before the next try. Gives up with `error` when it will not pass, or when time or tries are used up.
    pub fn after(&mut self, error: &object_store::Error) -> io::Result<()> {
        let failure = Failure::of(error);
        if failure.may_pass() && self.again() { Ok(()) } else { Err(failure.into()) }
    }

    /// Waits before the next try. Returns `false` when there is none.
    pub fn again(&mut self) -> bool {
        if self.made == MOST || self.begun.elapsed() >= patience() {
            return false;
        }
        std::thread::sleep(PAUSE * (1 << (self.made - 1)));
        self.made += 1;
        true
    }
}
