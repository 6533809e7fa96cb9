//! Shows progress: a bar on a terminal, otherwise a line now and then.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::printer::Printer;
use super::table;
use crate::stage::progress::Progress;
use crate::train::profile::Profile;

/// Time between two lines without a terminal.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// Shows the progress of one piece of work after another.
pub struct Renderer<'a> {
    printer: &'a Printer,
    work: Mutex<Option<Work>>,
    profiles: bool,
    /// The titles that have begun: each may continue many times.
    begun: Mutex<HashSet<String>>,
}

struct Work {
    title: String,
    total: u64,
    started: Instant,
    last_line: Instant,
    bar: Option<ProgressBar>,
}

impl<'a> Renderer<'a> {
    pub fn new(printer: &'a Printer) -> Self {
        Self { printer, work: Mutex::new(None), profiles: false, begun: Mutex::default() }
    }

    /// Sets whether to print the time and memory of every training, part by part.
    pub fn with_profiles(mut self, profiles: bool) -> Self {
        self.profiles = profiles;
        self
    }

    fn work(&self) -> MutexGuard<'_, Option<Work>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Renderer<'_> {
    fn begin(&self, title: &str, total: u64, done: u64) {
        let bar = (self.printer.is_watched() && !self.printer.is_quiet()).then(|| {
            let bar = ProgressBar::new(total).with_position(done);
            let style = "{prefix:22} {bar:24} {pos}/{len}  {elapsed} (eta {eta})  {wide_msg}";
            if let Ok(style) = ProgressStyle::with_template(style) {
                bar.set_style(style);
            }
            bar.set_prefix(title.to_string());
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        if begun.insert(title.to_string()) && bar.is_none() && done > 0 {
            self.printer.note(&format!("{title}: goes on from {done} of {total}"));
        }
        let now = Instant::now();
        let title = title.to_string();
        *self.work() = Some(Work { title, total, started: now, last_line: now, bar });
    }

    fn advance(&self, done: u64, detail: &str) {
        if let Some(work) = self.work().as_mut() {
            match &work.bar {
                Some(bar) => {
                    bar.set_position(done);
                    bar.set_message(detail.to_string());
                }
                None if work.last_line.elapsed() >= BETWEEN_LINES => {
                    work.last_line = Instant::now();
                    let (title, total) = (&work.title, work.total);
                    self.printer.note(&format!("{title}: {done}/{total}  {detail}"));
                }
                None => {}
            }
        }
    }

    fn end(&self, summary: &str) {
        if let Some(work) = self.work().take() {
            if let Some(bar) = &work.bar {
                bar.finish_and_clear();
            }
            let seconds = work.started.elapsed().as_secs_f64();
            self.printer.note(&format!("{:22} {summary}  ({seconds:.1} s)", work.title));
        }
    }

    fn note(&self, message: &str) {
        match self.work().as_ref() {
            Some(Work { bar: Some(bar), title, .. }) => {
                bar.suspend(|| self.printer.note(&format!("{title}: {message}")));
            }
            Some(Work { title, .. }) => self.printer.note(&format!("{title}: {message}")),
            None => self.printer.note(message),
        }
    }

    fn profile(&self, title: &str, profile: &Profile) {
        if self.profiles {
            let print = || self.printer.result(&table::profile(title, profile));
            // If the reader has gone, the training still goes on.
            let _ = match self.work().as_ref().and_then(|work| work.bar.as_ref()) {
                Some(bar) => bar.suspend(print),
                None => print(),
            };
        }
    }

    fn warn(&self, message: &str) {
        match self.work().as_ref().and_then(|work| work.bar.as_ref()) {
            Some(bar) => bar.suspend(|| self.printer.warn(message)),
            None => self.printer.warn(message),
        }
    }
}

impl Drop for Renderer<'_> {
    fn drop(&mut self) {
        if let Some(bar) = self.work().take().and_then(|work| work.bar) {
            bar.abandon();
        }
    }
}
