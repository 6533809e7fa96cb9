//! What this process knows of blocks: which files it has checked, and those that it holds open.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;
use std::time::Instant;

use crate::cache::block::{Identity, Key, USED_WITHIN, mark_used};

/// How many files are held open: a quarter of those that the process may have open, which is 256 as a
/// rule. To open one takes as long as to read 30 kilobytes.
fn most_open() -> usize {
    #[cfg(unix)]
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    #[cfg(not(unix))]
    let files = Some(512);
    (files.unwrap_or(u64::MAX) / 4).clamp(16, 4096) as usize
}

#[derive(Debug)]
pub(super) struct Known {
    blocks: HashMap<Key, Block>,
    most_open: usize,
    /// In no order; the hand goes round and closes what was not used since it last came by.
    open: Vec<Open>,
    hand: usize,
}

#[derive(Debug)]
struct Block {
    identity: Identity,
    /// Its place among the open files.
    open: Option<usize>,
}

#[derive(Debug)]
struct Open {
    key: Key,
    file: Arc<File>,
    used: bool,
    marked: Instant,
}

impl Default for Known {
    fn default() -> Self {
        Self { blocks: HashMap::new(), most_open: most_open(), open: Vec::new(), hand: 0 }
    }
}

impl Known {
    /// The open file of a block, if it is.
    pub fn file(&mut self, key: Key) -> Option<Arc<File>> {
        let open = &mut self.open[self.blocks.get(&key)?.open?];
        open.used = true;
        if open.marked.elapsed() < USED_WITHIN {
            return Some(open.file.clone());
        }
        open.marked = Instant::now();
        mark_used(&open.file);
        let file = open.file.clone();
        if is_removed(&file) {
            self.forget(key);
        }
        Some(file)
    }

    /// The file that was found whole.
    pub fn checked(&self, key: Key) -> Option<Identity> {
        self.blocks.get(&key).map(|block| block.identity)
    }

    pub fn add(&mut self, key: Key, file: Arc<File>, identity: Identity) {
        self.forget(key);
        let place = match self.open.len() < self.most_open {
            true => self.open.len(),
            false => self.close_one(),
        };
        self.blocks.insert(key, Block { identity, open: Some(place) });
        self.open.insert(place, Open { key, file, used: true, marked: Instant::now() });
    }

    pub fn forget(&mut self, key: Key) {
        if let Some(place) = self.blocks.remove(&key).and_then(|block| block.open) {
            self.close(place);
        }
    }

    /// Files that others have removed take their room until they are closed.
    pub fn close_removed(&mut self) {
        let removed = self.open.iter().filter(|open| is_removed(&open.file));
        for key in removed.map(|open| open.key).collect::<Vec<_>>() {
            self.forget(key);
        }
    }

    /// Closes what was not used for long; the last place is free then.
    fn close_one(&mut self) -> usize {
        loop {
            self.hand = (self.hand + 1) % self.open.len();
            let open = &mut self.open[self.hand];
            if !std::mem::take(&mut open.used) {
                let key = open.key;
                if let Some(block) = self.blocks.get_mut(&key) {
                    block.open = None;
                }
                self.close(self.hand);
                return self.open.len();
            }
        }
    }

    /// The last of the open files takes the place of this one.
    fn close(&mut self, place: usize) {
        self.open.swap_remove(place);
        let moved = self.open.get(place).and_then(|moved| self.blocks.get_mut(&moved.key));
        if let Some(block) = moved {
            block.open = Some(place);
        }
    }
}

#[cfg(unix)]
fn is_removed(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| std::os::unix::fs::MetadataExt::nlink(&metadata) == 0)
}

/// Elsewhere an open file cannot be removed.
#[cfg(not(unix))]
fn is_removed(_file: &File) -> bool {
    false
}
