//! The steps of a run, one after another, each from committed inputs to a committed output.
//!
//! `ingest` decodes the source; `untrained` encodes it through the stack as it was drawn; then, for
//! every module, `train`, `encode` and `probe`. Each step has a key, computed before its work from
//! the settings that matter to it and the keys of its inputs: a step whose key is committed is done.

pub mod boundary;
pub mod cost;
mod cost_memory;
mod encode;
mod extent;
pub mod forecast;
mod ingest;
pub mod key;
mod layout;
pub mod lock;
pub mod measure;
pub mod memory;
pub mod plan;
mod probe;
pub mod progress;
pub mod record;
pub mod room;
pub mod run_dir;
pub mod status;
mod train;

use std::sync::atomic::{AtomicBool, Ordering};

pub use plan::{Plan, Step};
pub use run_dir::RunDir;

use crate::pipeline::Pipeline;
use crate::{Error, Kind, Result};
use progress::Progress;

/// What every step works with.
pub struct Run<'a> {
    pub pipeline: &'a Pipeline,
    pub dir: RunDir,
    pub plan: Plan,
    /// Set from outside to ask the step for a stop: it saves its state and returns
    /// [`Kind::Interrupted`].
    pub stop: &'a AtomicBool,
    pub progress: &'a dyn Progress,
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
    pub fn open(
        pipeline: &'a Pipeline,
        dir: RunDir,
        stop: &'a AtomicBool,
        progress: &'a dyn Progress,
    ) -> Result<Self> {
        dir.claim(&pipeline.name)?;
        let plan = Plan::new(pipeline, &dir)?;
        Ok(Self { pipeline, dir, plan, stop, progress })
    }

    /// Does `step` unless it is done.
    ///
    /// # Errors
    /// [`Kind::NotReady`] when its input is not there; [`Kind::Interrupted`] when it was asked to
    /// stop; what the work itself meets.
    pub fn step(&self, step: Step) -> Result<Outcome> {
        if self.plan.is_done(step, &self.dir)? {
            return Ok(Outcome::Unchanged);
        }
        self.check_input(step)?;
        let _lock = lock::acquire(&self.dir, &self.plan.stage_name(step))?;
        // Another process may have done it while this one looked.
        if self.plan.is_done(step, &self.dir)? {
            return Ok(Outcome::Unchanged);
        }
        self.check_stop()?;
        self.check_room(&[step])?;
        for key in self.plan.keys(step) {
            tracing::debug!(step = self.plan.title(step), key = key.hash, settings = %key.settings);
        }
        match step {
            Step::Ingest => self.ingest()?,
            Step::Untrained => self.encode_untrained()?,
            Step::Train(module) => self.train(module)?,
            Step::Encode(module) => self.encode(module)?,
            Step::Probe(module) => self.probe(module)?,
        }
        Ok(Outcome::Done)
    }

    /// Fails when what these steps have still to write does not fit the disk or `store.max_bytes`.
    ///
    /// # Errors
    /// [`Kind::Failed`], saying by how much.
    pub fn check_room(&self, steps: &[Step]) -> Result<()> {
        // What cannot be told now, a step will say when it meets it.
        let Ok(costs) = self.plan.costs(self.pipeline, &self.dir) else { return Ok(()) };
        forecast::room(&costs, &self.plan, &self.dir, steps)?.check()
    }

    /// Fails unless the steps whose output `step` reads are done.
    fn check_input(&self, step: Step) -> Result<()> {
        for input in self.plan.inputs(step) {
            if !self.plan.is_done(input, &self.dir)? {
                let (step, input) = (self.plan.title(step), self.plan.title(input));
                let message = format!(
                    "`{step}` needs what `{input}` writes, which is not there for these settings"
                );
                let hint = format!("run `gimlet {input}` first, or `gimlet run` for all in order");
                return Err(Error::new(Kind::NotReady, message).hint(hint));
            }
        }
        Ok(())
    }

    /// Fails when a stop was asked for.
    fn check_stop(&self) -> Result<()> {
        match self.stop.load(Ordering::Relaxed) {
            true => Err(Error::new(Kind::Interrupted, "stopped; what was done is kept")
                .hint("run the same command again to go on")),
            false => Ok(()),
        }
    }
}
