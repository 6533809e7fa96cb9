//! A block of a part as a file of its own: its bytes, and a checksum over them and the part and block number.

use std::fs::{self, File, FileTimes, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crc_fast::CrcAlgorithm::Crc64Nvme;
use crc_fast::Digest;

use crate::file_system::FileSystem;
use crate::unique::unique;

/// Bytes of the checksum, at the end of the file.
const CHECKSUM: usize = 8;

/// Bytes that are checked at a time, so that they are still in the processor's cache.
const PIECE: usize = 256 << 10;

/// The shortest time between two marks of a block as used: the order in which blocks are removed need not be exact.
pub(super) const USED_WITHIN: Duration = Duration::from_secs(60);

/// Identifies a block of a part, and the part by its hash: it may lie anywhere, and a changed part is another part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub content: blake3::Hash,
    pub number: u64,
}

/// Identifies a block file that was found whole. A file that has replaced it since has another identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    length: u64,
    written: Option<SystemTime>,
    inode: u64,
}

impl Key {
    pub fn path(&self, folder: &Path) -> PathBuf {
        let hash = self.content.to_hex();
        folder.join(&hash[..2]).join(format!("{hash}-{}", self.number))
    }

    /// The checksum of a block whose bytes were digested in pieces.
    fn checksum(&self, mut digest: Digest) -> [u8; CHECKSUM] {
        digest.update(self.content.as_bytes());
        digest.update(&self.number.to_le_bytes());
        digest.finalize().to_le_bytes()
    }
}

/// Whether a file in a cache's folder is a block, or will become one: nothing else is ever removed.
pub(super) fn is_block(name: &str) -> bool {
    let name = match name.strip_prefix('.') {
        Some(temp) => temp.strip_suffix(".tmp").and_then(|name| name.rsplit_once('.')),
        None => Some((name, "")),
    };
    let parts = name.and_then(|(name, _)| name.split_once('-'));
    parts.is_some_and(|(hash, number)| {
        blake3::Hash::from_hex(hash).is_ok() && number.parse::<u64>().is_ok()
    })
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self { length: metadata.len(), written: metadata.modified().ok(), inode: metadata.ino() }
    }
}

/// When a file was last marked as used, or written.
pub(super) fn last_used(metadata: &Metadata) -> SystemTime {
    let written = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    metadata.accessed().map_or(written, |used| used.max(written))
}

/// Marks a file as used. Where that fails, blocks are removed in the order in which they were written.
pub(super) fn mark_used(file: &File) {
    let _ = file.set_times(FileTimes::new().set_accessed(SystemTime::now()));
}

/// Opens a block of the given size, and checks it unless it is `checked`. Removes one that is not whole.
pub(super) fn open(
    system: &FileSystem,
    folder: &Path,
    key: Key,
    bytes: u64,
    checked: Option<Identity>,
) -> Option<(File, Identity)> {
    let path = key.path(folder);
    let file = File::open(&path).ok()?;
    let metadata = file.metadata().ok()?;
    let identity = Identity::of(&metadata);
    let whole = metadata.len() == bytes + CHECKSUM as u64
        && (checked == Some(identity) || is_whole(&file, key, bytes).unwrap_or(false));
    if !whole {
        tracing::debug!(path = %path.display(), "a cached block is damaged, and is removed");
        remove(system, &path);
        return None;
    }
    if last_used(&metadata).elapsed().is_ok_and(|since| since > USED_WITHIN) {
        mark_used(&file);
    }
    Some((file, identity))
}

fn is_whole(file: &File, key: Key, bytes: u64) -> io::Result<bool> {
    let mut digest = Digest::new(Crc64Nvme);
    let mut piece = vec![0; PIECE.min(bytes as usize)];
    let mut at = 0;
    while at < bytes {
        let length = (piece.len() as u64).min(bytes - at) as usize;
        file.read_exact_at(&mut piece[..length], at)?;
        digest.update(&piece[..length]);
        at += length as u64;
    }
    let mut stored = [0; CHECKSUM];
    file.read_exact_at(&mut stored, bytes)?;
    Ok(key.checksum(digest) == stored)
}

/// The size in bytes of a block's file.
pub(super) fn file_bytes(block: &[u8]) -> u64 {
    (block.len() + CHECKSUM) as u64
}

/// Writes a block in one step. It need not survive a power cut: the checksum reveals damage.
pub(super) fn write(
    system: &FileSystem,
    folder: &Path,
    key: Key,
    bytes: &[u8],
) -> io::Result<(File, Identity)> {
    let path = key.path(folder);
    let hash = key.content.to_hex();
    let temp = path.with_file_name(format!(".{hash}-{}.{:016x}.tmp", key.number, unique()));
    let file = match system.create_new(&temp) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            system.create_new(&temp)?
        }
        created => created?,
    };
    let written = (|| {
        let mut digest = Digest::new(Crc64Nvme);
        digest.update(bytes);
        system.write_all(&file, bytes, &temp)?;
        system.write_all(&file, &key.checksum(digest), &temp)?;
        let identity = Identity::of(&file.metadata()?);
        system.rename(&temp, &path)?;
        Ok(identity)
    })();
    written.map(|identity| (file, identity)).inspect_err(|_| remove(system, &temp))
}

/// Whether a file with the length of this block exists; its contents are not checked.
pub(super) fn seems_there(folder: &Path, key: Key, bytes: u64) -> bool {
    let metadata = fs::metadata(key.path(folder));
    metadata.is_ok_and(|metadata| metadata.len() == bytes + CHECKSUM as u64)
}

/// Removes a block. Failure is no error, as nothing relies on the removal.
pub(super) fn remove(system: &FileSystem, path: &Path) {
    let _ = system.remove(path);
}
