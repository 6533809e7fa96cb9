//! `gimlet sweep`: runs a grid of settings and seeds, and makes one table of the results.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use gimlet_store::{Shard, path_of};
use serde_json::json;

use super::arguments::{DeviceArgs, GlobalArgs, JsonArgs, PipelineArgs};
use super::bars::{Bars, Shown};
use super::interrupt::RuntimeArgs;
use super::printer::Printer;
use super::processes::{self, Event};
use super::render::Renderer;
use super::session::sweep_dir;
use super::shard::ShardArg;
use super::{child, interrupt, jobs, table};
use crate::pipeline::MOST_THREADS;
use crate::quantity::counted;
use crate::stage::comparison::Line;
use crate::sweep::{self, Sweep, Work};
use crate::{Error, Kind, Result};

#[derive(Args)]
pub struct SweepArgs {
    /// The sweep file (TOML)
    sweep: PathBuf,

    /// Override a key of all runs, after what the file's `[set]` says; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,

    /// Runs at once; each computes on its share of the cores, unless `--threads` says how many
    #[arg(long, value_name = "N", default_value = "1")]
    jobs: NonZeroUsize,

    /// Directory that holds all runs, and what they found [default: runs/sweeps/<pipeline name>]
    #[arg(long, value_name = "DIR", value_parser = path_of)]
    run_dir: Option<PathBuf>,

    /// Do these runs alone: those whose place in the list, from 0, leaves I when divided by N; or `auto`, as
    /// for `gimlet encode`. Several such processes may share the directory at the same time; the last to end
    /// has all runs in its table
    #[arg(long, value_name = "I/N|auto", conflicts_with = "dry_run")]
    shard: Option<ShardArg>,

    #[command(flatten)]
    runtime: RuntimeArgs,

    /// Keep the datasets of runs that are done, where they would make room for the others
    #[arg(long)]
    keep: bool,

    /// List the runs and what each has still to do, and do nothing
    #[arg(long)]
    dry_run: bool,

    /// Print a table of all modules as well
    #[arg(long)]
    all_modules: bool,

    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    output: JsonArgs,
}

/// A run that ended with an error.
pub struct Failure {
    /// The number of the run.
    run: usize,
    /// The title of the run.
    title: String,
    kind: Kind,
    /// The error message.
    why: String,
}

/// Does the runs of a sweep.
pub struct Runner<'a> {
    /// The number of runs at once.
    pub jobs: NonZeroUsize,
    /// Whether the datasets of finished runs are kept.
    pub keep: bool,
    pub device: &'a DeviceArgs,
    pub globals: &'a GlobalArgs,
}

pub fn run(args: SweepArgs, globals: &GlobalArgs, printer: &Printer) -> anyhow::Result<()> {
    args.runtime.begin();
    let shard = args.shard.map_or(Ok(Shard::WHOLE), ShardArg::shard)?;
    let sweep = Sweep::load(&args.sweep, &args.overrides)?;
    // Finds all mistakes before any work.
    let runs = sweep.runs()?;
    for run in &runs {
        args.device.open(&run.pipeline)?;
    }
    let dir = sweep_dir(args.run_dir.as_deref(), &runs)?;
    if args.dry_run {
        return show(&sweep, &Work::look(&runs, dir)?, &args.output, printer);
    }
    let mut work = Work::begin(&runs, dir)?;
    let runner = Runner { jobs: args.jobs, keep: args.keep, device: &args.device, globals };
    let failures = runner.work(&sweep, &mut work, shard, printer)?;

    let baseline = &sweep.variants[sweep.baseline].name;
    let folder = work.dir.sweep(&sweep.name);
    let summaries = loop {
        let results = work.results();
        let summaries = sweep::summaries(&sweep, &runs, &results);
        if !summaries.is_empty() {
            folder.create_folder()?;
            let write = |name: &str, bytes: &[u8]| folder.join(name).replace(bytes);
            write(RESULTS, &sweep::results_file(&sweep, &runs, &results)?)?;
            write(TABLE, table::sweep_markdown(&summaries, baseline).as_bytes())?;
            write(PLOT, sweep::plot(&sweep.name, &summaries, baseline)?.as_bytes())?;
        }
        // Another process may have finished runs meanwhile: if so, the files are written again with all
        // results.
        if !work.look_again()? {
            break summaries;
        }
    };
    if args.output.json {
        let failed = failures.iter().map(|it| {
            let run = &runs[it.run];
            let variant = &sweep.variants[run.variant].name;
            json!({ "variant": variant, "seed": run.seed, "error": it.why })
        });
        printer.json(&json!({
            "sweep": sweep.name, "run_dir": work.dir.path(), "folder": folder.path(), "baseline": baseline,
            "variants": summaries, "failed": failed.collect::<Vec<_>>(),
        }))?;
    } else if !summaries.is_empty() {
        printer.note("");
        printer.result(&table::sweep(&summaries, baseline))?;
        if args.all_modules {
            let lines: Vec<Line> = summaries.iter().flat_map(|it| it.lines.clone()).collect();
            printer.result(&format!("\n{}", table::comparison(&lines)))?;
        }
    }
    if !summaries.is_empty() {
        printer.note(&format!("\n{RESULTS}, {TABLE} and {PLOT} are in {folder}"));
    }
    Ok(report(&failures, runs.len())?)
}

/// The files of results: one row per run, module and kind; one row per variant; one dot per run.
const RESULTS: &str = "results.parquet";
const TABLE: &str = "table.md";
const PLOT: &str = "plot.svg";

impl Runner<'_> {
    /// Does all runs that are not done; returns the failures.
    pub fn work(
        &self,
        sweep: &Sweep,
        work: &mut Work<'_>,
        shard: Shard,
        printer: &Printer,
    ) -> Result<Vec<Failure>> {
        let runs = work.runs;
        let renderer = Renderer::new(printer);
        let mut to_do = work.to_do();
        to_do.retain(|run| shard.has(*run));
        let own = (0..runs.len()).filter(|run| shard.has(*run)).count();
        let before = own - to_do.len();
        if before > 0 {
            printer.note(&format!("{} of {} done before", before, counted(own, "run")));
            if !self.keep {
                // The process that did them may have ended before it could do this.
                work.release(&renderer)?;
            }
        }
        let threads = self.globals.threads.unwrap_or_else(|| share_of_cores(self.jobs));
        let globals = GlobalArgs { threads: Some(threads), ..self.globals.clone() };
        let dir = work.dir.clone();
        let command = |run: usize| {
            let pipeline = PipelineArgs {
                pipeline: sweep.pipeline.clone(),
                overrides: runs[run].overrides.clone(),
                run_dir: Some(dir.path().to_path_buf()),
                wait: true,
            };
            // JSON, since the table is not shown.
            let output = JsonArgs { json: true };
            child::command("run", &[&pipeline, self.device, &output, &globals])
        };
        let (mut failures, mut ended) = (Vec::new(), before);
        let mut bars = Bars::default();
        let watched = printer.is_watched() && !printer.is_quiet();
        let told = |event: Event| {
            match event {
                Event::Line(run, line) => {
                    bars.above(|| printer.note(&format!("{} | {line}", runs[run].title)));
                }
                Event::Progress(run, shown) => {
                    let facts = format!("{}  {}", shown.title, shown.facts);
                    bars.show(run, &Shown { title: runs[run].title.clone(), facts, ..shown });
                }
                Event::Ended(run, how) => {
                    ended += 1;
                    bars.end(run);
                    let title = &runs[run].title;
                    let of_all = format!("{ended} of {own}");
                    match how.failure {
                        None => {
                            work.finish(run, how.seconds)?;
                            if !self.keep {
                                work.release(&renderer)?;
                            }
                            let seconds = how.seconds;
                            bars.above(|| {
                                printer.note(&format!("{of_all}: {title}  ({seconds:.1} s)"));
                            });
                        }
                        Some((kind, why)) => {
                            bars.above(|| printer.note(&format!("{of_all}: {title}  failed")));
                            failures.push(Failure { run, title: title.clone(), kind, why });
                        }
                    }
                }
            }
            Ok(None)
        };
        processes::work(&to_do, self.jobs.get(), watched, interrupt::stop(), command, told)?;
        failures.sort_by_key(|it| it.run);
        Ok(failures)
    }
}

/// The threads per run, with `jobs` runs at once.
fn share_of_cores(jobs: NonZeroUsize) -> NonZeroUsize {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    NonZeroUsize::new((cores / jobs).min(MOST_THREADS)).unwrap_or(NonZeroUsize::MIN)
}

/// Fails with a list of `failures`, if there are any. The error has their kind if they share one.
pub fn report(failures: &[Failure], runs: usize) -> Result<()> {
    let Some(Failure { kind: first, .. }) = failures.first() else { return Ok(()) };
    let same = failures.iter().all(|it| it.kind == *first);
    let lines = failures.iter().map(|it| format!("\n{}: {}", it.title, it.why));
    let count = format!("{} of {} failed", failures.len(), counted(runs, "run"));
    let message = format!("{count}:{}", lines.collect::<String>());
    let kind = if same { *first } else { Kind::Failed };
    Err(Error::new(kind, message)
        .hint("what the others found is kept; run the same command again for the rest"))
}

/// Shows every run of a sweep, what it still has to do, and the state of the sweep's jobs in the queue.
pub fn show(
    sweep: &Sweep,
    work: &Work<'_>,
    output: &JsonArgs,
    printer: &Printer,
) -> anyhow::Result<()> {
    let outlook = work.outlook()?;
    let jobs = jobs::jobs_at(&work.dir)?;
    let all = || work.runs.iter().zip(&outlook);
    if output.json {
        let runs = all().map(|(run, outlook)| {
            json!({
                "variant": sweep.variants[run.variant].name, "seed": run.seed,
                "settings": run.overrides, "steps": outlook,
            })
        });
        return printer.json(&json!({
            "sweep": sweep.name, "run_dir": work.dir.path(),
            "runs": runs.collect::<Vec<_>>(), "jobs": jobs,
        }));
    }
    let rows = all().map(|(run, outlook)| {
        vec![
            sweep.variants[run.variant].name.clone(),
            run.seed.to_string(),
            outlook.steps.to_string(),
            outlook.done.to_string(),
            outlook.shared.to_string(),
            outlook.left.to_string(),
            if outlook.recorded { "done" } else { "to do" }.to_owned(),
        ]
    });
    let header = ["variant", "seed", "steps", "done", "shared", "left", "run"];
    printer.result(&table::plain(&header, rows.collect(), &[1, 2, 3, 4, 5]))?;
    let left: usize = outlook.iter().map(|it| it.left).sum();
    let (to_do, runs) = (work.to_do().len(), counted(work.runs.len(), "run"));
    printer.result(&format!(
        "\n{to_do} of {runs} to do, with {}; shared: with an earlier run of the list",
        counted(left, "step")
    ))?;
    jobs.iter().try_for_each(|job| printer.result(&job.in_words()))
}
