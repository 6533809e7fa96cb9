//! What is done of a sweep, what is still to do, and what each end of a run brings.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::runs::of;
use super::{RunResult, SweepRun};
use crate::stage::needs::{Needs, Quiet};
use crate::stage::progress::Progress;
use crate::stage::{RunDir, Standing, Step, findings, gc};
use crate::{Error, Result};

/// The runs of a sweep in their directory.
pub struct Work<'a> {
    /// The runs, in order.
    pub runs: &'a [SweepRun],
    /// Of all runs.
    pub dir: RunDir,
    standings: Vec<Standing>,
    /// Of each run, the key of its result.
    keys: Vec<String>,
    results: HashMap<String, RunResult>,
    /// Of each run that is still to do, what keeps others from removing what it needs.
    needs: Vec<Option<Needs>>,
}

/// What a run has still to do, by the number of its steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outlook {
    /// All of its steps.
    pub steps: usize,
    /// Whether its result is there: nothing is to be done then.
    pub recorded: bool,
    /// Done already.
    pub done: usize,
    /// Not done, and of an earlier run too, which will have done them.
    pub shared: usize,
    /// Left for this run.
    pub left: usize,
}

impl<'a> Work<'a> {
    /// Looks at what is there for `runs`, and changes nothing.
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

    /// The same, to work on: makes and marks the directory when it is new, and names what the runs still to
    /// do need, so that nobody removes it.
    ///
    /// # Errors
    /// As [`Self::look`]; when the directory cannot be made.
    pub fn begin(runs: &'a [SweepRun], dir: RunDir) -> Result<Self> {
        if let Some(run) = runs.first() {
            dir.claim(&run.pipeline.name)?;
        }
        let quiet = Quiet::begin(&dir)?;
        let mut work = Self::look(runs, dir)?;
        for place in 0..runs.len() {
            // What they need of earlier rounds, they say themselves when they come to it.
            let announce = || quiet.announce(&work.dir, work.standings[place].plan.last_keys());
            let needs = if work.result(place).is_some() { None } else { Some(announce()?) };
            work.needs.push(needs);
        }
        Ok(work)
    }

    /// What a run found, if that is known.
    pub fn result(&self, run: usize) -> Option<&RunResult> {
        self.results.get(&self.keys[run])
    }

    /// What all runs found, as far as that is known.
    pub fn results(&self) -> Vec<Option<&RunResult>> {
        (0..self.runs.len()).map(|run| self.result(run)).collect()
    }

    /// The runs whose results are not there.
    pub fn to_do(&self) -> Vec<usize> {
        (0..self.runs.len()).filter(|run| self.result(*run).is_none()).collect()
    }

    /// Commits what a run found whose process has ended well after so many seconds.
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

    /// Reads what runs have found, those of other processes too, and needs nothing more for them. Whether
    /// there is more than before.
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

    /// Removes the datasets of all runs whose results are there, but for what runs still to do, or other
    /// processes, need, and for the newest generation of each. Returns the bytes that are free now.
    ///
    /// # Errors
    /// When something cannot be looked at.
    pub fn release(&self, progress: &dyn Progress) -> Result<u64> {
        let ended = (0..self.runs.len()).filter(|run| self.result(*run).is_some());
        let keys = ended.flat_map(|run| self.standings[run].plan.all_keys()).collect();
        gc::release(&self.dir, keys, progress)
    }

    /// What each run has still to do.
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
