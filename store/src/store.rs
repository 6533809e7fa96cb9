//! The store: a handle on everything that a program has stored.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::backend::Backend;
use crate::backend::bucket::Bucket;
use crate::backend::disk::Disk;
use crate::cache::Cache;
use crate::cache_folder::cache_folder;
use crate::counters::{Counters, Looks};
use crate::file_system::FileSystem;
use crate::known_manifests::KnownManifests;

/// The default limit of the cache for object storage, in bytes.
const CACHE_BYTES: u64 = 20_000_000_000;

/// A handle on disks and buckets: their connections, the blocks of objects that this machine caches, the manifests
/// that were read, and counters. Clones are the same store. Another store of this process shares none of this state.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub system: FileSystem,
    pub disk: Arc<dyn Backend>,
    /// All other backends, by how their paths begin, such as `s3://bucket`.
    others: Mutex<HashMap<String, Arc<dyn Backend>>>,
    cache_bytes: AtomicU64,
    /// `Some(None)` when the cache's folder is not a folder.
    cache: OnceLock<Option<Cache>>,
    pub manifests: KnownManifests,
    pub counters: Counters,
}

impl Store {
    /// A new store, which has read nothing. Touches nothing.
    pub fn new() -> Self {
        let system = FileSystem::default();
        let shared = Shared {
            disk: Arc::new(Disk { system: system.clone() }),
            system,
            others: Mutex::default(),
            cache_bytes: AtomicU64::new(CACHE_BYTES),
            cache: OnceLock::new(),
            manifests: KnownManifests::default(),
            counters: Counters::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Makes paths that begin with `root`, such as `mine://a`, lie in `backend`.
    pub fn mount(&self, root: &str, backend: Arc<dyn Backend>) {
        self.shared.others.lock().insert(root.to_owned(), backend);
    }

    /// Limits the cache on this machine's disk for parts on object storage to `bytes`; 0 means no cache. Other stores
    /// and processes share its folder, [`crate::cache_folder`]. Takes effect before the first remote part is opened.
    pub fn keep_at_most(&self, bytes: u64) {
        self.shared.cache_bytes.store(bytes, Ordering::Relaxed);
    }

    /// The limit of the cache for object storage, in bytes.
    pub fn kept_at_most(&self) -> u64 {
        self.shared.cache_bytes.load(Ordering::Relaxed)
    }

    /// Bytes that were read from part files, as they are stored. Reads from the system's cache count too.
    pub fn bytes_read(&self) -> u64 {
        self.shared.counters.bytes_read.load(Ordering::Relaxed)
    }

    /// Bytes of parts that servers have sent, and the number of requests for them.
    pub fn bytes_fetched(&self) -> (u64, u64) {
        let counters = self.cache().map(Cache::counters).unwrap_or_default();
        (counters.fetched, counters.requests)
    }

    /// Counters of reads other than rows.
    pub fn looks(&self) -> Looks {
        *self.shared.counters.looks.lock()
    }

    /// The faults of this store, for tests.
    #[cfg(feature = "testing")]
    pub fn faults(&self) -> &crate::faults::Faults {
        &self.shared.system.faults
    }

    /// The backend of paths that begin with `scheme://name`; `known` is a scheme of object storage.
    pub(crate) fn other(
        &self,
        root: &str,
        bucket: Option<(&'static str, &str)>,
    ) -> Option<Arc<dyn Backend>> {
        let mut others = self.shared.others.lock();
        if let Some(backend) = others.get(root) {
            return Some(backend.clone());
        }
        let (scheme, name) = bucket?;
        let backend: Arc<dyn Backend> =
            Arc::new(Bucket::new(scheme, name, self.shared.system.clone()));
        others.insert(root.to_owned(), backend.clone());
        Some(backend)
    }

    /// The cache for object storage; `None` when its folder is not a folder.
    pub(crate) fn cache(&self) -> Option<&Cache> {
        let open = || {
            Cache::open(&self.shared.system, &cache_folder().join("blocks"), self.kept_at_most())
        };
        self.shared.cache.get_or_init(|| open().ok()).as_ref()
    }
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}
