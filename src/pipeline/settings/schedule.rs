//! In which order modules train: `[schedule]`.

use serde::Deserialize;

/// In which order modules train.
#[derive(Debug, Clone, PartialEq)]
pub enum Schedule {
    /// One after another, each to its last epoch or until its loss on the test split has not become
    /// smaller for `patience` epochs.
    Sequential { patience: Option<usize> },
    /// In each round every module trains on the newest generation of its input, then writes one.
    Rounds(Rounds),
    /// All in one process and one forward pass, with no gradient between them and no store.
    Simultaneous,
    /// All at once, each in a process of its own, on whatever its predecessor has written last.
    Async(Async),
}

impl Default for Schedule {
    fn default() -> Self {
        Self::Sequential { patience: None }
    }
}

/// See [`Schedule::Rounds`].
#[derive(Debug, Clone, PartialEq)]
pub struct Rounds {
    pub rounds: usize,
    /// Passes over the training split in each round.
    pub epochs_per_round: usize,
    /// The share of a batch that comes from older generations.
    pub replay: f64,
}

/// See [`Schedule::Async`].
#[derive(Debug, Clone, PartialEq)]
pub struct Async {
    /// Epochs after which a module writes a generation.
    pub sync_every: usize,
    /// Epochs that a module trains on one generation before it waits for a newer one, as long as
    /// somebody works on that.
    pub max_staleness: usize,
    /// The share of a batch that comes from older generations.
    pub replay: f64,
}

impl Schedule {
    /// What it is called in a pipeline file.
    pub fn name(&self) -> &'static str {
        let kind = match self {
            Schedule::Sequential { .. } => ScheduleKind::Sequential,
            Schedule::Rounds(_) => ScheduleKind::Rounds,
            Schedule::Simultaneous => ScheduleKind::Simultaneous,
            Schedule::Async(_) => ScheduleKind::Async,
        };
        kind.name()
    }
}

/// The kinds of [`Schedule`], as a pipeline file names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScheduleKind {
    Sequential,
    Rounds,
    Simultaneous,
    Async,
}

impl ScheduleKind {
    /// As in a pipeline file.
    pub fn name(self) -> &'static str {
        match self {
            ScheduleKind::Sequential => "sequential",
            ScheduleKind::Rounds => "rounds",
            ScheduleKind::Simultaneous => "simultaneous",
            ScheduleKind::Async => "async",
        }
    }
}
