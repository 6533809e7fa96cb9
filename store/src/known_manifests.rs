//! Manifests that this process has read before: that of ten thousand parts takes as long to read as all
//! else that there is to know of a step, and who plans asks for each of them several times.

use std::collections::HashMap;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::error::Result;
use crate::files::is_url;
use crate::manifest::Manifest;

/// The most parts of all manifests that are held, of about 300 bytes each.
const MOST_PARTS: usize = 400_000;

/// A file that was written to so recently may change again and keep its time: clocks have ticks.
const SETTLED: Duration = Duration::from_secs(2);

#[derive(Default)]
struct Known {
    manifests: HashMap<PathBuf, (Identity, Arc<Manifest>)>,
    parts: usize,
}

/// What changes when a file does, and the limit to its memory under which it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    bytes: u64,
    modified: SystemTime,
    file: u64,
    limit: u64,
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
    let metadata = if is_url(path) { None } else { path.symlink_metadata().ok() };
    let identity = metadata.and_then(|it| Identity::of(&it, limit));
    if let Some(identity) = &identity
        && let Some((known, manifest)) = lock().manifests.get(path)
        && known == identity
    {
        return Ok(manifest.clone());
    }
    let manifest = Arc::new(read()?);
    if let Some(identity) = identity {
        lock().add(path, identity, &manifest);
    }
    Ok(manifest)
}

impl Known {
    fn add(&mut self, path: &Path, identity: Identity, manifest: &Arc<Manifest>) {
        if let Some((_, old)) = self.manifests.remove(path) {
            self.parts -= old.parts.len();
        }
        if self.parts + manifest.parts.len() > MOST_PARTS {
            *self = Self::default();
        }
        if manifest.parts.len() <= MOST_PARTS {
            self.parts += manifest.parts.len();
            self.manifests.insert(path.to_path_buf(), (identity, manifest.clone()));
        }
    }
}

impl Identity {
    /// `None` of what cannot be told from what may come in its place.
    fn of(metadata: &Metadata, limit: u64) -> Option<Self> {
        let modified = metadata.modified().ok()?;
        let age = SystemTime::now().duration_since(modified).ok()?;
        let settled = metadata.is_file() && age >= SETTLED;
        settled.then(|| Self { bytes: metadata.len(), modified, file: number(metadata), limit })
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
