//! The steps that a run needs: all except those of earlier rounds that nothing needs any more.

use std::collections::HashSet;

use super::Standing;
use crate::Result;
use crate::schedule::{At, Step};

impl Standing {
    /// The steps that a run needs, in order. A step of an earlier round is among them only if an unfinished step needs
    /// it.
    ///
    /// # Errors
    /// When a record or manifest cannot be read for another reason than damage.
    pub fn wanted(&self) -> Result<Vec<Step>> {
        Ok(self.wanted_with_done()?.into_iter().map(|(step, _)| step).collect())
    }

    /// The steps that a run needs, in order, each with whether it is done. To find out, all parts are looked for.
    ///
    /// # Errors
    /// Those of [`Self::wanted`].
    pub fn wanted_with_done(&self) -> Result<Vec<(Step, bool)>> {
        let mut wanted: Vec<(Step, bool)> = Vec::new();
        let mut needed: HashSet<Step> = HashSet::new();
        for step in self.plan.steps().into_iter().rev() {
            if self.plan.is_of_last_round(step) || needed.contains(&step) {
                let done = self.is_done(step)?;
                wanted.push((step, done));
                if !done {
                    needed.extend(self.plan.inputs(step));
                }
            }
        }
        wanted.reverse();
        Ok(wanted)
    }

    /// The steps that a run takes one after another: of steps that are done in one piece, only the first.
    ///
    /// # Errors
    /// Those of [`Self::wanted`].
    pub fn to_take(&self) -> Result<Vec<Step>> {
        let mut steps = self.wanted()?;
        steps.retain(|step| self.plan.together(*step)[0] == *step);
        Ok(steps)
    }

    /// The keys of the steps that a run needs: what they have written must stay.
    ///
    /// # Errors
    /// Those of [`Self::wanted`].
    pub fn wanted_keys(&self) -> Result<HashSet<String>> {
        Ok(self.plan.hashes(self.wanted()?.into_iter()))
    }

    /// The round in which `step` of a module is done next: the first that is needed and not done, or else the last.
    ///
    /// # Errors
    /// Those of [`Self::wanted`].
    pub fn next(&self, module: usize, step: impl Fn(At) -> Step) -> Result<At> {
        let wanted = self.wanted_with_done()?;
        let mut rounds = (0..self.plan.rounds()).map(|round| At { module, round });
        let next = rounds.find(|at| wanted.contains(&(step(*at), false)));
        Ok(next.unwrap_or(self.plan.last(module)))
    }
}
