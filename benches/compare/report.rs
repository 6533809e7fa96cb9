//! The tables.

use std::fmt;
use std::path::Path;

use crate::Result;
use crate::arguments::Arguments;
use crate::case::Case;
use crate::place;
use crate::python::Python;
use crate::side::Step;
use crate::staged::Staged;

/// Between these lines of a file the tables have their place.
const MARKS: [&str; 2] = ["<!-- compare: begin -->", "<!-- compare: end -->"];

pub struct Report {
    text: String,
    threads: usize,
    rows: Vec<Row>,
    /// Floating-point operations a second of a large matrix product.
    pub peak: f64,
    pub staged: Option<Staged>,
}

/// What the sides took for one module.
pub struct Row {
    name: String,
    operations: f64,
    loss: f64,
    /// Ours, ours on one thread, PyTorch at its best, PyTorch as it comes; in the order of rounds.
    steps: Vec<Vec<Step>>,
}

impl Row {
    pub fn new(case: &Case, steps: Vec<Vec<Step>>, loss: f64) -> Self {
        let name = format!("{}, batch {}", case.name, case.batch());
        Self { name, operations: case.operations(), loss, steps }
    }

    /// Sorted seconds of a side.
    fn seconds(&self, side: usize) -> Vec<f64> {
        sorted(self.steps[side].iter().map(|step| step.seconds))
    }

    /// Sorted ratios of a side's seconds to ours in the same round.
    fn ratios(&self, side: usize) -> Vec<f64> {
        let pairs = self.steps[side].iter().zip(&self.steps[0]);
        sorted(pairs.map(|(theirs, ours)| theirs.seconds / ours.seconds))
    }

    fn memory(&self, side: usize) -> f64 {
        self.steps[side].iter().map(|step| step.peak as f64 / 1e9).fold(0.0, f64::max)
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}

impl Report {
    pub fn new(arguments: &Arguments, machine: String, python: &Python) -> Result<Self> {
        let (rounds, threads) = (arguments.rounds, arguments.threads);
        let text = format!(
            "`cargo bench --bench compare -- --rounds {rounds} --threads {threads}`\n\n{machine}. \
             PyTorch {}.\n",
            python.version()?
        );
        Ok(Self { text, threads, rows: Vec::new(), peak: 0.0, staged: None })
    }

    pub fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Puts the tables into a file, in place of those of an earlier run.
    pub fn write_into(&self, path: &Path) -> Result<()> {
        place::fill(path, MARKS, self)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        writeln!(
            f,
            "A large matrix product: {:.0} GFLOP/s on {} threads. Seconds of a step, median (least to \
             most); ratios are of one round.\n",
            self.peak / 1e9,
            self.threads
        )?;
        writeln!(
            f,
            "| module | ours | PyTorch, best | ratio | PyTorch, as it comes | ratio | GFLOP/s | of a \
             product | threads: 1 -> {} | memory, GB: ours, best, as it comes | loss |",
            self.threads
        )?;
        writeln!(f, "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")?;
        for row in &self.rows {
            let of = |side: usize| {
                let seconds = row.seconds(side);
                let (least, most) = (seconds[0], seconds[seconds.len() - 1]);
                format!("{:.3} ({least:.3} to {most:.3})", median(&seconds))
            };
            let ratio = |side: usize| {
                let ratios = row.ratios(side);
                let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
                format!("**{:.2}** ({least:.2} to {most:.2})", median(&ratios))
            };
            let rate = row.operations / median(&row.seconds(0));
            writeln!(
                f,
                "| {} | {} | {} | {} | {} | {} | {:.0} | {:.0} % | {:.2} | {:.2}, {:.2}, {:.2} | {:.6} |",
                row.name,
                of(0),
                of(2),
                ratio(2),
                of(3),
                ratio(3),
                rate / 1e9,
                100.0 * rate / self.peak,
                median(&row.ratios(1)),
                row.memory(0),
                row.memory(2),
                row.memory(3),
                row.loss
            )?;
        }
        if let Some(staged) = &self.staged {
            let each = |of: fn(&(f64, f64)) -> f64| {
                let parts: Vec<_> =
                    staged.modules.iter().map(|it| format!("{:.2}", of(it))).collect();
                parts.join(" + ")
            };
            writeln!(
                f,
                "\nThe whole job, seconds for a batch of 16 through the training of all three modules, \
                 5 epochs: ours {} and {:.2} for encoding = {:.2}; the published way {} = {:.2}: \
                 **{:.2}** times as long.",
                each(|it| it.0),
                staged.encoding,
                staged.ours(),
                each(|it| it.1),
                staged.published(),
                staged.published() / staged.ours()
            )?;
        }
        Ok(())
    }
}
