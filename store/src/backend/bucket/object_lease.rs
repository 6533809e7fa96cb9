//! Leases where there are no locks: objects that their holders rewrite as long as they live.
//!
//! The leases on `NAME` are objects in `.leases/NAME/` beside it. A process that takes one first writes its object and
//! then looks for other leases. So of two processes that exclude each other, at least one sees the other. A lease that
//! was not rewritten for [`dead_after`], by the server's clock, counts as that of a dead process. A live process that
//! is slower than that loses its lease. Leases are advisory: what protects the data is that commits are create-only.

use std::io;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use parking_lot::Mutex;

use super::clock::server_time;
use super::conditional_put_check::check_server;
use super::object::Object;
use super::runtime;
use crate::unique::unique;

/// The folder of leases, beside the files that they are on.
pub(super) const LEASES: &str = ".leases";
const SHARED: &str = "shared-";
const ALONE: &str = "alone-";

/// The pause between two looks at the leases of others.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// How often a process tries to hold something alone while another process tries the same.
const TRIES: u64 = 4;

/// Seconds that a lease lives without being rewritten, unless `GIMLET_LEASE_SECONDS` says otherwise.
const DEAD_AFTER: u64 = 90;

/// A lease that is held. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Held(Arc<Beating>);

#[derive(Debug)]
struct Beating {
    object: Object,
    /// The name of the holder, for people.
    who: String,
    /// Whether it is still to be rewritten. Locked during a write, so that no write comes after the removal.
    holds: Mutex<bool>,
}

/// All leases that this process holds.
static ALL: LazyLock<Mutex<Vec<Arc<Beating>>>> = LazyLock::new(|| {
    // Without the thread, others will take this process for dead after a while.
    let _ = std::thread::Builder::new().name("leases".into()).spawn(keep_alive);
    Mutex::default()
});

fn keep_alive() {
    loop {
        std::thread::sleep(dead_after() / 5);
        let all = ALL.lock().clone();
        let holding = all.iter().map(|lease| (lease, lease.holds.lock()));
        let holding: Vec<_> = holding.filter(|(_, holds)| **holds).collect();
        // All at once, with a time limit: one request without an answer must not cost the other leases.
        let puts = holding.iter().map(|(lease, _)| lease.object.put_soon(lease.who.clone()));
        runtime::wait_within(dead_after() / 5, futures_util::future::join_all(puts));
    }
}

/// The age at which a lease counts as that of a dead process.
pub(super) fn dead_after() -> Duration {
    static SECONDS: LazyLock<u64> = LazyLock::new(|| {
        let said = std::env::var("GIMLET_LEASE_SECONDS").ok().and_then(|it| it.parse().ok());
        said.unwrap_or(DEAD_AFTER).max(1)
    });
    Duration::from_secs(*SECONDS)
}

/// A lease of another process, or of another thread.
struct Other {
    name: String,
    lives: bool,
}

impl Held {
    /// Shares the lease on `object`; waits while another process holds it alone.
    pub fn share(object: &Object) -> io::Result<Self> {
        let held = Self::begin(object, SHARED, String::new())?;
        while held.others()?.iter().any(|it| it.lives && it.name.starts_with(ALONE)) {
            std::thread::sleep(BETWEEN_LOOKS);
        }
        Ok(held)
    }

    /// Takes the lease on `object` alone, without waiting. `Err` is the name that another holder has written, if any.
    pub fn alone(object: &Object, who: &str) -> io::Result<Result<Self, String>> {
        let mut tries = 1;
        loop {
            let held = Self::begin(object, ALONE, who.to_owned())?;
            let others = held.others()?;
            let Some(other) = others.iter().find(|it| it.lives) else {
                others.iter().try_for_each(|it| held.lease(&it.name).remove())?;
                return Ok(Ok(held));
            };
            if other.name.starts_with(SHARED) || tries == TRIES {
                let said = held.lease(&other.name).read().unwrap_or_default();
                return Ok(Err(String::from_utf8_lossy(&said).into_owned()));
            }
            drop(held);
            // A random wait, so that processes do not try again at the same time.
            let wait = 50 + unique() % 200;
            std::thread::sleep(Duration::from_millis(wait * tries));
            tries += 1;
        }
    }

    /// Whether a process holds `object`, alone or shared. Takes no lease.
    pub fn is_held(object: &Object) -> io::Result<bool> {
        Ok(leases_in(&folder_of(object))?.iter().any(|it| it.lives))
    }

    fn begin(object: &Object, mode: &str, who: String) -> io::Result<Self> {
        let name = format!("{mode}{:016x}", unique());
        let object = folder_of(object).below(&name);
        check_server(&object)?;
        object.put(who.clone().into())?;
        let beating = Arc::new(Beating { object, who, holds: Mutex::new(true) });
        ALL.lock().push(beating.clone());
        Ok(Self(beating))
    }

    fn lease(&self, name: &str) -> Object {
        self.0.object.beside(name)
    }

    fn others(&self) -> io::Result<Vec<Other>> {
        let object = &self.0.object;
        let mut all = leases_in(&object.folder())?;
        all.retain(|it| object.key.filename() != Some(it.name.as_str()));
        Ok(all)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        ALL.lock().retain(|it| !Arc::ptr_eq(it, &self.0));
        *self.0.holds.lock() = false;
        // If it stays, it counts as that of a dead process after a while.
        let _ = self.0.object.remove();
    }
}

fn folder_of(object: &Object) -> Object {
    let name = object.key.filename().unwrap_or_default().to_owned();
    object.beside(LEASES).below(&name)
}

fn leases_in(folder: &Object) -> io::Result<Vec<Other>> {
    let now = server_time(folder)?;
    let entries = folder.list()?.into_iter().filter(|it| is_lease(&it.name));
    Ok(entries
        .map(|entry| {
            let age = entry.modified.and_then(|it| now.duration_since(it).ok());
            Other { lives: age.unwrap_or_default() < dead_after(), name: entry.name }
        })
        .collect())
}

/// Whether an object in a folder of leases is a lease.
pub(super) fn is_lease(name: &str) -> bool {
    name.starts_with(SHARED) || name.starts_with(ALONE)
}
