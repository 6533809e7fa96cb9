//! Opens the run that a command's arguments name.

use std::path::{Path, PathBuf};

use gimlet_store::Shard;

use super::arguments::{DeviceArgs, GlobalArgs, PipelineArgs, RoundArgs, WaitArgs};
use super::printer::Printer;
use super::render::Renderer;
use super::{interrupt, workers};
use crate::pipeline::{Pipeline, Split};
use crate::stage::provenance::Look;
use crate::stage::{At, Outcome, Reading, Run, RunDir, Session, Standing, Step};
use crate::sweep::SweepRun;
use crate::{Error, Kind, Result};

/// The directory of a sweep's runs: the one that was `named`, or the default. Touches nothing.
pub fn sweep_dir(named: Option<&Path>, runs: &[SweepRun]) -> Result<RunDir> {
    let first = runs.first().ok_or_else(|| Error::failed("the sweep has no runs"))?;
    let pipeline = &first.pipeline;
    Ok(dir_of(named, pipeline, |runs| runs.join("sweeps").join(&pipeline.name)))
}

fn dir_of(named: Option<&Path>, pipeline: &Pipeline, default: impl Fn(&Path) -> PathBuf) -> RunDir {
    let runs = pipeline.store.url.as_deref().unwrap_or(Path::new("runs"));
    let dir = RunDir::at(named.map_or_else(|| default(runs), Path::to_path_buf));
    dir.store().keep_at_most(pipeline.store.cache_bytes);
    dir
}

impl PipelineArgs {
    /// Loads and checks the pipeline.
    pub fn load(&self) -> Result<Pipeline> {
        Pipeline::load(&self.pipeline, &self.overrides)
    }

    /// The run's directory; touches nothing.
    pub fn run_dir(&self, pipeline: &Pipeline) -> RunDir {
        dir_of(self.run_dir.as_deref(), pipeline, |runs| runs.join(&pipeline.name))
    }

    /// The pipeline and the state of its run, for commands that only read. If nothing was begun, the data are
    /// not read.
    pub fn look(&self, printer: &Printer) -> Result<(Pipeline, Standing)> {
        let pipeline = self.load()?;
        let dir = self.run_dir(&pipeline);
        dir.check_owner(&pipeline.name)?;
        let renderer = Renderer::new(printer);
        let reading = Reading::new(&renderer, interrupt::stop());
        let standing = Standing::watched(&pipeline, dir, Look::IfBegun, &reading)?;
        if let Some(why) = &standing.plan.provenance().stands_in {
            printer.warn(why);
        }
        Ok((pipeline, standing))
    }

    /// Opens the run and calls `work` with it.
    pub fn with_run<T>(
        &self,
        device: &DeviceArgs,
        printer: &Printer,
        work: impl FnOnce(&Run<'_>) -> Result<T>,
    ) -> Result<T> {
        self.with_shown_run(device, &Renderer::new(printer), work)
    }

    /// Opens the run for work that needs weights and no samples ([`Run::open_for_weights`]), and calls `work`
    /// with it.
    pub fn with_weights<T>(
        &self,
        device: &DeviceArgs,
        printer: &Printer,
        work: impl FnOnce(&Run<'_>) -> Result<T>,
    ) -> Result<T> {
        let pipeline = self.load()?;
        let device = device.open(&pipeline)?;
        let (dir, renderer) = (self.run_dir(&pipeline), Renderer::new(printer));
        let session = Session::new(interrupt::stop(), &renderer);
        let session = Session { device, waits: self.wait, ..session };
        work(&Run::open_for_weights(&pipeline, dir, session)?)
    }

    /// Opens the run for a process that encodes one shard, and calls `work` with it.
    pub fn with_shard<T>(
        &self,
        shard: Shard,
        device: &DeviceArgs,
        printer: &Printer,
        work: impl FnOnce(&Run<'_>) -> Result<T>,
    ) -> Result<T> {
        self.with_opened(shard, device, &Renderer::new(printer), work)
    }

    /// Opens the run with progress shown by `renderer`, and calls `work` with it.
    pub fn with_shown_run<T>(
        &self,
        device: &DeviceArgs,
        renderer: &Renderer<'_>,
        work: impl FnOnce(&Run<'_>) -> Result<T>,
    ) -> Result<T> {
        self.with_opened(Shard::WHOLE, device, renderer, work)
    }

    fn with_opened<T>(
        &self,
        shard: Shard,
        device: &DeviceArgs,
        renderer: &Renderer<'_>,
        work: impl FnOnce(&Run<'_>) -> Result<T>,
    ) -> Result<T> {
        let pipeline = self.load()?;
        let device = device.open(&pipeline)?;
        let dir = self.run_dir(&pipeline);
        let session = Session::new(interrupt::stop(), renderer);
        let session = Session { device, waits: self.wait, shard, ..session };
        work(&Run::open(&pipeline, dir, session)?)
    }

    /// Makes steps wait for other processes, if `args` ask for that.
    pub fn waiting(self, args: &WaitArgs) -> Self {
        Self { wait: args.wait, ..self }
    }
}

impl RoundArgs {
    /// The module in the round that was asked for, or in `next` by default.
    ///
    /// # Errors
    /// [`Kind::Usage`] when the pipeline has no such round.
    pub fn at(
        &self,
        module: usize,
        run: &Run<'_>,
        next: impl FnOnce() -> Result<At>,
    ) -> Result<At> {
        let Some(round) = self.round else { return next() };
        let rounds = run.standing.plan.rounds();
        match round.get() <= rounds {
            true => Ok(At { module, round: round.get() - 1 }),
            false => {
                let message = format!("there is no round {round}: the pipeline has {rounds}");
                Err(Error::new(Kind::Usage, message).hint("`schedule.rounds` says how many"))
            }
        }
    }
}

/// Does a step; prints a note if there was nothing to do.
pub fn step(run: &Run<'_>, step: Step, printer: &Printer) -> Result<()> {
    if run.step(step)? == Outcome::Unchanged {
        tell_unchanged(run, step, printer);
    }
    Ok(())
}

/// Prints a note that there was nothing to do.
pub fn tell_unchanged(run: &Run<'_>, step: Step, printer: &Printer) {
    printer.step(&run.standing.plan.full_title(step), "done before, nothing changed");
}

/// Does every missing step, in order. If modules train in workers, all trainings run at once, each in its own
/// process. `unchanged` is called for steps that were done before. Returns whether there was anything to do.
pub fn all_steps(
    run: &Run<'_>,
    pipeline: &PipelineArgs,
    device: &DeviceArgs,
    globals: &GlobalArgs,
    printer: &Printer,
    unchanged: impl Fn(Step),
) -> Result<bool> {
    run.all_steps_by(|| workers::train(run, pipeline, device, globals, printer), unchanged)
}

/// The place of the module with this name.
///
/// # Errors
/// [`Kind::Usage`] when there is none; the message names the modules.
pub fn module(pipeline: &Pipeline, name: &str) -> Result<usize> {
    let names: Vec<&str> = pipeline.modules.iter().map(|module| module.name.as_str()).collect();
    names.iter().position(|it| *it == name).ok_or_else(|| {
        let message = format!("pipeline `{}` has no module `{name}`", pipeline.name);
        Error::new(Kind::Usage, message).hint(format!("its modules are {}", names.join(", ")))
    })
}

/// The split with this name.
pub fn split(name: &str) -> Result<Split> {
    Split::ALL.into_iter().find(|it| it.name() == name).ok_or_else(|| {
        let names = Split::ALL.map(Split::name).join(" and ");
        Error::new(Kind::Usage, format!("the splits are {names}"))
    })
}
