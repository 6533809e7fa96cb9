//! A worker that waits for its predecessor, and when to stop waiting.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::{Run, RunDir, lock};
use crate::schedule::{At, Step};
use crate::{Error, Kind, Result};

/// A predecessor that nobody works on for so long is not waited for: a worker that was killed is
/// started again well before.
const GONE_AFTER: Duration = Duration::from_secs(5);

/// The same, where it has written nothing: workers of other machines may start later.
const NEVER_AFTER: Duration = Duration::from_secs(60);

/// Waits until it is time to look again.
pub fn a_moment(dir: &RunDir) {
    std::thread::sleep(dir.location().properties().pause);
}

/// A worker that waits for something newer from its predecessor.
pub struct HeldUp<'r, 'a> {
    run: &'r Run<'a>,
    predecessor: At,
    /// Since when nobody has been at work on the predecessor.
    alone_since: Option<Instant>,
    told: bool,
    /// When `is_over_now` has looked last, and whether that will not change any more.
    looked: Cell<Option<(Instant, bool)>>,
}

impl<'r, 'a> HeldUp<'r, 'a> {
    pub fn new(run: &'r Run<'a>, predecessor: At) -> Self {
        Self { run, predecessor, alone_since: None, told: false, looked: Cell::new(None) }
    }

    /// Whether nothing newer will come: the predecessor has ended, or nobody has worked on it for a
    /// while.
    ///
    /// # Errors
    /// When a record of its training cannot be read.
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
                "nobody works on `{}`: going on with what it has written",
                self.name()
            ));
        }
        Ok(over)
    }

    /// Whether nobody is writing anything newer at this moment.
    ///
    /// # Errors
    /// As [`Self::is_over`].
    pub fn is_over_now(&self) -> Result<bool> {
        // Asked after every step: on object storage not more often than the answer can change.
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

    /// Says, once, that there is nothing to begin with yet.
    ///
    /// # Errors
    /// [`Kind::NotReady`] when nobody has worked on that for long; [`Kind::Damaged`] when nobody will.
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
            let message = format!("nobody works on `{}`, and it has written nothing", self.name());
            return Err(Error::new(Kind::NotReady, message)
                .hint("start its `gimlet worker`, and then this one again; or `gimlet run`"));
        }
        if !std::mem::replace(&mut self.told, true) {
            let name = self.name();
            self.run.session.progress.note(&match self.is_at_work()? {
                true => format!("waiting for the first generation of `{name}`"),
                false => format!(
                    "waiting for the first generation of `{name}`, which nobody works on yet: \
                     `gimlet worker` does"
                ),
            });
        }
        Ok(())
    }

    pub fn a_moment(&self) {
        a_moment(&self.run.standing.dir);
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
