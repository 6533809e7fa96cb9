//! `gimlet slurm`: prints, or runs, a script that submits a run or a sweep.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::Args;

use super::arguments::{DeviceArgs, GlobalArgs, PipelineArgs};
use super::printer::Printer;
use super::session::sweep_dir;
use super::{child, invocation, jobs};
use crate::pipeline::{Environment, Slurm};
use crate::quantity::counted;
use crate::slurm::{Job, Queue, Script, Sharding, Submission, of_pipeline, of_sweep};
use crate::stage::RunDir;
use crate::sweep::Sweep;
use crate::{Error, Result};

#[derive(Args)]
pub struct SlurmArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,
    #[command(flatten)]
    device: DeviceArgs,

    /// Tasks that write a module's activations, or do a sweep's runs [default: a task a part, 8 at most; a
    /// task a run]
    #[arg(long, value_name = "N")]
    shards: Option<NonZeroUsize>,

    /// Tasks of an array that run at once [default: all; of a sweep 8]
    #[arg(long, value_name = "N")]
    throttle: Option<NonZeroUsize>,

    /// Submit it now, and store the jobs' numbers in the run
    #[arg(long)]
    submit: bool,

    /// Submit it also while jobs of an earlier submission are in the queue
    #[arg(long, requires = "submit")]
    force: bool,
}

/// A run or a sweep to submit.
struct Work {
    /// The name of the pipeline or sweep.
    name: String,
    /// The pipeline that owns the directory.
    owner: String,
    dir: RunDir,
    slurm: Slurm,
    jobs: Vec<Job>,
}

pub fn run(args: SlurmArgs, globals: &GlobalArgs, printer: &Printer) -> anyhow::Result<()> {
    let work = match Sweep::is_sweep(&args.pipeline.pipeline)? {
        true => args.sweep()?,
        false => args.run(printer)?,
    };
    if work.jobs.is_empty() {
        printer.note("every step is done: there is nothing to submit");
        return Ok(());
    }
    let script = args.script(&work, globals)?;
    if !args.submit {
        return printer.result(script.trim_end());
    }
    work.dir.claim(&work.owner)?;
    check_queue(&work.dir, args.force, printer)?;
    let submission = Submission::submit(script, &work.jobs)?;
    for job in &submission.jobs {
        printer.result(&format!("{}\t{}", job.id, job.title))?;
    }
    work.dir.jobs().commit(|_| submission.clone())?;
    printer.note(&format!("{} submitted", counted(submission.jobs.len(), "job")));
    Ok(())
}

impl SlurmArgs {
    fn sharding(&self) -> Sharding {
        Sharding { shards: self.shards, throttle: self.throttle }
    }

    fn run(&self, printer: &Printer) -> Result<Work> {
        let (pipeline, standing) = self.pipeline.look(printer)?;
        // Better to fail now than after a night in the queue.
        standing.check_rows(&pipeline)?;
        let jobs = of_pipeline(&pipeline, &standing, self.sharding())?;
        let name = pipeline.name.clone();
        Ok(Work { owner: name.clone(), name, dir: standing.dir, slurm: pipeline.slurm, jobs })
    }

    fn sweep(&self) -> Result<Work> {
        let sweep = Sweep::load(&self.pipeline.pipeline, &self.pipeline.overrides)?;
        let runs = sweep.runs()?;
        let dir = sweep_dir(self.pipeline.run_dir.as_deref(), &runs)?;
        let first = runs[0].pipeline.clone();
        Ok(Work {
            jobs: of_sweep(runs.len(), self.sharding()),
            dir,
            name: sweep.name,
            owner: first.name,
            slurm: first.slurm,
        })
    }

    fn script(&self, work: &Work, globals: &GlobalArgs) -> Result<String> {
        let folder = std::env::current_dir()
            .map_err(|error| Error::failed(format!("could not find the folder: {error}")))?;
        // The output of a job goes to a file, so `--quiet` is dropped, and a job has its own number of threads.
        let mut of_jobs = globals.clone();
        (of_jobs.quiet, of_jobs.threads) = (false, None);
        Script {
            name: &work.name,
            program: invocation::starts()?,
            folder,
            data_root: Environment::of_process().data_root,
            logs: logs(&work.dir, &work.name),
            arguments: child::words(&[&self.pipeline, &of_jobs]),
            device: child::words(&[&self.device]),
            threads: globals.threads.map(NonZeroUsize::get),
            slurm: &work.slurm,
            jobs: &work.jobs,
        }
        .text()
    }
}

/// The folder for logs, beside the run, which may not hold other files: `runs/quickstart.slurm`.
fn logs(dir: &RunDir, name: &str) -> PathBuf {
    match dir.location().on_disk().and_then(|path| Some((path, path.file_name()?))) {
        Some((path, own)) => {
            let mut own = own.to_os_string();
            own.push(".slurm");
            path.with_file_name(own)
        }
        None => Path::new("runs").join(format!("{name}.slurm")),
    }
}

/// Fails when jobs of an earlier submission wait or run. The results would still be right, but at twice the
/// work.
fn check_queue(dir: &RunDir, force: bool, printer: &Printer) -> Result<()> {
    let submissions = jobs::submissions(dir)?;
    if submissions.is_empty() || force {
        return Ok(());
    }
    let Some(queue) = Queue::ask(&submissions) else {
        let newest = submissions.first().and_then(|it| it.cluster.clone());
        let place = newest.map_or_else(String::new, |it| format!(" on cluster `{it}`"));
        printer.warn(&format!(
            "the queue does not say whether jobs submitted earlier{place} are still at work"
        ));
        return Ok(());
    };
    let at_work = submissions.iter().flat_map(|it| &it.jobs).filter_map(|job| {
        let waiting = queue.job(job.id).filter(|it| it.is_at_work())?;
        Some(format!("\n{}: {}, {}", job.id, job.title, waiting.in_words()))
    });
    let at_work: Vec<String> = at_work.collect();
    match at_work.is_empty() {
        true => Ok(()),
        false => {
            let count = counted(at_work.len(), "job");
            let message =
                format!("{count} of an earlier submission wait or run:{}", at_work.concat());
            Err(Error::failed(message).hint(
                "wait for them, end them with `scancel`, or submit beside them with `--force`",
            ))
        }
    }
}
