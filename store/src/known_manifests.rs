//! Manifests that this process has read before: that of ten thousand parts takes as long to read as all
//! else that there is to know of a step, and who plans asks for each of them several times.

use std::collections::HashMap;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::error::Result;
use crate::files::is_url;
use crate::manifest::Manifest;

/// The most parts of all manifests that are held, of about 300 bytes each.
const MOST_PARTS: usize = 400_000;

/// A file that was written to so recently may change again and keep its time: clocks have ticks.
const SETTLED: Duration = Duration::from_secs(2);

/// For how long a manifest on object storage is not asked for again.
const A_MOMENT: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Known {
    manifests: HashMap<PathBuf, Entry>,
    parts: usize,
}

struct Entry {
    identity: Identity,
    /// To its memory, under which it was read.
    limit: u64,
    manifest: Arc<Manifest>,
}

/// Of a file, what changes when it does. Of an object that would be a request; but a manifest never changes,
/// so that what was read a moment ago is what is there, or was removed since.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Identity {
    File { bytes: u64, modified: SystemTime, number: u64 },
    Object { read: Instant },
}

static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);

/// The manifest at `path`, which `read` reads where that was not done before, or the file is no longer
/// the same. `limit` is what its memory is held against.
///
/// # Errors
/// Those of `read`.
pub(crate) fn get(
    path: &Path,
    limit: u64,
    read: impl FnOnce() -> Result<Manifest>,
) -> Result<Arc<Manifest>> {
    // Taken before the file is read: what is written meanwhile has another.
    let identity = Identity::of(path);
    if let Some(identity) = &identity
        && let Some(known) = lock().manifests.get(path)
        && known.limit == limit
        && known.identity.is_of(identity)
    {
        return Ok(known.manifest.clone());
    }
    let manifest = Arc::new(read()?);
    if let Some(identity) = identity {
        lock().add(path, Entry { identity, limit, manifest: manifest.clone() });
    }
    Ok(manifest)
}

/// What is at `path`, if that is a manifest, is about to be another, or none.
pub(crate) fn forget(path: &Path) {
    lock().remove(path);
}

impl Known {
    fn add(&mut self, path: &Path, entry: Entry) {
        self.remove(path);
        let parts = entry.manifest.parts.len();
        if self.parts + parts > MOST_PARTS {
            *self = Self::default();
        }
        if parts <= MOST_PARTS {
            self.parts += parts;
            self.manifests.insert(path.to_path_buf(), entry);
        }
    }

    fn remove(&mut self, path: &Path) {
        if let Some(old) = self.manifests.remove(path) {
            self.parts -= old.manifest.parts.len();
        }
    }
}

impl Identity {
    /// `None` of what cannot be told from what may come in its place.
    fn of(path: &Path) -> Option<Self> {
        if is_url(path) {
            return Some(Self::Object { read: Instant::now() });
        }
        let metadata = path.symlink_metadata().ok()?;
        let modified = metadata.modified().ok()?;
        let age = SystemTime::now().duration_since(modified).ok()?;
        let settled = metadata.is_file() && age >= SETTLED;
        settled.then(|| Self::File { bytes: metadata.len(), modified, number: number(&metadata) })
    }

    /// Whether what was read as `self` is what would be read as `now`.
    fn is_of(&self, now: &Self) -> bool {
        match (self, now) {
            (Self::Object { read }, Self::Object { read: now }) => *now - *read < A_MOMENT,
            _ => self == now,
        }
    }
}

#[cfg(unix)]
fn number(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

/// Elsewhere a file's number is not to be had.
#[cfg(not(unix))]
fn number(_metadata: &Metadata) -> u64 {
    0
}

/// A panic elsewhere leaves what is known as good as it was.
fn lock() -> std::sync::MutexGuard<'static, Known> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}
