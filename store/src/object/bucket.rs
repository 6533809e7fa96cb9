//! The buckets that this process has to do with, each with its connections.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::SystemTime;

use object_store::ObjectStore;

use super::clock::Clock;
use super::{Object, connect, probe};

/// A bucket, a container of Azure's, or a name in the memory of this process.
pub(crate) struct Bucket {
    pub store: Arc<dyn ObjectStore>,
    url: String,
    /// What the server can do, once it was asked.
    ability: Mutex<Option<Ability>>,
    clock: Mutex<Option<Clock>>,
}

/// What a server can do that can be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ability {
    /// Whether copies can be create-only, too.
    pub creates_by_copy: bool,
}

static OPEN: LazyLock<Mutex<HashMap<String, Arc<Bucket>>>> = LazyLock::new(Mutex::default);

/// The bucket of this name; asks no server.
pub(super) fn open(scheme: &str, name: &str) -> io::Result<Arc<Bucket>> {
    let url = format!("{scheme}://{name}");
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(bucket) = open.get(&url) {
        return Ok(bucket.clone());
    }
    let store = connect::connect(scheme, name)?;
    let bucket =
        Bucket { store, url: url.clone(), ability: Mutex::default(), clock: Mutex::default() };
    let bucket = Arc::new(bucket);
    open.insert(url, bucket.clone());
    Ok(bucket)
}

impl Bucket {
    /// What the server can do; refuses one on which one writer could replace what another has committed. It is
    /// asked once, in the folder of `object`: credentials may allow no other.
    pub fn ability(&self, object: &Object) -> io::Result<Ability> {
        let mut known = self.ability.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ability) = *known {
            return Ok(ability);
        }
        let ability = probe::probe(object)?;
        *known = Some(ability);
        Ok(ability)
    }

    /// The time by the server's clock; by ours where nothing may be written there.
    /// It is asked once, in the folder of `object`.
    pub fn server_time(&self, object: &Object) -> io::Result<SystemTime> {
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(clock) = clock.as_ref().filter(|it| it.is_right()) {
            return Ok(clock.now());
        }
        match Clock::set_by(object) {
            Ok(set) => Ok(clock.insert(set).now()),
            // Who may write nothing removes nothing either.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(SystemTime::now()),
            Err(error) => Err(error),
        }
    }

    pub fn url(&self) -> &str {
        &self.url
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The connection knows credentials.
        f.write_str(&self.url)
    }
}
