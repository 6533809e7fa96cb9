//! Bars on a terminal: one for the work in hand, or one for each process that works.

use std::collections::HashMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

/// How far a piece of work has come, ready to be shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// What is done.
    pub title: String,
    /// Units that are done.
    pub done: u64,
    /// All units; 0 if they are not known.
    pub total: u64,
    /// The pace in words, and facts such as the loss.
    pub facts: String,
}

/// A bar that shows its first facts.
pub fn bar(shown: &Shown) -> ProgressBar {
    let bar = ProgressBar::no_length();
    show(&bar, shown);
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

/// Shows `shown` on `bar`.
pub fn show(bar: &ProgressBar, shown: &Shown) {
    // The facts come last: a narrow terminal cuts their end.
    let template = match shown.total {
        0 => "{prefix:22} {spinner} {wide_msg}",
        _ => "{prefix:22} {bar:10} {wide_msg}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_prefix(shown.title.clone());
    bar.set_length(shown.total);
    bar.set_position(shown.done);
    bar.set_message(shown.facts.clone());
}

/// A bar for each of several processes, which have numbers.
#[derive(Default)]
pub struct Bars {
    all: MultiProgress,
    bars: HashMap<usize, ProgressBar>,
}

impl Bars {
    /// Shows how far a process has come.
    pub fn show(&mut self, number: usize, shown: &Shown) {
        let bar = self.bars.entry(number).or_insert_with(|| self.all.add(ProgressBar::no_length()));
        show(bar, shown);
    }

    /// Removes the bar of a process.
    pub fn end(&mut self, number: usize) {
        if let Some(bar) = self.bars.remove(&number) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
    }

    /// Prints something above the bars.
    pub fn above(&self, print: impl FnOnce()) {
        match self.bars.is_empty() {
            true => print(),
            false => self.all.suspend(print),
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        for bar in self.bars.values() {
            bar.finish_and_clear();
        }
    }
}
