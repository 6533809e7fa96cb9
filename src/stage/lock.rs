//! Locks that let one process at a time work on a stage of a run.
//!
//! The lock is the operating system's on an open file, so a process that dies, however it dies, leaves no lock behind.
//! On object storage it is a lease. It is advice: what protects the data is that commits are create-only.

use gimlet_store::{Lease, Shard};

use super::{Session, Standing, Step};
use crate::{Error, Result};

/// Takes the lock of the stage of `step` for the settings of this plan, until the result is dropped. Runs with other
/// settings may work on a stage of the same name meanwhile.
///
/// # Errors
/// When another process holds it, naming that process.
pub fn acquire(standing: &Standing, step: Step, shard: Shard) -> Result<Lease> {
    try_acquire(standing, step, shard)?.map_err(|held| {
        let mut hint = "wait for it to end, or stop it".to_owned();
        if let Some(time) = standing.dir.location().properties().leases_outlive {
            let seconds = time.as_secs();
            hint += &format!("; a killed one is forgotten after {seconds} seconds: `--wait`");
        }
        Error::failed(held).hint(hint)
    })
}

/// Takes the lock of the stage of `step` for a session's shard. Where another process holds it, a session that waits
/// takes it once that process lets go.
///
/// # Errors
/// Those of [`acquire`]; when the session is asked to stop meanwhile.
pub(super) fn of_step(step: Step, standing: &Standing, session: &Session<'_>) -> Result<Lease> {
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
        // One try costs several looks.
        std::thread::sleep(2 * standing.dir.location().properties().pause);
    }
}

/// Takes the lock of the stage of `step`, or says in words which process holds it.
fn try_acquire(standing: &Standing, step: Step, shard: Shard) -> Result<Result<Lease, String>> {
    let (mut name, mut stage) = (standing.plan.lock_name(step), standing.plan.stage_name(step));
    if !shard.is_whole() {
        // Shards work at the same time: each writes its own parts.
        name += &format!("-{}-of-{}", shard.index(), shard.count());
        stage += &format!(", shard {shard}");
    }
    let path = standing.dir.lock(&name);
    path.folder().create_folder()?;
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let own = format!("process {} {}", std::process::id(), host.trim());
    Ok(Lease::take(&path, &own)?.map_err(|holder| {
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
/// When the locks cannot be listed or looked at.
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
