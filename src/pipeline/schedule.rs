//! The `[schedule]` table: in which order modules train.

use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::modules::Planned;
use super::origin::Fault;
use super::settings::{Activations, Module, Pipeline, Store, Training};
use super::{raw, wording};
use crate::schedule::{Chosen, Given, GivenModule, KINDS, Kind, Misfit, Place, Schedule, read};
use crate::{Error, error};

/// The schedule; in rounds it also says how many epochs every module trains.
pub fn resolve(
    raw: &raw::Schedule,
    document: &DeTable<'_>,
    training: &Training,
    store: &Store,
    modules: &mut [Planned],
) -> Result<Chosen, Fault> {
    let kind = raw.kind.unwrap_or(&KINDS[0]);
    let mut table = match document.get("schedule").map(Spanned::get_ref) {
        Some(DeValue::Table(table)) => table.clone(),
        _ => DeTable::new(),
    };
    table.remove("kind");
    check_keys(kind, &table)?;
    let each = modules
        .iter()
        .map(|it| GivenModule { says_epochs: it.own_epochs.is_some(), ..given_module(&it.module) });
    let given = given(training, store, each.collect());
    let settings = Deserializer::from(Spanned::new(0..0, table.clone()));
    let read = read(kind.name, settings, &given);
    let settled = read.map_err(|error| wording::mistyped(&error, document))?;
    let schedule = settled.map_err(|Misfit { place, message, hint }| {
        let span = match place {
            Place::Setting(key) => table.get(key).map(Spanned::span),
            Place::Epochs(module) => modules[module].own_epochs.clone(),
            Place::File => None,
        };
        let fault = match span {
            Some(span) => Fault::at(span, message),
            None => Fault::of_file(message),
        };
        if hint.is_empty() { fault } else { fault.hint(hint) }
    })?;
    if let Some(epochs) = schedule.epochs() {
        modules.iter_mut().for_each(|it| it.module.epochs = epochs);
    }
    Ok(schedule)
}

/// No key that means nothing to this kind.
fn check_keys(kind: &Kind, table: &DeTable<'_>) -> Result<(), Fault> {
    for (key, value) in table {
        let key: &str = key.get_ref();
        if kind.keys.contains(&key) {
            continue;
        }
        let of: Vec<&Kind> = KINDS.iter().filter(|it| it.keys.contains(&key)).collect();
        let why = kind.refused.iter().find(|it| it.0 == key);
        let why = why.map_or_else(String::new, |it| format!(": {}", it.1));
        let message = format!("`{key}` means nothing to a schedule of kind `{}`{why}", kind.name);
        let mut names = of.iter().map(|it| format!("`{}`", it.name)).collect::<Vec<_>>();
        let last = names.pop().unwrap_or_default();
        let names = match names.is_empty() {
            true => last,
            false => format!("{} and {last}", names.join(", ")),
        };
        return Err(
            Fault::at(value.span(), message).hint(format!("it is for `schedule.kind` {names}"))
        );
    }
    Ok(())
}

fn given<'a>(training: &Training, store: &Store, modules: Vec<GivenModule<'a>>) -> Given<'a> {
    Given {
        epochs: training.epochs,
        input_noise: training.input_noise,
        keep_generations: store.keep_generations,
        modules,
    }
}

/// One that leaves its epochs to others.
fn given_module(module: &Module) -> GivenModule<'_> {
    GivenModule {
        name: &module.name,
        epochs: module.epochs,
        says_epochs: false,
        is_recomputed: module.activations == Activations::Recompute,
    }
}

impl Pipeline {
    /// The pipeline with a schedule, of this library or of the program that uses it. Where the schedule says how many
    /// epochs modules train, they train as many.
    ///
    /// # Errors
    /// [`crate::Kind::Usage`] when the schedule does not fit the pipeline.
    pub fn with_schedule(mut self, schedule: impl Schedule + 'static) -> error::Result<Self> {
        let schedule = Chosen::new(schedule);
        let modules = self.modules.iter().map(given_module).collect();
        schedule.check(&given(&self.training, &self.store, modules)).map_err(|misfit| {
            let error = Error::new(crate::Kind::Usage, misfit.message);
            if misfit.hint.is_empty() { error } else { error.hint(misfit.hint) }
        })?;
        if schedule.is_in_one_pass() && schedule.patience().is_some() {
            let message = "modules that train in one pass end at once, and have no patience";
            return Err(Error::new(crate::Kind::Usage, message));
        }
        if let Some(epochs) = schedule.epochs() {
            self.modules.iter_mut().for_each(|it| it.epochs = epochs);
        }
        Ok(Self { schedule, ..self })
    }
}
