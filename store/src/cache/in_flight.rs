//! A block on its way from the server: other threads that want it wait, and do not request it again.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use bytes::Bytes;

use crate::error_kind::Failure;

/// The result of a flight: the block, or why it did not come.
pub(super) type Landed = Result<Bytes, Arc<io::Error>>;

/// A copy of a request's error, for each thread that waited for the block.
pub(super) fn shared(error: &io::Error) -> io::Error {
    match error.get_ref().and_then(|it| it.downcast_ref::<Failure>()) {
        Some(failure) => failure.clone().into(),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

#[derive(Debug, Default)]
pub(super) struct Flight {
    landed: Mutex<Option<Landed>>,
    changed: Condvar,
}

impl Flight {
    pub fn take_off() -> Arc<Self> {
        Arc::default()
    }

    /// Ends the flight. Only the first result counts.
    pub fn land(&self, landed: Landed) {
        let mut place = self.landed.lock().unwrap_or_else(PoisonError::into_inner);
        place.get_or_insert(landed);
        self.changed.notify_all();
    }

    pub fn wait(&self) -> Landed {
        let mut place = self.landed.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match &*place {
                Some(landed) => return landed.clone(),
                None => place = self.changed.wait(place).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}
