//! `gimlet status`: where every step, or every run of a sweep, stands, and beside it where its job does.

use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::printer::Printer;
use super::session::sweep_dir;
use super::{JsonArgs, PipelineArgs, sweep, table};
use crate::Result;
use crate::slurm::{Queue, Submission, Waiting};
use crate::stage::status::{State, StepStatus};
use crate::stage::{Plan, RunDir, Standing, Step};
use crate::sweep::{Sweep, Work};

#[derive(Args)]
pub struct StatusArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,
    #[command(flatten)]
    output: JsonArgs,
}

/// The job that was submitted last for a step.
#[derive(Serialize)]
struct StepJob {
    id: u64,
    cluster: Option<String>,
    /// What the queue says of it; `None` when it does not know it, or cannot be asked.
    queue: Option<Waiting>,
}

#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    status: &'a StepStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<&'a StepJob>,
}

/// A job of a sweep that the queue knows.
#[derive(Serialize)]
pub struct SweepJob {
    id: u64,
    title: String,
    queue: Waiting,
}

impl SweepJob {
    /// `job 101, runs: 2 running, 6 pending (Resources)`.
    pub fn in_words(&self) -> String {
        format!("job {}, {}: {}", self.id, self.title, self.queue.in_words())
    }
}

pub fn run(args: StatusArgs, printer: &Printer) -> anyhow::Result<()> {
    let PipelineArgs { pipeline: file, overrides, run_dir, .. } = &args.pipeline;
    if Sweep::is_sweep(file)? {
        let sweep = Sweep::load(file, overrides)?;
        let runs = sweep.runs()?;
        let dir = sweep_dir(run_dir.as_deref(), &runs)?;
        return sweep::show(&sweep, &Work::look(&runs, dir)?, &args.output, printer);
    }
    let (pipeline, standing) = args.pipeline.look(printer)?;
    let Standing { plan, dir } = &standing;
    let wanted = standing.wanted_with_done()?;
    let stages = standing.status_of(&wanted)?;
    let steps: Vec<Step> = wanted.into_iter().map(|(step, _)| step).collect();
    let submissions = submissions(dir)?;
    let queue = Queue::ask(&submissions);
    let jobs = jobs(plan, &steps, &submissions, queue.as_ref());
    if args.output.json {
        let rows = stages.iter().zip(&jobs).map(|(status, job)| Row { status, job: job.as_ref() });
        return printer.json(&json!({
            "pipeline": pipeline.name, "run_dir": dir.path(), "stages": rows.collect::<Vec<_>>(),
            // Why what was ingested stands for the source; null where that is there.
            "stands_in": plan.provenance().stands_in,
        }));
    }
    printer.note(&format!("pipeline {} in {}", pipeline.name, dir.path().display()));
    let beside = queue.map(|_| stages.iter().zip(&jobs).map(cell).collect::<Vec<_>>());
    printer.result(&table::status(&stages, beside.as_deref()))
}

/// What was submitted, newest first. Records that are damaged are passed over.
pub fn submissions(dir: &RunDir) -> Result<Vec<Submission>> {
    let mut all = Vec::new();
    for record in dir.jobs().readable::<Submission>()? {
        all.push(record?.1);
    }
    Ok(all)
}

/// The jobs at work on what lies in `dir`, and those of the newest submission that have just ended.
pub fn jobs_at(dir: &RunDir) -> Result<Vec<SweepJob>> {
    let submissions = submissions(dir)?;
    let Some(queue) = Queue::ask(&submissions) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for (place, submission) in submissions.iter().enumerate() {
        for job in &submission.jobs {
            let waiting = queue.job(job.id).filter(|it| place == 0 || it.is_at_work()).cloned();
            let of = |queue| SweepJob { id: job.id, title: job.title.clone(), queue };
            found.extend(waiting.map(of));
        }
    }
    Ok(found)
}

fn jobs(
    plan: &Plan,
    steps: &[Step],
    submissions: &[Submission],
    queue: Option<&Queue>,
) -> Vec<Option<StepJob>> {
    let job = |step: &Step| {
        let title = plan.full_title(*step);
        let of = |it: &Submission| Some((it.job_of(&title)?.id, it.cluster.clone()));
        let (id, cluster) = submissions.iter().find_map(of)?;
        Some(StepJob { id, cluster, queue: queue.and_then(|queue| queue.job(id)).cloned() })
    };
    steps.iter().map(job).collect()
}

/// A job in words; of a step that is done, only while it is at work.
fn cell((status, job): (&StepStatus, &Option<StepJob>)) -> String {
    let Some(job) = job else { return String::new() };
    match &job.queue {
        Some(waiting) if status.state != State::Done || waiting.is_at_work() => {
            format!("{}: {}", job.id, waiting.in_words())
        }
        None if status.state != State::Done => format!("{}: not in the queue", job.id),
        _ => String::new(),
    }
}
