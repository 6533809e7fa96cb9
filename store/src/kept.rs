//! What this machine keeps of object storage: one cache for the whole process.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::cache::Cache;
use crate::object::cache_folder;

/// What is kept where nobody says how much.
static LIMIT: AtomicU64 = AtomicU64::new(20_000_000_000);

static CACHE: LazyLock<Option<Cache>> =
    LazyLock::new(|| Cache::open(&folder(), LIMIT.load(Ordering::Relaxed)).ok());

fn folder() -> PathBuf {
    cache_folder().join("blocks")
}

/// Has no more than so many bytes of parts on object storage kept on this machine's disk, from which they are
/// read again; with 0, none. It lies in `GIMLET_CACHE_DIR`, or in the user's folder of caches. Counts before
/// the first part is opened.
pub fn keep_at_most(bytes: u64) {
    LIMIT.store(bytes, Ordering::Relaxed);
}

/// Bytes of parts, and requests for them, that servers have answered this process.
pub fn bytes_fetched() -> (u64, u64) {
    let counters = cache().map(Cache::counters).unwrap_or_default();
    (counters.fetched, counters.requests)
}

/// What is kept; `None` where there is something else in its place.
pub(crate) fn cache() -> Option<&'static Cache> {
    CACHE.as_ref()
}
