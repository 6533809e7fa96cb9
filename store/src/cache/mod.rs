//! The cache: blocks of remote parts on the local disk.
//!
//! A read fills its buffer from blocks. Missing blocks are fetched, neighbours in one request, and stay for the next
//! read by this process or another. Nothing depends on a block existing or being whole: each has a checksum, and a
//! disk that cannot be written to costs only time.

mod block;
mod checked_blocks;
mod in_flight;
mod limit;
mod read_ahead;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::cache::block::Key;
use crate::cache::checked_blocks::Known;
use crate::cache::in_flight::{Flight, Landed};
use crate::cache::limit::Limit;
use crate::cache::read_ahead::{Hint, Hints};
use crate::error::{Error, Result};
use crate::file_system::FileSystem;
use crate::positioned::will_need;

/// Bytes per block. A server takes 20 to 50 ms until the first byte, and sends 100 MB/s. With this size, sending
/// takes longer than the wait for the first byte. A larger block would fetch too much for a single row.
const BLOCK: u64 = 4 << 20;

/// Neighbouring blocks that are fetched in one request.
const AT_ONCE: u64 = 2;

/// How long no block is written after the disk has refused one.
const REST: Duration = Duration::from_secs(60);

/// A function that requests a range of bytes of a part from the server.
pub(crate) type Fetch<'a> = dyn Fn(Range<u64>) -> io::Result<Bytes> + 'a;

/// A [`Fetch`] that another thread may call.
pub(crate) type SharedFetch = dyn Fn(Range<u64>) -> io::Result<Bytes> + Send + Sync;

/// A cache in a folder, which other processes may use at the same time. Clones are the same cache.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    shared: Arc<Shared>,
    hints: Arc<Hints>,
}

/// Counts of what was read since the cache was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Bytes that servers sent.
    pub fetched: u64,
    /// Requests that were answered.
    pub requests: u64,
}

#[derive(Debug)]
struct Shared {
    system: FileSystem,
    folder: PathBuf,
    max_bytes: u64,
    block: u64,
    limit: Limit,
    state: Mutex<State>,
    counters: Mutex<Counters>,
    /// Whether a warning was given that the disk refused a block.
    told: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    known: Known,
    flights: HashMap<Key, Arc<Flight>>,
    /// When the disk last refused a block.
    refused: Option<Instant>,
}

/// The result of claiming a block: which thread fetches it, if any.
enum Claim<'a> {
    Ours(Claimed<'a>),
    /// Another thread is fetching it.
    Theirs(Arc<Flight>),
    /// It has arrived meanwhile.
    There,
}

/// Neighbouring blocks that this thread fetches. Dropping it gives up the blocks that have not arrived.
struct Claimed<'a> {
    shared: &'a Shared,
    flights: Vec<(Key, Arc<Flight>)>,
}

impl Cache {
    /// Opens a cache that holds up to `max_bytes` in `folder`, which is made at the first write. With 0 there is no
    /// cache: every read requests exactly its bytes.
    ///
    /// # Errors
    /// `Failed` when something other than a folder has that name.
    pub fn open(system: &FileSystem, folder: &Path, max_bytes: u64) -> Result<Self> {
        Self::with_blocks(system, folder, max_bytes, BLOCK)
    }

    fn with_blocks(system: &FileSystem, folder: &Path, max_bytes: u64, block: u64) -> Result<Self> {
        if folder.exists() && !folder.is_dir() {
            return Err(Error::failed(format_args!("{}: is not a folder", folder.display())));
        }
        let shared = Shared {
            system: system.clone(),
            folder: folder.to_path_buf(),
            max_bytes,
            block,
            limit: Limit::new(system, folder, max_bytes, block),
            state: Mutex::default(),
            counters: Mutex::default(),
            told: AtomicBool::new(false),
        };
        Ok(Self { shared: Arc::new(shared), hints: Arc::default() })
    }

    /// Fills `out` with the bytes from `offset` on of a part of `size` bytes, whose blake3 hash is
    /// `content` in hexadecimal digits. `fetch` asks the server for a range of it.
    ///
    /// # Errors
    /// The errors of `fetch`; `UnexpectedEof` when the part is too short, or the server sends less than was
    /// requested; `InvalidInput` when `content` is not a hash.
    pub fn read(
        &self,
        content: &str,
        size: u64,
        offset: u64,
        out: &mut [u8],
        fetch: &Fetch,
    ) -> io::Result<()> {
        let content = hash(content)?;
        let end = offset.checked_add(out.len() as u64).filter(|end| *end <= size);
        let end = end.ok_or(ErrorKind::UnexpectedEof)?;
        let shared = &*self.shared;
        let mut at = offset;
        // A block that another thread could not fetch is tried once more: that thread may have had less time.
        let mut failed_elsewhere = false;
        while at < end {
            let key = Key { content, number: at / shared.block };
            let until = end.min(shared.range(key, size).end);
            let rest = &mut out[(at - offset) as usize..];
            if shared.read_local(key, size, at, &mut rest[..(until - at) as usize]) {
                at = until;
                continue;
            }
            if !shared.writes() {
                let until = shared.local_from(key, size, end);
                let bytes = shared.request(at..until, fetch)?;
                rest[..bytes.len()].copy_from_slice(&bytes);
                at = until;
                continue;
            }
            let last = (end - 1) / shared.block;
            let (from, bytes) = match shared.claim(key, size, last) {
                Claim::There => continue,
                Claim::Ours(claimed) => claimed.fetch(size, fetch)?,
                Claim::Theirs(flight) => match flight.wait().clone() {
                    Ok(bytes) => (key.number * shared.block, bytes),
                    Err(error) if failed_elsewhere => return Err(in_flight::shared(&error)),
                    Err(_) => {
                        failed_elsewhere = true;
                        continue;
                    }
                },
            };
            let until = end.min(from + bytes.len() as u64);
            let bytes = &bytes[(at - from) as usize..(until - from) as usize];
            rest[..bytes.len()].copy_from_slice(bytes);
            at = until;
        }
        Ok(())
    }

    /// Announces that these bytes of a part will be read soon. They are fetched in the background; if too many
    /// requests are waiting, the read fetches them.
    pub fn will_need(&self, content: &str, size: u64, range: Range<u64>, fetch: Arc<SharedFetch>) {
        let shared = &self.shared;
        let Ok(content) = hash(content) else { return };
        let end = range.end.min(size);
        if range.start >= end || !shared.writes() {
            return;
        }
        let (mut number, last) = (range.start / shared.block, (end - 1) / shared.block);
        while number <= last {
            let key = Key { content, number };
            let file = shared.state.lock().known.file(key);
            if let Some(file) = file {
                let block = shared.range(key, size);
                let (from, until) = (range.start.max(block.start), end.min(block.end));
                will_need(&file, from - block.start, until - from);
                number += 1;
                continue;
            }
            let blocks = number..(number + AT_ONCE).min(last + 1);
            number = blocks.end;
            if !self.hints.send(shared, Hint { content, size, blocks, fetch: fetch.clone() }) {
                return;
            }
        }
    }

    /// Adds all blocks of a part from `file`, which holds it whole. Skips a part that would push out everything else.
    pub fn insert(&self, content: &str, file: &File, size: u64) {
        let shared = &*self.shared;
        let Ok(content) = hash(content) else { return };
        if !shared.writes() || size > shared.limit.target() {
            return;
        }
        let mut buffer = vec![0; shared.block.min(size) as usize];
        for number in 0..size.div_ceil(shared.block) {
            let key = Key { content, number };
            let range = shared.range(key, size);
            let bytes = &mut buffer[..(range.end - range.start) as usize];
            if block::seems_there(&shared.folder, key, bytes.len() as u64) {
                continue;
            }
            // If the file cannot be read, the server has a copy.
            if file.read_exact_at(bytes, range.start).is_err() || !shared.writes() {
                return;
            }
            shared.write(key, bytes);
        }
    }

    /// Drops the blocks that hold these bytes, because their contents are wrong.
    pub fn forget(&self, content: &str, range: Range<u64>) {
        let Ok(content) = hash(content) else { return };
        if !range.is_empty() {
            for number in range.start / self.shared.block..=(range.end - 1) / self.shared.block {
                self.shared.forget(Key { content, number });
            }
        }
    }

    /// The counts of what was read so far.
    pub fn counters(&self) -> Counters {
        *self.shared.counters.lock()
    }
}

impl Shared {
    /// The range of bytes of the part that a block holds.
    fn range(&self, key: Key, size: u64) -> Range<u64> {
        let start = key.number * self.block;
        start..(start + self.block).min(size)
    }

    /// Whether blocks are written: there is a cache, and the disk has not just refused one.
    fn writes(&self) -> bool {
        self.max_bytes > 0 && self.state.lock().refused.is_none_or(|when| when.elapsed() > REST)
    }

    /// The file of a block, if it exists and is whole.
    fn local(&self, key: Key, size: u64) -> Option<Arc<File>> {
        if self.max_bytes == 0 {
            return None;
        }
        let checked = {
            let known = &mut self.state.lock().known;
            if let Some(file) = known.file(key) {
                return Some(file);
            }
            known.checked(key)
        };
        let range = self.range(key, size);
        match block::open(&self.system, &self.folder, key, range.end - range.start, checked) {
            Some((file, identity)) => {
                let file = Arc::new(file);
                self.state.lock().known.add(key, file.clone(), identity);
                Some(file)
            }
            None => {
                let known = &mut self.state.lock().known;
                // Another thread may have fetched it meanwhile.
                if known.checked(key) == checked {
                    known.forget(key);
                }
                None
            }
        }
    }

    /// Whether `out` was filled with the bytes from `at` on, all of this block.
    fn read_local(&self, key: Key, size: u64, at: u64, out: &mut [u8]) -> bool {
        let Some(file) = self.local(key, size) else { return false };
        let read = file.read_exact_at(out, at - key.number * self.block).is_ok();
        if !read {
            self.forget(key);
        }
        read
    }

    /// The offset where existing blocks begin again after a missing one, or else `end`.
    fn local_from(&self, key: Key, size: u64, end: u64) -> u64 {
        let last = (end - 1) / self.block;
        let mut after = (key.number + 1..=last).map(|number| Key { number, ..key });
        let there = after.find(|key| self.local(*key, size).is_some());
        there.map_or(end, |key| key.number * self.block)
    }

    fn forget(&self, key: Key) {
        self.state.lock().known.forget(key);
        block::remove(&self.system, &key.path(&self.folder));
    }

    fn request(&self, range: Range<u64>, fetch: &Fetch) -> io::Result<Bytes> {
        let wanted = range.end - range.start;
        let bytes = fetch(range)?;
        let mut counters = self.counters.lock();
        counters.requests += 1;
        counters.fetched += bytes.len() as u64;
        drop(counters);
        if bytes.len() as u64 != wanted {
            let why = format!("the server sent {} bytes of {wanted}", bytes.len());
            return Err(io::Error::new(ErrorKind::UnexpectedEof, why));
        }
        Ok(bytes)
    }

    /// Claims a missing block, and the missing blocks directly after it, up to `last`.
    fn claim(&self, key: Key, size: u64, last: u64) -> Claim<'_> {
        let last = last.min(key.number + AT_ONCE - 1);
        let after = (key.number + 1..=last).map(|number| Key { number, ..key });
        let missing = after.take_while(|key| {
            let range = self.range(*key, size);
            !block::seems_there(&self.folder, *key, range.end - range.start)
        });
        let missing: Vec<Key> = missing.collect();
        let state = &mut *self.state.lock();
        if let Some(flight) = state.flights.get(&key) {
            return Claim::Theirs(flight.clone());
        }
        if state.known.checked(key).is_some() {
            return Claim::There;
        }
        let mut flights = Vec::new();
        for key in [key].into_iter().chain(missing) {
            if state.flights.contains_key(&key) || state.known.checked(key).is_some() {
                break;
            }
            let flight = Arc::<Flight>::default();
            state.flights.insert(key, flight.clone());
            flights.push((key, flight));
        }
        Claim::Ours(Claimed { shared: self, flights })
    }

    /// Fetches the missing blocks, except those that another thread is fetching.
    fn fetch_missing(&self, hint: &Hint) -> io::Result<()> {
        let mut number = hint.blocks.start;
        while number < hint.blocks.end && self.writes() {
            let key = Key { content: hint.content, number };
            number += 1;
            if self.local(key, hint.size).is_some() {
                continue;
            }
            if let Claim::Ours(claimed) = self.claim(key, hint.size, hint.blocks.end - 1) {
                number += claimed.flights.len() as u64 - 1;
                claimed.fetch(hint.size, &*hint.fetch)?;
            }
        }
        Ok(())
    }

    /// Writes a block, if there is room for it and the disk accepts it.
    fn write(&self, key: Key, bytes: &[u8]) {
        if let Err(error) = self.try_write(key, bytes) {
            self.state.lock().refused = Some(Instant::now());
            if !self.told.swap(true, Ordering::Relaxed) {
                let folder = self.folder.display();
                tracing::warn!(%folder, %error, "cannot cache what is read; going on without");
            }
        }
    }

    fn try_write(&self, key: Key, bytes: &[u8]) -> io::Result<()> {
        let Some(removed) = self.limit.reserve(block::file_bytes(bytes))? else { return Ok(()) };
        if removed {
            self.state.lock().known.close_removed();
        }
        let (file, identity) = block::write(&self.system, &self.folder, key, bytes)?;
        self.state.lock().known.add(key, Arc::new(file), identity);
        Ok(())
    }
}

impl Claimed<'_> {
    /// Fetches the blocks, hands them to waiting threads, and writes them. Returns the first offset, and all bytes.
    fn fetch(self, size: u64, fetch: &Fetch) -> io::Result<(u64, Bytes)> {
        let ranges = self.flights.iter().map(|(key, _)| self.shared.range(*key, size));
        let whole = ranges.clone().fold(u64::MAX, |start, range| start.min(range.start))
            ..ranges.fold(0, |end, range| end.max(range.end));
        let start = whole.start;
        let bytes = self.shared.request(whole, fetch).inspect_err(|error| {
            self.give_up(&Err(Arc::new(in_flight::shared(error))));
        })?;
        let blocks = self.flights.iter().map(|(key, flight)| {
            let range = self.shared.range(*key, size);
            let block = bytes.slice((range.start - start) as usize..(range.end - start) as usize);
            let _ = flight.set(Ok(block.clone()));
            (*key, block)
        });
        for (key, block) in blocks.collect::<Vec<_>>() {
            if self.shared.writes() {
                self.shared.write(key, &block);
            }
        }
        Ok((start, bytes))
    }

    /// Gives up the blocks, before the waiting threads hear of it: these threads can claim them then.
    fn give_up(&self, landed: &Landed) {
        let flights = &mut self.shared.state.lock().flights;
        for (key, flight) in &self.flights {
            if flights.get(key).is_some_and(|it| Arc::ptr_eq(it, flight)) {
                flights.remove(key);
            }
            let _ = flight.set(landed.clone());
        }
    }
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        self.give_up(&Err(Arc::new(io::Error::other("it was given up"))));
    }
}

fn hash(content: &str) -> io::Result<blake3::Hash> {
    blake3::Hash::from_hex(content)
        .map_err(|error| io::Error::new(ErrorKind::InvalidInput, error.to_string()))
}
