//! The limit on what the cache's folder holds, whoever writes to it.
//!
//! There is no index. A ledger, a file that all processes append to, grows by a byte for each unit
//! that anybody writes; whoever finds that it stands for a 32nd of the limit empties it, adds up
//! what is there, and removes what was not used for longest. So the ledger's length bounds what has
//! come since that was last done, and no process needs to know of another.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::cache::block;
use crate::file_system::FileSystem;

const LEDGER: &str = "written";

/// What is to become a block is written in moments: after so long nobody is at it.
const ABANDONED: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub(super) struct Limit {
    system: FileSystem,
    folder: PathBuf,
    max_bytes: u64,
    /// Bytes that a byte of the ledger stands for.
    unit: u64,
    ledger: Mutex<Option<File>>,
    /// This process has seen that the limit holds: an earlier one may have had a higher limit.
    seen: AtomicBool,
    /// One thread makes room at a time; the lock on the ledger tells processes apart, not threads.
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

    /// The most that is there after room was made. Two steps fit in beside it until somebody makes room
    /// again, and two more while that goes on.
    pub fn target(&self) -> u64 {
        self.max_bytes - 4 * self.step()
    }

    /// How much is written between one time and the next.
    fn step(&self) -> u64 {
        self.max_bytes / 32
    }

    /// Says that so many bytes are about to be written, and makes room if it is time. `None`: there is
    /// no room, as somebody is still at making some. Else whether files were removed.
    pub fn reserve(&self, bytes: u64) -> io::Result<Option<bool>> {
        self.try_reserve(bytes).inspect_err(|_| {
            // The folder may have been removed, ledger and all.
            *self.ledger.lock().unwrap_or_else(PoisonError::into_inner) = None;
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
        let Ok(_one) = self.evicting.try_lock() else {
            return Ok((!none).then_some(false));
        };
        let ledger = File::open(self.folder.join(LEDGER))?;
        match ledger.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok((!none).then_some(false)),
            // Where the file system knows no locks several make room at once, which does no harm.
            Err(TryLockError::Error(_)) | Ok(()) => {}
        }
        // First, so that what comes while the files are counted is counted at least once.
        OpenOptions::new().write(true).open(self.folder.join(LEDGER))?.set_len(0)?;
        let removed = self.make_room()?;
        self.seen.store(true, Ordering::Relaxed);
        Ok(Some(removed))
    }

    /// Appends to the ledger. The bytes that it now stands for.
    fn note(&self, bytes: u64) -> io::Result<u64> {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
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

    /// Removes what was not used for longest, and what dead writers left. Whether that was anything.
    fn make_room(&self) -> io::Result<bool> {
        let mut cached = Vec::new();
        for folder in fs::read_dir(&self.folder)? {
            let folder = folder?;
            let is_ours = folder.file_name().to_str().is_some_and(|name| name.len() == 2);
            if is_ours && folder.file_type()?.is_dir() {
                // A folder or file that is gone by now is no matter.
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
