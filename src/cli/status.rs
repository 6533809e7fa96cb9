//! `gimlet status`: shows the state of every step, or of every run of a sweep, and of its job.

use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::arguments::{JsonArgs, PipelineArgs};
use super::printer::Printer;
use super::session::sweep_dir;
use super::{jobs, sweep, table};
use crate::slurm::{Queue, Submission, Waiting};
use crate::stage::status::{State, StepStatus};
use crate::stage::{Plan, Standing, Step};
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
    /// The state in the queue; `None` if the queue does not know the job, or cannot be asked.
    queue: Option<Waiting>,
}

#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    status: &'a StepStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<&'a StepJob>,
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
    let submissions = jobs::submissions(dir)?;
    let queue = Queue::ask(&submissions);
    let jobs = jobs_of(plan, &steps, &submissions, queue.as_ref());
    if args.output.json {
        let rows = stages.iter().zip(&jobs).map(|(status, job)| Row { status, job: job.as_ref() });
        return printer.json(&json!({
            "pipeline": pipeline.name, "run_dir": dir.path(), "stages": rows.collect::<Vec<_>>(),
            // Why the ingested data stand in for the source; null if the source is there.
            "stands_in": plan.provenance().stands_in,
        }));
    }
    printer.note(&format!("pipeline {} in {}", pipeline.name, dir.path().display()));
    let beside = queue.map(|_| stages.iter().zip(&jobs).map(cell).collect::<Vec<_>>());
    printer.result(&table::status(&stages, beside.as_deref()))
}

fn jobs_of(
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

/// A job in words; for a step that is done, only while the job is at work.
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
