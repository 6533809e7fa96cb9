//! A run: a pipeline in its directory, and the session that works on it. It does steps in order.

use std::sync::OnceLock;

use super::pins::{Pins, Quiet};
use super::provenance::Look;
use super::reading::Reading;
use super::status::StepStatus;
use super::subject::{self, Place, Subject};
use super::{
    Plan, RunDir, Session, Stack, Standing, damaged, encode, forecast, import, ingest, labels,
    lock, probe, retire, train, worker,
};
use crate::loss::Sizes;
use crate::pipeline::{Pipeline, Split};
use crate::schedule::{At, Manner, Step};
use crate::{Error, Kind, Result};

/// A pipeline, its directory and the session that works on it: what every step needs.
pub struct Run<'a> {
    /// What is trained, and how.
    pub pipeline: &'a Pipeline,
    /// Its plan and its directory.
    pub standing: Standing,
    /// What the process at work was given.
    pub session: Session<'a>,
    /// The shapes of its modules, once samples are ingested.
    stack: OnceLock<Stack>,
    /// The shapes of its modules before samples are ingested.
    expected: OnceLock<Stack>,
    pub(super) pins: Pins,
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
    /// Opens the run of `pipeline` in `dir`. A new directory is made and marked as this pipeline's.
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
        import::adopt(&run)?;
        Ok(run)
    }

    /// Opens a run for work that needs weights and no samples. Where the samples are gone and nothing stands for them,
    /// imported weights are kept apart until the samples are there.
    ///
    /// # Errors
    /// Those of [`Self::open`]; [`Kind::NotReady`] only where the view leaves open how large samples are.
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
        let pins = quiet.announce(&standing.dir, standing.wanted_keys()?)?;
        let (stack, expected) = (OnceLock::new(), OnceLock::new());
        Ok(Self { pipeline, standing, session, stack, expected, pins })
    }

    /// The shapes of its modules. They are worked out once before the samples are ingested, and once after.
    ///
    /// # Errors
    /// Those of [`Stack::of`].
    pub fn stack(&self) -> Result<&Stack> {
        if let Some(stack) = self.stack.get() {
            return Ok(stack);
        }
        let ingested = self.standing.generations(Step::Ingest, Split::Train)?;
        let known = if ingested.is_empty() { &self.expected } else { &self.stack };
        if known.get().is_none() {
            // If another thread was faster, its shapes are those of the same samples.
            let _ = known.set(Stack::of(self.pipeline, ingested.first())?);
        }
        known.get().ok_or_else(|| Error::failed("the shapes of modules were not kept"))
    }

    /// The sizes that the loss of module `index` is computed on.
    ///
    /// # Errors
    /// Those of [`Self::stack`]; where the loss reads labels, when these are not there.
    pub fn sizes(&self, index: usize) -> Result<Sizes> {
        let stack = self.stack()?;
        Ok(stack.sizes(index, stack.classes(|| labels::classes(self))?))
    }

    /// Module `index`, to be drawn, trained, judged or exported.
    ///
    /// # Errors
    /// Those of [`Self::sizes`].
    pub(super) fn subject(&self, index: usize) -> Result<Box<dyn Subject + '_>> {
        Ok(subject::of(self.place(index, self.sizes(index)?)?))
    }

    /// Module `index` without its loss, which may need labels that are not there.
    ///
    /// # Errors
    /// Those of [`Self::stack`].
    pub(super) fn subject_without_classes(&self, index: usize) -> Result<Box<dyn Subject + '_>> {
        Ok(subject::of(self.place(index, self.stack()?.sizes(index, 0))?))
    }

    fn place(&self, index: usize, sizes: Sizes) -> Result<Place<'_>> {
        Ok(Place {
            pipeline: self.pipeline,
            stack: self.stack()?,
            index,
            sizes,
            device: &self.session.device,
            key: Some(self.standing.plan.module_key(index)),
        })
    }

    /// Does `step` unless it is done.
    ///
    /// # Errors
    /// [`Kind::NotReady`] when its input is not there; [`Kind::Interrupted`] when a stop was asked for; errors of the
    /// work itself.
    pub fn step(&self, step: Step) -> Result<Outcome> {
        if self.standing.are_done_together(step)? {
            self.standing.remove_leftovers(step)?;
            return Ok(Outcome::Unchanged);
        }
        self.standing.check_inputs(step)?;
        self.tell_why(step)?;
        let _lock = lock::of_step(step, &self.standing, &self.session)?;
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
            damaged::warn(step, &self.standing, &self.session)?;
        }
        let worked = match step {
            Step::Ingest => ingest::ingest(self),
            Step::Untrained => encode::untrained(self),
            Step::Train(at) => match self.pipeline.schedule.manner() {
                Manner::InTurn | Manner::InOnePass => train::train(self, at),
                Manner::InWorkers(publishing) => worker::work(self, at, publishing),
            },
            Step::Encode(_) if self.pipeline.schedule.is_in_one_pass() => encode::in_one_pass(self),
            Step::Encode(at) => encode::encode(self, at),
            Step::Probe(module) => probe::probe(self, module),
        };
        worked.map_err(|error| damaged::note(error, &self.standing, &self.session))?;
        if let Step::Train(at) | Step::Encode(at) = step {
            retire::retire(self, at.module);
        }
        Ok(Outcome::Done)
    }

    /// Says, to readers who ask for details, why a step is not done: which setting has changed, what is damaged.
    fn tell_why(&self, step: Step) -> Result<()> {
        if self.session.progress.shows_details() {
            for step in self.standing.plan.together(step) {
                for StepStatus { state, why, .. } in self.standing.status_of(&[(step, false)])? {
                    let title = self.standing.plan.full_title(step);
                    self.session.progress.detail(&format!("{title}: {}: {why}", state.name()));
                }
            }
        }
        Ok(())
    }

    /// Fails when what these steps have still to write does not fit the disk or `store.max_bytes`, or would have too
    /// many parts. First it removes what a killed process had no time to retire.
    ///
    /// # Errors
    /// [`Kind::Failed`], saying what does not fit and by how much.
    pub fn check_room(&self, steps: &[Step]) -> Result<()> {
        (0..self.pipeline.modules.len()).for_each(|module| retire::retire(self, module));
        // What cannot be computed now, the step reports when it meets it.
        let Ok(costs) = self.standing.costs(self.pipeline) else { return Ok(()) };
        let steps = steps.iter().flat_map(|it| self.standing.plan.together(*it));
        let known = |step| Ok((step, self.standing.is_done(step)?));
        let steps = steps.map(known).collect::<Result<Vec<_>>>()?;
        forecast::room(&costs, &self.standing, &steps)?.check()
    }

    /// Does every missing step, in order. The modules of an `async` schedule train at once, each on a
    /// thread of its own. Returns whether there was anything to do.
    ///
    /// # Errors
    /// Those of [`Run::step`].
    pub fn all_steps(&self) -> Result<bool> {
        self.all_steps_by(|| train_on_threads(self), |_| ())
    }

    /// Does every missing step, in order. `train_at_once` trains the modules of an `async` schedule; `unchanged` is
    /// called for each step that was done before. Returns whether there was anything to do.
    ///
    /// # Errors
    /// Those of [`Run::step`] and of `train_at_once`.
    pub fn all_steps_by(
        &self,
        train_at_once: impl Fn() -> Result<()>,
        unchanged: impl Fn(Step),
    ) -> Result<bool> {
        let steps = self.standing.to_take()?;
        self.standing.check_rows(self.pipeline)?;
        self.check_room(&steps)?;
        let in_workers = self.pipeline.schedule.publishing().is_some();
        let (mut worked, mut trained) = (false, false);
        for step in steps {
            let is_training = in_workers && matches!(step, Step::Train(_));
            if is_training && !trained && !self.standing.is_done(step)? {
                train_at_once()?;
                trained = true;
            }
            if is_training && trained {
                continue;
            }
            match self.step(step)? {
                Outcome::Done => {
                    worked = true;
                    if step == Step::Ingest {
                        // The number of broken samples is known now.
                        self.standing.check_rows(self.pipeline)?;
                    }
                }
                Outcome::Unchanged => unchanged(step),
            }
        }
        Ok(worked || trained)
    }
}

/// Trains every module on a thread of its own, and waits for all of them.
fn train_on_threads(run: &Run<'_>) -> Result<()> {
    let train = |module| run.step(Step::Train(At { module, round: 0 }));
    std::thread::scope(|scope| {
        let modules = 0..run.pipeline.modules.len();
        let workers: Vec<_> = modules.map(|it| scope.spawn(move || train(it))).collect();
        let mut all = Ok(());
        for worker in workers {
            let ended = worker.join().unwrap_or_else(|it| std::panic::resume_unwind(it));
            // After one module has failed, the others go on with what they have.
            all = all.and(ended.map(drop));
        }
        all
    })
}
