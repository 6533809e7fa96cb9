//! Giving a finished file its name: in one step that fails when the name is taken, on whichever file system.
//!
//! A hard link is such a step, and is tried first. exFAT, FAT and many shares know none. There a rename to a free
//! name is, where the system has it (`renameat2`). Where it has not (FUSE), a claim stands for it: a file beside the
//! name that one process at a time makes and locks. Who has it looks whether the name is free, and renames. So in
//! every case a name belongs to a whole file, and whoever dies on the way leaves none.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind as IoKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::faults::{self, Operation};
use crate::lease::is_at;

/// How often a claim that another has is tried where there are no locks to wait for, and for how many times: who
/// lives has it for some milliseconds.
const BETWEEN_TRIES: Duration = Duration::from_millis(50);
const MOST_TRIES: usize = 60;

/// Gives the finished file at `temp`, which lies in the folder of `target`, that name. `false`: the name is taken.
/// Whether the file keeps its old name, too, depends on the file system.
///
/// # Errors
/// `NoSpace`, `Denied` or `Failed` when it cannot.
pub(crate) fn give(temp: &Path, target: &Path) -> Result<bool> {
    let linked = faults::point(Operation::Link, target).and_then(|()| fs::hard_link(temp, target));
    let refused = match linked {
        Err(error) if is_lacking(&error) => error,
        linked => return created(linked, target, "link the finished file"),
    };
    let moved = faults::point(Operation::Move, target).and_then(|()| move_to_free(temp, target));
    match moved {
        Err(error) if is_lacking(&error) => {}
        moved => return created(moved, target, "move the finished file"),
    }
    let action = format!("create, and knows no hard links ({refused})");
    let _claim = Claim::on(target)?;
    let free = match fs::symlink_metadata(target) {
        Ok(_) => return Ok(false),
        Err(error) if error.kind() == IoKind::NotFound => faults::point(Operation::Rename, target),
        Err(error) => Err(error),
    };
    created(free.and_then(|()| fs::rename(temp, target)), target, &action)
}

fn created(done: io::Result<()>, target: &Path, action: &str) -> Result<bool> {
    match done {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == IoKind::AlreadyExists => Ok(false),
        Err(error) => Err(Error::io(target, action, &error)),
    }
}

/// Whether an error may say that the file system does not know an operation. Many say that it is not permitted:
/// if it is not, the next way says so, too.
#[cfg(unix)]
fn is_lacking(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let lacking = [
        Errno::PERM,
        Errno::ACCESS,
        Errno::NOTSUP,
        Errno::OPNOTSUPP,
        Errno::NOSYS,
        Errno::MLINK,
        Errno::XDEV,
        Errno::INVAL,
    ];
    Errno::from_io_error(error).is_some_and(|it| lacking.contains(&it))
}

#[cfg(not(unix))]
fn is_lacking(error: &io::Error) -> bool {
    matches!(error.kind(), IoKind::Unsupported | IoKind::PermissionDenied | IoKind::InvalidInput)
}

/// Renames a file, unless the name is taken.
#[cfg(target_os = "linux")]
fn move_to_free(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
}

#[cfg(all(unix, not(target_os = "linux")))]
fn move_to_free(_from: &Path, _to: &Path) -> io::Result<()> {
    Err(rustix::io::Errno::NOSYS.into())
}

#[cfg(not(unix))]
fn move_to_free(_from: &Path, _to: &Path) -> io::Result<()> {
    Err(IoKind::Unsupported.into())
}

/// The right to give one name, of one process at a time. It is called as the temporary files of the dead are, so
/// that the next writer removes what a dead process has left.
#[derive(Debug)]
struct Claim {
    path: PathBuf,
    _file: File,
}

impl Claim {
    /// Makes the claim, and waits for who has it.
    fn on(target: &Path) -> Result<Self> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let path = target.with_file_name(format!(".{name}.claim.tmp"));
        let mut tries = 0;
        loop {
            let mut options = OpenOptions::new();
            options.read(true).write(true);
            let made = faults::point(Operation::Create, &path)
                .and_then(|()| options.clone().create_new(true).open(&path));
            let (file, ours) = match made {
                Err(error) if error.kind() == IoKind::AlreadyExists => match options.open(&path) {
                    // Removed meanwhile.
                    Err(error) if error.kind() == IoKind::NotFound => continue,
                    opened => (opened, false),
                },
                made => (made, true),
            };
            let file = file.map_err(|error| Error::io(&path, "create", &error))?;
            match faults::lacked(Operation::Lock, &path).and_then(|()| file.lock()) {
                Ok(()) if is_at(&file, &path) => return Ok(Self { path, _file: file }),
                // Who had it has removed it.
                Ok(()) => {}
                Err(error) if error.kind() == IoKind::Interrupted => {}
                // Without locks it is enough to have made it: nobody else could.
                Err(_) if ours => return Ok(Self { path, _file: file }),
                Err(_) if tries < MOST_TRIES => {
                    tries += 1;
                    std::thread::sleep(BETWEEN_TRIES);
                }
                Err(error) => return Err(in_the_way(&path, target, &error)),
            }
        }
    }
}

fn in_the_way(claim: &Path, target: &Path, error: &io::Error) -> Error {
    Error::failed(format_args!(
        "{}: another process is about to name `{}`, or has died before it did; the file system has neither hard \
         links nor locks ({error}) to tell which; remove the file if no process works there",
        claim.display(),
        target.display()
    ))
}

impl Drop for Claim {
    fn drop(&mut self) {
        // It is still locked: nobody else has it before it is gone. If it stays, the next writer removes it.
        let removed = faults::point(Operation::Remove, &self.path);
        let _ = removed.and_then(|()| fs::remove_file(&self.path));
    }
}
