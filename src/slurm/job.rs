//! Turns the steps of a run into jobs: what each job runs, and which jobs have to end well before it.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use crate::Result;
use crate::pipeline::{Pipeline, Requests, Slurm, Split};
use crate::stage::cost::Costs;
use crate::stage::run_dir::UNTRAINED;
use crate::stage::{At, Plan, Standing, Step, StepKind};

/// The most shards when the caller names no number.
const MOST_SHARDS: u64 = 8;

/// The most tasks in an array when the caller names no number: below what Slurm allows by default (`MaxArraySize`).
const MOST_TASKS: usize = 1000;

/// The tasks of a sweep's array that run at once when the caller names no number.
const SWEEP_THROTTLE: usize = 8;

/// The requests that only jobs of this kind make: one of the tables in `[slurm]`.
pub fn own(kind: StepKind, slurm: &Slurm) -> &Requests {
    match kind {
        StepKind::Ingest => &slurm.ingest,
        StepKind::Train => &slurm.train,
        StepKind::Encode => &slurm.encode,
        StepKind::Probe => &slurm.probe,
    }
}

/// The tasks of an array, of which at most `throttle` run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Array {
    /// The number of tasks.
    pub tasks: usize,
    /// How many run at once; all when `None`.
    pub throttle: Option<usize>,
}

/// A job of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The name of its step or steps, as in messages. No two jobs of a script have the same.
    pub title: String,
    /// What its steps do.
    pub kind: StepKind,
    /// The titles of its steps, as [`Plan::full_title`] has them.
    pub steps: Vec<String>,
    /// The indices of earlier jobs that have to end well before this one.
    pub after: Vec<usize>,
    /// Its tasks, where it is an array.
    pub array: Option<Array>,
    /// What it runs.
    pub runs: Commands,
}

/// What a job runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Commands {
    /// One command: `gimlet COMMAND PIPELINE … ARGUMENTS`.
    One {
        /// The name of the command.
        command: &'static str,
        /// What stands after the pipeline and the options.
        arguments: Vec<String>,
    },
    /// One task per module, all at once: `gimlet worker PIPELINE … --module MODULE`.
    Workers {
        /// The names of the modules.
        modules: Vec<String>,
    },
}

impl Commands {
    /// How many tasks run at once in the job.
    pub fn tasks(&self) -> usize {
        match self {
            Commands::One { .. } => 1,
            Commands::Workers { modules } => modules.len(),
        }
    }
}

/// How many tasks arrays have, and how many of these run at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sharding {
    /// Tasks in an array. When `None`: one per part or run, up to 8 for parts and 1000 for runs.
    pub shards: Option<NonZeroUsize>,
    /// Tasks of an array that run at once.
    pub throttle: Option<NonZeroUsize>,
}

/// Makes the jobs for the steps of `pipeline` that are not done, in order.
///
/// # Errors
/// When a record or manifest cannot be read; where activations are to be written, those of [`Standing::costs`].
pub fn of_pipeline(
    pipeline: &Pipeline,
    standing: &Standing,
    sharding: Sharding,
) -> Result<Vec<Job>> {
    let plan = &standing.plan;
    let mut missing = Vec::new();
    for step in standing.to_take()? {
        if !standing.are_done_together(step)? {
            missing.push(step);
        }
    }
    let of = |is: fn(&Step) -> bool| missing.iter().copied().filter(is).collect::<Vec<_>>();
    let (trainings, probes) =
        (of(|it| matches!(it, Step::Train(_))), of(|it| matches!(it, Step::Probe(_))));
    let in_workers = pipeline.schedule.publishing().is_some();
    let mut jobs = Jobs::default();
    let mut costs = None;
    for &step in &missing {
        match step {
            Step::Ingest => jobs.add(plan, &[step], None, one("ingest", vec![wait()])),
            Step::Untrained => {
                let runs = one("encode", vec![UNTRAINED.to_string(), wait()]);
                jobs.add(plan, &[step], None, runs);
            }
            // One job for all trainings, before the jobs that read their output.
            Step::Train(_) if in_workers && trainings.first() != Some(&step) => {}
            Step::Train(_) if in_workers => {
                let names = trainings.iter().map(|step| plan.stage_name(*step)).collect();
                let runs = Commands::Workers { modules: names };
                jobs.add(plan, &trainings, None, runs);
            }
            Step::Train(at) => {
                let runs = one("train", of_module(plan, at));
                jobs.add(plan, &[step], None, runs);
            }
            Step::Encode(at) => {
                let mut tasks = None;
                // An encoding in one pass over the samples is not cut into shards.
                if !pipeline.schedule.is_in_one_pass() {
                    let known = costs.take().map_or_else(|| standing.costs(pipeline), Ok)?;
                    tasks = array(pipeline, costs.insert(known), step, sharding);
                }
                let mut arguments = of_module(plan, at);
                if tasks.is_some() {
                    arguments.extend(["--shard".to_string(), "auto".to_string()]);
                }
                jobs.add(plan, &[step], tasks, one("encode", arguments));
            }
            Step::Probe(_) => {}
        }
    }
    if !probes.is_empty() {
        jobs.add(plan, &probes, None, one("probe", vec![wait()]));
    }
    Ok(jobs.all)
}

/// Makes the jobs of a sweep of `runs` runs: an array that does them, and a job that shows the table.
pub fn of_sweep(runs: usize, sharding: Sharding) -> Vec<Job> {
    let tasks = sharding.shards.map_or(MOST_TASKS, NonZeroUsize::get).min(runs).max(1);
    let throttle = sharding.throttle.map_or(SWEEP_THROTTLE, NonZeroUsize::get).min(tasks);
    let job = |title: &str, kind, after, array, arguments| Job {
        title: title.to_string(),
        kind,
        steps: vec![],
        after,
        array,
        runs: one("sweep", arguments),
    };
    let array = Some(Array { tasks, throttle: Some(throttle) });
    vec![
        job("runs", StepKind::Train, vec![], array, vec!["--shard".into(), "auto".into()]),
        job("table", StepKind::Probe, vec![0], None, vec![]),
    ]
}

fn one(command: &'static str, arguments: Vec<String>) -> Commands {
    Commands::One { command, arguments }
}

/// The option `--wait`: a job that Slurm starts again may find its first process, which has lost its node, still at
/// work.
fn wait() -> String {
    "--wait".to_string()
}

/// The arguments for a module, with its round where there are several: by the time the job runs, the next round may be
/// another one.
fn of_module(plan: &Plan, at: At) -> Vec<String> {
    let mut arguments = vec![plan.module(at.module).to_string()];
    if plan.rounds() > 1 {
        arguments.extend(["--round".to_string(), (at.round + 1).to_string()]);
    }
    arguments.push(wait());
    arguments
}

/// The jobs so far.
#[derive(Default)]
struct Jobs {
    all: Vec<Job>,
    /// The index of the job that does a step.
    of_step: HashMap<Step, usize>,
}

impl Jobs {
    /// Adds a job for `steps`, which are of one kind.
    fn add(&mut self, plan: &Plan, steps: &[Step], array: Option<Array>, runs: Commands) {
        let together: Vec<Step> = steps.iter().flat_map(|step| plan.together(*step)).collect();
        let inputs = together.iter().flat_map(|step| plan.inputs(*step));
        let mut after: Vec<usize> =
            inputs.filter_map(|input| self.of_step.get(&input).copied()).collect();
        after.sort_unstable();
        after.dedup();
        // A job that comes before one of these need not be named as well.
        let implied: Vec<usize> = after.iter().flat_map(|job| self.before(*job)).collect();
        after.retain(|job| !implied.contains(job));
        let place = self.all.len();
        self.of_step.extend(together.iter().map(|step| (*step, place)));
        self.all.push(Job {
            title: title(plan, steps),
            kind: steps[0].kind(),
            steps: together.iter().map(|step| plan.full_title(*step)).collect(),
            after,
            array,
            runs,
        });
    }

    /// All jobs that have to end before `job` begins.
    fn before(&self, job: usize) -> Vec<usize> {
        let mut found = self.all[job].after.clone();
        let mut next = 0;
        while let Some(&before) = found.get(next) {
            found.extend(&self.all[before].after);
            next += 1;
        }
        found
    }
}

/// The array that the encoding of a module is cut into; `None` where it has one task.
fn array(pipeline: &Pipeline, costs: &Costs<'_>, step: Step, sharding: Sharding) -> Option<Array> {
    let parts = costs.rows(step, Split::Train).div_ceil(pipeline.store.rows_per_part as u64);
    let asked = sharding.shards.map(NonZeroUsize::get);
    let tasks = asked.unwrap_or(parts.clamp(1, MOST_SHARDS) as usize);
    let throttle = sharding.throttle.map(NonZeroUsize::get).filter(|it| *it < tasks);
    (tasks > 1).then_some(Array { tasks, throttle })
}

/// The title of steps of one kind: `train a, b`; for one step, its full title.
fn title(plan: &Plan, steps: &[Step]) -> String {
    match steps {
        [one] => plan.full_title(*one),
        [first, ..] => {
            let names: Vec<String> = steps.iter().map(|step| plan.stage_name(*step)).collect();
            format!("{} {}", first.kind().name(), names.join(", "))
        }
        [] => String::new(),
    }
}
