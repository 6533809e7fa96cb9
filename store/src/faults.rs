//! Faults on demand: an operation that changes the disk fails, or the process ends there.
//!
//! A store asks its [`Faults`] before it creates, writes, syncs, links, renames or removes anything on a disk, and
//! before it puts, copies or removes anything on another backend. A test requests a fault in one of two ways:
//! - in the test's own process, [`Faults::watch`] over a folder lists the operations below it and lets one fail;
//! - in another process, the environment variable `GIMLET_FAULT` names an operation and a fault: `17:full`,
//!   `17:error`, `17:die`, `17:tear` or `17:wait`. Operations count from 0 over the whole process. Instead of a
//!   number it may give a kind of operation and a path: `link weights.safetensors:wait` is the first link of a path
//!   that contains `weights.safetensors`, `3 link weights.safetensors:wait` the third.
//!
//! A process that waits writes the file that `GIMLET_HOLD` names, with `.held` appended to its name. It continues
//! when the file that `GIMLET_HOLD` names exists, or when it is asked to stop ([`let_go_when`]). With this a test
//! holds a process in the middle of its work, however fast the machine is.
//!
//! A test can also take operations away from a file system: with [`Faults::lacking`], or with the environment
//! variable `GIMLET_LACKS`, for example `link` or `link,move,lock`.
//!
//! All of this exists only in builds with the feature `testing` and debug assertions; elsewhere the calls do nothing.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::io::Errno;

pub use crate::operation::Operation;

/// Whether this build can produce faults.
pub const AVAILABLE: bool = cfg!(debug_assertions);

/// The exit code of a process that a fault has ended.
pub const EXIT_CODE: i32 = 86;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The operation fails with this error. A write is half done, as when a disk fills up.
    Fails(ErrorKind),
    /// This operation and all later ones fail with this error, as when a disk is full or gone.
    FailsFromThere(ErrorKind),
    /// The process ends before the operation.
    Dies,
    /// The process ends in the middle of the operation: a write is half done.
    Tears,
    /// The process waits before the operation, until the test releases it.
    Waits,
}

/// Which operation a fault hits.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// The operation with this number, counted over all operations, from 0.
    Number(usize),
    /// The operation with this number, from 1, among those of one kind on a path that contains the text.
    Named(usize, Operation, String),
}

/// The faults of one store. Clones share them.
#[derive(Debug, Clone)]
pub struct Faults(Watches);

type Watches = Arc<Mutex<Vec<Arc<Watched>>>>;

/// Counts the operations below a folder, in all threads of a store, and makes one of them fail. It works until it is
/// dropped; without debug assertions it sees no operation.
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

/// The faults that `GIMLET_FAULT` and `GIMLET_LACKS` request, over all paths and all stores of the process.
static ASKED: LazyLock<Option<Arc<Watched>>> = LazyLock::new(|| {
    let of = |name| std::env::var(name).ok();
    // A test with a misspelt fault must not pass because no fault happens.
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

/// The pause between two looks of a waiting process whether it may continue.
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// Sets the function that tells a process waiting at a fault to continue.
pub fn let_go_when(asked: fn() -> bool) {
    // The first call counts: it is the process's own.
    let _ = LET_GO.set(asked);
}

impl Default for Faults {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(ASKED.iter().cloned().collect())))
    }
}

impl Faults {
    /// Watches operations on paths that begin with `folder`. `fault` hits the operation with that number, from 0.
    pub fn watch(&self, folder: &Path, fault: Option<(usize, Fault)>) -> Watch {
        let fault = fault.map(|(at, fault)| (Place::Number(at), fault));
        self.begin(Watched::of(folder, fault, Vec::new()))
    }

    /// Makes `folder` behave like a file system that lacks `operations`.
    pub fn lacking(&self, folder: &Path, operations: &[Operation]) -> Watch {
        self.begin(Watched::of(folder, None, operations.to_vec()))
    }

    fn begin(&self, watched: Watched) -> Watch {
        let watched = Arc::new(watched);
        self.0.lock().push(watched.clone());
        Watch { watched, all: self.0.clone() }
    }

    /// Called before an operation; returns the error to fail with, if any. No fault hits a lock, but it may be lacking.
    pub(crate) fn before(&self, operation: Operation, path: &Path) -> io::Result<()> {
        match self.meet(operation, path) {
            Some(fault) => strike(fault, path),
            None => self.lacked(operation, path),
        }
    }

    /// Called before `bytes` are appended to `file`, which lies at `path`; returns the error to fail with, if any.
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

    /// Fails if a test asked for a file system that lacks this operation.
    fn lacked(&self, operation: Operation, path: &Path) -> io::Result<()> {
        let lacks =
            |it: &Arc<Watched>| it.lacks.contains(&operation) && path.starts_with(&it.folder);
        match AVAILABLE && self.0.lock().iter().any(lacks) {
            true => Err(lacking(operation)),
            false => Ok(()),
        }
    }

    fn meet(&self, operation: Operation, path: &Path) -> Option<Fault> {
        if !AVAILABLE || operation == Operation::Lock {
            return None;
        }
        let mut met = None;
        for watched in self.0.lock().iter().filter(|watched| path.starts_with(&watched.folder)) {
            met = met.or(watched.meet(operation, path));
        }
        met
    }
}

impl Watch {
    /// The operations so far, failed ones too.
    pub fn operations(&self) -> Vec<(Operation, PathBuf)> {
        self.watched.operations.lock().clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.all.lock().retain(|watched| !Arc::ptr_eq(watched, &self.watched));
    }
}

impl Watched {
    fn of(folder: &Path, fault: Option<(Place, Fault)>, lacks: Vec<Operation>) -> Self {
        Self { folder: folder.to_path_buf(), fault, lacks, operations: Mutex::default() }
    }

    /// Counts an operation and returns the fault, if this operation is the one it hits.
    fn meet(&self, operation: Operation, path: &Path) -> Option<Fault> {
        let mut operations = self.operations.lock();
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

/// The system's error for an operation that a file system lacks.
fn lacking(operation: Operation) -> io::Error {
    let errno = match operation {
        Operation::Link => Errno::PERM,
        Operation::Move => Errno::INVAL,
        _ => Errno::NOSYS,
    };
    errno.into()
}

fn strike(fault: Fault, path: &Path) -> io::Result<()> {
    match fault {
        Fault::Fails(kind) | Fault::FailsFromThere(kind) => Err(kind.into()),
        // No destructor runs, so nothing is tidied up. An abort would leave a core file as well.
        Fault::Dies | Fault::Tears => std::process::exit(EXIT_CODE),
        Fault::Waits => wait(path),
    }
}

/// Waits until the file that `GIMLET_HOLD` names exists, or until this process is asked to stop.
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
    serde_json::from_value(name.into()).ok()
}
