//! What the processes at work on a run need, so that `gimlet gc` leaves it there.
//!
//! Each process that works on a run names the keys of the steps that it has to see to in a file of its
//! own, whose lock it holds as long as it lives. So what it needs is known also between its steps, and whatever its
//! settings are. `gc` holds another lock alone while it looks at these files and removes what nobody
//! needs; who begins to work meanwhile waits for it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use gimlet_store::{ErrorKind, Lease, durable};

use super::RunDir;
use crate::{Error, Result};

/// How the files are called.
const PREFIX: &str = "needs-";

/// Held by a process that works on a run.
#[derive(Debug)]
pub struct Needs(Option<(PathBuf, Lease)>);

/// Held while a process finds out what it needs: nothing is removed then.
#[derive(Debug)]
pub struct Quiet(Option<Lease>);

impl Quiet {
    /// Waits for a `gc` that is at work. Where this process may write nothing there is no lock: it
    /// makes nothing that could be taken for left over.
    ///
    /// # Errors
    /// When the lock cannot be made for another reason.
    pub fn begin(dir: &RunDir) -> Result<Self> {
        match gc_lock(dir).and_then(|path| Lease::share(&path)) {
            Ok(lease) => Ok(Self(Some(lease))),
            Err(error) if error.kind() == ErrorKind::Denied => Ok(Self(None)),
            Err(error) => Err(error.into()),
        }
    }

    /// Names what this process needs, for as long as the result lives.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn announce(&self, dir: &RunDir, keys: HashSet<String>) -> Result<Needs> {
        if self.0.is_none() {
            return Ok(Needs(None));
        }
        remove_dead(dir);
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = dir.locks().join(format!("{PREFIX}{}-{count}", std::process::id()));
        let lease = Lease::share(&path)?;
        let lines: Vec<String> = keys.into_iter().collect();
        std::fs::write(&path, lines.join("\n"))
            .map_err(|error| Error::io("write", &path, error))?;
        Ok(Needs(Some((path, lease))))
    }
}

impl Needs {
    /// The keys that the other processes at work have named.
    pub fn of_others(&self, dir: &RunDir) -> HashSet<String> {
        let own = self.0.as_ref().map(|(path, _)| path.as_path());
        named_in(files(dir).into_iter().filter(|path| Some(path.as_path()) != own))
    }
}

impl Drop for Needs {
    fn drop(&mut self) {
        // If it stays, the next process removes it.
        if let Some((path, _)) = &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// The lock of `gc`, held alone: nobody begins to work. Waits for those who are about to.
///
/// # Errors
/// When the lock cannot be made.
pub fn quiet_alone(dir: &RunDir) -> Result<Lease> {
    Ok(Lease::wait_alone(&gc_lock(dir)?)?)
}

/// The keys that processes at work have named.
pub fn of_all(dir: &RunDir) -> HashSet<String> {
    named_in(files(dir).into_iter())
}

/// The keys in those files whose process lives.
fn named_in(files: impl Iterator<Item = PathBuf>) -> HashSet<String> {
    let alive = files.filter(|path| is_alive(path));
    let texts = alive.filter_map(|path| std::fs::read_to_string(path).ok());
    texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// Whether any process is at work.
pub fn any(dir: &RunDir) -> bool {
    files(dir).iter().any(|path| is_alive(path))
}

/// The path of the lock of `gc`, in a folder that is made if it is missing.
fn gc_lock(dir: &RunDir) -> gimlet_store::Result<PathBuf> {
    durable::create_folder(&dir.locks())?;
    Ok(dir.locks().join("gc.lock"))
}

fn files(dir: &RunDir) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir.locks()).into_iter().flatten().flatten();
    let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX));
    named.map(|entry| entry.path()).collect()
}

fn is_alive(path: &Path) -> bool {
    matches!(Lease::alone(path), Ok(Some(Err(_))))
}

fn remove_dead(dir: &RunDir) {
    for path in files(dir) {
        if let Ok(Some(Ok(_alone))) = Lease::alone(&path) {
            // What stays takes a few kilobytes.
            let _ = std::fs::remove_file(&path);
        }
    }
}
