//! The `[schedule]` table: in which order modules train.

use toml::Spanned;

use super::bounds::{COUNT, optional_number, optional_whole};
use super::modules::Planned;
use super::origin::Fault;
use super::raw;
use super::settings::{Activations, Async, Rounds, Schedule, ScheduleKind, Store, Training};

/// The schedule; in rounds it also says how many epochs every module trains.
pub fn resolve(
    raw: &raw::Schedule,
    training: &Training,
    store: &Store,
    modules: &mut [Planned],
) -> Result<Schedule, Fault> {
    let kind = raw.kind.unwrap_or(ScheduleKind::Sequential);
    check_keys(raw, kind)?;
    check_replay(raw, store)?;
    let replay = replay(raw)?;
    Ok(match kind {
        ScheduleKind::Sequential => {
            Schedule::Sequential { patience: optional_whole(&raw.patience, "patience", COUNT)? }
        }
        ScheduleKind::Simultaneous => {
            check_noise(training)?;
            check_epochs(training, modules)?;
            Schedule::Simultaneous
        }
        ScheduleKind::Async => {
            check_stored(modules)?;
            let sync_every = optional_whole(&raw.sync_every, "sync_every", COUNT)?.unwrap_or(1);
            let most = optional_whole(&raw.max_staleness, "max_staleness", COUNT)?;
            let max_staleness = most.unwrap_or(sync_every);
            Schedule::Async(Async { sync_every, max_staleness, replay })
        }
        ScheduleKind::Rounds => {
            let (rounds, epochs) = rounds(raw, training)?;
            for Planned { module, own_epochs, .. } in modules {
                if let Some(span) = own_epochs {
                    let message = format!(
                        "module `{}` has `epochs` of its own: in rounds all modules train alike",
                        module.name
                    );
                    return Err(Fault::at(span.clone(), message)
                        .hint("set `schedule.rounds` and `schedule.epochs_per_round`"));
                }
                module.epochs = rounds * epochs;
            }
            Schedule::Rounds(Rounds { rounds, epochs_per_round: epochs, replay })
        }
    })
}

/// No key that means nothing to this kind.
fn check_keys(raw: &raw::Schedule, kind: ScheduleKind) -> Result<(), Fault> {
    let keys = [
        ("patience", &raw.patience, &[ScheduleKind::Sequential][..]),
        ("rounds", &raw.rounds, &[ScheduleKind::Rounds]),
        ("epochs_per_round", &raw.epochs_per_round, &[ScheduleKind::Rounds]),
        ("sync_every", &raw.sync_every, &[ScheduleKind::Async]),
        ("max_staleness", &raw.max_staleness, &[ScheduleKind::Async]),
    ];
    let spans = keys.iter().map(|(key, value, of)| (*key, value.as_ref().map(Spanned::span), *of));
    let of_replay = &[ScheduleKind::Rounds, ScheduleKind::Async][..];
    let replay = ("replay", raw.replay.as_ref().map(Spanned::span), of_replay);
    for (key, span, of) in spans.chain([replay]) {
        if let Some(span) = span.filter(|_| !of.contains(&kind)) {
            let names: Vec<_> = of.iter().map(|kind| format!("`{}`", kind.name())).collect();
            let message = format!("`{key}` means nothing to a schedule of kind `{}`", kind.name());
            let hint = format!("it is for `schedule.kind` {}", names.join(" and "));
            return Err(Fault::at(span, message).hint(hint));
        }
    }
    Ok(())
}

fn replay(raw: &raw::Schedule) -> Result<f64, Fault> {
    let wanted = "a share of a batch, from 0 to less than 1";
    let share = optional_number(&raw.replay, "replay", wanted, |it| (0.0..1.0).contains(&it))?;
    Ok(share.unwrap_or(0.0))
}

/// Rows of older generations can only be replayed where these are kept.
fn check_replay(raw: &raw::Schedule, store: &Store) -> Result<(), Fault> {
    match &raw.replay {
        Some(replay) if *replay.get_ref() > 0.0 && store.keep_generations < 2 => {
            let message = "`replay` takes rows of older generations, and none is kept";
            Err(Fault::at(replay.span(), message).hint("set `store.keep_generations` to 2 or more"))
        }
        _ => Ok(()),
    }
}

/// Workers have nothing of each other but what is stored.
fn check_stored(modules: &[Planned]) -> Result<(), Fault> {
    let readers = modules.len().saturating_sub(1);
    let hidden = |it: &&Planned| it.module.activations == Activations::Recompute;
    match modules.iter().take(readers).find(hidden) {
        Some(Planned { module, .. }) => {
            let message = format!(
                "the activations of `{}` are recomputed, and in an `async` schedule the next module \
                 has to read them",
                module.name
            );
            Err(Fault::of_file(message).hint("set `activations = \"store\"`"))
        }
        None => Ok(()),
    }
}

fn check_noise(training: &Training) -> Result<(), Fault> {
    match training.input_noise > 0.0 {
        true => Err(Fault::of_file(
            "`training.input_noise` is noise on stored activations, and a `simultaneous` schedule \
             stores none",
        )
        .hint("leave one of the two out")),
        false => Ok(()),
    }
}

/// All modules see the same batches, and so have the same epochs.
fn check_epochs(training: &Training, modules: &[Planned]) -> Result<(), Fault> {
    let of_first = modules.first().map(|it| it.module.epochs);
    let all_say = modules.iter().all(|it| it.own_epochs.is_some());
    let epochs = of_first.filter(|_| all_say).unwrap_or(training.epochs);
    for Planned { module, own_epochs, .. } in modules {
        if let Some(span) = own_epochs
            && module.epochs != epochs
        {
            let message = format!(
                "module `{}` has {} epochs, others have {epochs}: `simultaneous`, all train alike",
                module.name, module.epochs
            );
            return Err(Fault::at(span.clone(), message).hint("set `training.epochs`"));
        }
    }
    Ok(())
}

/// Rounds, and epochs of each. Of the two, one that is left out follows from `training.epochs`.
fn rounds(raw: &raw::Schedule, training: &Training) -> Result<(usize, usize), Fault> {
    let rounds = optional_whole(&raw.rounds, "rounds", COUNT)?;
    let epochs = optional_whole(&raw.epochs_per_round, "epochs_per_round", COUNT)?;
    let all = training.epochs;
    let share = |key: &str, of: usize, value: &raw::Optional<usize>| match all % of {
        0 => Ok(all / of),
        _ => {
            let message =
                format!("`training.epochs` is {all}, which `{key}` ({of}) does not divide");
            let fault = match value {
                Some(value) => Fault::at(value.span(), message),
                None => Fault::of_file(message),
            };
            Err(fault.hint("give both `rounds` and `epochs_per_round`"))
        }
    };
    let (rounds, epochs) = match (rounds, epochs) {
        (Some(rounds), Some(epochs)) => (rounds, epochs),
        (Some(rounds), None) => (rounds, share("rounds", rounds, &raw.rounds)?),
        (None, Some(epochs)) => (share("epochs_per_round", epochs, &raw.epochs_per_round)?, epochs),
        (None, None) => (all, 1),
    };
    match rounds.checked_mul(epochs).filter(|epochs| COUNT.contains(epochs)) {
        Some(_) => Ok((rounds, epochs)),
        None => Err(Fault::of_file("`rounds` times `epochs_per_round` are too many epochs")),
    }
}
