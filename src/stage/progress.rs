//! The interface through which a step reports its progress. How it is shown is up to the implementation.

use crate::train::profile::Profile;

/// What a piece of work is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Things with this plural, such as "rows".
    Of(&'static str),
}

/// Rows of a dataset.
pub const ROWS: Unit = Unit::Of("rows");

/// Steps of a training.
pub const STEPS: Unit = Unit::Of("steps");

/// Hears how far a step has come. Implementations draw a bar, write a line, or nothing.
pub trait Progress: Sync {
    /// A piece of work of `total` units begins, `done` of them done before. A total of 0 is not known.
    fn begin(&self, title: &str, unit: Unit, total: u64, done: u64);

    /// The piece of work in hand comes to a part that is counted by itself, from 0 to `total`.
    fn part(&self, _name: &str, _unit: Unit, _total: u64) {}

    /// `done` units are done; `detail` adds a fact such as the loss.
    fn advance(&self, done: u64, detail: &str);

    /// The piece of work has ended; `summary` says how, or is empty where nothing is to be said.
    fn end(&self, summary: &str);

    /// A fact that deserves its own line, such as a wait for another process.
    fn note(&self, message: &str);

    /// A fact for readers who ask why: what `auto` has chosen, which setting makes a step run again.
    fn detail(&self, _message: &str) {}

    /// Whether details are shown; finding one out may take a while.
    fn shows_details(&self) -> bool {
        false
    }

    /// Where the time and the memory of a finished training went.
    fn profile(&self, _title: &str, _profile: &Profile) {}

    /// Something that may be wrong: a skipped sample, a damaged checkpoint.
    fn warn(&self, message: &str);
}

/// Shows no progress.
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _title: &str, _unit: Unit, _total: u64, _done: u64) {}
    fn advance(&self, _done: u64, _detail: &str) {}
    fn end(&self, _summary: &str) {}
    fn note(&self, _message: &str) {}
    fn warn(&self, _message: &str) {}
}
