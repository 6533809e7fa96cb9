//! Sweeps: many runs of one pipeline, and their results side by side.
//!
//! A sweep file is TOML:
//!
//! ```toml
//! name = "splits"                # letters, digits, - and _; the file's stem when left out
//! pipeline = "../cifar10.toml"   # from the sweep file's folder; must be given
//! seeds = [1, 2, 3]              # or a number N: the pipeline's seed and the N - 1 after it; 1 when left out
//! baseline = "split=each"        # the variant that the others are compared with; the first when left out
//!
//! [set]                          # overrides of every run
//! training.epochs = 4
//! data.subset = 2000
//!
//! [grid]                         # every combination of these values
//! split = ["each", 6, 3, 2, 1]
//! training.batch = [16, 32]
//!
//! [[variants]]                   # named settings; each is combined with the whole grid
//! name = "clapp"
//! set = { loss = "clapp" }
//! ```
//!
//! Only `pipeline` must be given.
//!
//! **Settings** are those of `--set`: any key of the pipeline except `name` and `seed`; the value is TOML. Dotted keys,
//! and tables below a header such as `[set.training]`, set single keys. A table in braces is one value: it replaces the
//! pipeline's loss in `loss = { clapp = { negatives = 2 } }`, and `training = { epochs = 4 }` leaves all other keys of
//! `training` at their defaults. The settings of a variant override `[set]`. A key of the grid must not be in any
//! `set`.
//!
//! **Variants** are called by their name, by what the grid sets, or by both: `clapp, split=each, training.batch=16`.
//! Each variant runs under every seed, one variant after the other. The first key of the grid changes last.
//!
//! **One directory** holds all runs of a sweep, and of all sweeps over pipelines of one name. Steps are found by their
//! keys, so what two runs have in common is done once, by the first of them: a first module that all variants share is
//! trained once per seed. Each run is its own process. When a run has ended, its findings are committed as a record
//! ([`RunResult`]). Then the datasets that no later run needs are removed.

mod file;
mod plot;
mod result;
mod results_file;
mod runs;
mod summary;
mod work;

use std::path::PathBuf;

pub use plot::plot;
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
