//! Faults on demand: an operation that changes the disk fails, or is where the process ends.
//!
//! Whatever the store creates, writes, syncs, links, renames or removes passes [`point`] first, or
//! goes through [`write_all`]. A test asks for a fault in one of two ways:
//! - in its own process, [`Watch::over`] a folder lists the operations below it and lets one fail;
//! - in another process, the environment variable `GIMLET_FAULT` says at which operation of the
//!   whole process what is to happen: `17:full`, `17:error`, `17:die` or `17:tear` (operations
//!   count from 0).
//!
//! Without debug assertions, as in a release build, there is none of it: the calls do nothing.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

/// Whether this build has faults.
pub const AVAILABLE: bool = cfg!(debug_assertions);

/// The exit code of a process that a fault has ended.
pub const EXIT_CODE: i32 = 86;

/// Something that changes the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A folder is made.
    CreateFolder,
    /// A file is made, under a temporary name; or a lock.
    Create,
    /// Bytes are appended to a file.
    Write,
    /// A file's bytes are made durable.
    Sync,
    /// A file is given a second name, which must be free.
    Link,
    /// A file is given another name, taken or not.
    Rename,
    /// A file's name is removed.
    Remove,
    /// A folder is removed, if nothing is in it.
    RemoveFolder,
    /// The names in a folder are made durable.
    SyncFolder,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The operation fails with this error. Of a write, half is done, as when a disk fills up.
    Fails(ErrorKind),
    /// That operation and all later ones fail so, as when a disk is full, or gone.
    FailsFromThere(ErrorKind),
    /// The process ends before the operation.
    Dies,
    /// The process ends in the middle of it: half of a write is done.
    Tears,
}

/// Counts the operations below a folder, in all threads of this process, and lets one go wrong,
/// for as long as it lives. Without debug assertions it sees none.
#[derive(Debug)]
pub struct Watch(Arc<Watched>);

#[derive(Debug)]
struct Watched {
    folder: PathBuf,
    fault: Option<(usize, Fault)>,
    operations: Mutex<Vec<(Operation, PathBuf)>>,
}

/// Every watch there is; `GIMLET_FAULT` makes one over all paths that lives as long as the process.
static WATCHES: LazyLock<Mutex<Vec<Arc<Watched>>>> = LazyLock::new(|| {
    let fault = std::env::var("GIMLET_FAULT").ok().map(|text| {
        // A test that asks for something else must not pass for want of a fault.
        parse(&text).unwrap_or((0, Fault::FailsFromThere(ErrorKind::InvalidInput)))
    });
    let all_paths = PathBuf::new();
    Mutex::new(fault.map(|fault| watched(all_paths, Some(fault))).into_iter().collect())
});

impl Watch {
    /// Watches what lies below `folder`, as its paths are spelt. `fault` goes with the number of
    /// the operation that meets it, from 0.
    pub fn over(folder: &Path, fault: Option<(usize, Fault)>) -> Self {
        let watched = watched(folder.to_path_buf(), fault);
        lock(&WATCHES).push(watched.clone());
        Self(watched)
    }

    /// The operations so far, failed ones too.
    pub fn operations(&self) -> Vec<(Operation, PathBuf)> {
        lock(&self.0.operations).clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        lock(&WATCHES).retain(|watched| !Arc::ptr_eq(watched, &self.0));
    }
}

/// An operation is about to be done.
///
/// # Errors
/// The error to fail with instead.
pub(crate) fn point(operation: Operation, path: &Path) -> io::Result<()> {
    match AVAILABLE.then(|| meet(operation, path)).flatten() {
        Some(fault) => Err(strike(fault)),
        None => Ok(()),
    }
}

/// Appends `bytes` to `file`, which lies at `path`.
pub(crate) fn write_all(mut file: &File, bytes: &[u8], path: &Path) -> io::Result<()> {
    match AVAILABLE.then(|| meet(Operation::Write, path)).flatten() {
        Some(fault) => {
            let half = if fault == Fault::Dies { 0 } else { bytes.len() / 2 };
            file.write_all(&bytes[..half])?;
            Err(strike(fault))
        }
        None => file.write_all(bytes),
    }
}

fn meet(operation: Operation, path: &Path) -> Option<Fault> {
    let mut met = None;
    for watched in lock(&WATCHES).iter().filter(|watched| path.starts_with(&watched.folder)) {
        let mut operations = lock(&watched.operations);
        let number = operations.len();
        operations.push((operation, path.to_path_buf()));
        met = met.or(watched.fault.filter(|(at, fault)| match fault {
            Fault::FailsFromThere(_) => number >= *at,
            _ => number == *at,
        }));
    }
    met.map(|(_, fault)| fault)
}

fn strike(fault: Fault) -> io::Error {
    match fault {
        Fault::Fails(kind) | Fault::FailsFromThere(kind) => kind.into(),
        // No destructor runs, so nothing is tidied up. An abort would leave a core file as well.
        Fault::Dies | Fault::Tears => std::process::exit(EXIT_CODE),
    }
}

fn parse(text: &str) -> Option<(usize, Fault)> {
    let (at, fault) = text.split_once(':')?;
    let fault = match fault {
        "full" => Fault::FailsFromThere(ErrorKind::StorageFull),
        "error" => Fault::Fails(ErrorKind::Other),
        "die" => Fault::Dies,
        "tear" => Fault::Tears,
        _ => return None,
    };
    Some((at.parse().ok()?, fault))
}

fn watched(folder: PathBuf, fault: Option<(usize, Fault)>) -> Arc<Watched> {
    Arc::new(Watched { folder, fault, operations: Mutex::default() })
}

/// A panic elsewhere leaves a list as good as it was.
fn lock<T>(list: &Mutex<T>) -> MutexGuard<'_, T> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}
