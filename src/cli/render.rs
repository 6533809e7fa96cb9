//! Shows progress: a bar on a terminal, otherwise a line now and then. A process that another has started tells that one.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use super::bars::{self, Shown};
use super::pace::Pace;
use super::printer::Printer;
use super::processes::{self, Record};
use super::table;
use crate::stage::progress::{Progress, Unit};
use crate::train::profile::Profile;

/// Time between two lines without a terminal. Of work that goes on for long, a line comes every minute.
const BETWEEN_LINES: Duration = Duration::from_secs(10);
const BETWEEN_LATER_LINES: Duration = Duration::from_secs(60);
const LATER: Duration = Duration::from_secs(600);

/// Time between two messages to the process that started this one.
const BETWEEN_RECORDS: Duration = Duration::from_millis(250);

/// Shows the progress of one piece of work after another.
pub struct Renderer<'a> {
    printer: &'a Printer,
    work: Mutex<Option<Work>>,
    profiles: Profiles,
    /// The titles that have begun: each may continue many times.
    begun: Mutex<HashSet<String>>,
}

/// How the time and memory of every training are printed, part by part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profiles {
    /// They are not.
    None,
    /// As tables.
    Tables,
    /// As a JSON document.
    Json,
}

struct Work {
    title: String,
    /// The part that is counted by itself, if there is one.
    part: Option<String>,
    total: u64,
    done: u64,
    pace: Pace,
    started: Instant,
    told: Instant,
    bar: Option<ProgressBar>,
}

impl Work {
    fn shown(&self, detail: &str) -> Shown {
        let parts = [self.part.as_deref().unwrap_or_default(), &self.pace.facts(self.done), detail];
        let facts: Vec<&str> = parts.into_iter().filter(|it| !it.is_empty()).collect();
        let (title, done, total) = (self.title.clone(), self.done, self.total);
        Shown { title, done, total, facts: facts.join("  ") }
    }
}

impl<'a> Renderer<'a> {
    pub fn new(printer: &'a Printer) -> Self {
        let (work, begun) = (Mutex::new(None), Mutex::default());
        Self { printer, work, profiles: Profiles::None, begun }
    }

    /// Sets how to print the time and memory of every training, part by part.
    pub fn with_profiles(mut self, profiles: Profiles) -> Self {
        self.profiles = profiles;
        self
    }

    fn work(&self) -> MutexGuard<'_, Option<Work>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `print` while the bar is out of the way.
    fn above_bar<T>(&self, print: impl FnOnce() -> T) -> T {
        match self.work().as_ref().and_then(|work| work.bar.as_ref()) {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    fn tell(&self, work: &mut Work, detail: &str) {
        let passed = work.told.elapsed();
        if let Some(bar) = &work.bar {
            bars::show(bar, &work.shown(detail));
        } else if processes::is_shown_by_bars() {
            if passed >= BETWEEN_RECORDS {
                work.told = Instant::now();
                processes::tell(&Record::Progress(work.shown(detail)));
            }
        } else {
            let is_late = work.started.elapsed() >= LATER;
            let pause = if is_late { BETWEEN_LATER_LINES } else { BETWEEN_LINES };
            if passed >= pause {
                work.told = Instant::now();
                let Shown { title, facts, .. } = work.shown(detail);
                self.printer.note(&format!("{title}: {facts}"));
            }
        }
    }
}

impl Progress for Renderer<'_> {
    fn begin(&self, title: &str, unit: Unit, total: u64, done: u64) {
        let watched = self.printer.is_watched() && !self.printer.is_quiet();
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        if begun.insert(title.to_string()) && !watched && done > 0 {
            self.printer.note(&format!("{title}: goes on from {done} of {total}"));
        }
        let now = Instant::now();
        let (title, pace) = (title.to_string(), Pace::begin(unit, total, done));
        let mut work =
            Work { title, part: None, total, done, pace, started: now, told: now, bar: None };
        work.bar = watched.then(|| bars::bar(&work.shown("")));
        *self.work() = Some(work);
    }

    fn part(&self, name: &str, unit: Unit, total: u64) {
        if let Some(work) = self.work().as_mut() {
            work.part = Some(name.to_string());
            (work.total, work.done) = (total, 0);
            work.pace = Pace::begin(unit, total, 0);
            self.tell(work, "");
        }
    }

    fn advance(&self, done: u64, detail: &str) {
        if let Some(work) = self.work().as_mut() {
            work.done = done;
            self.tell(work, detail);
        }
    }

    fn end(&self, summary: &str) {
        if let Some(work) = self.work().take() {
            if let Some(bar) = &work.bar {
                bar.finish_and_clear();
            }
            if !summary.is_empty() {
                let seconds = work.started.elapsed().as_secs_f64();
                self.printer.step(&work.title, &format!("{summary}  ({seconds:.1} s)"));
            }
        }
    }

    fn note(&self, message: &str) {
        let title = self.work().as_ref().map(|work| work.title.clone());
        self.above_bar(|| match title {
            Some(title) => self.printer.note(&format!("{title}: {message}")),
            None => self.printer.note(message),
        });
    }

    fn detail(&self, message: &str) {
        if self.shows_details() {
            self.note(message);
        }
    }

    fn shows_details(&self) -> bool {
        self.printer.is_verbose()
    }

    fn profile(&self, title: &str, profile: &Profile) {
        let print = || match self.profiles {
            Profiles::None => Ok(()),
            Profiles::Tables => self.printer.result(&table::profile(title, profile)),
            Profiles::Json => self.printer.json(profile),
        };
        // If the reader has gone, the training still goes on.
        let _ = self.above_bar(print);
    }

    fn warn(&self, message: &str) {
        self.above_bar(|| self.printer.warn(message));
    }
}

impl Drop for Renderer<'_> {
    fn drop(&mut self) {
        if let Some(bar) = self.work().take().and_then(|work| work.bar) {
            bar.abandon();
        }
    }
}
