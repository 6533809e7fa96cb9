//! What this process knows about blocks: the files that it has checked, and those that it holds open.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use crate::cache::block::{Identity, Key, USED_WITHIN, mark_used};

/// The most open files, usually 256: a quarter of the process's limit. Opening one takes as long as reading 30 kB.
static MOST_OPEN: LazyLock<usize> = LazyLock::new(|| {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    (files.unwrap_or(u64::MAX) / 4).clamp(16, 4096) as usize
});

#[derive(Debug, Default)]
pub(super) struct Known {
    blocks: HashMap<Key, Block>,
    /// The open files, in no order. The hand goes round and closes a file that was not used since its last visit.
    open: Vec<Open>,
    hand: usize,
}

#[derive(Debug)]
struct Block {
    identity: Identity,
    /// The index of its open file in `open`.
    open: Option<usize>,
}

#[derive(Debug)]
struct Open {
    key: Key,
    file: Arc<File>,
    used: bool,
    marked: Instant,
}

impl Known {
    /// The open file of a block, if it is open.
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

    /// The identity of a block's file that was found whole.
    pub fn checked(&self, key: Key) -> Option<Identity> {
        self.blocks.get(&key).map(|block| block.identity)
    }

    pub fn add(&mut self, key: Key, file: Arc<File>, identity: Identity) {
        self.forget(key);
        let place = match self.open.len() < *MOST_OPEN {
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

    /// Closes files that other processes have removed: they take room on disk until then.
    pub fn close_removed(&mut self) {
        let removed = self.open.iter().filter(|open| is_removed(&open.file));
        for key in removed.map(|open| open.key).collect::<Vec<_>>() {
            self.forget(key);
        }
    }

    /// Closes a file that was not used for long, and returns the free place, which is the last.
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

    /// Closes the file at `place`. The last of the open files takes its place.
    fn close(&mut self, place: usize) {
        self.open.swap_remove(place);
        let moved = self.open.get(place).and_then(|moved| self.blocks.get_mut(&moved.key));
        if let Some(block) = moved {
            block.open = Some(place);
        }
    }
}

fn is_removed(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
}
