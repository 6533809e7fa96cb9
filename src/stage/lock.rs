//! One process at a time on a stage of a run.
//!
//! The lock is the operating system's on an open file, so that a process that dies, however it
//! dies, leaves none behind; on object storage it is a lease. It is advice: what protects the data is that commits are create-only.

use std::time::Duration;

use gimlet_store::{Lease, durable};

use super::{Plan, RunDir, Step};
use crate::{Error, Result};

/// Held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _lease: Lease,
}

/// How often a lock is tried while another process holds it.
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// Takes the lock of the stage of `step`, for the pipeline of `plan`: others may work on one of the
/// same name.
///
/// # Errors
/// When another process holds it, naming that process.
pub fn acquire(dir: &RunDir, plan: &Plan, step: Step) -> Result<Lock> {
    match try_acquire(dir, plan, step)? {
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
    mut meanwhile: impl FnMut(&str) -> Result<()>,
) -> Result<Lock> {
    loop {
        match try_acquire(dir, plan, step)? {
            Ok(lock) => return Ok(lock),
            Err(held) => meanwhile(&held)?,
        }
        std::thread::sleep(BETWEEN_TRIES);
    }
}

/// The lock of the stage of `step`, or who holds it, in words.
fn try_acquire(dir: &RunDir, plan: &Plan, step: Step) -> Result<Result<Lock, String>> {
    let (path, stage) = (dir.lock(&plan.lock_name(step)), plan.stage_name(step));
    durable::create_folder(&crate::error::folder_of(&path))?;
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let own = format!("process {} {}", std::process::id(), host.trim());
    Ok(Lease::take(&path, &own)?.map(|lease| Lock { _lease: lease }).map_err(|holder| {
        format!(
            "another process works on stage `{stage}` of `{}`{}",
            dir.path().display(),
            if holder.is_empty() { String::new() } else { format!(": {holder}") }
        )
    }))
}

/// Whether a process holds the lock of the stage of `step`, as far as that can be found out.
pub fn is_held(dir: &RunDir, plan: &Plan, step: Step) -> bool {
    Lease::is_held(&dir.lock(&plan.lock_name(step))).unwrap_or(false)
}
