//! Faults on demand: an operation that changes the disk fails, or is where the process ends.
//!
//! Whatever a store creates, writes, syncs, links, renames or removes on a disk, or puts, copies or removes on
//! another backend, asks its [`Faults`] first. A test asks for a fault in one of two ways:
//! - of a store of its own, [`Faults::watch`] over a folder lists the operations below it and lets one fail;
//! - in another process, the environment variable `GIMLET_FAULT` says at which operation of the
//!   whole process what is to happen: `17:full`, `17:error`, `17:die`, `17:tear` or `17:wait` (operations
//!   count from 0). In the place of a number it may say which kind of operation on which path: `link
//!   weights.safetensors:wait` is the first link of a path that has this in it, `3 link weights.safetensors:wait`
//!   the third.
//!
//! A process that waits has written the file that `GIMLET_HOLD` names, with `.held` behind its name, and goes on
//! when the file is there, or when it is asked to stop ([`let_go_when`]): so a test holds a process in the middle
//! of its work, however fast the machine is.
//!
//! A file system may lack something altogether: [`Faults::lacking`], or the environment variable `GIMLET_LACKS`, such
//! as `link` or `link,move,lock`.
//!
//! All of it is in builds with the feature `testing` and debug assertions alone: elsewhere the calls do nothing.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

pub use crate::operation::Operation;

/// Whether this build has faults.
pub const AVAILABLE: bool = cfg!(debug_assertions);

/// The exit code of a process that a fault has ended.
pub const EXIT_CODE: i32 = 86;

/// The operations by the names that they have in the environment.
const NAMES: [(&str, Operation); 11] = [
    ("create-folder", Operation::CreateFolder),
    ("create", Operation::Create),
    ("write", Operation::Write),
    ("sync", Operation::Sync),
    ("link", Operation::Link),
    ("move", Operation::Move),
    ("rename", Operation::Rename),
    ("remove", Operation::Remove),
    ("remove-folder", Operation::RemoveFolder),
    ("sync-folder", Operation::SyncFolder),
    ("lock", Operation::Lock),
];

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
    /// The process waits before the operation, until it is let go.
    Waits,
}

/// Which operation is met by a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// The one of this number, of all.
    Number(usize),
    /// The one of this number, of those of a kind on a path that has this in it.
    Named(usize, Operation, String),
}

/// The faults of one store. Clones are those of the same store.
#[derive(Debug, Clone)]
pub struct Faults(Watches);

type Watches = Arc<Mutex<Vec<Arc<Watched>>>>;

/// Counts the operations below a folder, in all threads of a store, and lets one go wrong, for as long as it
/// lives. Without debug assertions it sees none.
#[derive(Debug)]
pub struct Watch {
    watched: Arc<Watched>,
    all: Watches,
}

#[derive(Debug)]
struct Watched {
    folder: PathBuf,
    fault: Option<(Place, Fault)>,
    lacks: Vec<Operation>,
    operations: Mutex<Vec<(Operation, PathBuf)>>,
}

/// What `GIMLET_FAULT` and `GIMLET_LACKS` ask for: over all paths, and counted over all stores of the process.
static ASKED: LazyLock<Option<Arc<Watched>>> = LazyLock::new(|| {
    let of = |name| std::env::var(name).ok();
    // A test that asks for something else must not pass for want of a fault.
    let misspelt = (Place::Number(0), Fault::FailsFromThere(ErrorKind::InvalidInput));
    let mut fault = of("GIMLET_FAULT").map(|text| parse(&text).unwrap_or(misspelt.clone()));
    let mut lacks = Vec::new();
    for name in of("GIMLET_LACKS").iter().flat_map(|text| text.split(',')) {
        match named(name) {
            Some(operation) => lacks.push(operation),
            None => fault = Some(misspelt.clone()),
        }
    }
    let asked = fault.is_some() || !lacks.is_empty();
    asked.then(|| Arc::new(Watched::of(Path::new(""), fault, lacks)))
});

/// Whether a process that waits has been asked to stop.
static LET_GO: OnceLock<fn() -> bool> = OnceLock::new();

/// How often a process that waits looks whether it may go on.
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// Has a process that waits by a fault go on when this says so.
pub fn let_go_when(asked: fn() -> bool) {
    // The first to say so is the process itself.
    let _ = LET_GO.set(asked);
}

impl Default for Faults {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(ASKED.iter().cloned().collect())))
    }
}

impl Faults {
    /// Watches what lies below `folder`, as its paths are spelt. `fault` goes with the number of
    /// the operation that meets it, from 0.
    pub fn watch(&self, folder: &Path, fault: Option<(usize, Fault)>) -> Watch {
        let fault = fault.map(|(at, fault)| (Place::Number(at), fault));
        self.begin(Watched::of(folder, fault, Vec::new()))
    }

    /// Has what lies below `folder` lie on a file system that lacks these operations.
    pub fn lacking(&self, folder: &Path, operations: &[Operation]) -> Watch {
        self.begin(Watched::of(folder, None, operations.to_vec()))
    }

    fn begin(&self, watched: Watched) -> Watch {
        let watched = Arc::new(watched);
        lock(&self.0).push(watched.clone());
        Watch { watched, all: self.0.clone() }
    }

    /// An operation is about to be done; the error to fail with instead. A lock changes nothing, so no fault
    /// strikes; but a file system may have none.
    pub(crate) fn before(&self, operation: Operation, path: &Path) -> io::Result<()> {
        match self.meet(operation, path) {
            Some(fault) => strike(fault, path),
            None => self.lacked(operation, path),
        }
    }

    /// `bytes` are about to be appended to `file`, which lies at `path`; the error to fail with instead.
    pub(crate) fn before_write(
        &self,
        mut file: &File,
        bytes: &[u8],
        path: &Path,
    ) -> io::Result<()> {
        match self.meet(Operation::Write, path) {
            Some(fault @ (Fault::Dies | Fault::Waits)) => strike(fault, path),
            Some(fault) => {
                file.write_all(&bytes[..bytes.len() / 2])?;
                strike(fault, path)
            }
            None => Ok(()),
        }
    }

    /// The error of a file system that lacks an operation, where a test asked for one.
    fn lacked(&self, operation: Operation, path: &Path) -> io::Result<()> {
        let lacks =
            |it: &Arc<Watched>| it.lacks.contains(&operation) && path.starts_with(&it.folder);
        match AVAILABLE && lock(&self.0).iter().any(lacks) {
            true => Err(lacking(operation)),
            false => Ok(()),
        }
    }

    fn meet(&self, operation: Operation, path: &Path) -> Option<Fault> {
        if !AVAILABLE || operation == Operation::Lock {
            return None;
        }
        let mut met = None;
        for watched in lock(&self.0).iter().filter(|watched| path.starts_with(&watched.folder)) {
            met = met.or(watched.meet(operation, path));
        }
        met
    }
}

impl Watch {
    /// The operations so far, failed ones too.
    pub fn operations(&self) -> Vec<(Operation, PathBuf)> {
        lock(&self.watched.operations).clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        lock(&self.all).retain(|watched| !Arc::ptr_eq(watched, &self.watched));
    }
}

impl Watched {
    fn of(folder: &Path, fault: Option<(Place, Fault)>, lacks: Vec<Operation>) -> Self {
        Self { folder: folder.to_path_buf(), fault, lacks, operations: Mutex::default() }
    }

    /// Counts an operation; the fault, if this is the one that meets it.
    fn meet(&self, operation: Operation, path: &Path) -> Option<Fault> {
        let mut operations = lock(&self.operations);
        let number = operations.len();
        operations.push((operation, path.to_path_buf()));
        let (place, fault) = self.fault.as_ref()?;
        let meets = match (place, fault) {
            (Place::Number(at), Fault::FailsFromThere(_)) => number >= *at,
            (Place::Number(at), _) => number == *at,
            (Place::Named(at, of, text), _) => {
                let is_one = |(operation, path): &(Operation, PathBuf)| {
                    operation == of && path.to_string_lossy().contains(text.as_str())
                };
                is_one(&operations[number])
                    && operations.iter().filter(|it| is_one(it)).count() == *at
            }
        };
        meets.then_some(*fault)
    }
}

/// What the system says of an operation that a file system does not have: of links "not permitted", of a move to a free
/// name "invalid argument".
#[cfg(unix)]
fn lacking(operation: Operation) -> io::Error {
    use rustix::io::Errno;
    let errno = match operation {
        Operation::Link => Errno::PERM,
        Operation::Move => Errno::INVAL,
        _ => Errno::NOSYS,
    };
    errno.into()
}

#[cfg(not(unix))]
fn lacking(_operation: Operation) -> io::Error {
    ErrorKind::Unsupported.into()
}

fn strike(fault: Fault, path: &Path) -> io::Result<()> {
    match fault {
        Fault::Fails(kind) | Fault::FailsFromThere(kind) => Err(kind.into()),
        // No destructor runs, so nothing is tidied up. An abort would leave a core file as well.
        Fault::Dies | Fault::Tears => std::process::exit(EXIT_CODE),
        Fault::Waits => wait(path),
    }
}

/// Waits until the file that `GIMLET_HOLD` names is there, or until somebody asks this process to stop.
fn wait(path: &Path) -> io::Result<()> {
    let hold = std::env::var_os("GIMLET_HOLD").ok_or(ErrorKind::InvalidInput)?;
    let mut held = hold.clone();
    held.push(".held");
    std::fs::write(held, path.as_os_str().as_encoded_bytes())?;
    let may_go = || Path::new(&hold).exists() || LET_GO.get().is_some_and(|asked| asked());
    while !may_go() {
        std::thread::sleep(BETWEEN_LOOKS);
    }
    Ok(())
}

fn parse(text: &str) -> Option<(Place, Fault)> {
    let (at, fault) = text.split_once(':')?;
    let fault = match fault {
        "full" => Fault::FailsFromThere(ErrorKind::StorageFull),
        "error" => Fault::Fails(ErrorKind::Other),
        "die" => Fault::Dies,
        "tear" => Fault::Tears,
        "wait" => Fault::Waits,
        _ => return None,
    };
    let place = match at.split_once(' ') {
        None => Place::Number(at.parse().ok()?),
        Some((first, rest)) => match (named(first), rest.split_once(' ')) {
            (Some(operation), _) => Place::Named(1, operation, rest.to_owned()),
            (None, Some((operation, text))) => {
                Place::Named(first.parse().ok()?, named(operation)?, text.to_owned())
            }
            (None, None) => return None,
        },
    };
    Some((place, fault))
}

fn named(name: &str) -> Option<Operation> {
    NAMES.iter().find(|(it, _)| *it == name).map(|(_, operation)| *operation)
}

/// A panic elsewhere leaves a list as good as it was.
fn lock<T>(list: &Mutex<T>) -> MutexGuard<'_, T> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}
