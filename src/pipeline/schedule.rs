//! The `[schedule]` table: in which order modules train.

use toml::Spanned;

use super::bounds::{COUNT, is, whole};
use super::modules::Planned;
use super::origin::Fault;
use super::raw;
use super::settings::{Activations, Async, Rounds, Schedule, ScheduleKind, Store, Training};

/// Reads a schedule table, and fills in its defaults.
pub fn resolve(raw: &raw::Schedule, training: &Training) -> Result<Schedule, Fault> {
    let kind = raw.kind.unwrap_or(ScheduleKind::Sequential);
    check_keys(raw, kind)?;
    let number = |value: &raw::Optional<usize>| value.as_ref().map(|it| *it.get_ref());
    let replay = raw.replay.as_ref().map_or(0.0, |it| *it.get_ref());
    Ok(match kind {
        ScheduleKind::Sequential => Schedule::Sequential { patience: number(&raw.patience) },
        ScheduleKind::Simultaneous => Schedule::Simultaneous,
        ScheduleKind::Async => {
            let sync_every = number(&raw.sync_every).unwrap_or(1);
            let max_staleness = number(&raw.max_staleness).unwrap_or(sync_every);
            Schedule::Async(Async { sync_every, max_staleness, replay })
        }
        ScheduleKind::Rounds => {
            let (rounds, epochs_per_round) =
                rounds(number(&raw.rounds), number(&raw.epochs_per_round), training)?;
            Schedule::Rounds(Rounds { rounds, epochs_per_round, replay })
        }
    })
}

/// Fails unless every number is within its bounds, and the modules can train so.
pub fn check(
    schedule: &Schedule,
    training: &Training,
    store: &Store,
    modules: &[Planned],
) -> Result<(), Fault> {
    match schedule {
        Schedule::Sequential { patience } => whole("schedule.patience", *patience, &COUNT),
        Schedule::Simultaneous => {
            check_noise(training)?;
            check_epochs(training, modules)
        }
        Schedule::Async(Async { sync_every, max_staleness, replay }) => {
            whole("schedule.sync_every", *sync_every, &COUNT)?;
            whole("schedule.max_staleness", *max_staleness, &COUNT)?;
            check_replay(*replay, store)?;
            check_stored(modules)
        }
        Schedule::Rounds(Rounds { rounds, epochs_per_round, replay }) => {
            whole("schedule.rounds", *rounds, &COUNT)?;
            whole("schedule.epochs_per_round", *epochs_per_round, &COUNT)?;
            check_replay(*replay, store)?;
            if rounds.checked_mul(*epochs_per_round).is_none_or(|all| !COUNT.contains(&all)) {
                let message = "`rounds` times `epochs_per_round` are too many epochs";
                return Err(Fault::of_file(message));
            }
            for Planned { module, own_epochs, .. } in modules {
                if let Some(path) = own_epochs {
                    let message = format!(
                        "module `{}` has `epochs` of its own: in rounds all modules train alike",
                        module.name
                    );
                    return Err(Fault::of(path, message)
                        .hint("set `schedule.rounds` and `schedule.epochs_per_round`"));
                }
            }
            Ok(())
        }
    }
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

/// Rows of older generations can only be replayed where these are kept.
fn check_replay(replay: f64, store: &Store) -> Result<(), Fault> {
    let wanted = "a share of a batch, from 0 to less than 1";
    is("schedule.replay", replay, wanted, (0.0..1.0).contains(&replay))?;
    if replay > 0.0 && store.keep_generations < 2 {
        let message = "`replay` takes rows of older generations, and none is kept";
        return Err(
            Fault::of("schedule.replay", message).hint("set `store.keep_generations` to 2 or more")
        );
    }
    Ok(())
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
        if let Some(path) = own_epochs
            && module.epochs != epochs
        {
            let message = format!(
                "module `{}` has {} epochs, others have {epochs}: `simultaneous`, all train alike",
                module.name, module.epochs
            );
            return Err(Fault::of(path, message).hint("set `training.epochs`"));
        }
    }
    Ok(())
}

/// Rounds, and epochs of each. Of the two, one that is left out follows from `training.epochs`.
fn rounds(
    rounds: Option<usize>,
    epochs: Option<usize>,
    training: &Training,
) -> Result<(usize, usize), Fault> {
    let all = training.epochs;
    let share = |key: &str, of: usize| match all.checked_rem(of) {
        // `check` refuses a 0.
        None => Ok(1),
        Some(0) => Ok(all / of),
        Some(_) => {
            let message =
                format!("`training.epochs` is {all}, which `{key}` ({of}) does not divide");
            Err(Fault::of(format!("schedule.{key}"), message)
                .hint("give both `rounds` and `epochs_per_round`"))
        }
    };
    Ok(match (rounds, epochs) {
        (Some(rounds), Some(epochs)) => (rounds, epochs),
        (Some(rounds), None) => (rounds, share("rounds", rounds)?),
        (None, Some(epochs)) => (share("epochs_per_round", epochs)?, epochs),
        (None, None) => (all, 1),
    })
}
