//! Makes room: removes what nothing needs any more.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use gimlet_store::Records;
use gimlet_store::gc::{self, Kind, Leftover, Policy, Shelf};

use super::progress::{Progress, Unit};
use super::record::{Keyed, Probe, Training};
use super::{RunDir, Standing, pins};
use crate::Result;

/// How much `gc` keeps.
pub struct Limits {
    /// Number of newest generations of a dataset, and trainings of a module, that stay in any case.
    pub keep: usize,
    /// Attempts that were written to more recently stay.
    pub grace: Duration,
}

/// Something on disk that nothing needs.
pub struct Unneeded {
    /// "generation", "training", "probe", "attempt" or "temporary".
    pub kind: &'static str,
    /// What was found, and where.
    pub leftover: Leftover,
}

impl Unneeded {
    /// `record` is the name for records in the folder where it was found.
    fn new(leftover: Leftover, record: &'static str) -> Self {
        Self { kind: leftover.kind.name(record), leftover }
    }
}

/// Removes what neither the plan nor a running process needs, except what `limits` keeps in any case. With
/// `dry_run`, only looks for it. Whatever could not be removed says why it stays.
///
/// # Errors
/// When something cannot be read.
pub fn sweep(
    standing: &Standing,
    limits: &Limits,
    dry_run: bool,
    progress: &dyn Progress,
) -> Result<Vec<Unneeded>> {
    let dir = &standing.dir;
    // Only looking needs no lock: it removes nothing.
    let _quiet = if dry_run { None } else { Some(pins::quiet_alone(dir)?) };
    let needed: HashSet<String> =
        standing.wanted_keys()?.into_iter().chain(pins::of_all(dir)?).collect();
    let policy = Policy { needed, keep: limits.keep, grace: limits.grace };
    let (datasets, trainings, probes) =
        (dir.all_datasets()?, dir.all_trainings()?, dir.all_probes()?);
    let shelves = datasets.len() + trainings.len() + probes.len();
    progress.begin("gc", Unit::Of("folders"), shelves as u64, 0);
    let mut swept = 0;
    let mut all = Vec::new();
    let mut add = |found: Vec<Unneeded>| {
        all.extend(found);
        swept += 1;
        progress.advance(swept, "");
    };
    for dataset in datasets {
        add(sweep_shelf(&Shelf::of(&dataset), "generation", &policy, dry_run, progress)?);
    }
    for records in trainings {
        let shelf = shelf::<Training>(records);
        add(sweep_shelf(&shelf, "training", &policy, dry_run, progress)?);
    }
    // Records of probes stay, since they take no room; unreadable ones go.
    for records in probes {
        let keys = records.readable::<Probe>()?.map(|it| it.map(|(_, probe)| probe.key));
        let needed = keys.collect::<gimlet_store::Result<_>>()?;
        let policy = Policy { needed, ..policy.clone() };
        add(sweep_shelf(&shelf::<Probe>(records), "probe", &policy, dry_run, progress)?);
    }
    progress.end("");
    // Temporary files for the file that marks a run directory; on object storage, also those outside all shelves.
    let known: HashSet<PathBuf> =
        all.iter().map(|it| it.leftover.at.path().to_path_buf()).collect();
    for temp in
        gc::dead_temps(dir.location())?.into_iter().filter(|it| !known.contains(it.at.path()))
    {
        if !dry_run {
            gc::remove_temp(&temp.at)?;
        }
        all.push(Unneeded::new(temp, "file"));
    }
    Ok(all)
}

/// Removes the generations made under `keys`, except the newest of each dataset and those that a running process
/// needs. Trainings and probes stay. Returns the number of bytes that were freed.
///
/// # Errors
/// When something cannot be read.
pub fn release(dir: &RunDir, mut keys: HashSet<String>, progress: &dyn Progress) -> Result<u64> {
    let _quiet = pins::quiet_alone(dir)?;
    for named in pins::of_all(dir)? {
        keys.remove(&named);
    }
    let mut free = 0;
    for dataset in dir.all_datasets()? {
        let (mut needed, mut numbers) = (HashSet::new(), HashSet::new());
        for generation in dataset.readable()? {
            let generation = generation?;
            let key = &generation.manifest().key;
            if keys.contains(key) {
                numbers.insert(generation.number());
            } else {
                needed.insert(key.clone());
            }
        }
        // Damaged generations and unfinished attempts are left to `gimlet gc`.
        let policy = Policy { needed, keep: 0, grace: Duration::MAX };
        let shelf = Shelf::of(&dataset);
        for leftover in shelf.survey(&policy)? {
            let ours = matches!(leftover.kind, Kind::Record(number) if numbers.contains(&number));
            if !ours || leftover.stays.is_some() {
                continue;
            }
            match shelf.remove(&leftover, &policy) {
                Ok(None) => free += leftover.bytes,
                Ok(Some(_)) => {}
                // One thing that cannot be removed must not stop the rest.
                Err(error) => progress.warn(&error.to_string()),
            }
        }
    }
    Ok(free)
}

/// A shelf of records, each of which says which key it was made under.
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
) -> Result<Vec<Unneeded>> {
    let mut all = Vec::new();
    for mut leftover in shelf.survey(policy)? {
        if leftover.stays.is_none() && !dry_run {
            // One thing that cannot be removed must not stop the rest.
            leftover.stays = shelf.remove(&leftover, policy).unwrap_or_else(|error| {
                progress.warn(&error.to_string());
                Some(error.to_string())
            });
        }
        all.push(Unneeded::new(leftover, record));
    }
    Ok(all)
}
