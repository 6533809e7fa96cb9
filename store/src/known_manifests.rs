//! Manifests that a store has read before: that of ten thousand parts takes as long to read as all
//! else that there is to know of a step, and who plans asks for each of them several times.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::backend::Identity;
use crate::manifest::Manifest;

/// The most parts of all manifests that are held, of about 300 bytes each.
const MOST_PARTS: usize = 400_000;

/// For how long a manifest is not asked for again where that would be a request. It never changes, so that what
/// was read a moment ago is what is there, or was removed since.
const A_MOMENT: Duration = Duration::from_secs(10);

/// The manifests that a store has read.
#[derive(Debug, Default)]
pub(crate) struct KnownManifests(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    manifests: HashMap<PathBuf, Entry>,
    parts: usize,
}

#[derive(Debug)]
struct Entry {
    identity: Identity,
    /// To its memory, under which it was read.
    limit: u64,
    manifest: Arc<Manifest>,
}

impl KnownManifests {
    /// The manifest at `path`, if it was read under this limit to its memory and is still the same file.
    pub fn get(&self, path: &Path, limit: u64, identity: &Identity) -> Option<Arc<Manifest>> {
        let known = self.lock();
        let entry = known.manifests.get(path).filter(|it| it.limit == limit)?;
        let same = match (&entry.identity, identity) {
            (Identity::Asked(read), Identity::Asked(now)) => *now - *read < A_MOMENT,
            (read, now) => read == now,
        };
        same.then(|| entry.manifest.clone())
    }

    /// Keeps a manifest that was read. `identity` was taken before: what is written meanwhile has another.
    pub fn add(&self, path: &Path, limit: u64, identity: Identity, manifest: &Arc<Manifest>) {
        let mut known = self.lock();
        known.remove(path);
        let parts = manifest.parts.len();
        if known.parts + parts > MOST_PARTS {
            *known = Known::default();
        }
        if parts <= MOST_PARTS {
            known.parts += parts;
            let entry = Entry { identity, limit, manifest: manifest.clone() };
            known.manifests.insert(path.to_path_buf(), entry);
        }
    }

    /// What is at `path`, if that is a manifest, is about to be another, or none.
    pub fn forget(&self, path: &Path) {
        self.lock().remove(path);
    }

    /// A panic elsewhere leaves what is known as good as it was.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn remove(&mut self, path: &Path) {
        if let Some(old) = self.manifests.remove(path) {
            self.parts -= old.manifest.parts.len();
        }
    }
}
