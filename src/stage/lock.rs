//! One process at a time on a stage of a run.
//!
//! The lock is the operating system's on an open file, so that a process that dies, however it
//! dies, leaves none behind; on object storage it is a lease. It is advice: what protects the data is
//! that commits are create-only.

use gimlet_store::{Lease, Shard};

use super::{Session, Standing, Step};
use crate::{Error, Result};

/// Held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _lease: Lease,
}

/// Takes the lock of the stage of `step`, for the pipeline of the plan: others may work on one of the
/// same name.
///
/// # Errors
/// When another process holds it, naming that process.
pub fn acquire(standing: &Standing, step: Step, shard: Shard) -> Result<Lock> {
    match try_acquire(standing, step, shard)? {
        Ok(lock) => Ok(lock),
        Err(held) => {
            let hint = "wait for it to end, or stop it";
            Err(Error::failed(held).hint(
                match standing.dir.location().properties().leases_outlive {
                    Some(time) => format!(
                        "{hint}; a killed one is forgotten after {} seconds: `--wait`",
                        time.as_secs()
                    ),
                    None => hint.to_owned(),
                },
            ))
        }
    }
}

/// Takes the lock of the stage of `step` for a session's shard. Where another process holds it, a session that
/// waits takes it once that lets go of it.
///
/// # Errors
/// As [`acquire`]; when the session is asked to stop meanwhile.
pub(super) fn of_step(step: Step, standing: &Standing, session: &Session<'_>) -> Result<Lock> {
    if !session.waits {
        return acquire(standing, step, session.shard);
    }
    let mut told = false;
    loop {
        let held = match try_acquire(standing, step, session.shard)? {
            Ok(lock) => return Ok(lock),
            Err(held) => held,
        };
        if !std::mem::replace(&mut told, true) {
            session.progress.note(&format!("{held}: waiting for it"));
        }
        session.check_stop()?;
        // A try is some looks.
        std::thread::sleep(2 * standing.dir.location().properties().pause);
    }
}

/// The lock of the stage of `step`, or who holds it, in words.
fn try_acquire(standing: &Standing, step: Step, shard: Shard) -> Result<Result<Lock, String>> {
    let (mut name, mut stage) = (standing.plan.lock_name(step), standing.plan.stage_name(step));
    if !shard.is_whole() {
        // Shards work at the same time; what each writes is no other's.
        name += &format!("-{}-of-{}", shard.index(), shard.count());
        stage += &format!(", shard {shard}");
    }
    let path = standing.dir.lock(&name);
    path.folder().create_folder()?;
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let own = format!("process {} {}", std::process::id(), host.trim());
    Ok(Lease::take(&path, &own)?.map(|lease| Lock { _lease: lease }).map_err(|holder| {
        format!(
            "another process works on stage `{stage}` of `{}`{}",
            standing.dir.path().display(),
            if holder.is_empty() { String::new() } else { format!(": {holder}") }
        )
    }))
}

/// Whether a process holds the lock of the stage of `step`, or of a shard of it.
///
/// # Errors
/// When it cannot be found out.
pub fn is_held(standing: &Standing, step: Step) -> Result<bool> {
    let Standing { plan, dir } = standing;
    let name = plan.lock_name(step);
    let of_shards = format!("{name}-");
    let folder = dir.locks();
    let names = folder.leased_names();
    let names = names.map_err(|error| Error::io("list", folder.path(), error))?;
    let shards = names.into_iter().filter(|it| it.starts_with(&of_shards));
    let shards = shards.map(|name| dir.locks().join(name));
    for path in [dir.lock(&name)].into_iter().chain(shards) {
        if Lease::is_held(&path)? {
            return Ok(true);
        }
    }
    Ok(false)
}
