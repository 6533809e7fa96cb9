//! All modules train at once, each in its own process, on the newest generation of its predecessor.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Given, Manner, Misfit, Place, Publishing, Schedule, check_count, check_replay, count_of,
    patience_setting, replay_setting,
};
use crate::setting::Setting;

/// The settings of `schedule = "async"`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Epochs after which a module writes a generation; 1 when `None`.
    pub sync_every: Option<usize>,
    /// Epochs that a module trains on one generation. Then it waits for a newer one, as long as another process works
    /// on its predecessor. `sync_every` when `None`.
    pub max_staleness: Option<usize>,
    /// The share of a batch that comes from older generations.
    pub replay: f64,
    /// Epochs on one generation without a smaller held-out loss that end a training.
    pub patience: Option<usize>,
}

impl Settings {
    fn publishing(&self) -> Publishing {
        let sync_every = self.sync_every.unwrap_or(1);
        Publishing { sync_every, max_staleness: self.max_staleness.unwrap_or(sync_every) }
    }
}

impl Schedule for Settings {
    fn name(&self) -> &'static str {
        "async"
    }

    fn about(&self) -> &'static str {
        "one process per module, all at the same time (`gimlet worker`). Each trains on the newest generation of its \
         predecessor, takes up a newer one between two batches, and writes one of its own every `sync_every` epochs; the \
         first one is that of the untrained module. A module that has trained `max_staleness` epochs on one generation \
         waits for the next, unless no worker is making it. So modules keep step, and the death of one worker does not \
         stop the others."
    }

    fn reference(&self) -> Vec<Setting> {
        vec![
            count_of("sync_every", "epochs")
                .default(self.publishing().sync_every)
                .example(2)
                .doc("Epochs after which a module writes a generation."),
            count_of("max_staleness", "epochs")
                .or("the value of `sync_every`")
                .example(2)
                .doc("Epochs on one generation after which a module waits for a newer one."),
            replay_setting(),
            patience_setting(),
        ]
    }

    /// All settings count for every module, even for the first, which reads no generations: a finished module publishes
    /// no more, so the modules above it must train at the same time.
    fn key(&self, _replays: bool) -> Value {
        let Self { sync_every: _, max_staleness: _, replay, patience } = self;
        let Publishing { sync_every, max_staleness } = self.publishing();
        json!({
            "kind": self.name(),
            "sync_every": sync_every,
            "max_staleness": max_staleness,
            "replay": replay,
            "patience": patience,
        })
    }

    /// Refuses recomputed activations between modules: workers share only what is stored.
    fn check(&self, given: &Given<'_>) -> Result<(), Misfit> {
        check_count("sync_every", self.sync_every)?;
        check_count("max_staleness", self.max_staleness)?;
        check_count("patience", self.patience)?;
        check_replay(self.replay, given)?;
        let readers = given.modules.len().saturating_sub(1);
        let mut modules = given.modules.iter().take(readers);
        let Some(module) = modules.find(|it| it.is_recomputed) else { return Ok(()) };
        let message = format!(
            "the activations of `{}` are recomputed, and in an `async` schedule the next module \
             has to read them",
            module.name
        );
        Err(Misfit::at(Place::File, message).hint("set `activations = \"store\"`"))
    }

    fn manner(&self) -> Manner {
        Manner::InWorkers(self.publishing())
    }

    fn replay(&self) -> f64 {
        self.replay
    }

    fn patience(&self) -> Option<usize> {
        self.patience
    }

    fn unwatched(&self) -> Option<&str> {
        let why = "in an `async` schedule only the first module has a test split while it trains: take \
                   another schedule";
        self.patience.is_none().then_some(why)
    }
}
