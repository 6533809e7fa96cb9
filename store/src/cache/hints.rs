//! Fetching in the background what will be read soon.

use std::ops::Range;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::cache::{Fetch, Shared};

/// Threads that fetch. A server gives one of them 50 to 100 MB/s, several of them several times that.
const THREADS: usize = 8;

/// Requests that wait for a thread. What is hinted at beyond them is dropped: it will be read anyway.
const WAITING: usize = 64;

/// Blocks of a part, as one request.
pub(super) struct Hint {
    pub content: blake3::Hash,
    pub size: u64,
    pub blocks: Range<u64>,
    pub fetch: Arc<Fetch>,
}

/// The threads end with it, when nothing is left that was hinted at.
#[derive(Debug, Default)]
pub(super) struct Hints(OnceLock<SyncSender<Hint>>);

impl Hints {
    /// Whether there was room for it.
    pub fn send(&self, shared: &Arc<Shared>, hint: Hint) -> bool {
        let hints = self.0.get_or_init(|| {
            let (sender, receiver) = mpsc::sync_channel(WAITING);
            let receiver = Arc::new(Mutex::new(receiver));
            for _ in 0..THREADS {
                let (shared, receiver) = (shared.clone(), receiver.clone());
                let thread = std::thread::Builder::new().name("gimlet-fetch".into());
                // Without a thread there are no hints; what is read is fetched by who reads it.
                let _ = thread.spawn(move || work(&shared, &receiver));
            }
            sender
        });
        hints.try_send(hint).is_ok()
    }
}

fn work(shared: &Shared, hints: &Mutex<Receiver<Hint>>) {
    loop {
        // One waits for the channel, the others for that one.
        let hint = hints.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(hint) = hint else { return };
        // What cannot be fetched now is an error of whoever reads it.
        if let Err(error) = shared.fetch_missing(&hint) {
            tracing::debug!(%error, "what will be read could not be fetched ahead");
        }
    }
}
