//! Every step of a run, in order.

use super::{Outcome, Run};
use crate::Result;
use crate::schedule::{At, Step};

impl Run<'_> {
    /// Does every missing step, in order. The modules of an `async` schedule train at once, each on a
    /// thread of its own. Returns whether there was anything to do.
    ///
    /// # Errors
    /// Those of [`Run::step`].
    pub fn all_steps(&self) -> Result<bool> {
        self.all_steps_by(|| self.train_on_threads(), |_| ())
    }

    /// Does every missing step, in order. `train_at_once` trains the modules of an `async` schedule; `unchanged` is
    /// called for each step that was done before. Returns whether there was anything to do.
    ///
    /// # Errors
    /// Those of [`Run::step`] and of `train_at_once`.
    pub fn all_steps_by(
        &self,
        train_at_once: impl Fn() -> Result<()>,
        unchanged: impl Fn(Step),
    ) -> Result<bool> {
        let steps = self.standing.to_take()?;
        self.standing.check_rows(self.pipeline)?;
        self.check_room(&steps)?;
        let in_workers = self.pipeline.schedule.publishing().is_some();
        let (mut worked, mut trained) = (false, false);
        for step in steps {
            let is_training = in_workers && matches!(step, Step::Train(_));
            if is_training && !trained && !self.standing.is_done(step)? {
                train_at_once()?;
                trained = true;
            }
            if is_training && trained {
                continue;
            }
            match self.step(step)? {
                Outcome::Done => {
                    worked = true;
                    if step == Step::Ingest {
                        // The number of broken samples is known now.
                        self.standing.check_rows(self.pipeline)?;
                    }
                }
                Outcome::Unchanged => unchanged(step),
            }
        }
        Ok(worked || trained)
    }

    /// Trains every module on a thread of its own, and waits for all of them.
    fn train_on_threads(&self) -> Result<()> {
        let train = |module| self.step(Step::Train(At { module, round: 0 }));
        std::thread::scope(|scope| {
            let modules = 0..self.pipeline.modules.len();
            let workers: Vec<_> = modules.map(|it| scope.spawn(move || train(it))).collect();
            let mut all = Ok(());
            for worker in workers {
                let ended = worker.join().unwrap_or_else(|it| std::panic::resume_unwind(it));
                // After one module has failed, the others go on with what they have.
                all = all.and(ended.map(drop));
            }
            all
        })
    }
}
