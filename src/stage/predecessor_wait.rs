//! A worker that waits for its predecessor, and when to stop waiting.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::{Run, RunDir, lock};
use crate::schedule::{At, Step};
use crate::{Error, Kind, Result};

/// Time without any process at work on a predecessor after which a worker stops waiting for it. A worker that was
/// killed is started again well before.
const GONE_AFTER: Duration = Duration::from_secs(5);

/// Time to wait for a predecessor that has written nothing and has no process at work on it: workers on other
/// machines may start later.
const NEVER_AFTER: Duration = Duration::from_secs(60);

/// Waits for the pause between two looks at the run directory.
pub fn a_moment(dir: &RunDir) {
    std::thread::sleep(dir.location().properties().pause);
}

/// A worker that waits for something newer from its predecessor.
pub struct PredecessorWait<'r, 'a> {
    run: &'r Run<'a>,
    predecessor: At,
    /// Since when no process has been at work on the predecessor.
    alone_since: Option<Instant>,
    told: bool,
    /// When `is_over_now` looked last, and whether its answer is final.
    looked: Cell<Option<(Instant, bool)>>,
}

impl<'r, 'a> PredecessorWait<'r, 'a> {
    pub fn new(run: &'r Run<'a>, predecessor: At) -> Self {
        Self { run, predecessor, alone_since: None, told: false, looked: Cell::new(None) }
    }

    /// Whether nothing newer will come: the predecessor has ended, or no process has worked on it for a
    /// while.
    ///
    /// # Errors
    /// When the record of the predecessor's training cannot be read.
    pub fn is_over(&mut self) -> Result<bool> {
        if self.has_ended()? {
            return Ok(true);
        }
        if self.is_at_work()? {
            self.alone_since = None;
            return Ok(false);
        }
        let over = self.alone_since.get_or_insert_with(Instant::now).elapsed() >= GONE_AFTER;
        if over && !std::mem::replace(&mut self.told, true) {
            self.run.session.progress.warn(&format!(
                "no worker works on `{}`: going on with what it has written",
                self.name()
            ));
        }
        Ok(over)
    }

    /// Whether no process is writing anything newer at this moment.
    ///
    /// # Errors
    /// Those of [`Self::is_over`].
    pub fn is_over_now(&self) -> Result<bool> {
        // This is called after every step; on object storage it looks only as often as the answer can change.
        let trusted_for = self.run.standing.dir.location().properties().trusted_for;
        if let Some((at, over)) = self.looked.get()
            && (over || at.elapsed() < trusted_for)
        {
            return Ok(over);
        }
        let ended = self.has_ended()?;
        let over = ended || !self.is_at_work()?;
        self.looked.set(Some((Instant::now(), ended)));
        Ok(over)
    }

    /// Says, once, that the first generation of the predecessor does not exist yet.
    ///
    /// # Errors
    /// [`Kind::NotReady`] when no process has worked on the predecessor for long; [`Kind::Damaged`] when it has ended
    /// without anything whole.
    pub fn for_the_first(&mut self) -> Result<()> {
        if self.has_ended()? {
            let name = self.name();
            let message = format!("`{name}` has ended, and nothing that it has written is whole");
            return Err(Error::new(Kind::Damaged, message).hint(format!(
                "`gimlet encode PIPELINE {name}` writes what it makes of its input"
            )));
        }
        let alone = (!self.is_at_work()?).then(|| self.alone_since.unwrap_or_else(Instant::now));
        self.alone_since = alone;
        if alone.is_some_and(|since| since.elapsed() >= NEVER_AFTER) {
            let message =
                format!("no worker works on `{}`, and it has written nothing", self.name());
            return Err(Error::new(Kind::NotReady, message)
                .hint("start its `gimlet worker`, and then this one again; or `gimlet run`"));
        }
        if !std::mem::replace(&mut self.told, true) {
            let name = self.name();
            self.run.session.progress.note(&match self.is_at_work()? {
                true => format!("waiting for the first generation of `{name}`"),
                false => format!(
                    "waiting for the first generation of `{name}`, which no worker works on yet: \
                     `gimlet worker` does"
                ),
            });
        }
        Ok(())
    }

    fn name(&self) -> &str {
        self.run.standing.plan.module(self.predecessor.module)
    }

    fn is_at_work(&self) -> Result<bool> {
        lock::is_held(&self.run.standing, Step::Train(self.predecessor))
    }

    fn has_ended(&self) -> Result<bool> {
        Ok(self.run.standing.training(self.predecessor)?.is_some())
    }
}
