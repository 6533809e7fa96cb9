//! The kinds of steps, by what they do.

use serde::{Deserialize, Serialize};

use crate::schedule::Step;

/// What a step does, for any module. Commands, jobs and tables use these names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepKind {
    /// Decodes the source.
    Ingest,
    /// Trains a module.
    Train,
    /// Writes what modules make of their input.
    Encode,
    /// Judges a module.
    Probe,
}

impl StepKind {
    /// All kinds, in the order of a run.
    pub const ALL: [StepKind; 4] =
        [StepKind::Ingest, StepKind::Train, StepKind::Encode, StepKind::Probe];

    /// The name in commands, tables and scripts.
    pub fn name(self) -> &'static str {
        match self {
            StepKind::Ingest => "ingest",
            StepKind::Train => "train",
            StepKind::Encode => "encode",
            StepKind::Probe => "probe",
        }
    }
}

impl Step {
    /// What the step does.
    pub fn kind(self) -> StepKind {
        match self {
            Step::Ingest => StepKind::Ingest,
            Step::Untrained | Step::Encode(_) => StepKind::Encode,
            Step::Train(_) => StepKind::Train,
            Step::Probe(_) => StepKind::Probe,
        }
    }
}
