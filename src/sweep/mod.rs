//! Sweeps: many runs of one pipeline, and what came of them side by side.
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
//! Everything but `pipeline` may be left out.
//!
//! **Settings** are those of `--set`: any key of the pipeline but `name` and `seed`, its value TOML.
//! Dotted keys, and tables below a header such as `[set.training]`, set single keys. A table in braces is
//! one value: `loss = { clapp = { negatives = 2 } }` replaces the pipeline's loss, and what
//! `training = { epochs = 4 }` does not name is as if the pipeline had left it out. What a variant sets
//! counts after `[set]`. A key of the grid is in no `set`.
//!
//! **Variants** are called by their name, by what the grid sets, or by both: `clapp, split=each,
//! training.batch=16`. Each runs under every seed, one variant after the other, the first key of the grid
//! changing last.
//!
//! **One directory** holds all runs of a sweep, and of all sweeps over pipelines of one name. Steps are found
//! by their keys, so what two runs have in common is done once, by the first of them; a first module that all
//! variants share is trained once a seed. Each run is a process of its own. What a run found is committed
//! as a record of its own ([`RunResult`]) when it has ended; then the datasets go that no run still to come
//! needs.

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

/// What a sweep file says.
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
    /// One or more, with names of their own.
    pub variants: Vec<Variant>,
    /// The place of the variant that the others are compared with.
    pub baseline: usize,
}

/// The seeds that each variant runs under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seeds {
    /// These alone.
    These(Vec<u64>),
    /// The pipeline's, and so many less one after it.
    Count(u64),
}

/// One combination of settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// Its name, as tables have it.
    pub name: String,
    /// Its value of each key of the grid, as it is shown.
    pub grid: Vec<String>,
    /// As `--set` takes them: `key=value`.
    pub overrides: Vec<String>,
}
