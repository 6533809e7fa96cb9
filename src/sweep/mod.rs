//! Sweeps: many runs of one pipeline, and their results side by side.
//!
//! All keys of a sweep file are described by [`reference`](fn@reference), which `gimlet help sweep` and
//! `docs/reference/sweep.md` show. Each run is its own process. When a run has ended, its findings are committed as a
//! record ([`RunResult`]). Then the datasets that no later run needs are removed.

mod file;
mod plot;
mod reference;
mod result;
mod results_file;
mod runs;
mod summary;
mod work;

use std::path::PathBuf;

pub use plot::plot;
pub use reference::{ABOUT, reference};
pub use result::RunResult;
pub use results_file::results_file;
pub use runs::SweepRun;
pub use summary::{Summary, summaries};
pub use work::{Outlook, Work};

/// The content of a sweep file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    /// Its name.
    pub name: String,
    /// The pipeline's file.
    pub pipeline: PathBuf,
    /// The seeds of each variant.
    pub seeds: Seeds,
    /// The keys of the grid, in the order of the file.
    pub grid: Vec<String>,
    /// The variants, one or more, each with its own name.
    pub variants: Vec<Variant>,
    /// The place of the variant that the others are compared with.
    pub baseline: usize,
}

/// The seeds that each variant runs under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seeds {
    /// A list of seeds.
    These(Vec<u64>),
    /// The pipeline's seed and those after it, in all this many.
    Count(u64),
}

/// One combination of settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// Its name, as tables show it.
    pub name: String,
    /// Its value for each key of the grid, as it is shown.
    pub grid: Vec<String>,
    /// Its settings, as `--set` takes them: `key=value`.
    pub overrides: Vec<String>,
}
