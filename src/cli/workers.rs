//! Starts and watches the workers of an `async` schedule on this machine, and restarts them.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::arguments::{DeviceArgs, GlobalArgs, PipelineArgs};
use super::bars::Bars;
use super::printer::Printer;
use super::processes::{self, Ended, Event};
use super::{child, interrupt};
use crate::pipeline::MOST_THREADS;
use crate::stage::{self, At, Run, Step};
use crate::{Error, Kind, Result};

/// The pause before a failed worker is started again. It doubles each time that the worker has made no
/// progress.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A worker that fails this often without progress is given up.
const MOST_ERRORS: u32 = 3;

/// A worker that is killed this often without progress is given up. The limit is higher, because the cause is
/// usually outside.
const MOST_KILLS: u32 = 20;

/// The history of a worker.
#[derive(Default)]
struct Worker {
    /// The steps of its last known checkpoint.
    steps: u64,
    /// Errors since it last made progress.
    errors: u32,
    kills: u32,
    given_up: Option<(Kind, String)>,
}

/// Trains all untrained modules, each in its own process.
///
/// # Errors
/// [`Kind::Interrupted`] when asked to stop; when a worker was given up. In that case the others first continue
/// to their end with what they have.
pub fn train(
    run: &Run<'_>,
    pipeline: &PipelineArgs,
    device: &DeviceArgs,
    globals: &GlobalArgs,
    printer: &Printer,
) -> Result<()> {
    let mut untrained = Vec::new();
    for module in 0..run.pipeline.modules.len() {
        if !run.standing.is_done(training(module))? {
            untrained.push(module);
        }
    }
    // Each worker gets all threads: while one waits, the others use its cores. The weights then have the same
    // bits as with other schedules and as many threads.
    let threads = NonZeroUsize::new(rayon::current_num_threads().min(MOST_THREADS));
    let globals = GlobalArgs { threads, ..globals.clone() };
    let run_dir = Some(run.standing.dir.path().to_path_buf());
    let pipeline = PipelineArgs { run_dir, ..pipeline.clone() };
    let command = |module: usize| {
        let mut command = child::command("worker", &[&pipeline, device, &globals])?;
        command.args(["--module", run.standing.plan.module(module)]);
        Ok(command)
    };
    let mut workers: Vec<Worker> = run.pipeline.modules.iter().map(|_| Worker::default()).collect();
    let (all, watched) = (untrained.len(), printer.is_watched() && !printer.is_quiet());
    let mut bars = Bars::default();
    processes::work(&untrained, all, watched, interrupt::stop(), command, |event| {
        Ok(match event {
            Event::Line(module, line) => {
                bars.above(|| printer.forward(run.standing.plan.module(module), &line));
                None
            }
            Event::Progress(module, shown) => {
                bars.show(module, &shown);
                None
            }
            Event::Ended(module, ended) => {
                bars.end(module);
                let name = run.standing.plan.module(module);
                let steps = stage::steps_trained(run, module);
                let pause = workers[module].ended(steps, ended);
                if pause.is_some() {
                    let lost = format!("the worker of `{name}` was lost: it is started again");
                    bars.above(|| printer.warn(&lost));
                }
                pause
            }
        })
    })?;
    match workers.into_iter().enumerate().find_map(|(module, it)| Some((module, it.given_up?))) {
        None => Ok(()),
        Some((module, (kind, why))) => {
            let message =
                format!("the worker of `{}` failed: {why}", run.standing.plan.module(module));
            Err(Error::new(kind, message)
                .hint("what was done is kept; the same command goes on from there"))
        }
    }
}

fn training(module: usize) -> Step {
    Step::Train(At { module, round: 0 })
}

impl Worker {
    /// Records how the worker's process ended after `steps` steps. Returns the pause before it is started
    /// again, or `None` if it is not.
    fn ended(&mut self, steps: u64, ended: Ended) -> Option<Duration> {
        let (kind, why) = ended.failure?;
        if steps > self.steps {
            *self = Self { steps, ..Self::default() };
        }
        if ended.killed {
            self.kills += 1;
        } else {
            self.errors += 1;
        }
        // Trying again does not help with these.
        let hopeless = matches!(kind, Kind::Usage | Kind::Damaged | Kind::NotReady);
        if hopeless || self.errors >= MOST_ERRORS || self.kills >= MOST_KILLS {
            self.given_up = Some((kind, why));
            return None;
        }
        let doublings = (self.errors + self.kills - 1).min(16);
        Some((FIRST_PAUSE * (1 << doublings)).min(LONGEST_PAUSE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(kind: Kind, killed: bool) -> Ended {
        Ended { failure: Some((kind, "why".into())), killed, seconds: 1.0 }
    }

    #[test]
    fn one_that_comes_no_further_is_given_up_and_one_that_does_is_not() {
        let mut worker = Worker::default();
        assert_eq!(worker.ended(0, ended(Kind::Failed, false)), Some(FIRST_PAUSE));
        assert_eq!(worker.ended(0, ended(Kind::Failed, false)), Some(2 * FIRST_PAUSE));
        assert_eq!(worker.ended(9, ended(Kind::Failed, false)), Some(FIRST_PAUSE));
        assert!(worker.ended(9, ended(Kind::Failed, false)).is_some());
        assert_eq!(worker.ended(9, ended(Kind::Failed, false)), None);
        assert!(worker.given_up.is_some());
    }

    #[test]
    fn one_that_is_killed_is_begun_again_more_often_and_a_hopeless_one_not_at_all() {
        let mut worker = Worker::default();
        let pauses: Vec<_> =
            (1..MOST_KILLS).map(|_| worker.ended(0, ended(Kind::Failed, true))).collect();
        assert!(pauses.iter().all(|pause| pause.is_some_and(|it| it <= LONGEST_PAUSE)));
        assert_eq!(worker.ended(0, ended(Kind::Failed, true)), None);
        assert_eq!(Worker::default().ended(0, ended(Kind::Usage, false)), None);
        let well = Ended { failure: None, killed: false, seconds: 1.0 };
        assert_eq!(Worker::default().ended(0, well), None);
    }
}
