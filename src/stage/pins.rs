//! What the processes at work on a run need, so that `gimlet gc` does not remove it.
//!
//! Each process that works on a run writes the keys of the steps that it has to do into a file of its own. It holds the
//! file's lock as long as it lives. So its needs are known between its steps too, whatever its settings are. `gc` holds
//! another lock alone while it reads these files and removes what no process needs. A process that starts meanwhile
//! waits for `gc`.

use std::collections::HashSet;
use std::time::Duration;

use gimlet_store::{ErrorKind, Lease, Location, unique};

use super::RunDir;
use crate::{Error, Result};

/// No run lasts 30 days.
const CERTAINLY_DEAD: Duration = Duration::from_secs(30 * 24 * 3600);

/// The beginning of the files' names.
const PREFIX: &str = "needs-";

/// Whether an error says that nothing may be written there.
fn writes_nothing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Denied | ErrorKind::Unauthorized)
}

/// The needs of a process that works on a run, announced as long as this lives.
#[derive(Debug)]
pub struct Pins(Option<(Location, Lease)>);

/// The shared lock of `gc`, held while a process finds out what it needs: nothing is removed then.
#[derive(Debug)]
pub struct Quiet(Option<Lease>);

impl Quiet {
    /// Waits for a `gc` that is at work, and holds off the next one. A process that may not write gets no lock: it
    /// makes nothing that `gc` could remove.
    ///
    /// # Errors
    /// When the lock cannot be made for another reason.
    pub fn begin(dir: &RunDir) -> Result<Self> {
        match gc_lock(dir).and_then(|path| Lease::share(&path)) {
            Ok(lease) => Ok(Self(Some(lease))),
            Err(error) if writes_nothing(error.kind()) => Ok(Self(None)),
            Err(error) => Err(error.into()),
        }
    }

    /// Announces what this process needs, as long as the result lives.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn announce(&self, dir: &RunDir, keys: HashSet<String>) -> Result<Pins> {
        if self.0.is_none() {
            return Ok(Pins(None));
        }
        remove_dead(dir);
        // Other machines may share the directory and use the same process ids.
        let path = dir.locks().join(format!("{PREFIX}{:016x}", unique()));
        let lease = Lease::share(&path)?;
        let lines = keys.into_iter().collect::<Vec<_>>().join("\n");
        // Overwrite in place: the lease is held on this file, and would not be on a new one.
        path.overwrite(lines.as_bytes())?;
        Ok(Pins(Some((path, lease))))
    }
}

impl Pins {
    /// The keys that the other processes at work have named.
    ///
    /// # Errors
    /// When a file cannot be read: nothing must be removed then.
    pub fn of_others(&self, dir: &RunDir) -> Result<HashSet<String>> {
        let own = self.0.as_ref().map(|(path, _)| path);
        named_in(named(dir)?.into_iter().filter(|path| Some(path) != own))
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        // If the file stays, the next process removes it.
        if let Some((path, _)) = &self.0 {
            let _ = path.remove();
        }
    }
}

/// Takes the lock of `gc` alone, so that no process begins to work. Waits for processes that are about to begin.
///
/// # Errors
/// When the lock cannot be made.
pub fn quiet_alone(dir: &RunDir) -> Result<Lease> {
    Ok(Lease::wait_alone(&gc_lock(dir)?)?)
}

/// The keys that processes at work have named.
///
/// # Errors
/// When a file cannot be read: nothing must be removed then.
pub fn of_all(dir: &RunDir) -> Result<HashSet<String>> {
    named_in(named(dir)?.into_iter())
}

/// The keys in the files whose process lives.
fn named_in(files: impl Iterator<Item = Location>) -> Result<HashSet<String>> {
    let mut keys = HashSet::new();
    for path in files {
        if !is_alive(&path)? {
            continue;
        }
        match path.read_to_string() {
            Ok(text) => keys.extend(text.lines().map(str::to_owned)),
            // Its process has ended meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("read", path.path(), error)),
        }
    }
    Ok(keys)
}

/// The path of the lock of `gc`; makes its folder if it is missing.
fn gc_lock(dir: &RunDir) -> gimlet_store::Result<Location> {
    dir.locks().create_folder()?;
    Ok(dir.locks().join("gc.lock"))
}

fn named(dir: &RunDir) -> Result<Vec<Location>> {
    let locks = dir.locks();
    let names = locks.names().map_err(|error| Error::io("list", locks.path(), error))?;
    let ours = names.into_iter().filter(|name| name.starts_with(PREFIX));
    Ok(ours.map(|name| locks.join(name)).collect())
}

fn is_alive(path: &Location) -> Result<bool> {
    Ok(matches!(Lease::alone(path)?, Some(Err(_))))
}

/// Removes the files of killed processes. Files that stay take a few kilobytes.
fn remove_dead(dir: &RunDir) {
    let entries = dir.locks().list().unwrap_or_default();
    for entry in entries.into_iter().filter(|it| it.name.starts_with(PREFIX)) {
        let path = dir.locks().join(&entry.name);
        // On object storage a process that cannot write for a while looks dead, and may come back.
        let age = || entry.modified.and_then(|it| path.age(it).ok()).unwrap_or_default();
        if path.properties().leases_outlive.is_some() && age() < CERTAINLY_DEAD {
            continue;
        }
        if let Ok(Some(Ok(_alone))) = Lease::alone(&path) {
            let _ = path.remove();
        }
    }
}
