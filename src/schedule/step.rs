//! The steps of a run.

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

/// A module in a round, both counted from 0. A schedule without rounds has one round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct At {
    /// The module's place in the stack.
    pub module: usize,
    /// The round.
    pub round: usize,
}

/// One of several rounds, counted from 1, as messages and JSON show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct InRound {
    /// The round.
    pub round: usize,
    /// The number of rounds.
    pub rounds: usize,
}
