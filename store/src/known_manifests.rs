//! Manifests that a store has read before. A manifest of ten thousand parts takes as long to read as everything else
//! about a step, and planning asks for each manifest several times.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::backend::Identity;
use crate::manifest::Manifest;

/// The most parts in all manifests that are held, at about 300 bytes per part.
const MOST_PARTS: usize = 400_000;

/// How long a manifest is not read again where that would take a request. A manifest never changes, so the one read a
/// moment ago is still valid, or has been removed since.
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
    /// The memory limit under which it was read.
    limit: u64,
    manifest: Arc<Manifest>,
}

impl KnownManifests {
    /// The manifest at `path`, if it was read under this memory limit and is still the same file.
    pub fn get(&self, path: &Path, limit: u64, identity: &Identity) -> Option<Arc<Manifest>> {
        let known = self.0.lock();
        let entry = known.manifests.get(path).filter(|it| it.limit == limit)?;
        let same = match (&entry.identity, identity) {
            (Identity::Asked(read), Identity::Asked(now)) => *now - *read < A_MOMENT,
            (read, now) => read == now,
        };
        same.then(|| entry.manifest.clone())
    }

    /// Keeps a manifest that was read. `identity` was taken before the read: a file written meanwhile has another.
    pub fn add(&self, path: &Path, limit: u64, identity: Identity, manifest: &Arc<Manifest>) {
        let mut known = self.0.lock();
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

    /// Forgets the manifest at `path`, which is about to be replaced or removed.
    pub fn forget(&self, path: &Path) {
        self.0.lock().remove(path);
    }
}

impl Known {
    fn remove(&mut self, path: &Path) {
        if let Some(old) = self.manifests.remove(path) {
            self.parts -= old.manifest.parts.len();
        }
    }
}
