//! Making room: what nothing needs any more goes.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use gimlet_store::gc::{self, Kind, Leftover, Policy, Shelf};
use gimlet_store::{Dataset, Records};

use super::progress::Progress;
use super::record::{Keyed, Probe, Training};
use super::{RunDir, Standing, needs};
use crate::Result;

/// How much stays.
pub struct Limits {
    /// Generations of a dataset, and trainings of a module, that stay whether they are needed or not.
    pub keep: usize,
    /// Attempts that were written to more recently stay.
    pub grace: Duration,
}

/// Something that nothing needs.
pub struct Found {
    /// "generation", "training", "probe", "attempt" or "temporary".
    pub kind: &'static str,
    /// What it is.
    pub leftover: Leftover,
}

impl Found {
    /// `record` is what the records are called where it was found.
    fn new(leftover: Leftover, record: &'static str) -> Self {
        Self { kind: leftover.kind.name(record), leftover }
    }
}

/// Removes what neither the plan nor a process at work needs, beyond what stays in any case; with
/// `dry_run`, only looks for it. What could not be removed says why it stays.
///
/// # Errors
/// When something cannot be looked at.
pub fn sweep(
    standing: &Standing,
    limits: &Limits,
    dry_run: bool,
    progress: &dyn Progress,
) -> Result<Vec<Found>> {
    let dir = &standing.dir;
    // Looking needs no quiet: nothing comes of it.
    let _quiet = if dry_run { None } else { Some(needs::quiet_alone(dir)?) };
    let needed: HashSet<String> =
        standing.wanted_keys()?.into_iter().chain(needs::of_all(dir)?).collect();
    let policy = Policy { needed, keep: limits.keep, grace: limits.grace };
    let mut all = Vec::new();
    for dataset in dir.all_datasets()? {
        all.extend(sweep_shelf(&Shelf::of(&dataset), "generation", &policy, dry_run, progress)?);
    }
    for records in dir.all_trainings()? {
        let shelf = shelf::<Training>(records);
        all.extend(sweep_shelf(&shelf, "training", &policy, dry_run, progress)?);
    }
    // What a probe has found stays, as it takes no room; but not what cannot be read.
    for records in dir.all_probes()? {
        let keys = records.readable::<Probe>()?.map(|it| it.map(|(_, probe)| probe.key));
        let needed = keys.collect::<gimlet_store::Result<_>>()?;
        let policy = Policy { needed, ..policy.clone() };
        all.extend(sweep_shelf(&shelf::<Probe>(records), "probe", &policy, dry_run, progress)?);
    }
    // Of the file that marks the directory as a run's; on object storage, of all that is no shelf's.
    let known: HashSet<PathBuf> =
        all.iter().map(|it| it.leftover.at.path().to_path_buf()).collect();
    for temp in
        gc::dead_temps(dir.location())?.into_iter().filter(|it| !known.contains(it.at.path()))
    {
        if !dry_run {
            gc::remove_temp(&temp.at)?;
        }
        all.push(Found::new(temp, "file"));
    }
    Ok(all)
}

/// Removes the generations made under `keys` that no process at work has named, but for the newest of
/// each dataset. Trainings and probes stay. Returns the bytes that are free now.
///
/// # Errors
/// When something cannot be looked at.
pub fn release(dir: &RunDir, mut keys: HashSet<String>, progress: &dyn Progress) -> Result<u64> {
    let _quiet = needs::quiet_alone(dir)?;
    for named in needs::of_all(dir)? {
        keys.remove(&named);
    }
    let mut free = 0;
    for dataset in dir.all_datasets()? {
        free += release_of(&dataset, &keys, progress)?;
    }
    Ok(free)
}

/// Removes the generations made under these keys.
fn release_of(
    dataset: &Dataset,
    unneeded: &HashSet<String>,
    progress: &dyn Progress,
) -> Result<u64> {
    let (mut needed, mut numbers) = (HashSet::new(), HashSet::new());
    for generation in dataset.readable()? {
        let generation = generation?;
        let key = &generation.manifest().key;
        if unneeded.contains(key) {
            numbers.insert(generation.number());
        } else {
            needed.insert(key.clone());
        }
    }
    // What is damaged or was begun is not this one's to remove.
    let policy = Policy { needed, keep: 0, grace: Duration::MAX };
    let shelf = Shelf::of(dataset);
    let mut free = 0;
    for leftover in shelf.survey(&policy)? {
        let ours = matches!(leftover.kind, Kind::Record(number) if numbers.contains(&number));
        if !ours || leftover.stays.is_some() {
            continue;
        }
        match shelf.remove(&leftover, &policy) {
            Ok(None) => free += leftover.bytes,
            Ok(Some(_)) => {}
            // What cannot be removed must not keep the rest.
            Err(error) => progress.warn(&error.to_string()),
        }
    }
    Ok(free)
}

/// Records that say which key they were made under.
pub(super) fn shelf<T: Keyed>(records: Records) -> Shelf {
    let read = records.clone();
    Shelf::new(records, move |number| Ok(read.read::<T>(number)?.key().to_owned()))
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
        all.push(Found::new(leftover, record));
    }
    Ok(all)
}
