//! The interface through which a step reports its progress. How it is shown is up to the implementation.

use crate::train::profile::Profile;

/// Hears how far a step has come. Implementations draw a bar, write a line, or nothing.
pub trait Progress: Sync {
    /// A piece of work of `total` units begins, `done` of them done before.
    fn begin(&self, title: &str, total: u64, done: u64);

    /// `done` units are done; `detail` adds a fact such as the loss.
    fn advance(&self, done: u64, detail: &str);

    /// The piece of work has ended; `summary` says how.
    fn end(&self, summary: &str);

    /// A fact that deserves its own line, such as what `auto` has chosen.
    fn note(&self, message: &str);

    /// Where the time and the memory of a finished training went.
    fn profile(&self, _title: &str, _profile: &Profile) {}

    /// Something that may be wrong: a skipped sample, a damaged checkpoint.
    fn warn(&self, message: &str);
}

/// Shows no progress.
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _title: &str, _total: u64, _done: u64) {}
    fn advance(&self, _done: u64, _detail: &str) {}
    fn end(&self, _summary: &str) {}
    fn note(&self, _message: &str) {}
    fn warn(&self, _message: &str) {}
}
