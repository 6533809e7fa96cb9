//! Schedules: in which order modules train, and which output of other modules each one reads.
//!
//! A schedule is one file. It has the settings that `[schedule]` in a pipeline file gives, and it implements
//! [`Schedule`]. To add a schedule, write its file and its two lines here. A program that uses this library adds its
//! own to [`Schedules`], or gives it to [`Builder::schedule`](crate::pipeline::Builder::schedule).

pub mod asynchronous;
mod registry;
pub mod rounds;
pub mod sequential;
pub mod simultaneous;
mod step;

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::setting::{Form, Interval, Setting, Stale};

pub use registry::Schedules;
pub use step::{At, InRound, Step};

use registry::Entry;

use crate::registry::Registry;

/// The schedules of this crate. A pipeline that names none has the first.
impl Default for Schedules {
    fn default() -> Self {
        Self(Registry::of(
            "schedule",
            vec![
                Entry::of::<sequential::Settings>(),
                Entry::of::<rounds::Settings>(),
                Entry::of::<simultaneous::Settings>(),
                Entry::of::<asynchronous::Settings>(),
            ],
        ))
    }
}

/// The order in which modules train. The default methods describe modules that train one after the other, each to its
/// last epoch.
pub trait Schedule: fmt::Debug + Send + Sync + 'static {
    /// The name in pipeline files and messages.
    fn name(&self) -> &'static str;

    /// Its keys in a pipeline file, named without their table.
    fn reference(&self) -> Vec<Setting>;

    /// What it does, for the reference: a paragraph.
    fn about(&self) -> &'static str {
        ""
    }

    /// Settings of other schedules that mean nothing to it, each with the reason. Settings with an obvious reason are
    /// left out.
    fn refused(&self) -> &[(&str, &str)] {
        &[]
    }

    /// The settings that belong in the key of a training: all that can change weights. `replays` says whether the
    /// training reads rows of older generations.
    fn key(&self, replays: bool) -> Value;

    /// The schedule with the settings filled in that it derives from the pipeline; `None` where there are none.
    ///
    /// # Errors
    /// When the pipeline does not say enough.
    fn filled_in(&self, _given: &Given<'_>) -> Result<Option<Arc<dyn Schedule>>, Misfit> {
        Ok(None)
    }

    /// Fails when a setting is out of bounds, or the schedule does not fit a pipeline.
    ///
    /// # Errors
    /// The misfit.
    fn check(&self, given: &Given<'_>) -> Result<(), Misfit>;

    /// The epochs that every module trains over all rounds, where the schedule decides this and modules do not.
    fn epochs(&self) -> Option<usize> {
        None
    }

    /// How modules are trained.
    fn manner(&self) -> Manner {
        Manner::InTurn
    }

    /// The number of rounds. In each round every module trains on a newer generation of its input, and writes one.
    fn rounds(&self) -> usize {
        1
    }

    /// All steps in order, for a stack of `modules` modules.
    fn steps(&self, modules: usize) -> Vec<Step> {
        in_turn(modules, self.rounds())
    }

    /// The training that another one goes on from, with its weights and its optimiser.
    fn before(&self, _at: At) -> Option<At> {
        None
    }

    /// Whether later trainings may go on from those of this schedule, even if none does yet.
    fn is_gone_on_from(&self) -> bool {
        false
    }

    /// The share of a batch that comes from older generations.
    fn replay(&self) -> f64 {
        0.0
    }

    /// The earlier rounds whose rows are replayed in a round, newest first, if `kept` older generations are kept.
    fn replayed(&self, _round: usize, _kept: usize) -> Vec<usize> {
        Vec::new()
    }

    /// The patience of early stopping: epochs on one input without a smaller loss on the test split that end a
    /// training.
    fn patience(&self) -> Option<usize> {
        None
    }

    /// Why some modules have no held-out loss while they train; `None` where all have one.
    fn unwatched(&self) -> Option<&str> {
        None
    }
}

/// How the modules of a run are trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Each module trains by itself, on what its predecessor has stored.
    InTurn,
    /// All modules train in one piece: every batch goes forward once, through all of them.
    InOnePass,
    /// Each module trains in its own process, on what its predecessor publishes meanwhile.
    InWorkers(Publishing),
}

/// How often workers publish, and how long they train on one generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publishing {
    /// Epochs after which a module writes a generation.
    pub sync_every: usize,
    /// Epochs that a module trains on one generation. Then it waits for a newer one, as long as another process works
    /// on its predecessor.
    pub max_staleness: usize,
}

impl dyn Schedule {
    /// Whether all modules train in one process, on the maps of one forward pass.
    pub fn is_in_one_pass(&self) -> bool {
        self.manner() == Manner::InOnePass
    }

    /// The settings of workers, where each module trains in its own process.
    pub fn publishing(&self) -> Option<Publishing> {
        match self.manner() {
            Manner::InWorkers(publishing) => Some(publishing),
            Manner::InTurn | Manner::InOnePass => None,
        }
    }

    /// Whether all modules train at the same time.
    pub fn is_at_once(&self) -> bool {
        self.manner() != Manner::InTurn
    }

    /// The steps that are done in one piece of work with `step`, itself included.
    pub fn together(&self, step: Step, modules: usize) -> Vec<Step> {
        let of_all = |step: fn(At) -> Step, round| {
            (0..modules).map(|module| step(At { module, round })).collect()
        };
        match step {
            Step::Train(at) if self.is_in_one_pass() => of_all(Step::Train, at.round),
            Step::Encode(at) if self.is_in_one_pass() => of_all(Step::Encode, at.round),
            _ => vec![step],
        }
    }
}

/// The settings of a pipeline that a schedule has to fit.
#[derive(Debug, Clone)]
pub struct Given<'a> {
    /// `training.epochs`.
    pub epochs: usize,
    /// `training.input_noise`.
    pub input_noise: f64,
    /// `store.keep_generations`.
    pub keep_generations: usize,
    /// The modules, in order.
    pub modules: Vec<GivenModule<'a>>,
}

/// The settings of a module that a schedule has to fit.
#[derive(Debug, Clone, Copy)]
pub struct GivenModule<'a> {
    /// Its name.
    pub name: &'a str,
    /// Epochs that the module trains.
    pub epochs: usize,
    /// Whether the module itself says how many.
    pub says_epochs: bool,
    /// Whether its activations are recomputed.
    pub is_recomputed: bool,
}

/// The place in a pipeline file that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In a setting of the schedule.
    Setting(&'static str),
    /// In the `epochs` of a module.
    Epochs(usize),
    /// In no single place.
    File,
}

/// Why a schedule does not fit its pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// The place in the pipeline file.
    pub place: Place,
    /// What does not fit.
    pub message: String,
    /// The hint: what to do about it; may be empty.
    pub hint: String,
}

impl Misfit {
    /// A misfit at `place`, without a hint.
    pub fn at(place: Place, message: impl Into<String>) -> Self {
        Self { place, message: message.into(), hint: String::new() }
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }
}

/// Lists the steps of modules that train one after the other, round by round.
fn in_turn(modules: usize, rounds: usize) -> Vec<Step> {
    let mut steps = vec![Step::Ingest, Step::Untrained];
    for round in 0..rounds {
        for module in 0..modules {
            let at = At { module, round };
            steps.extend([Step::Train(at), Step::Encode(at)]);
            steps.extend((round + 1 == rounds).then_some(Step::Probe(module)));
        }
    }
    steps
}

/// Fails unless a setting that counts epochs or rounds is at least 1 and not too large.
fn check_count(key: &'static str, count: Option<usize>) -> Result<(), Misfit> {
    let Some(count) = count else { return Ok(()) };
    let checked = count_of(key, "epochs").check(count as f64);
    checked.map_err(|message| Misfit::at(Place::Setting(key), message))
}

/// A setting that counts epochs or rounds.
fn count_of(key: &'static str, unit: &'static str) -> Setting {
    Setting::new(key, Form::whole(1..=i32::MAX as usize)).unit(unit).stale(Stale::TRAINING)
}

/// The setting `patience`.
fn patience_setting() -> Setting {
    count_of("patience", "epochs").or("a training runs to its last epoch").example(3).doc(
        "A training ends after this many epochs without a smaller held-out loss, and keeps the weights of the smallest \
         loss.\n\nIt is the loss that probes report, computed after every epoch on at most 1024 test samples: whole \
         batches, evenly spaced over the split, which must fill at least one batch. Losses can only be compared on the \
         same input. So in `rounds` the count begins again with every round, and ends the training of the module in that \
         round. In `async` it begins again with every generation that a module takes up, and modules publish their test \
         split, too. In a `simultaneous` schedule the input changes with every step, so there is no `patience`.",
    )
}

/// The setting `replay`.
fn replay_setting() -> Setting {
    Setting::new("replay", Form::Number(SHARE))
        .default("0.0")
        .unit("share of a batch")
        .stale(Stale::TRAINING)
        .example(0.25)
        .doc(
            "The share of a batch from older generations.\n\nEach row is drawn with this probability from one of the older \
             generations that `store.keep_generations` keeps, which must be 2 or more. It affects neither what a module \
             encodes, nor the input of the first module.",
        )
}

/// The bounds of `replay`.
const SHARE: Interval = Interval::below(0.0, 1.0);

/// Fails unless `replay` is a share of a batch, and older generations are kept from which it can take rows.
fn check_replay(replay: f64, given: &Given<'_>) -> Result<(), Misfit> {
    let place = Place::Setting("replay");
    if replay > 0.0 && given.keep_generations < 2 {
        let message = "`replay` takes rows of older generations, and none is kept";
        return Err(Misfit::at(place, message).hint("set `store.keep_generations` to 2 or more"));
    }
    replay_setting().check(replay).map_err(|message| Misfit::at(place, message))
}
