//! Hashes the content of files with BLAKE3, and remembers the hash as long as a file's size, times and inode stay
//! the same.
//!
//! A file that was changed just before it was read is not remembered: the clock of the file system could not tell a
//! later change from that one. Git treats its index in the same way.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gimlet_store::Store;
use rayon::prelude::*;
use serde_json::Value;

use super::content::{Content, ContentFile, HashedFile, Role};
use super::plain_file;
use crate::folder::folder_of;
use crate::{Error, Result};

/// Within this time a file may change again without new times. FAT has a resolution of two seconds, others a finer one.
const CLOCK: Duration = Duration::from_secs(2);

/// Bytes that are read at a time, and the size from which one file is hashed by all threads.
const PIECE: usize = 8 << 20;
const LARGE: u64 = 64 << 20;

/// Days after which a file is forgotten if it was not remembered again.
const KEPT_DAYS: u64 = 90;

/// The first bytes of the memory file. They change when its layout does.
const MAGIC: &[u8; 16] = b"gimlet files 1\n\0";
/// Bytes of an entry: a [`Stamp`], the day on which it was last remembered, and a hash.
const ENTRY: usize = STAMP + 8 + HASH;
const STAMP: usize = 40;
const HASH: usize = 32;
const SEAL: usize = 32;

/// Hears of the progress of hashing, and may stop it.
pub trait Watch: Sync {
    /// `bytes` bytes will be read. Not called if everything is known.
    fn begin(&self, bytes: u64);

    /// `bytes` bytes have been read so far.
    ///
    /// # Errors
    /// When hashing is to stop.
    fn advance(&self, bytes: u64) -> Result<()>;

    /// All bytes have been read.
    fn end(&self);
}

/// Reports no progress and never stops hashing.
pub struct Unwatched;

impl Watch for Unwatched {
    fn begin(&self, _bytes: u64) {}
    fn advance(&self, _bytes: u64) -> Result<()> {
        Ok(())
    }
    fn end(&self) {}
}

/// Identifies a content, with the files that it was made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// The part that goes into the key of `ingest`.
    pub value: Value,
    files: Arc<Vec<Known>>,
}

/// A file whose content is known.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    path: PathBuf,
    stamp: Stamp,
    /// Whether it may have changed later while its stamp stayed the same.
    recent: bool,
    file: HashedFile,
}

impl Identity {
    /// The identity of a content. Reads those of its files that are not known.
    ///
    /// # Errors
    /// When a file cannot be read, changes meanwhile, or `watch` stops it.
    pub fn of(content: &Content, watch: &dyn Watch) -> Result<Self> {
        let files = hash(&content.files, watch)?;
        let hashed: Vec<HashedFile> = files.iter().map(|it| it.file.clone()).collect();
        Ok(Self { value: content.identity(&hashed), files: Arc::new(files) })
    }

    /// An identity that was found before, without its files.
    pub fn found(value: Value) -> Self {
        Self { value, files: Arc::default() }
    }

    /// The files with the hashes of their content.
    pub fn files(&self) -> Vec<HashedFile> {
        self.files.iter().map(|it| it.file.clone()).collect()
    }

    /// Fails unless `content` has exactly these files, unchanged since they were hashed.
    ///
    /// # Errors
    /// When a file has changed, come or gone.
    pub fn check(&self, content: &Content) -> Result<()> {
        let changed = |path: &Path| {
            Error::failed(format!("`{}` changed while it was read", path.display())).hint(
                "run again once nothing writes to the data; what was ingested of it is not used",
            )
        };
        let then = self.files.iter().map(|it| (&it.path, &it.file.place, it.file.role));
        let now = content.files.iter().map(|it| (&it.path, &it.place, it.role));
        if !then.clone().eq(now.clone()) {
            let [then, now]: [HashSet<_>; 2] = [then.collect(), now.collect()];
            let first = now.symmetric_difference(&then).map(|it| it.0).min();
            return Err(changed(first.map_or(Path::new("the data"), PathBuf::as_path)));
        }
        self.files.par_iter().try_for_each(|it| {
            if Stamp::at(&it.path)? != it.stamp {
                return Err(changed(&it.path));
            }
            // After so recent a change, another one may have left the times the same: hash the file again.
            if it.recent && hash_file(&it.path, &|_| Ok(()))?.1 != it.file.blake3 {
                return Err(changed(&it.path));
            }
            Ok(())
        })
    }
}

/// Tells one state of a file from others without reading the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Stamp([u64; 5]);

impl Stamp {
    #[cfg(unix)]
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        let nanoseconds = |seconds: i64, rest: i64| {
            (seconds as u64).wrapping_mul(1_000_000_000).wrapping_add(rest as u64)
        };
        Self([
            metadata.dev(),
            metadata.ino(),
            metadata.len(),
            nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            // No program can set this time back.
            nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        ])
    }

    /// Without inodes nothing is remembered.
    #[cfg(not(unix))]
    fn of(metadata: &Metadata) -> Self {
        let time = metadata.modified().ok().and_then(|it| it.duration_since(UNIX_EPOCH).ok());
        Self([0, 0, metadata.len(), time.map_or(0, |it| it.as_nanos() as u64), 0])
    }

    fn at(path: &Path) -> Result<Self> {
        let metadata = fs::metadata(path).map_err(|error| Error::io("read", path, error))?;
        Ok(Self::of(&metadata))
    }

    fn bytes(&self) -> u64 {
        self.0[2]
    }

    /// Whether its times are later than `now` or just before: they could not tell another change.
    fn is_recent(&self, now: SystemTime) -> bool {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let latest = Duration::from_nanos(self.0[3].max(self.0[4]));
        latest + CLOCK > now
    }
}

/// Hashes the files, or takes the hashes that are remembered. Keeps their order.
fn hash(files: &[ContentFile], watch: &dyn Watch) -> Result<Vec<Known>> {
    let Some(memory) = Memory::of(files) else { return Ok(Vec::new()) };
    let remembered = memory.read();
    let now = SystemTime::now();
    let stamp = |file: &ContentFile| Stamp::at(&file.path);
    let stamps: Vec<Stamp> = files.par_iter().map(stamp).collect::<Result<_>>()?;
    let unknown = || stamps.iter().filter(|stamp| !remembered.contains_key(stamp));
    let bytes: u64 = unknown().map(Stamp::bytes).sum();
    let count = unknown().count();
    if count > 0 {
        watch.begin(bytes);
    }
    let read = AtomicU64::new(0);
    let advance = |more: u64| watch.advance(read.fetch_add(more, Ordering::Relaxed) + more);
    let known = files.par_iter().zip(&stamps).map(|(file, &stamp)| {
        let ContentFile { role, place, path } = file;
        let (stamp, blake3) = match remembered.get(&stamp) {
            Some((_, hash)) => (stamp, blake3::Hash::from_bytes(*hash).to_hex().to_string()),
            None => hash_file(path, &advance)?,
        };
        let file = HashedFile { role: *role, place: place.clone(), bytes: stamp.bytes(), blake3 };
        Ok(Known { path: path.clone(), stamp, recent: stamp.is_recent(now), file })
    });
    let known: Vec<Known> = known.collect::<Result<_>>()?;
    if count > 0 {
        watch.end();
        memory.write(remembered, &known);
    }
    Ok(known)
}

/// The stamp of a file, and its BLAKE3 in hexadecimal digits.
///
/// # Errors
/// When the file cannot be read, or changes meanwhile.
fn hash_file(path: &Path, advance: &dyn Fn(u64) -> Result<()>) -> Result<(Stamp, String)> {
    let failed = |error| Error::io("read", path, error);
    let mut file = plain_file::open(path).map_err(failed)?;
    let stamp = |file: &File| file.metadata().map(|it| Stamp::of(&it)).map_err(failed);
    let before = stamp(&file)?;
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0; PIECE.min(before.bytes() as usize + 1)];
    loop {
        let mut filled = 0;
        while filled < piece.len() {
            match file.read(&mut piece[filled..]).map_err(failed)? {
                0 => break,
                more => filled += more,
            }
        }
        match before.bytes() {
            LARGE.. => hasher.update_rayon(&piece[..filled]),
            _ => hasher.update(&piece[..filled]),
        };
        advance(filled as u64)?;
        if filled < piece.len() {
            break;
        }
    }
    if stamp(&file)? != before {
        let message = format!("`{}` changed while it was read", path.display());
        return Err(Error::failed(message).hint("run again once nothing writes to it"));
    }
    Ok((before, hasher.finalize().to_hex().to_string()))
}

/// For each state of a file: the day on which it was last remembered, and its hash.
type Remembered = HashMap<Stamp, (u64, [u8; HASH])>;

/// The file that remembers the content of files.
struct Memory(PathBuf);

impl Memory {
    /// The memory for these files; `None` if there are no files.
    fn of(files: &[ContentFile]) -> Option<Self> {
        // All files of a source share one memory. Its name comes from the folder of the first file.
        let folder = folder_of(&files.first()?.path).canonicalize().ok()?;
        let folder = match files.len() {
            1 => folder.as_path(),
            _ => folder.parent().unwrap_or(&folder),
        };
        let name = blake3::hash(folder.as_os_str().as_encoded_bytes()).to_hex();
        Some(Self(gimlet_store::cache_folder().join("files").join(&name.as_str()[..32])))
    }

    /// The remembered files; none if the memory is damaged.
    fn read(&self) -> Remembered {
        let bytes = fs::read(&self.0).unwrap_or_default();
        let Some((body, seal)) = bytes.split_last_chunk::<SEAL>() else { return HashMap::new() };
        let entries = match body.strip_prefix(MAGIC) {
            Some(entries) if blake3::hash(body).as_bytes() == seal => entries,
            _ => return HashMap::new(),
        };
        let entry = |bytes: &[u8]| {
            let (numbers, hash) = bytes.split_at(STAMP + 8);
            let mut numbers = numbers.as_chunks().0.iter().map(|it| u64::from_le_bytes(*it));
            let mut next = || numbers.next().unwrap_or_default();
            let stamp = Stamp(std::array::from_fn(|_| next()));
            (stamp, (next(), hash.try_into().unwrap_or_default()))
        };
        entries.chunks_exact(ENTRY).map(entry).collect()
    }

    /// Remembers the known files. If that fails, they are read again the next time.
    fn write(&self, mut all: Remembered, known: &[Known]) {
        if cfg!(not(unix)) {
            return;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let today = now.as_secs() / (24 * 3600);
        all.retain(|_, (day, _)| *day + KEPT_DAYS > today);
        for it in known.iter().filter(|it| !it.recent) {
            if let Ok(hash) = blake3::Hash::from_hex(&it.file.blake3) {
                all.insert(it.stamp, (today, *hash.as_bytes()));
            }
        }
        let mut bytes = MAGIC.to_vec();
        bytes.reserve(all.len() * ENTRY + SEAL);
        for (stamp, (day, hash)) in &all {
            bytes.extend_from_slice(stamp.0.map(u64::to_le_bytes).as_flattened());
            bytes.extend_from_slice(&day.to_le_bytes());
            bytes.extend_from_slice(hash);
        }
        let seal = blake3::hash(&bytes);
        bytes.extend_from_slice(seal.as_bytes());
        let at = Store::new().locate(&self.0);
        let written = at.folder().create_folder().and_then(|()| at.replace(&bytes));
        if let Err(error) = written {
            tracing::debug!("the contents of files are not remembered: {error}");
        }
    }
}

impl dyn super::Source {
    /// Identifies the content of the source. Reads all files that are not known.
    ///
    /// # Errors
    /// Fails like [`Identity::of`].
    pub fn identity(&self) -> Result<Value> {
        Ok(Identity::of(&self.content(), &Unwatched)?.value)
    }
}

/// Hashes the files as they are now, whatever is remembered.
///
/// # Errors
/// Fails like [`Identity::of`].
pub fn read_anew(files: &[ContentFile], watch: &dyn Watch) -> Result<Vec<HashedFile>> {
    let size = |file: &ContentFile| fs::metadata(&file.path).map_or(0, |it| it.len());
    watch.begin(files.iter().map(size).sum());
    let read = AtomicU64::new(0);
    let advance = |more: u64| watch.advance(read.fetch_add(more, Ordering::Relaxed) + more);
    let hashed = files.par_iter().map(|file| {
        let (stamp, blake3) = hash_file(&file.path, &advance)?;
        let (role, place): (Role, _) = (file.role, file.place.clone());
        Ok(HashedFile { role, place, bytes: stamp.bytes(), blake3 })
    });
    let hashed = hashed.collect::<Result<_>>()?;
    watch.end();
    Ok(hashed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn content(folder: &Path, names: &[&str]) -> Content {
        let file = |name: &&str| ContentFile {
            role: Role::Data,
            place: name.to_string(),
            path: folder.join(name),
        };
        Content { made: json!({}), files: names.iter().map(file).collect() }
    }

    #[test]
    fn what_has_just_been_changed_is_recent() {
        let now = SystemTime::now();
        let at = |ago: i64| {
            let since = now.duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64;
            Stamp([0, 0, 0, (since - ago * 1_000_000_000) as u64, 0])
        };
        assert!(at(0).is_recent(now) && at(1).is_recent(now) && at(-100).is_recent(now));
        assert!(!at(3).is_recent(now));
    }

    #[test]
    fn an_identity_holds_what_it_was_made_of() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "one").unwrap();
        fs::write(folder.path().join("b"), vec![7; 3 * PIECE + 5]).unwrap();
        let content = content(folder.path(), &["a", "b"]);
        let identity = Identity::of(&content, &Unwatched).unwrap();
        assert_eq!(identity, Identity::of(&content, &Unwatched).unwrap());
        let hash = blake3::hash(&vec![7; 3 * PIECE + 5]).to_hex().to_string();
        assert_eq!(identity.files()[1].blake3, hash);
        identity.check(&content).unwrap();
        fs::write(folder.path().join("a"), "two").unwrap();
        let error = identity.check(&content).unwrap_err().to_string();
        assert!(error.contains("changed while it was read"), "{error}");
        assert_ne!(identity.value, Identity::of(&content, &Unwatched).unwrap().value);
    }

    #[test]
    fn memory_is_kept_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory(folder.path().join("memory"));
        assert!(memory.read().is_empty());
        let known = |inode: u64, recent: bool| Known {
            path: PathBuf::new(),
            stamp: Stamp([1, inode, 3, u64::MAX, 4 << 40]),
            recent,
            file: HashedFile {
                role: Role::Data,
                place: String::new(),
                bytes: 0,
                blake3: blake3::hash(&inode.to_le_bytes()).to_hex().to_string(),
            },
        };
        memory.write(HashMap::new(), &[known(1, false), known(2, true), known(3, false)]);
        let read = memory.read();
        assert_eq!(read.len(), if cfg!(unix) { 2 } else { 0 });
        for (Stamp(stamp), (_, hash)) in &read {
            assert_eq!(*stamp, [1, stamp[1], 3, u64::MAX, 4 << 40]);
            assert_eq!(hash, blake3::hash(&stamp[1].to_le_bytes()).as_bytes());
        }
        let mut bytes = fs::read(&memory.0).unwrap();
        for place in [0, 20, bytes.len() - 1] {
            bytes[place] ^= 1;
            fs::write(&memory.0, &bytes).unwrap();
            assert!(memory.read().is_empty(), "{place}");
            bytes[place] ^= 1;
        }
    }
}
