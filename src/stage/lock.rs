//! One process at a time on a stage of a run.
//!
//! The lock is the operating system's on an open file, so that a process that dies, however it
//! dies, leaves none behind. It is advice: what protects the data is that commits are create-only.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use super::{Plan, RunDir, Step};
use crate::{Error, Result};

/// Held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Takes the lock of the stage of `step`, for the pipeline of `plan`: others may work on one of the
/// same name.
///
/// # Errors
/// When another process holds it, naming that process.
pub fn acquire(dir: &RunDir, plan: &Plan, step: Step) -> Result<Lock> {
    let (path, stage) = (dir.lock(&plan.lock_name(step)), plan.stage_name(step));
    let mut file = open(&path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Without its name the message still says what to do.
            let _ = file.read_to_string(&mut holder);
            let message = format!(
                "another process works on stage `{stage}` of `{}`{}",
                dir.path().display(),
                if holder.is_empty() { String::new() } else { format!(": {}", holder.trim()) }
            );
            return Err(Error::failed(message).hint("wait for it to end, or stop it"));
        }
        Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path, error)),
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let holder = format!("process {} {}", std::process::id(), host.trim());
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(holder.as_bytes()))
        .map_err(|error| Error::io("write", &path, error))?;
    Ok(Lock { _file: file })
}

/// Whether a process holds the lock of the stage of `step`.
pub fn is_held(dir: &RunDir, plan: &Plan, step: Step) -> bool {
    let file = File::open(dir.lock(&plan.lock_name(step)));
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn open(path: &Path) -> Result<File> {
    let folder = crate::error::folder_of(path);
    std::fs::create_dir_all(&folder).map_err(|error| Error::io("make", &folder, error))?;
    let options = OpenOptions::new().create(true).read(true).write(true).truncate(false).open(path);
    options.map_err(|error| Error::io("open", path, error))
}
