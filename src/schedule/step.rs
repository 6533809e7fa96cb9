//! What a run does, one step after another.

use serde::Serialize;

/// One step of a run; modules are counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Decode the samples.
    Ingest,
    /// Encode the samples through the stack as it was drawn.
    Untrained,
    /// Train a module.
    Train(At),
    /// Write what a trained module makes of its input.
    Encode(At),
    /// Judge what a module has made in the last round.
    Probe(usize),
}

/// A module in a round, both from 0. Where the schedule has no rounds there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct At {
    /// The module's place in the stack.
    pub module: usize,
    /// The round.
    pub round: usize,
}

/// A round of several, from 1, as people and scripts are told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct InRound {
    /// The round.
    pub round: usize,
    /// How many there are.
    pub rounds: usize,
}
