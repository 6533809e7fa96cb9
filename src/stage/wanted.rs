//! The steps that a run has to see to: all but those of earlier rounds that nothing needs any more.

use std::collections::HashSet;

use super::RunDir;
use super::plan::{At, Plan, Step};
use crate::Result;

impl Plan {
    /// The steps that a run has to see to, in order. Of earlier rounds those that something needs that
    /// is not done yet.
    ///
    /// # Errors
    /// When a record or manifest cannot be read for another reason than damage.
    pub fn wanted(&self, dir: &RunDir) -> Result<Vec<Step>> {
        Ok(self.standing(dir)?.into_iter().map(|(step, _)| step).collect())
    }

    /// The same, each with whether it is done: to find that out, all parts are looked for.
    ///
    /// # Errors
    /// As [`Self::wanted`].
    pub fn standing(&self, dir: &RunDir) -> Result<Vec<(Step, bool)>> {
        let mut standing: Vec<(Step, bool)> = Vec::new();
        let mut needed: HashSet<Step> = HashSet::new();
        for step in self.steps().into_iter().rev() {
            if self.is_of_last_round(step) || needed.contains(&step) {
                let done = self.is_done(step, dir)?;
                standing.push((step, done));
                if !done {
                    needed.extend(self.inputs(step));
                }
            }
        }
        standing.reverse();
        Ok(standing)
    }

    /// Of these steps those that a run takes one after another: of what is done in one piece the first.
    ///
    /// # Errors
    /// As [`Self::wanted`].
    pub fn to_take(&self, dir: &RunDir) -> Result<Vec<Step>> {
        let mut steps = self.wanted(dir)?;
        steps.retain(|step| self.together(*step)[0] == *step);
        Ok(steps)
    }

    /// The keys of these steps: what must stay of this run.
    ///
    /// # Errors
    /// As [`Self::wanted`].
    pub fn wanted_keys(&self, dir: &RunDir) -> Result<HashSet<String>> {
        Ok(self.hashes(self.wanted(dir)?.into_iter()))
    }

    /// The keys of all steps that are of the last round, or of none.
    pub fn last_keys(&self) -> HashSet<String> {
        self.hashes(self.steps().into_iter().filter(|step| self.is_of_last_round(*step)))
    }

    /// The keys of all steps.
    pub fn all_keys(&self) -> HashSet<String> {
        self.hashes(self.steps().into_iter())
    }

    fn hashes(&self, steps: impl Iterator<Item = Step>) -> HashSet<String> {
        steps.flat_map(|step| self.keys(step)).map(|key| key.hash.clone()).collect()
    }

    /// Whether a step is of the last round, or of none.
    pub fn is_of_last_round(&self, step: Step) -> bool {
        match step {
            Step::Train(at) | Step::Encode(at) => at == self.last(at.module),
            Step::Ingest | Step::Untrained | Step::Probe(_) => true,
        }
    }

    /// The round that a module trains next: the first that is wanted and not done, or the last.
    ///
    /// # Errors
    /// As [`Self::wanted`].
    pub fn next_training(&self, module: usize, dir: &RunDir) -> Result<At> {
        self.next(module, dir, Step::Train)
    }

    /// The round of a module that is encoded next; as for trainings.
    ///
    /// # Errors
    /// As [`Self::wanted`].
    pub fn next_encoding(&self, module: usize, dir: &RunDir) -> Result<At> {
        self.next(module, dir, Step::Encode)
    }

    fn next(&self, module: usize, dir: &RunDir, step: impl Fn(At) -> Step) -> Result<At> {
        let standing = self.standing(dir)?;
        let mut rounds = (0..self.rounds()).map(|round| At { module, round });
        let next = rounds.find(|at| standing.contains(&(step(*at), false)));
        Ok(next.unwrap_or(self.last(module)))
    }
}
