//! The state of each step of a run, and the reason why a step is not done.

use gimlet_store::Generation;
use serde::Serialize;
use serde_json::Value;

use super::key::differences;
use super::{Standing, StepKind, lock, provenance, record};
use crate::Result;
use crate::pipeline::{PerSplit, Split};
use crate::schedule::{At, InRound, Step};
use crate::train::took::{self, Took};

/// The state of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Committed, from these settings and inputs.
    Done,
    /// Committed from other settings or inputs.
    Stale,
    /// Committed, and no longer whole.
    Damaged,
    /// Begun and not committed.
    Partial,
    /// Nothing is there.
    Missing,
    /// A process works on it now.
    Running,
}

impl State {
    /// The name that is printed.
    pub fn name(self) -> &'static str {
        match self {
            State::Done => "done",
            State::Stale => "stale",
            State::Damaged => "damaged",
            State::Partial => "partial",
            State::Missing => "missing",
            State::Running => "running",
        }
    }
}

/// The state of one step of a run, and what is committed of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepStatus {
    /// `ingest`, `untrained` or the module's name.
    pub stage: String,
    /// What the step does.
    pub step: StepKind,
    /// Its round, where there are several.
    #[serde(flatten)]
    pub in_round: Option<InRound>,
    /// Its state.
    pub state: State,
    /// Why it is not done. When it is done: where it was imported from, or that it has learnt nothing; otherwise empty.
    pub why: String,
    /// The number of the newest generation, or of the one in use.
    pub generation: Option<u64>,
    /// Rows of both splits; `None` where a step writes no rows.
    pub rows: Option<u64>,
    /// What the step took according to its commits, in this round and those before it. For modules that are encoded in
    /// one pass, it is what the pass took. `None` before there is a commit.
    #[serde(flatten, serialize_with = "took::or_nulls")]
    pub took: Option<Took>,
    /// The share of a training's seconds that it waited for data.
    pub wait_share: Option<f64>,
    /// One glob of Parquet files per dataset.
    pub files: Vec<String>,
}

/// The commits of a step, under its present key or an older one.
#[derive(Default)]
struct Progressed {
    generation: Option<u64>,
    rows: Option<u64>,
    took: Option<Took>,
    files: Vec<String>,
    /// For a training: the file that its weights were imported from, or that it has learnt nothing.
    said: String,
    /// The settings that the newest commit of each split was made with. A step without splits has them under `train`.
    settings: PerSplit<Option<Value>>,
}

/// The beginning of the settings in a key of `ingest` that describe the files of a source.
const FILES: &str = "source.files";

/// How many differing files of a split are named.
const NAMED: usize = 3;

/// Says which files of a split differ, the first of them by name: ``test: `a.wav`: other content``.
fn in_words(split: Split, files: Option<Vec<String>>) -> Vec<String> {
    let name = split.name();
    let Some(files) = files else { return vec![format!("{name}: other files")] };
    let mut words: Vec<String> =
        files.iter().take(NAMED).map(|it| format!("{name}: {it}")).collect();
    if files.len() > NAMED {
        words.push(format!("{name}: {} more files", files.len() - NAMED));
    }
    words
}

/// What an unfinished step has written under its present key.
struct Partial {
    /// A description.
    what: String,
    /// Whether nothing was left unfinished: some of its datasets are committed, and none are there in parts.
    committed_only: bool,
}

impl Standing {
    /// The state of every step that a run needs, in order. Of a finished run in rounds, only the last round is needed.
    ///
    /// # Errors
    /// When a record or manifest cannot be read.
    pub fn status(&self) -> Result<Vec<StepStatus>> {
        self.status_of(&self.wanted_with_done()?)
    }

    /// The state of `steps`, which are in order. The flag of each says whether it is done.
    ///
    /// # Errors
    /// When a record or manifest cannot be read.
    pub fn status_of(&self, steps: &[(Step, bool)]) -> Result<Vec<StepStatus>> {
        let mut all: Vec<StepStatus> = Vec::new();
        for &(step, done) in steps {
            let found = self.found(step)?;
            let (state, why) = if done {
                (State::Done, found.said)
            } else {
                self.why_not_done(step, &found.settings, &all)?
            };
            all.push(StepStatus {
                stage: self.plan.stage_name(step),
                step: step.kind(),
                in_round: self.plan.in_round(step),
                state,
                why,
                generation: found.generation,
                rows: found.rows,
                took: found.took,
                wait_share: found.took.and_then(|it| it.wait_share()),
                files: found.files,
            });
        }
        Ok(all)
    }

    fn why_not_done(
        &self,
        step: Step,
        settings: &PerSplit<Option<Value>>,
        before: &[StepStatus],
    ) -> Result<(State, String)> {
        let stage = self.plan.stage_name(step);
        let partial = self.partial(step)?;
        if lock::is_held(self, step)? {
            // One lock serves all steps of a stage: the first that is not done is the one at work.
            let first = before.iter().all(|it| it.stage != stage || it.state == State::Done);
            if first {
                return Ok((State::Running, partial.map_or_else(String::new, |it| it.what)));
            }
        }
        let broken = self.broken(step)?;
        if let Some(first) = broken.first() {
            let first =
                first.path().strip_prefix(self.dir.path()).unwrap_or(first.path()).display();
            let why = match broken.len() {
                1 => format!("the next `run` rebuilds {first}"),
                more => format!("the next `run` rebuilds {first} and {} more", more - 1),
            };
            return Ok((State::Damaged, why));
        }
        let changed = self.changes(step, settings)?;
        let mut stale = Vec::new();
        for input in self.plan.inputs(step) {
            if !self.is_done(input)? {
                stale.push(format!("`{}` is not done", self.plan.full_title(input)));
            }
        }
        match partial {
            // The change does not concern the split that is there, so it is no unfinished attempt.
            Some(partial)
                if !partial.committed_only || (changed.is_empty() && stale.is_empty()) =>
            {
                return Ok((State::Partial, partial.what));
            }
            _ => {}
        }
        if settings.iter().all(|(_, it)| it.is_none()) {
            return Ok((State::Missing, "not run yet".to_string()));
        }
        if !changed.is_empty() {
            return Ok((State::Stale, changed.join("; ")));
        }
        let why = match stale.is_empty() {
            true => "its input was made again".to_string(),
            false => stale.join(", "),
        };
        Ok((State::Stale, why))
    }

    /// Lists what differs between the `settings` that a step was done with and the present ones, without repetitions.
    fn changes(&self, step: Step, settings: &PerSplit<Option<Value>>) -> Result<Vec<String>> {
        let mut changed = Vec::new();
        for (split, old) in settings.iter() {
            let Some(old) = old else { continue };
            let mut found = self.differences(step, split, old)?;
            found.retain(|it| !changed.contains(it));
            changed.extend(found);
        }
        Ok(changed)
    }

    /// Lists what differs between the `old` settings that a split of a step was done with and the present ones:
    /// settings by their values, files of the source by their names.
    ///
    /// # Errors
    /// When the record of what was ingested cannot be read.
    pub fn differences(&self, step: Step, split: Split, old: &Value) -> Result<Vec<String>> {
        let mut found = differences(old, &self.plan.key(step, split).settings);
        let all = found.len();
        found.retain(|it| step != Step::Ingest || !it.starts_with(FILES));
        if found.len() < all {
            let now = &self.plan.provenance().identities[split];
            let files = provenance::differences(&self.dir, split, &old["source"], now)?;
            found.extend(in_words(split, files));
        }
        Ok(found)
    }

    /// What an unfinished attempt under the present key has left.
    fn partial(&self, step: Step) -> Result<Option<Partial>> {
        if let Step::Train(at) = step {
            let found = self.checkpoints(at).progress();
            let what = found.map(|it| format!("checkpoint at step {}", it.steps));
            return Ok(what.map(|what| Partial { what, committed_only: false }));
        }
        let (mut rows, mut committed) = (0, 0);
        for split in Split::ALL {
            for dataset in self.datasets(step, split) {
                let key = &self.plan.key(step, split).hash;
                match dataset.find(key)? {
                    Some(_) => committed += 1,
                    None => rows += dataset.parts_on_disk(key)?,
                }
            }
        }
        let what = match (committed, rows) {
            (0, 0) => return Ok(None),
            (0, parts) => format!("{parts} parts written"),
            (splits, parts) => format!("{splits} datasets committed, {parts} more parts"),
        };
        Ok(Some(Partial { what, committed_only: rows == 0 }))
    }

    /// Whether a key belongs to a module in one of the rounds: then another round made it, not other settings.
    fn is_of_a_round(&self, step: impl Fn(At) -> Step, module: usize, key: &str) -> bool {
        let mut rounds = (0..self.plan.rounds()).map(|round| step(At { module, round }));
        rounds.any(|step| self.plan.keys(step).iter().any(|it| it.hash == key))
    }

    /// What is committed under the present key; if nothing is, the newest commit of other settings.
    fn found(&self, step: Step) -> Result<Progressed> {
        let mut found = Progressed::default();
        match step {
            Step::Train(at) => {
                let current = self.training(at)?;
                let newest = || {
                    let other = |key: &str| !self.is_of_a_round(Step::Train, at.module, key);
                    record::newest(&self.dir.trainings(self.plan.module(at.module)), other)
                };
                if let Some((number, it)) = current.map_or_else(newest, |it| Ok(Some(it)))? {
                    found.generation = Some(number);
                    found.took = Some(it.took);
                    found.said = match (it.imported, it.learns_nothing) {
                        (Some(imported), _) => format!("imported from {}", imported.file),
                        (None, Some(nothing)) => {
                            format!("has learnt nothing: {}", nothing.describe())
                        }
                        (None, None) => String::new(),
                    };
                    found.settings.train = Some(it.settings);
                }
            }
            Step::Probe(module) => {
                let current = self.probe(module)?;
                let newest =
                    || record::newest(&self.dir.probes(self.plan.module(module)), |_| true);
                if let Some((number, it)) = current.map_or_else(newest, |it| Ok(Some(it)))? {
                    found.generation = Some(number);
                    found.took = Some(it.took);
                    found.settings.train = Some(it.settings);
                }
            }
            Step::Ingest | Step::Untrained | Step::Encode(_) => {
                for split in Split::ALL {
                    let mut pass: Option<Took> = None;
                    for dataset in self.datasets(step, split) {
                        let current = dataset.find(&self.plan.key(step, split).hash)?;
                        let own = |it: &gimlet_store::Result<Generation>| match (step, it) {
                            (Step::Encode(at), Ok(it)) => {
                                self.is_of_a_round(Step::Encode, at.module, &it.manifest().key)
                            }
                            _ => false,
                        };
                        let newest = || dataset.readable()?.find(|it| !own(it)).transpose();
                        let Some(it) = current.map_or_else(newest, |it| Ok(Some(it)))? else {
                            continue;
                        };
                        found.generation = found.generation.max(Some(it.number()));
                        found.rows = Some(found.rows.unwrap_or(0) + it.rows());
                        let took = Took { bytes: Some(it.bytes()), ..Took::of(&it)? };
                        pass = Some(pass.map_or(took, |all| all.of_one_pass(took)));
                        found.files.push(it.glob().display().to_string());
                        found.settings[split].get_or_insert_with(|| it.manifest().settings.clone());
                    }
                    found.took = [found.took, pass].into_iter().flatten().reduce(Took::and);
                }
            }
        }
        Ok(found)
    }
}
