//! The steps of a run, one after another, each from committed inputs to a committed output.
//!
//! `ingest` decodes the source; `untrained` encodes it through the stack as it was drawn; then, for
//! every module, `train`, `encode` and `probe`. Each step has a key, computed before its work from
//! the settings that matter to it and the keys of its inputs: a step whose key is committed is done.

pub mod account;
pub mod boundary;
pub mod comparison;
pub mod cost;
mod cost_memory;
mod doubt;
mod embed;
mod encode;
mod enough_rows;
mod epoch_mean;
mod export;
pub mod findings;
pub mod forecast;
pub mod gc;
mod held_out;
mod held_up;
mod hops;
mod import;
mod ingest;
pub mod key;
pub mod labels;
mod layout;
pub mod lock;
mod maps;
pub mod measure;
pub mod memory;
mod meter;
pub mod needs;
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
pub mod status;
mod step_key;
mod together;
mod train;
mod training_input;
pub mod verify;
mod wanted;
mod watch;
mod weights;
mod worker;

pub use plan::{At, Plan, Step};
pub use reading::Reading;
pub use run_dir::RunDir;

use crate::device::Device;
use crate::pipeline::{Pipeline, Schedule, Split};
use crate::stop::Stop;
use crate::{Error, Kind, Result};
use gimlet_store::Shard;
use lock::Lock;
use needs::{Needs, Quiet};
use progress::Progress;
use provenance::Look;
use run_dir::WEIGHTS;

/// What every step works with.
pub struct Run<'a> {
    pub pipeline: &'a Pipeline,
    pub dir: RunDir,
    pub plan: Plan,
    /// Set from outside to ask the step for a stop: it saves its state and returns
    /// [`Kind::Interrupted`].
    pub stop: &'a Stop,
    pub progress: &'a dyn Progress,
    /// What modules compute on.
    pub device: Device,
    /// Whether a stage that another process works on is waited for.
    waits: bool,
    /// Which parts of datasets it encodes.
    shard: Shard,
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
    /// The run of `pipeline` in `dir`, which is made and marked as this pipeline's when it is new. It
    /// computes by our kernels; [`Self::on`] says otherwise.
    ///
    /// # Errors
    /// When the directory belongs to another pipeline, or the source cannot be opened.
    pub fn open(
        pipeline: &'a Pipeline,
        dir: RunDir,
        stop: &'a Stop,
        progress: &'a dyn Progress,
    ) -> Result<Self> {
        dir.claim(&pipeline.name)?;
        let quiet = Quiet::begin(&dir)?;
        let plan = Plan::watched(pipeline, &dir, Look::Whole, &Reading::new(progress, stop))?;
        if let Some(why) = &plan.provenance().stands_in {
            progress.warn(why);
        }
        let run = Self::with_plan(pipeline, dir, plan, &quiet, stop, progress)?;
        run.adopt_imports()?;
        Ok(run)
    }

    /// The same for work that needs weights and no samples of the pipeline's own: where these are gone and nothing
    /// stands for them, weights that are imported are kept until they are there.
    ///
    /// # Errors
    /// As [`Self::open`]; [`Kind::NotReady`] only where the view leaves open how large samples are.
    pub fn open_for_weights(
        pipeline: &'a Pipeline,
        dir: RunDir,
        stop: &'a Stop,
        progress: &'a dyn Progress,
    ) -> Result<Self> {
        let gone = match Self::open(pipeline, dir.clone(), stop, progress) {
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
        progress.note(&format!("{gone}: weights are kept apart from it, until it is there"));
        let quiet = Quiet::begin(&dir)?;
        Self::with_plan(pipeline, dir, plan, &quiet, stop, progress)
    }

    fn with_plan(
        pipeline: &'a Pipeline,
        dir: RunDir,
        plan: Plan,
        quiet: &Quiet,
        stop: &'a Stop,
        progress: &'a dyn Progress,
    ) -> Result<Self> {
        let needs = quiet.announce(&dir, plan.wanted_keys(&dir)?)?;
        let (device, waits, shard) = (Device::Cpu, false, Shard::WHOLE);
        Ok(Self { pipeline, dir, plan, stop, progress, device, waits, shard, needs })
    }

    /// The same, its modules on `device`.
    #[must_use]
    pub fn on(self, device: Device) -> Self {
        Self { device, ..self }
    }

    /// The same; with `waits`, a step waits for another process that works on its stage, where it
    /// would fail otherwise.
    #[must_use]
    pub fn waiting(self, waits: bool) -> Self {
        Self { waits, ..self }
    }

    /// The same; it encodes these parts alone, and other processes the others.
    #[must_use]
    pub fn of_shard(self, shard: Shard) -> Self {
        Self { shard, ..self }
    }

    /// Does `step` unless it is done.
    ///
    /// # Errors
    /// [`Kind::NotReady`] when its input is not there; [`Kind::Interrupted`] when it was asked to
    /// stop; what the work itself meets.
    pub fn step(&self, step: Step) -> Result<Outcome> {
        if self.plan.are_done_together(step, &self.dir)? {
            if let Step::Train(at) = step {
                self.forget_checkpoints(at);
            }
            return Ok(Outcome::Unchanged);
        }
        self.check_input(step)?;
        let _lock = self.lock(step)?;
        // Another process may have done it while this one looked, or waited.
        if self.plan.are_done_together(step, &self.dir)? {
            return Ok(Outcome::Unchanged);
        }
        self.check_stop()?;
        self.check_room(&[step])?;
        for step in self.plan.together(step) {
            for key in self.plan.keys(step) {
                let title = self.plan.full_title(step);
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
        if !self.waits {
            return lock::acquire(&self.dir, &self.plan, step, self.shard);
        }
        let mut told = false;
        lock::wait(&self.dir, &self.plan, step, self.shard, |held| {
            if !told {
                self.progress.note(&format!("{held}: waiting for it"));
                told = true;
            }
            self.check_stop()
        })
    }

    /// Tells of what is damaged of a step's own and is made anew, or passed over.
    fn warn_of_damage(&self, step: Step) -> Result<()> {
        for path in self.plan.broken(step, &self.dir)? {
            self.progress.warn(&format!("`{}` is damaged: it is made anew", path.display()));
        }
        let mut unreadable = match step {
            Step::Train(it) => {
                self.dir.trainings(self.plan.module(it.module)).unreadable::<record::Training>()?
            }
            Step::Probe(it) => {
                self.dir.probes(self.plan.module(it)).unreadable::<record::Probe>()?
            }
            Step::Ingest | Step::Untrained | Step::Encode(_) => vec![],
        };
        for split in Split::ALL {
            for dataset in self.plan.datasets(step, split, &self.dir) {
                unreadable.extend(dataset.unreadable()?);
            }
        }
        for error in unreadable {
            self.progress.warn(&format!("{error}; it is passed over, and `gimlet gc` removes it"));
        }
        Ok(())
    }

    /// Leaves a note beside a file that was found damaged: the step that made it is no longer done
    /// then, and the next run makes the file anew.
    fn note(&self, error: Error) -> Error {
        let Some(damage) = error.damage() else { return error };
        let name = damage.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !(name == WEIGHTS || name.ends_with(".parquet"))
            || !damage.file.starts_with(self.dir.path())
        {
            return error;
        }
        match damage.note() {
            Ok(()) => {
                error.hint("the next `gimlet run` makes the file anew from what it was made of")
            }
            Err(unwritten) => {
                self.progress.warn(&format!("{unwritten}"));
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
        let Ok(costs) = self.plan.costs(self.pipeline, &self.dir) else { return Ok(()) };
        let steps = steps.iter().flat_map(|it| self.plan.together(*it));
        let known = |step| Ok((step, self.plan.is_done(step, &self.dir)?));
        let steps = steps.map(known).collect::<Result<Vec<_>>>()?;
        forecast::room(&costs, &self.plan, &self.dir, &steps)?.check()
    }

    /// Fails unless the steps whose output `step` reads are done.
    fn check_input(&self, step: Step) -> Result<()> {
        let all = self.plan.together(step).into_iter();
        for input in all.flat_map(|step| self.plan.inputs(step)) {
            let broken = self.plan.broken(input, &self.dir)?;
            if let Some(first) = broken.first() {
                let (step, input) = (self.plan.full_title(step), self.plan.title(input));
                let message = format!("`{step}` needs `{}`, which is damaged", first.display());
                let hint = format!("run `gimlet {input}` or `gimlet run`, which make it anew");
                return Err(Error::new(Kind::Damaged, message).hint(hint));
            }
            if !self.plan.is_done(input, &self.dir)? {
                let (step, command) = (self.plan.full_title(step), self.plan.title(input));
                let input = self.plan.full_title(input);
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

    /// Fails when a stop was asked for.
    fn check_stop(&self) -> Result<()> {
        self.stop.check("what was done is kept")
    }
}
