//! A run as the report reads it, complete or not.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use gimlet_store::Generation;

use crate::pipeline::{Pipeline, Split};
use crate::stage::origin::Origin;
use crate::stage::progress::Progress;
use crate::stage::progress::Unit;
use crate::stage::status::{State, StepStatus};
use crate::stage::{Standing, Step};
use crate::stop::Stop;
use crate::{Error, Kind, Result};

/// The options of a report.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The directory of the run that trained the same layers end to end; by default the run's own.
    pub twin: Option<PathBuf>,
    /// The channels to show for each module; by default the ones that vary most.
    pub channels: Option<Vec<usize>>,
    /// The most points in a map.
    pub points: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { twin: None, channels: None, points: 2000 }
    }
}

/// A run, opened for reading.
pub struct RunView<'a> {
    /// The pipeline.
    pub pipeline: &'a Pipeline,
    /// The state of the run on disk.
    pub standing: &'a Standing,
    /// The status of each step.
    pub stages: Vec<StepStatus>,
    /// Receives progress messages.
    pub progress: &'a dyn Progress,
    /// Set from outside to ask for a stop.
    pub stop: &'a Stop,
    /// How the user names the run: the pipeline file, and `--set` and `--run-dir` as they were given.
    pub arguments: String,
    /// How the user names the run, without `--run-dir`: for a run of the pipeline in another directory.
    pub elsewhere: String,
    /// The options of the report.
    pub options: Options,
}

/// Something that a section cannot show yet, and how to get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What is missing: "the weights of module b are not there: `train b` is missing".
    pub what: String,
    /// What to do: "run `gimlet run pipelines/x.toml`".
    pub how: String,
}

impl Missing {
    /// Describes an error as something missing.
    pub fn of(error: &Error) -> Self {
        let how = error.hint_text().unwrap_or("run `gimlet run`, then `gimlet report` again");
        Self { what: error.to_string(), how: how.to_string() }
    }

    /// Turns this into an error of [`Kind::NotReady`].
    pub fn into_error(self) -> Error {
        Error::new(Kind::NotReady, self.what).hint(self.how)
    }
}

impl RunView<'_> {
    /// The names of the modules, in order.
    pub fn modules(&self) -> impl Iterator<Item = &str> {
        self.pipeline.modules.iter().map(|module| module.name.as_str())
    }

    /// The modules to show when there is room for `most`: the first, and the last ones.
    pub fn some_modules(&self, most: usize) -> Vec<usize> {
        let modules = self.pipeline.modules.len();
        let first = usize::from(modules > most);
        (0..first).chain(modules.saturating_sub(most) + first..modules).collect()
    }

    /// The output of module `index` for a split; `None` when it is missing or incomplete.
    ///
    /// # Errors
    /// When a manifest cannot be read, unless the reason is damage.
    pub fn trained(&self, index: usize, split: Split) -> Result<Option<Generation>> {
        self.newest_of(Step::Encode(self.standing.plan.last(index)), split, 0)
    }

    /// What module `index`, with the weights of `origin`, makes of the test split; or which step has not made it.
    ///
    /// # Errors
    /// The errors of [`Self::trained`].
    pub fn output(&self, index: usize, origin: Origin) -> Result<Result<Generation, Missing>> {
        let (step, place) = match origin {
            Origin::Trained => (Step::Encode(self.standing.plan.last(index)), 0),
            Origin::Untrained => (Step::Untrained, index),
        };
        let (kind, module) = (origin.name(), self.standing.plan.module(index));
        let what = format!("what the {kind} module {module} makes of the test split");
        let found = self.newest_of(step, Split::Test, place)?;
        Ok(found.ok_or_else(|| self.missing(what, step)))
    }

    /// The ingested samples of a split.
    ///
    /// # Errors
    /// The errors of [`Self::trained`].
    pub fn ingested(&self, split: Split) -> Result<Option<Generation>> {
        self.newest_of(Step::Ingest, split, 0)
    }

    fn newest_of(&self, step: Step, split: Split, place: usize) -> Result<Option<Generation>> {
        let found = self.standing.generations(step, split)?;
        // A stack that is only partly encoded has fewer generations, and their modules cannot be told apart.
        let all = self.standing.datasets(step, split).len();
        if found.len() < all {
            return Ok(None);
        }
        Ok(found.into_iter().nth(place).filter(|it| it.is_whole().unwrap_or(false)))
    }

    /// The number of rows of a split that probes read: the rows of the first view. 0 when nothing is ingested.
    ///
    /// # Errors
    /// The errors of [`Self::trained`].
    pub fn samples(&self, split: Split) -> Result<u64> {
        Ok(self.ingested(split)?.map_or(0, |it| it.rows()))
    }

    /// Says that the output of a step is missing, and which command makes it.
    pub fn missing(&self, what: impl Into<String>, step: Step) -> Missing {
        let title = self.standing.plan.full_title(step);
        let state = self
            .stages
            .iter()
            .find(|it| it.stage == self.standing.plan.stage_name(step) && it.step == step.kind());
        let state = state.map_or(State::Missing, |it| it.state);
        let how = match state {
            State::Running => "a process works on it now: make the report again later".to_string(),
            _ => format!("run `{}`, then make the report again", self.command("run")),
        };
        Missing { what: format!("{}: `{title}` is {}", what.into(), state.name()), how }
    }

    /// Describes an error as something missing, and says how to repair it.
    pub fn missing_of(&self, error: &Error) -> Missing {
        let mended = || {
            let [verify, run] = ["verify", "run"].map(|it| self.command(it));
            format!(
                "run `{verify}`, which notes the damage, then `{run}`, then make the report again"
            )
        };
        let how = error.hint_text().map_or_else(mended, str::to_string);
        Missing { what: error.to_string(), how }
    }

    /// A gimlet command for this run, as a user would type it.
    pub fn command(&self, command: &str) -> String {
        format!("gimlet {command} {}", self.arguments)
    }

    /// A gimlet command for the same pipeline in a new directory beside the run's, where everything is made
    /// again.
    pub fn command_again(&self, command: &str) -> String {
        let folder = beside(self.standing.dir.path(), "-again").display().to_string();
        format!("{} --run-dir {}", self.command_elsewhere(command), quoted(&folder))
    }

    /// A gimlet command for another run of the pipeline; the caller appends the directory.
    pub fn command_elsewhere(&self, command: &str) -> String {
        format!("gimlet {command} {}", self.elsewhere)
    }

    /// Begins a part of the work in hand that is counted by itself. Returns what hears of units that are done, on any
    /// thread.
    pub fn count(&self, name: &str, unit: Unit, total: u64) -> impl Fn(u64) + Sync {
        self.progress.part(name, unit, total);
        let (progress, done) = (self.progress, AtomicU64::new(0));
        move |more| progress.advance(done.fetch_add(more, Ordering::Relaxed) + more, "")
    }

    /// Fails when a stop was asked for.
    ///
    /// # Errors
    /// [`Kind::Interrupted`], if it was.
    pub fn check_stop(&self) -> Result<()> {
        self.stop.check("nothing was written")
    }
}

/// The path beside `folder` with its name plus `ending`.
pub fn beside(folder: &Path, ending: &str) -> PathBuf {
    // `.` and `..` have no name of their own.
    let named = match folder.file_name() {
        Some(_) => folder.to_path_buf(),
        None => folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf()),
    };
    let name = named.file_name().unwrap_or_default().to_string_lossy().into_owned();
    named.with_file_name(format!("{name}{ending}"))
}

/// Quotes a word for the shell, if it needs quotes.
pub fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./=:,+@%".contains(letter);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_string(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}
