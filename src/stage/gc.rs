//! Making room: what nothing needs any more goes.

use std::collections::HashSet;
use std::time::Duration;

use gimlet_store::gc::{Leftover, Policy, Shelf};

use super::progress::Progress;
use super::record::{Keyed, Training};
use super::{Plan, RunDir, lock, needs};
use crate::{Error, Result};

/// How much stays.
pub struct Limits {
    /// Generations of a dataset, and trainings of a module, that stay whether they are needed or not.
    pub keep: usize,
    /// Attempts that were written to more recently stay.
    pub grace: Duration,
}

/// Something that nothing needs.
pub struct Found {
    /// "generation", "training", "attempt" or "temporary".
    pub kind: &'static str,
    pub leftover: Leftover,
}

/// Removes what neither `plan` nor a process at work needs, beyond what stays in any case; with
/// `dry_run`, only looks for it. What could not be removed says why it stays.
///
/// # Errors
/// When something cannot be looked at, or a process is at work that does not say what it needs.
pub fn sweep(
    dir: &RunDir,
    plan: &Plan,
    limits: &Limits,
    dry_run: bool,
    progress: &dyn Progress,
) -> Result<Vec<Found>> {
    // Looking needs no quiet: nothing comes of it.
    let _quiet = if dry_run { None } else { Some(needs::quiet_alone(dir)?) };
    refuse_strangers(dir, plan)?;
    let needed: HashSet<String> = plan.all_keys().into_iter().chain(needs::of_all(dir)).collect();
    let policy = Policy { needed, keep: limits.keep, grace: limits.grace };
    let mut all = Vec::new();
    for dataset in dir.all_datasets()? {
        all.extend(sweep_shelf(&Shelf::of(&dataset), "generation", &policy, dry_run, progress)?);
    }
    for records in dir.all_trainings()? {
        let read = records.clone();
        let key_of = move |number| Ok(read.read::<Training>(number)?.key().to_owned());
        let shelf = Shelf::new(records, key_of);
        all.extend(sweep_shelf(&shelf, "training", &policy, dry_run, progress)?);
    }
    Ok(all)
}

fn sweep_shelf(
    shelf: &Shelf,
    record: &'static str,
    policy: &Policy,
    dry_run: bool,
    progress: &dyn Progress,
) -> Result<Vec<Found>> {
    let mut all = Vec::new();
    for mut leftover in shelf.survey(policy)? {
        if leftover.stays.is_none() && !dry_run {
            // What cannot be removed must not keep the rest.
            leftover.stays = shelf.remove(&leftover, policy).unwrap_or_else(|error| {
                progress.warn(&error.to_string());
                Some(error.to_string())
            });
        }
        let kind = leftover.kind.name(record);
        all.push(Found { kind, leftover });
    }
    Ok(all)
}

/// A process may hold the lock of a stage and not have said what it needs: an older version of this
/// program.
fn refuse_strangers(dir: &RunDir, plan: &Plan) -> Result<()> {
    let mut stages = plan.steps().into_iter().map(|step| plan.stage_name(step));
    match stages.find(|stage| lock::is_held(dir, stage)) {
        Some(stage) if !needs::any(dir) => {
            let message = format!(
                "a process works on stage `{stage}` of `{}` and does not say what it needs",
                dir.path().display()
            );
            Err(Error::failed(message).hint("wait for it to end, or stop it"))
        }
        _ => Ok(()),
    }
}
