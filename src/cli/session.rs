//! From a command's arguments to the run it works on.

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

/// The directory of a sweep's runs, unless it was `named`; touches nothing.
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
    /// The pipeline, checked.
    pub fn load(&self) -> Result<Pipeline> {
        Pipeline::load(&self.pipeline, &self.overrides)
    }

    /// The run's directory; touches nothing.
    pub fn run_dir(&self, pipeline: &Pipeline) -> RunDir {
        dir_of(self.run_dir.as_deref(), pipeline, |runs| runs.join(&pipeline.name))
    }

    /// The pipeline and where its run stands, for commands that only look. Where nothing was begun the data are not read.
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

    /// The same for work that needs weights and no samples ([`Run::open_for_weights`]).
    pub fn with_weights<T>(
        &self,
        device: &DeviceArgs,
        printer: &Printer,
        work: impl FnOnce(&Run<'_>) -> Result<T>,
    ) -> Result<T> {
        let pipeline = self.load()?;
        let device = device.device.open()?;
        let (dir, renderer) = (self.run_dir(&pipeline), Renderer::new(printer));
        let session = Session::new(interrupt::stop(), &renderer);
        let session = Session { device, waits: self.wait, ..session };
        work(&Run::open_for_weights(&pipeline, dir, session)?)
    }

    /// The same, of which this process encodes a shard.
    pub fn with_shard<T>(
        &self,
        shard: Shard,
        device: &DeviceArgs,
        printer: &Printer,
        work: impl FnOnce(&Run<'_>) -> Result<T>,
    ) -> Result<T> {
        self.with_opened(shard, device, &Renderer::new(printer), work)
    }

    /// The same, shown by `renderer`.
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
        let device = device.device.open()?;
        let dir = self.run_dir(&pipeline);
        let session = Session::new(interrupt::stop(), renderer);
        let session = Session { device, waits: self.wait, shard, ..session };
        work(&Run::open(&pipeline, dir, session)?)
    }

    /// The same; its steps wait for other processes, if that is asked for.
    pub fn waiting(self, args: &WaitArgs) -> Self {
        Self { wait: args.wait, ..self }
    }
}

impl RoundArgs {
    /// The module in the round that was asked for; `next` when none was.
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

/// Does a step and says so when there was nothing to do.
pub fn step(run: &Run<'_>, step: Step, printer: &Printer) -> Result<()> {
    if run.step(step)? == Outcome::Unchanged {
        tell_unchanged(run, step, printer);
    }
    Ok(())
}

/// Says that there was nothing to do.
pub fn tell_unchanged(run: &Run<'_>, step: Step, printer: &Printer) {
    printer
        .note(&format!("{:22} done before, nothing changed", run.standing.plan.full_title(step)));
}

/// Does every step that is missing, in order; where modules train in workers, all trainings at once, each in a
/// process of its own. `unchanged` hears of steps that were done before. Whether there was anything to do.
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

/// The place of the module of this name.
///
/// # Errors
/// [`Kind::Usage`] when there is none, naming those there are.
pub fn module(pipeline: &Pipeline, name: &str) -> Result<usize> {
    let names: Vec<&str> = pipeline.modules.iter().map(|module| module.name.as_str()).collect();
    names.iter().position(|it| *it == name).ok_or_else(|| {
        let message = format!("pipeline `{}` has no module `{name}`", pipeline.name);
        Error::new(Kind::Usage, message).hint(format!("its modules are {}", names.join(", ")))
    })
}

/// The split of this name.
pub fn split(name: &str) -> Result<Split> {
    Split::ALL.into_iter().find(|it| it.name() == name).ok_or_else(|| {
        let names = Split::ALL.map(Split::name).join(" and ");
        Error::new(Kind::Usage, format!("the splits are {names}"))
    })
}
