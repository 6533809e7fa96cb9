//! Fetches in the background what will be read soon.

use std::ops::Range;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::cache::{Shared, SharedFetch};

/// Threads that fetch. A server sends 50 to 100 MB/s to one thread, and several times that to several.
const THREADS: usize = 8;

/// The most requests that wait for a thread. Further hints are dropped: their data is fetched when it is read.
const WAITING: usize = 64;

/// A request for blocks of a part.
pub(super) struct Hint {
    pub content: blake3::Hash,
    pub size: u64,
    pub blocks: Range<u64>,
    pub fetch: Arc<SharedFetch>,
}

/// The queue of hints. Its threads end when it is dropped and the queue is empty.
#[derive(Debug, Default)]
pub(super) struct Hints(OnceLock<SyncSender<Hint>>);

impl Hints {
    /// Queues a hint; returns whether there was room for it.
    pub fn send(&self, shared: &Arc<Shared>, hint: Hint) -> bool {
        let hints = self.0.get_or_init(|| {
            let (sender, receiver) = mpsc::sync_channel(WAITING);
            let receiver = Arc::new(Mutex::new(receiver));
            for _ in 0..THREADS {
                let (shared, receiver) = (shared.clone(), receiver.clone());
                let thread = std::thread::Builder::new().name("gimlet-fetch".into());
                // Without a thread there are no hints; each reader fetches what it reads.
                let _ = thread.spawn(move || work(&shared, &receiver));
            }
            sender
        });
        hints.try_send(hint).is_ok()
    }
}

fn work(shared: &Shared, hints: &Mutex<Receiver<Hint>>) {
    loop {
        // One thread waits on the channel, the others wait for its lock.
        let hint = hints.lock().recv();
        let Ok(hint) = hint else { return };
        // If the fetch fails, a later read of these blocks reports the error.
        if let Err(error) = shared.fetch_missing(&hint) {
            tracing::debug!(%error, "what will be read could not be fetched ahead");
        }
    }
}
