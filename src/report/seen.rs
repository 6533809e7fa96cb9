//! What the sections of a report read of a run, whatever there is of it.

use std::path::{Path, PathBuf};

use gimlet_store::Generation;

use crate::pipeline::{Pipeline, Split};
use crate::stage::progress::Progress;
use crate::stage::status::{State, StepStatus};
use crate::stage::{Standing, Step};
use crate::stop::Stop;
use crate::{Error, Kind, Result};

/// What a report is made of, and how much of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The directory of the run that trained the same layers end to end; the run's own when left out.
    pub twin: Option<PathBuf>,
    /// Channels that are shown of each module; those that vary most when left out.
    pub channels: Option<Vec<usize>>,
    /// Points of a map, at most.
    pub points: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { twin: None, channels: None, points: 2000 }
    }
}

/// A run that is looked at. Nothing of it is changed.
pub struct Seen<'a> {
    /// The pipeline.
    pub pipeline: &'a Pipeline,
    /// What is there of it.
    pub standing: &'a Standing,
    /// Where its steps stand.
    pub stages: Vec<StepStatus>,
    /// What hears of progress.
    pub progress: &'a dyn Progress,
    /// Set from outside to ask for a stop.
    pub stop: &'a Stop,
    /// How the user names the run: the pipeline file, and `--set` and `--run-dir` as they were given.
    pub arguments: String,
    /// The same without `--run-dir`: for a run of the pipeline in another directory.
    pub elsewhere: String,
    /// What was asked for.
    pub options: Options,
}

/// What a section would show and cannot, and how to get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// "the weights of module b are not there: `train b` is missing".
    pub what: String,
    /// "run `gimlet run pipelines/x.toml`".
    pub how: String,
}

impl Missing {
    /// What an error keeps a section from showing.
    pub fn of(error: &Error) -> Self {
        let how = error.hint_text().unwrap_or("run `gimlet run`, then `gimlet report` again");
        Self { what: error.to_string(), how: how.to_string() }
    }

    /// The same as an error of [`Kind::NotReady`].
    pub fn into_error(self) -> Error {
        Error::new(Kind::NotReady, self.what).hint(self.how)
    }
}

impl Seen<'_> {
    /// The names of the modules, in order.
    pub fn modules(&self) -> impl Iterator<Item = &str> {
        self.pipeline.modules.iter().map(|module| module.name.as_str())
    }

    /// The modules that are shown of a stack where only so many can be: the first, and the last ones.
    pub fn some_modules(&self, most: usize) -> Vec<usize> {
        let modules = self.pipeline.modules.len();
        let first = usize::from(modules > most);
        (0..first).chain(modules.saturating_sub(most) + first..modules).collect()
    }

    /// What module `index` has made of a split; `None` when that is not there, or not whole.
    ///
    /// # Errors
    /// When a manifest cannot be read for another reason than damage.
    pub fn trained(&self, index: usize, split: Split) -> Result<Option<Generation>> {
        self.newest_of(Step::Encode(self.standing.plan.last(index)), split, 0)
    }

    /// What module `index` of the stack as it was drawn has made of a split.
    ///
    /// # Errors
    /// As [`Self::trained`].
    pub fn untrained(&self, index: usize, split: Split) -> Result<Option<Generation>> {
        self.newest_of(Step::Untrained, split, index)
    }

    /// The samples of a split.
    ///
    /// # Errors
    /// As [`Self::trained`].
    pub fn ingested(&self, split: Split) -> Result<Option<Generation>> {
        self.newest_of(Step::Ingest, split, 0)
    }

    fn newest_of(&self, step: Step, split: Split, place: usize) -> Result<Option<Generation>> {
        let found = self.standing.generations(step, split)?;
        // A stack that is half encoded has fewer: which of its modules they are of cannot be told.
        let all = self.standing.datasets(step, split).len();
        if found.len() < all {
            return Ok(None);
        }
        Ok(found.into_iter().nth(place).filter(|it| it.is_whole().unwrap_or(false)))
    }

    /// Rows of a split that probes look at: those of the first view. 0 when nothing is ingested.
    ///
    /// # Errors
    /// As [`Self::trained`].
    pub fn samples(&self, split: Split) -> Result<u64> {
        Ok(self.ingested(split)?.map_or(0, |it| it.rows()))
    }

    /// That the output of a step is missing, and the command that makes it.
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

    /// What an error keeps a section from showing, and what mends it.
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

    /// A command of ours on this run, as one would type it.
    pub fn command(&self, command: &str) -> String {
        format!("gimlet {command} {}", self.arguments)
    }

    /// The same on the same pipeline in a directory beside the run's, where everything is made anew.
    pub fn command_again(&self, command: &str) -> String {
        let folder = beside(self.standing.dir.path(), "-again").display().to_string();
        format!("{} --run-dir {}", self.command_elsewhere(command), quoted(&folder))
    }

    /// The same on another run of the pipeline, whose directory is to follow.
    pub fn command_elsewhere(&self, command: &str) -> String {
        format!("gimlet {command} {}", self.elsewhere)
    }

    /// Fails when a stop was asked for.
    ///
    /// # Errors
    /// [`Kind::Interrupted`].
    pub fn check_stop(&self) -> Result<()> {
        self.stop.check("nothing was written")
    }
}

/// A folder beside another, whose name begins with its name.
pub fn beside(folder: &Path, ending: &str) -> PathBuf {
    // `.` has no name of its own, nor has a folder above this one.
    let named = match folder.file_name() {
        Some(_) => folder.to_path_buf(),
        None => folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf()),
    };
    let name = named.file_name().unwrap_or_default().to_string_lossy().into_owned();
    named.with_file_name(format!("{name}{ending}"))
}

/// A word as a shell takes it.
pub fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./=:,+@%".contains(letter);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_string(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}
