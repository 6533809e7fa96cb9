//! A block on its way from the server: whoever else wants it waits, and asks for it no second time.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use bytes::Bytes;

use crate::error_kind::Failure;

/// What came of it: the block, or why it did not come.
pub(super) type Landed = Result<Bytes, Arc<io::Error>>;

/// An error of a request for all who waited for it.
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

    /// The first word stands.
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
