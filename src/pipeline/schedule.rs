//! The `[schedule]` table: the order in which modules train.

use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::error_wording::{mistyped, suggest};
use super::modules::Planned;
use super::origin::Fault;
use super::settings::{Activations, Store, Training};
use crate::schedule::{Given, GivenModule, Misfit, Place, Schedule, Schedules, sequential};
use crate::setting::{Setting, inside};

/// The schedule of a pipeline that names none.
pub fn default() -> Arc<dyn Schedule> {
    Arc::new(sequential::Settings::default())
}

/// Reads the schedule that a document names, by its name alone or by the `kind` of a table.
pub fn resolve(
    schedules: &Schedules,
    document: &DeTable<'_>,
    settings: &[Setting],
) -> Result<Arc<dyn Schedule>, Fault> {
    let Some(given) = document.get("schedule") else { return Ok(default()) };
    let (mut table, place) = match given.get_ref() {
        DeValue::Table(table) => (table.clone(), "`kind` in [schedule]"),
        _ => (DeTable::new(), "`schedule`"),
    };
    let named = table.remove("kind");
    let named = if given.get_ref().as_str().is_some() { Some(given) } else { named.as_ref() };
    let all = || schedules.entries().map(|it| it.default.as_ref());
    let default = default();
    let name = named.and_then(|it| it.get_ref().as_str()).unwrap_or(default.name());
    let Some(entry) = schedules.get(name) else {
        let fault = Fault::of("schedule.kind", format!("unknown value `{name}` for {place}"));
        let names: Vec<&str> = all().map(|it| it.name()).collect();
        return Err(with_suggestion(fault.or_of("schedule"), name, &names));
    };
    check_keys(entry.default.as_ref(), &all().collect::<Vec<_>>(), &table, settings)?;
    (entry.read)(table).map_err(|error| mistyped(&error, document, settings))
}

/// Whether the settings of a schedule have this key.
fn has(schedule: &dyn Schedule, key: &str) -> bool {
    schedule.reference().iter().any(|it| it.name == key)
}

/// Fails on a key that this schedule, or every schedule, does not know.
fn check_keys(
    schedule: &dyn Schedule,
    all: &[&dyn Schedule],
    table: &DeTable<'_>,
    settings: &[Setting],
) -> Result<(), Fault> {
    for (key, value) in table {
        let (span, key): (_, &str) = (key.span(), key.get_ref());
        if has(schedule, key) {
            continue;
        }
        let of = all.iter().filter(|it| has(**it, key));
        let of: Vec<String> = of.map(|it| format!("`{}`", it.name())).collect();
        let Some((last, before)) = of.split_last() else {
            let known: Vec<_> = inside(settings, "schedule").map(Setting::key).collect();
            let fault = Fault::at(span, format!("unknown key `{key}` in [schedule]"));
            return Err(with_suggestion(fault, key, &known));
        };
        let why = schedule.refused().iter().find(|it| it.0 == key);
        let why = why.map_or_else(String::new, |it| format!(": {}", it.1));
        let name = schedule.name();
        let message = format!("`{key}` means nothing to a schedule of kind `{name}`{why}");
        let names = match before.is_empty() {
            true => last.clone(),
            false => format!("{} and {last}", before.join(", ")),
        };
        let hint = format!("it is for `schedule.kind` {names}");
        return Err(Fault::at(value.span(), message).hint(hint));
    }
    Ok(())
}

fn with_suggestion(fault: Fault, word: &str, known: &[&str]) -> Fault {
    match suggest(word, known) {
        Some(hint) => fault.hint(hint),
        None => fault,
    }
}

/// Fills in what a schedule leaves to the pipeline, checks it, and gives modules the epochs that the schedule sets.
pub fn settle(
    schedule: Arc<dyn Schedule>,
    training: &Training,
    store: &Store,
    modules: &mut [Planned],
) -> Result<Arc<dyn Schedule>, Fault> {
    let fault = |Misfit { place, message, hint }, modules: &[Planned]| {
        let fault = match place {
            Place::Setting(key) => Fault::of(format!("schedule.{key}"), message),
            Place::Epochs(module) => match &modules[module].own_epochs {
                Some(path) => Fault::of(path, message),
                None => Fault::of_file(message),
            },
            Place::File => Fault::of_file(message),
        };
        if hint.is_empty() { fault } else { fault.hint(hint) }
    };
    let given = Given {
        epochs: training.epochs,
        input_noise: training.input_noise,
        keep_generations: store.keep_generations,
        modules: modules
            .iter()
            .map(|Planned { module, own_epochs, .. }| GivenModule {
                name: &module.name,
                epochs: module.epochs,
                says_epochs: own_epochs.is_some(),
                is_recomputed: module.activations == Activations::Recompute,
            })
            .collect(),
    };
    let filled = schedule.filled_in(&given).map_err(|it| fault(it, modules))?;
    let schedule = filled.unwrap_or(schedule);
    schedule.check(&given).map_err(|it| fault(it, modules))?;
    if schedule.is_in_one_pass() && schedule.patience().is_some() {
        let message = "modules that train in one pass end at once, and have no patience";
        return Err(Fault::of("schedule", message));
    }
    if schedule.publishing().is_some()
        && let Some(planned) = modules.iter().find(|it| it.module.python().is_some())
    {
        let (kind, name) = (schedule.name(), &planned.module.name);
        let message = format!(
            "a schedule of kind `{kind}` trains layers, and `{name}` is written in PyTorch"
        );
        let hint = "take `sequential`, `rounds` or `simultaneous`";
        return Err(Fault::of("schedule.kind", message).or_of("schedule").hint(hint));
    }
    if let Some(epochs) = schedule.epochs() {
        modules.iter_mut().for_each(|it| it.module.epochs = epochs);
    }
    Ok(schedule)
}
