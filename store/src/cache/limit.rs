//! The limit on the size of the cache's folder, over all processes that write to it.
//!
//! There is no index. Instead, all processes append to a ledger, a file that grows by one byte per unit written. A
//! process that finds that the ledger stands for a 32nd of the limit empties it, adds up the files, and removes those
//! that were not used for longest. So the ledger's length bounds what was written since the last removal, and no
//! process needs to know the others.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use crate::cache::block;
use crate::file_system::FileSystem;

const LEDGER: &str = "written";

/// The age at which an unfinished block counts as abandoned: writing a block takes moments.
const ABANDONED: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub(super) struct Limit {
    system: FileSystem,
    folder: PathBuf,
    max_bytes: u64,
    /// Bytes that a byte of the ledger stands for.
    unit: u64,
    ledger: Mutex<Option<File>>,
    /// Whether this process has checked the limit once: an earlier process may have had a higher limit.
    seen: AtomicBool,
    /// Lets one thread at a time make room: the lock on the ledger excludes other processes, not threads.
    evicting: Mutex<()>,
}

/// A file in the folder.
struct Cached {
    used: SystemTime,
    bytes: u64,
    path: PathBuf,
}

impl Limit {
    pub fn new(system: &FileSystem, folder: &Path, max_bytes: u64, block: u64) -> Self {
        Self {
            system: system.clone(),
            folder: folder.to_path_buf(),
            max_bytes,
            unit: (block / 64).max(1),
            ledger: Mutex::default(),
            seen: AtomicBool::new(false),
            evicting: Mutex::default(),
        }
    }

    /// The most bytes in the folder after room was made. Two steps more are written before that, and two meanwhile.
    pub fn target(&self) -> u64 {
        self.max_bytes - 4 * self.step()
    }

    /// Bytes that are written before a process makes room again.
    fn step(&self) -> u64 {
        self.max_bytes / 32
    }

    /// Announces that `bytes` are about to be written, and makes room if it is time. `None` when there is no room,
    /// because another thread or process is still making room. Otherwise returns whether files were removed.
    pub fn reserve(&self, bytes: u64) -> io::Result<Option<bool>> {
        self.try_reserve(bytes).inspect_err(|_| {
            // The folder may have been removed, ledger and all.
            *self.ledger.lock() = None;
            self.seen.store(false, Ordering::Relaxed);
        })
    }

    fn try_reserve(&self, bytes: u64) -> io::Result<Option<bool>> {
        let written = self.note(bytes)?;
        let due = written >= self.step() || !self.seen.load(Ordering::Relaxed);
        if !due {
            return Ok(Some(false));
        }
        let none = written >= 2 * self.step();
        let Some(_one) = self.evicting.try_lock() else {
            return Ok((!none).then_some(false));
        };
        let ledger = File::open(self.folder.join(LEDGER))?;
        match ledger.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok((!none).then_some(false)),
            // Without locks several processes make room at once, which does no harm.
            Err(TryLockError::Error(_)) | Ok(()) => {}
        }
        // Empty the ledger first, so that bytes written while the files are counted are counted at least once.
        OpenOptions::new().write(true).open(self.folder.join(LEDGER))?.set_len(0)?;
        let removed = self.make_room()?;
        self.seen.store(true, Ordering::Relaxed);
        Ok(Some(removed))
    }

    /// Appends to the ledger; returns the bytes that it now stands for.
    fn note(&self, bytes: u64) -> io::Result<u64> {
        let mut ledger = self.ledger.lock();
        let file = match &mut *ledger {
            Some(file) => file,
            none => {
                fs::create_dir_all(&self.folder)?;
                let options = OpenOptions::new().append(true).create(true).clone();
                none.insert(options.open(self.folder.join(LEDGER))?)
            }
        };
        file.write_all(&vec![b'.'; bytes.div_ceil(self.unit) as usize])?;
        Ok(file.metadata()?.len().saturating_mul(self.unit))
    }

    /// Removes the blocks that were not used for longest, and leftovers of dead writers; whether there were any.
    fn make_room(&self) -> io::Result<bool> {
        let mut cached = Vec::new();
        for folder in fs::read_dir(&self.folder)? {
            let folder = folder?;
            let is_ours = folder.file_name().to_str().is_some_and(|name| name.len() == 2);
            if is_ours && folder.file_type()?.is_dir() {
                // A folder or file may have been removed by now.
                let Ok(files) = fs::read_dir(folder.path()) else { continue };
                cached.extend(files.filter_map(|file| Cached::of(&file.ok()?)));
            }
        }
        let mut total: u64 = cached.iter().map(|file| file.bytes).sum();
        cached.sort_by_key(|file| file.used);
        let mut removed = false;
        for file in cached {
            let temp = file.path.extension().is_some_and(|ending| ending == "tmp");
            let abandoned = temp && file.used.elapsed().is_ok_and(|since| since > ABANDONED);
            if abandoned || (!temp && total > self.target()) {
                block::remove(&self.system, &file.path);
                total -= file.bytes;
                removed = true;
            }
        }
        Ok(removed)
    }
}

impl Cached {
    fn of(entry: &fs::DirEntry) -> Option<Self> {
        let metadata = entry.metadata().ok()?;
        let ours = metadata.is_file() && block::is_block(entry.file_name().to_str()?);
        let used = block::last_used(&metadata);
        ours.then(|| Self { used, bytes: metadata.len(), path: entry.path() })
    }
}
