//! When a request is made again whose outcome is not known, and when it is given up.

use std::io;
use std::time::{Duration, Instant};

use super::connect::patience;
use crate::error_kind::Failure;

/// The most tries of a request; `object_store` has its own within each of them.
const MOST: u32 = 5;

/// The pause before the second try, doubled each time.
const PAUSE: Duration = Duration::from_millis(200);

/// The tries of one request, all of them within the patience that there is with a server.
#[derive(Debug)]
pub(super) struct Tries {
    begun: Instant,
    made: u32,
}

impl Tries {
    /// The first is about to be made.
    pub fn begin() -> Self {
        Self { begun: Instant::now(), made: 1 }
    }

    /// Waits for the next one, or gives up with `error` when it will not pass, or has not passed for long.
    pub fn after(&mut self, error: &object_store::Error) -> io::Result<()> {
        let failure = Failure::of(error);
        if failure.may_pass() && self.again() { Ok(()) } else { Err(failure.into()) }
    }

    /// Waits for the next one. `false`: there is none.
    pub fn again(&mut self) -> bool {
        if self.made == MOST || self.begun.elapsed() >= patience() {
            return false;
        }
        std::thread::sleep(PAUSE * (1 << (self.made - 1)));
        self.made += 1;
        true
    }
}
