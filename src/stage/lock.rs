//! One process at a time on a stage of a run.
//!
//! The lock is the operating system's on an open file, so that a process that dies, however it
//! dies, leaves none behind. It is advice: what protects the data is that commits are create-only.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

use gimlet_store::Shard;

use super::{Plan, RunDir, Step};
use crate::{Error, Result};

/// Held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// How often a lock is tried while another process holds it.
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// Takes the lock of the stage of `step`, for the pipeline of `plan`: others may work on one of the
/// same name.
///
/// # Errors
/// When another process holds it, naming that process.
pub fn acquire(dir: &RunDir, plan: &Plan, step: Step, shard: Shard) -> Result<Lock> {
    match try_acquire(dir, plan, step, shard)? {
        Ok(lock) => Ok(lock),
        Err(held) => Err(Error::failed(held).hint("wait for it to end, or stop it")),
    }
}

/// The same, once the process that holds it lets go of it. `meanwhile` is called before each further
/// try, with who holds it, in words.
///
/// # Errors
/// Those of `meanwhile`; when the lock cannot be made.
pub fn wait(
    dir: &RunDir,
    plan: &Plan,
    step: Step,
    shard: Shard,
    mut meanwhile: impl FnMut(&str) -> Result<()>,
) -> Result<Lock> {
    loop {
        match try_acquire(dir, plan, step, shard)? {
            Ok(lock) => return Ok(lock),
            Err(held) => meanwhile(&held)?,
        }
        std::thread::sleep(BETWEEN_TRIES);
    }
}

/// The lock of the stage of `step`, or who holds it, in words.
fn try_acquire(
    dir: &RunDir,
    plan: &Plan,
    step: Step,
    shard: Shard,
) -> Result<Result<Lock, String>> {
    let (mut name, mut stage) = (plan.lock_name(step), plan.stage_name(step));
    if !shard.is_whole() {
        // Shards work at the same time; what each writes is no other's.
        name += &format!("-{}-of-{}", shard.index(), shard.count());
        stage += &format!(", shard {shard}");
    }
    let path = dir.lock(&name);
    let mut file = open(&path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Without its name the message still says what to do.
            let _ = file.read_to_string(&mut holder);
            return Ok(Err(format!(
                "another process works on stage `{stage}` of `{}`{}",
                dir.path().display(),
                if holder.is_empty() { String::new() } else { format!(": {}", holder.trim()) }
            )));
        }
        Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path, error)),
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let holder = format!("process {} {}", std::process::id(), host.trim());
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(holder.as_bytes()))
        .map_err(|error| Error::io("write", &path, error))?;
    Ok(Ok(Lock { _file: file }))
}

/// Whether a process holds the lock of the stage of `step`, or of a shard of it.
pub fn is_held(dir: &RunDir, plan: &Plan, step: Step) -> bool {
    let name = plan.lock_name(step);
    let of_shards = format!("{name}-");
    let entries = std::fs::read_dir(dir.locks()).into_iter().flatten().flatten();
    let shards = entries.filter(|it| it.file_name().to_string_lossy().starts_with(&of_shards));
    let mut all = [dir.lock(&name)].into_iter().chain(shards.map(|it| it.path()));
    all.any(|path| {
        File::open(path)
            .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    })
}

fn open(path: &Path) -> Result<File> {
    let folder = crate::error::folder_of(path);
    std::fs::create_dir_all(&folder).map_err(|error| Error::io("make", &folder, error))?;
    let options = OpenOptions::new().create(true).read(true).write(true).truncate(false).open(path);
    options.map_err(|error| Error::io("open", path, error))
}
