//! Removes what earlier rounds have made as soon as nothing needs it.
//!
//! For a module's trainings, and for each of its datasets, two things stay: the newest `store.keep_generations` rounds,
//! and what an unfinished step reads. What other settings have made is left to `gimlet gc`. Losses, seconds and memory
//! of removed rounds are in the log, the record and the manifests of later rounds.

use std::collections::HashSet;

use gimlet_store::gc::Shelf;

use super::gc::shelf;
use super::record::Training;
use super::{Run, Standing, pins};
use crate::Result;
use crate::pipeline::Split;
use crate::schedule::{At, Step};

/// Removes what earlier rounds of a module have made and nothing needs. What cannot be removed stays, and only takes
/// room.
pub(super) fn retire(run: &Run<'_>, module: usize) {
    let Run { standing, session, .. } = run;
    let Standing { plan, dir } = standing;
    if plan.rounds() == 1 {
        return;
    }
    let (name, rounds) = (plan.module(module), 0..plan.rounds());
    let keys = |step: &dyn Fn(At) -> Step, split| -> Vec<&str> {
        let steps = rounds.clone().map(|round| step(At { module, round }));
        steps.map(|step| plan.key(step, split).hash.as_str()).collect()
    };
    let trainings = shelf::<Training>(dir.trainings(name));
    let mut shelves = vec![(trainings, keys(&Step::Train, Split::Train))];
    for split in Split::ALL {
        let dataset = Shelf::of(&dir.dataset(name, split));
        shelves.push((dataset, keys(&Step::Encode, split)));
    }
    for (shelf, rounds) in shelves {
        if let Err(error) = retire_from(run, &shelf, &rounds) {
            session.progress.warn(&format!("an earlier round stays on disk: {error}"));
        }
    }
}

/// Removes older rounds from one shelf. `rounds` are the keys of a module's rounds, in order.
fn retire_from(run: &Run<'_>, shelf: &Shelf, rounds: &[&str]) -> Result<()> {
    let keep = run.pipeline.store.keep_generations;
    if rounds.iter().filter(|key| shelf.has_folder(key)).count() <= keep {
        return Ok(());
    }
    let committed = shelf.keys()?;
    let newest = rounds.iter().rposition(|key| committed.contains(*key));
    let older = &rounds[..newest.map_or(0, |newest| (newest + 1).saturating_sub(keep))];

    // No process may begin to need something while it is removed.
    let _quiet = pins::quiet_alone(&run.standing.dir)?;
    let mut needed = run.standing.wanted_keys()?;
    needed.extend(run.pins.of_others(&run.standing.dir)?);
    let going = older.iter().filter(|key| !needed.contains(**key));
    let going: HashSet<String> = going.map(|key| (*key).to_owned()).collect();
    for staying in shelf.remove_keys(&going)? {
        tracing::debug!(path = %staying.at, stays = staying.stays, "not retired");
    }
    Ok(())
}
