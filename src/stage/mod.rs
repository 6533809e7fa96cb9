//! The steps of a run, one after another, each from committed inputs to a committed output.
//!
//! `ingest` decodes the source; `untrained` encodes it through the stack as it was drawn; then, for
//! every module, `train`, `encode` and `probe`. Each step has a key, computed before its work from
//! the settings that matter to it and the keys of its inputs: a step whose key is committed is done.

pub mod account;
pub mod boundary;
pub mod columns;
pub mod comparison;
pub mod cost;
mod cost_memory;
mod doubt;
mod embed;
mod encode;
mod enough_rows;
mod epoch_mean;
mod export;
mod extent;
pub mod findings;
pub mod forecast;
pub mod gc;
mod held_out;
mod held_up;
mod hop_fit;
mod hops;
mod import;
mod ingest;
mod ingest_sound;
pub mod ingest_summary;
pub mod key;
pub mod labels;
mod layout;
pub mod lock;
pub mod mean;
pub mod measure;
pub mod memory;
mod meter;
pub mod needs;
pub mod origin;
mod patience;
pub mod plan;
mod probe;
pub mod progress;
pub mod provenance;
mod published;
mod reading;
pub mod record;
mod retire;
pub mod room;
pub mod run_dir;
mod samples;
pub mod session;
pub mod stack;
mod standing;
pub mod status;
mod step_key;
pub mod step_kind;
mod together;
mod train;
mod trainer;
mod training_input;
pub mod verdict;
pub mod verify;
mod wanted;
mod watch;
mod weights;
mod worker;

pub use ingest_sound::normalise_of;
pub use plan::{At, Plan, Step};
pub use reading::Reading;
pub use run_dir::RunDir;
pub use session::Session;
pub use stack::Stack;
pub use standing::Standing;
pub use step_kind::StepKind;

use std::sync::OnceLock;

use crate::pipeline::{Pipeline, Schedule, Split};
use crate::{Error, Kind, Result};
use lock::Lock;
use needs::{Needs, Quiet};
use provenance::Look;
use run_dir::WEIGHTS;

/// What every step works with.
pub struct Run<'a> {
    /// What is trained, and how.
    pub pipeline: &'a Pipeline,
    /// What is there of it.
    pub standing: Standing,
    /// What the process that works on it was given.
    pub session: Session<'a>,
    /// The shapes of its modules, once samples are ingested.
    stack: OnceLock<Stack>,
    /// The shapes of its modules before that.
    expected: OnceLock<Stack>,
    needs: Needs,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The work was done now.
    Done,
    /// It had been done before, with the same inputs and settings.
    Unchanged,
}

impl<'a> Run<'a> {
    /// The run of `pipeline` in `dir`, which is made and marked as this pipeline's when it is new.
    ///
    /// # Errors
    /// When the directory belongs to another pipeline, or the source cannot be opened.
    pub fn open(pipeline: &'a Pipeline, dir: RunDir, session: Session<'a>) -> Result<Self> {
        dir.claim(&pipeline.name)?;
        let quiet = Quiet::begin(&dir)?;
        let reading = Reading::new(session.progress, session.stop);
        let standing = Standing::watched(pipeline, dir, Look::Whole, &reading)?;
        if let Some(why) = &standing.plan.provenance().stands_in {
            session.progress.warn(why);
        }
        let run = Self::at(pipeline, standing, &quiet, session)?;
        run.adopt_imports()?;
        Ok(run)
    }

    /// Opens a run for work that needs weights and no samples of the pipeline's own: where these are gone and
    /// nothing stands for them, weights that are imported are kept until they are there.
    ///
    /// # Errors
    /// As [`Self::open`]; [`Kind::NotReady`] only where the view leaves open how large samples are.
    pub fn open_for_weights(
        pipeline: &'a Pipeline,
        dir: RunDir,
        session: Session<'a>,
    ) -> Result<Self> {
        let gone = match Self::open(pipeline, dir.clone(), session.clone()) {
            Err(error) if error.kind() == Kind::NotReady => error,
            opened => return opened,
        };
        let Some(plan) = Plan::without_samples(pipeline)? else {
            let hint = gone.hint_text().map_or_else(String::new, |hint| format!("{hint}; "));
            return Err(gone.hint(format!(
                "{hint}weights alone need no data where `view.crop` or `view.resize` says how large \
                 images are"
            )));
        };
        let kept = format!("{gone}: weights are kept apart from it, until it is there");
        session.progress.note(&kept);
        let quiet = Quiet::begin(&dir)?;
        Self::at(pipeline, Standing { plan, dir }, &quiet, session)
    }

    fn at(
        pipeline: &'a Pipeline,
        standing: Standing,
        quiet: &Quiet,
        session: Session<'a>,
    ) -> Result<Self> {
        let needs = quiet.announce(&standing.dir, standing.wanted_keys()?)?;
        let (stack, expected) = (OnceLock::new(), OnceLock::new());
        Ok(Self { pipeline, standing, session, stack, expected, needs })
    }

    /// The shapes of its modules, which are worked out once before its samples are ingested, and once after.
    ///
    /// # Errors
    /// As [`Stack::of`].
    pub fn stack(&self) -> Result<&Stack> {
        if let Some(stack) = self.stack.get() {
            return Ok(stack);
        }
        let ingested = self.standing.generations(Step::Ingest, Split::Train)?;
        let known = if ingested.is_empty() { &self.expected } else { &self.stack };
        if known.get().is_none() {
            // Another thread's are of the same samples.
            let _ = known.set(Stack::of(self.pipeline, ingested.first())?);
        }
        known.get().ok_or_else(|| Error::failed("the shapes of modules were not kept"))
    }

    /// Does `step` unless it is done.
    ///
    /// # Errors
    /// [`Kind::NotReady`] when its input is not there; [`Kind::Interrupted`] when it was asked to
    /// stop; what the work itself meets.
    pub fn step(&self, step: Step) -> Result<Outcome> {
        if self.standing.are_done_together(step)? {
            if let Step::Train(at) = step {
                self.forget_checkpoints(at);
            }
            return Ok(Outcome::Unchanged);
        }
        self.check_input(step)?;
        let _lock = self.lock(step)?;
        // Another process may have done it while this one looked, or waited.
        if self.standing.are_done_together(step)? {
            return Ok(Outcome::Unchanged);
        }
        self.session.check_stop()?;
        self.check_room(&[step])?;
        for step in self.standing.plan.together(step) {
            for key in self.standing.plan.keys(step) {
                let title = self.standing.plan.full_title(step);
                tracing::debug!(step = title, key = key.hash, settings = %key.settings);
            }
            self.warn_of_damage(step)?;
        }
        let worked = match step {
            Step::Ingest => self.ingest(),
            Step::Untrained => self.encode_untrained(),
            Step::Train(_) if self.pipeline.trains_together() => self.train_together(),
            Step::Train(at) => match &self.pipeline.schedule {
                Schedule::Async(schedule) => self.work(at, schedule),
                _ => self.train(at),
            },
            Step::Encode(_) if self.pipeline.trains_together() => self.encode_together(),
            Step::Encode(at) => self.encode(at),
            Step::Probe(module) => self.probe(module),
        };
        worked.map_err(|error| self.note(error))?;
        if let Step::Train(at) | Step::Encode(at) = step {
            self.retire(at.module);
        }
        Ok(Outcome::Done)
    }

    /// The lock of a step's stage.
    fn lock(&self, step: Step) -> Result<Lock> {
        if !self.session.waits {
            return lock::acquire(&self.standing, step, self.session.shard);
        }
        let mut told = false;
        lock::wait(&self.standing, step, self.session.shard, |held| {
            if !told {
                self.session.progress.note(&format!("{held}: waiting for it"));
                told = true;
            }
            self.session.check_stop()
        })
    }

    /// Tells of what is damaged of a step's own and is made anew, or passed over.
    fn warn_of_damage(&self, step: Step) -> Result<()> {
        for path in self.standing.broken(step)? {
            self.session
                .progress
                .warn(&format!("`{}` is damaged: it is made anew", path.display()));
        }
        let mut unreadable = match step {
            Step::Train(it) => self
                .standing
                .dir
                .trainings(self.standing.plan.module(it.module))
                .unreadable::<record::Training>()?,
            Step::Probe(it) => self
                .standing
                .dir
                .probes(self.standing.plan.module(it))
                .unreadable::<record::Probe>()?,
            Step::Ingest | Step::Untrained | Step::Encode(_) => vec![],
        };
        for split in Split::ALL {
            for dataset in self.standing.datasets(step, split) {
                unreadable.extend(dataset.unreadable()?);
            }
        }
        for error in unreadable {
            self.session
                .progress
                .warn(&format!("{error}; it is passed over, and `gimlet gc` removes it"));
        }
        Ok(())
    }

    /// Leaves a note beside a file that was found damaged: the step that made it is no longer done
    /// then, and the next run makes the file anew.
    fn note(&self, error: Error) -> Error {
        let Some(damage) = error.damage() else { return error };
        let name = damage.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !(name == WEIGHTS || name.ends_with(".parquet"))
            || !damage.file.starts_with(self.standing.dir.path())
        {
            return error;
        }
        match damage.note() {
            Ok(()) => {
                error.hint("the next `gimlet run` makes the file anew from what it was made of")
            }
            Err(unwritten) => {
                self.session.progress.warn(&format!("{unwritten}"));
                error.hint("restore the file, or see that its folder can be written and run again")
            }
        }
    }

    /// Fails when what these steps have still to write does not fit the disk or `store.max_bytes`, or would
    /// be cut into too many parts. What
    /// a process that was killed had no time to retire goes first.
    ///
    /// # Errors
    /// [`Kind::Failed`], saying by how much.
    pub fn check_room(&self, steps: &[Step]) -> Result<()> {
        (0..self.pipeline.modules.len()).for_each(|module| self.retire(module));
        // What cannot be told now, a step will say when it meets it.
        let Ok(costs) = self.standing.costs(self.pipeline) else { return Ok(()) };
        let steps = steps.iter().flat_map(|it| self.standing.plan.together(*it));
        let known = |step| Ok((step, self.standing.is_done(step)?));
        let steps = steps.map(known).collect::<Result<Vec<_>>>()?;
        forecast::room(&costs, &self.standing, &steps)?.check()
    }

    /// Fails unless the steps whose output `step` reads are done.
    fn check_input(&self, step: Step) -> Result<()> {
        let all = self.standing.plan.together(step).into_iter();
        for input in all.flat_map(|step| self.standing.plan.inputs(step)) {
            let broken = self.standing.broken(input)?;
            if let Some(first) = broken.first() {
                let (step, input) =
                    (self.standing.plan.full_title(step), self.standing.plan.title(input));
                let message = format!("`{step}` needs `{}`, which is damaged", first.display());
                let hint = format!("run `gimlet {input}` or `gimlet run`, which make it anew");
                return Err(Error::new(Kind::Damaged, message).hint(hint));
            }
            if !self.standing.is_done(input)? {
                let (step, command) =
                    (self.standing.plan.full_title(step), self.standing.plan.title(input));
                let input = self.standing.plan.full_title(input);
                let message = format!(
                    "`{step}` needs what `{input}` writes, which is not there for these settings"
                );
                let hint =
                    format!("run `gimlet {command}` first, or `gimlet run` for all in order");
                return Err(Error::new(Kind::NotReady, message).hint(hint));
            }
        }
        Ok(())
    }
}
