//! The workers of an `async` schedule on this machine: started, watched, and started again.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::arguments::{DeviceArgs, GlobalArgs, PipelineArgs};
use super::printer::Printer;
use super::processes::{self, Ended, Event};
use super::{child, interrupt};
use crate::pipeline::MOST_THREADS;
use crate::stage::{At, Run, Step};
use crate::{Error, Kind, Result};

/// How long it takes until a worker that has ended badly is begun again; each time that it has come no
/// further, twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A worker that ends so often with an error, and comes no further, is given up.
const MOST_ERRORS: u32 = 3;

/// The same of one that is killed, which is as a rule not its own doing.
const MOST_KILLS: u32 = 20;

/// What a worker has been through.
#[derive(Default)]
struct Worker {
    /// How far the last checkpoint was that anybody saw.
    steps: u64,
    /// Since it has come further.
    errors: u32,
    kills: u32,
    given_up: Option<(Kind, String)>,
}

/// Trains the modules that are not trained, each in a process of its own, until all are.
///
/// # Errors
/// [`Kind::Interrupted`] when asked to stop; when a worker was given up, once the others have ended, which
/// go on with what they have.
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
    // Each has all of them: while one waits, the others have its cores, and weights end in the same bits as
    // those of other schedules with as many threads.
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
    let all = untrained.len();
    processes::work(&untrained, all, interrupt::stop(), command, |event| {
        Ok(match event {
            Event::Line(module, line) => {
                printer.forward(run.standing.plan.module(module), &line);
                None
            }
            Event::Ended(module, ended) => {
                let name = run.standing.plan.module(module);
                let steps = run.steps_trained(module);
                let pause = workers[module].ended(steps, ended);
                if pause.is_some() {
                    printer.warn(&format!("the worker of `{name}` was lost: it is started again"));
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
    /// Takes note of how its process ended after `steps` steps; how long to pause before it is begun again,
    /// if it is to be.
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
        // What is wrong with these is not mended by trying again.
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
