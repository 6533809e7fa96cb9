//! Finds a schedule by its name in a pipeline file, and reads its settings.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, Deserializer};

use super::Schedule;
use crate::Result;
use crate::registry::Registry;
use crate::setting::{Form, Setting, Stale};

/// The schedules that pipeline files can name.
#[derive(Debug, Clone)]
pub struct Schedules(pub(super) Registry<Entry>);

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The schedule with its defaults.
    pub default: Arc<dyn Schedule>,
    /// Reads its settings, without its name.
    pub read: fn(DeTable<'_>) -> Result<Arc<dyn Schedule>, toml::de::Error>,
}

impl Entry {
    /// The name of a schedule, and its entry.
    pub fn of<S: Schedule + Default + DeserializeOwned>() -> (&'static str, Self) {
        let default = S::default();
        let name = default.name();
        // Errors have the positions of the values.
        let read = |settings: DeTable<'_>| -> Result<Arc<dyn Schedule>, toml::de::Error> {
            let settings = Deserializer::from(Spanned::new(0..0, settings));
            Ok(Arc::new(S::deserialize(settings)?))
        };
        (name, Self { default: Arc::new(default), read })
    }
}

impl Schedules {
    /// Adds a schedule. Pipeline files use its [`Schedule::name`].
    ///
    /// # Errors
    /// [`crate::Kind::Usage`] when there is a schedule of that name.
    pub fn with<S: Schedule + Default + DeserializeOwned>(self) -> Result<Self> {
        let (name, entry) = Entry::of::<S>();
        self.0.with(name, entry).map(Self)
    }

    /// The keys of `[schedule]`: `kind`, and those of all schedules. One that several have is named once.
    pub(crate) fn reference(&self) -> Vec<Setting> {
        let schedules = || self.entries().map(|it| it.default.as_ref());
        let first = schedules().next().map_or("", |it| it.name());
        let about = schedules().map(|it| format!("- `{}`: {}", it.name(), it.about()));
        let about = about.collect::<Vec<_>>().join("\n");
        let mut all = vec![
            Setting::new("schedule", Form::KindOrTable)
                .default(format!("\"{first}\""))
                .stale(Stale::TRAINING)
                .example("\"rounds\"")
                .doc(
                    "The order in which modules train, and what each reads of what the others made.\n\n`schedule = \
                     \"rounds\"` is short for a `[schedule]` with that `kind` which says nothing else.",
                ),
            Setting::new("schedule.kind", Form::Words(self.0.names().collect()))
                .default(format!("\"{first}\""))
                .stale(Stale::TRAINING)
                .example("\"rounds\"")
                .doc(format!("The order in which modules train.\n\n{about}")),
        ];
        for setting in schedules().flat_map(|it| it.reference()) {
            let name = format!("schedule.{}", setting.name);
            if all.iter().any(|it| it.name == name) {
                continue;
            }
            let has = |it: &&dyn Schedule| it.reference().iter().any(|it| it.name == setting.name);
            let of: Vec<_> = schedules().filter(has).map(|it| format!("`{}`", it.name())).collect();
            let doc = format!("{}\n\nFor schedules of kind {}.", setting.doc, of.join(", "));
            all.push(Setting { name, doc, ..setting });
        }
        all
    }

    /// All schedules.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.0.entries()
    }

    /// The schedule of this name; `None` when there is none.
    pub(crate) fn get(&self, name: &str) -> Option<&Entry> {
        self.0.get(name)
    }
}
