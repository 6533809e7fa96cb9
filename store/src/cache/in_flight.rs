//! A block on its way from the server: other threads that want it wait, and do not request it again.

use std::io;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::error_kind::Failure;

/// A flight of a block. Only its first result counts.
pub(super) type Flight = OnceLock<Landed>;

/// The result of a flight: the block, or why it did not come.
pub(super) type Landed = Result<Bytes, Arc<io::Error>>;

/// A copy of a request's error, for each thread that waited for the block.
pub(super) fn shared(error: &io::Error) -> io::Error {
    match error.get_ref().and_then(|it| it.downcast_ref::<Failure>()) {
        Some(failure) => failure.clone().into(),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
