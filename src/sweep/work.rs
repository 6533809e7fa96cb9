//! The state of a sweep: which runs are done, and what is left to do. It changes whenever a run ends.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::runs::of;
use super::{RunResult, SweepRun};
use crate::stage::pins::{Pins, Quiet};
use crate::stage::progress::Progress;
use crate::stage::{RunDir, Standing, Step, findings, gc};
use crate::{Error, Result};

/// The runs of a sweep, in their directory.
pub struct Work<'a> {
    /// The runs, in order.
    pub runs: &'a [SweepRun],
    /// The directory of all runs.
    pub dir: RunDir,
    standings: Vec<Standing>,
    /// For each run, the key of its result.
    keys: Vec<String>,
    results: HashMap<String, RunResult>,
    /// For each unfinished run, the announcement of its needs, so that other processes do not remove them.
    needs: Vec<Option<Pins>>,
}

/// What is left to do for a run, in numbers of steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outlook {
    /// All steps of the run.
    pub steps: usize,
    /// Whether its result is there. If so, nothing is left to do.
    pub recorded: bool,
    /// Steps that are done.
    pub done: usize,
    /// Steps that are not done and that an earlier run will do.
    pub shared: usize,
    /// Steps that are left for this run.
    pub left: usize,
}

impl<'a> Work<'a> {
    /// Finds what is there for `runs`, and changes nothing.
    ///
    /// # Errors
    /// When the directory belongs to another pipeline, a source cannot be opened, or a result cannot be
    /// read.
    pub fn look(runs: &'a [SweepRun], dir: RunDir) -> Result<Self> {
        if let Some(run) = runs.first() {
            dir.check_owner(&run.pipeline.name)?;
        }
        let standing = |run: &SweepRun| {
            Standing::new(&run.pipeline, dir.clone()).map_err(|it| of(&run.title, it))
        };
        let standings = runs.iter().map(standing).collect::<Result<Vec<_>>>()?;
        let keys = standings.iter().map(|it| RunResult::key_of(&it.plan)).collect();
        let results = RunResult::all(&dir.sweep_results())?;
        Ok(Self { runs, dir, standings, keys, results, needs: vec![] })
    }

    /// Begins the work on `runs`: makes and marks the directory when it is new, and announces what the unfinished runs
    /// need, so that no process removes it.
    ///
    /// # Errors
    /// Those of [`Self::look`]; when the directory cannot be made.
    pub fn begin(runs: &'a [SweepRun], dir: RunDir) -> Result<Self> {
        if let Some(run) = runs.first() {
            dir.claim(&run.pipeline.name)?;
        }
        let quiet = Quiet::begin(&dir)?;
        let mut work = Self::look(runs, dir)?;
        for place in 0..runs.len() {
            // When a run works, it announces itself what it needs from earlier rounds.
            let announce = || quiet.announce(&work.dir, work.standings[place].plan.last_keys());
            let needs = if work.result(place).is_some() { None } else { Some(announce()?) };
            work.needs.push(needs);
        }
        Ok(work)
    }

    /// The result of a run, if it is known.
    pub fn result(&self, run: usize) -> Option<&RunResult> {
        self.results.get(&self.keys[run])
    }

    /// The results of all runs, as far as they are known.
    pub fn results(&self) -> Vec<Option<&RunResult>> {
        (0..self.runs.len()).map(|run| self.result(run)).collect()
    }

    /// The runs whose results are not there.
    pub fn to_do(&self) -> Vec<usize> {
        (0..self.runs.len()).filter(|run| self.result(*run).is_none()).collect()
    }

    /// Commits the result of a run whose process has ended well after `seconds` seconds.
    ///
    /// # Errors
    /// [`crate::Kind::Failed`] when a probe is not there; when the result cannot be written.
    pub fn finish(&mut self, run: usize, seconds: f64) -> Result<()> {
        let standing = &self.standings[run];
        for step in standing.plan.steps() {
            if matches!(step, Step::Probe(_)) && !standing.is_done(step)? {
                let message =
                    format!("`{}` ended well, and is not there", standing.plan.title(step));
                return Err(of(&self.runs[run].title, Error::failed(message)));
            }
        }
        let rows = findings::collect(standing, &standing.status()?)?;
        let result = RunResult { key: self.keys[run].clone(), rows, seconds };
        self.dir.sweep_results().commit(|_| result.clone())?;
        self.look_again()?;
        Ok(())
    }

    /// Reads the results again, including those of other processes, and drops the needs of runs that have one. Returns
    /// whether there are more results than before.
    ///
    /// # Errors
    /// When a result cannot be read.
    pub fn look_again(&mut self) -> Result<bool> {
        let known = self.to_do().len();
        self.results = RunResult::all(&self.dir.sweep_results())?;
        let to_do = self.to_do();
        for (run, needs) in self.needs.iter_mut().enumerate() {
            if !to_do.contains(&run) {
                *needs = None;
            }
        }
        Ok(to_do.len() < known)
    }

    /// Removes the datasets of all runs whose results are there. Two things stay: what unfinished runs or other
    /// processes need, and the newest generation of each dataset. Returns the bytes that are freed.
    ///
    /// # Errors
    /// When something cannot be looked at.
    pub fn release(&self, progress: &dyn Progress) -> Result<u64> {
        let ended = (0..self.runs.len()).filter(|run| self.result(*run).is_some());
        let keys = ended.flat_map(|run| self.standings[run].plan.all_keys()).collect();
        gc::release(&self.dir, keys, progress)
    }

    /// What is left to do for each run.
    ///
    /// # Errors
    /// When what is there cannot be read.
    pub fn outlook(&self) -> Result<Vec<Outlook>> {
        let mut earlier = HashSet::new();
        let mut all = Vec::new();
        for (run, standing) in self.standings.iter().enumerate() {
            let steps = standing.plan.steps();
            let recorded = self.result(run).is_some();
            let mut outlook = Outlook { steps: steps.len(), recorded, done: 0, shared: 0, left: 0 };
            for step in steps {
                let keys = || standing.plan.keys(step).into_iter().map(|key| key.hash.clone());
                if recorded || standing.is_done(step)? {
                    outlook.done += 1;
                } else if keys().all(|key| earlier.contains(&key)) {
                    outlook.shared += 1;
                } else {
                    outlook.left += 1;
                    earlier.extend(keys());
                }
            }
            all.push(outlook);
        }
        Ok(all)
    }
}
