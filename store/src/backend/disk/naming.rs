//! Gives a finished file its name, in one step that fails when the name is taken, on every file system.
//!
//! A hard link is such a step, and is tried first. exFAT, FAT and many shares have no hard links. There a rename that
//! fails when the name is taken is used, where the system has it (`renameat2`). Where it does not (FUSE), a process
//! takes a claim: a file beside the name that one process at a time makes and locks. With the claim it checks that the
//! name is free, and renames. So a name always belongs to a whole file, and a process that dies on the way leaves none.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind as IoKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::file_system::{FileSystem, failed, is_at};

/// The pause between tries to take a claim that another process has, where no lock can be waited for, and the number
/// of tries. A live process has a claim for some milliseconds.
const BETWEEN_TRIES: Duration = Duration::from_millis(50);
const MOST_TRIES: usize = 60;

/// Gives the finished file at `temp` the name `target`, in the same folder. Returns `false` when the name is taken.
/// Whether the file also keeps its old name depends on the file system.
///
/// # Errors
/// `NoSpace`, `Denied` or `Failed` when that fails.
pub(super) fn give(system: &FileSystem, temp: &Path, target: &Path) -> Result<bool> {
    let refused = match system.link(temp, target) {
        Err(error) if is_lacking(&error) => error,
        linked => return created(linked, target, "link the finished file"),
    };
    match system.move_to_free(temp, target) {
        Err(error) if is_lacking(&error) => {}
        moved => return created(moved, target, "move the finished file"),
    }
    let action = format!("create, and knows no hard links ({refused})");
    let _claim = Claim::on(system, target)?;
    let renamed = match fs::symlink_metadata(target) {
        Ok(_) => return Ok(false),
        Err(error) if error.kind() == IoKind::NotFound => system.rename(temp, target),
        Err(error) => Err(error),
    };
    created(renamed, target, &action)
}

fn created(done: io::Result<()>, target: &Path, action: &str) -> Result<bool> {
    match done {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == IoKind::AlreadyExists => Ok(false),
        Err(error) => Err(failed(target, action, &error)),
    }
}

/// Whether an error may mean that the file system lacks an operation. Many report "not permitted" for that; if
/// permission is really missing, the next way fails with the same error.
fn is_lacking(error: &io::Error) -> bool {
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

/// The right to give one name, which one process has at a time. Its file is named like a temporary file, so that the
/// next writer removes the claim of a dead process.
#[derive(Debug)]
struct Claim<'a> {
    system: &'a FileSystem,
    path: PathBuf,
    _file: File,
}

impl<'a> Claim<'a> {
    /// Makes the claim; waits for another process that has it.
    fn on(system: &'a FileSystem, target: &Path) -> Result<Self> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let path = target.with_file_name(format!(".{name}.claim.tmp"));
        let mut tries = 0;
        loop {
            let (file, ours) = match system.create_new(&path) {
                Err(error) if error.kind() == IoKind::AlreadyExists => {
                    match OpenOptions::new().read(true).write(true).open(&path) {
                        // Its holder has removed it meanwhile.
                        Err(error) if error.kind() == IoKind::NotFound => continue,
                        opened => (opened, false),
                    }
                }
                made => (made, true),
            };
            let file = file.map_err(|error| failed(&path, "create", &error))?;
            match system.lock(&file, &path) {
                Ok(()) if is_at(&file, &path) => return Ok(Self { system, path, _file: file }),
                // The process that had it has removed it.
                Ok(()) => {}
                Err(error) if error.kind() == IoKind::Interrupted => {}
                // Without locks it is enough to have made it: no other process could.
                Err(_) if ours => return Ok(Self { system, path, _file: file }),
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

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        // It is still locked, so no other process has it before it is gone. If it stays, the next writer removes it.
        let _ = self.system.remove(&self.path);
    }
}
