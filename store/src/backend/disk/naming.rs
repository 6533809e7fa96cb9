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
use crate::file_system::{FileSystem, failed, is_at};

/// How often a claim that another has is tried where there are no locks to wait for, and for how many times: who
/// lives has it for some milliseconds.
const BETWEEN_TRIES: Duration = Duration::from_millis(50);
const MOST_TRIES: usize = 60;

/// Gives the finished file at `temp`, which lies in the folder of `target`, that name. `false`: the name is taken.
/// Whether the file keeps its old name, too, depends on the file system.
///
/// # Errors
/// `NoSpace`, `Denied` or `Failed` when it cannot.
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

/// The right to give one name, of one process at a time. It is called as the temporary files of the dead are, so
/// that the next writer removes what a dead process has left.
#[derive(Debug)]
struct Claim<'a> {
    system: &'a FileSystem,
    path: PathBuf,
    _file: File,
}

impl<'a> Claim<'a> {
    /// Makes the claim, and waits for who has it.
    fn on(system: &'a FileSystem, target: &Path) -> Result<Self> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let path = target.with_file_name(format!(".{name}.claim.tmp"));
        let mut tries = 0;
        loop {
            let (file, ours) = match system.create_new(&path) {
                Err(error) if error.kind() == IoKind::AlreadyExists => {
                    match OpenOptions::new().read(true).write(true).open(&path) {
                        // Removed meanwhile.
                        Err(error) if error.kind() == IoKind::NotFound => continue,
                        opened => (opened, false),
                    }
                }
                made => (made, true),
            };
            let file = file.map_err(|error| failed(&path, "create", &error))?;
            match system.lock(&file, &path) {
                Ok(()) if is_at(&file, &path) => return Ok(Self { system, path, _file: file }),
                // Who had it has removed it.
                Ok(()) => {}
                Err(error) if error.kind() == IoKind::Interrupted => {}
                // Without locks it is enough to have made it: nobody else could.
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
        // It is still locked: nobody else has it before it is gone. If it stays, the next writer removes it.
        let _ = self.system.remove(&self.path);
    }
}
