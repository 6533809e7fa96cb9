//! How much of a run fits: widths of modules, epochs, batch and rows, by what the plan of a run forecasts.

use std::path::Path;

use serde::Serialize;

use crate::pipeline::{Environment, PerSplit, Pipeline, SampleSize};
use crate::stage::cost::Costs;
use crate::stage::{RunDir, boundary};
use crate::{Error, Result};

/// The share of the machine's memory that a run may take.
const MEMORY: f64 = 0.6;

/// The most bytes on disk that are not asked for, and the share of what is free.
const DISK: u64 = 20_000_000_000;
const DISK_SHARE: f64 = 0.5;

/// The usual batch, and the smallest.
const BATCH: usize = 16;
const SMALLEST_BATCH: usize = 2;

/// Epochs below which modules become narrower, and the bounds of epochs where time is left.
const FEW_EPOCHS: u64 = 2;
const MOST_EPOCHS: u64 = 20;
const MOST_EPOCHS_OF_FEW: u64 = 200;

/// Steps of a module that are enough, where epochs are short.
const STEPS: u64 = 3_000;

/// The fewest rows that a subset has.
const FEWEST_ROWS: u64 = 256;

/// What is to be fitted to time, memory and disk.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fit {
    /// Channels of the first module.
    pub width: usize,
    /// Passes over the training split.
    pub epochs: u64,
    /// Samples of a step.
    pub batch: usize,
    /// The most rows of the training split; all if `None`.
    pub subset: Option<u64>,
    /// The most rows of the test split; all if `None`.
    pub test_subset: Option<u64>,
    /// The most bytes on disk, if what is between modules would take more.
    pub max_bytes: Option<u64>,
}

/// What a run takes, as `gimlet plan` says it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Takes {
    /// Seconds of all steps.
    pub seconds: f64,
    /// The peak memory of a training in bytes.
    pub memory: u64,
    /// Bytes on disk, before compression.
    pub bytes: u64,
}

impl Fit {
    /// Fits a pipeline to `seconds` and to this machine. `text` writes the pipeline file; `rows` are the samples of
    /// each split; `widths` are tried in order.
    ///
    /// # Errors
    /// When what `text` writes is no pipeline for samples of `size`.
    pub fn of(
        text: &dyn Fn(&Fit) -> String,
        rows: PerSplit<u64>,
        size: SampleSize,
        widths: &[usize],
        seconds: f64,
    ) -> Result<(Self, Takes)> {
        let takes = |fit: &Fit| takes(&text(fit), fit.rows(rows), size);
        let largest = rows.train.min(rows.test.max(4)).max(1).ilog2();
        let batch = BATCH.min(1 << largest).max(SMALLEST_BATCH);
        let first = Self {
            width: widths[0],
            epochs: 1,
            batch,
            subset: None,
            test_subset: None,
            max_bytes: None,
        };
        let mut fit = first;
        // Seconds that do not depend on epochs, and those of an epoch.
        let parts = |fit: &Fit| -> Result<[f64; 2]> {
            let one = takes(&Fit { epochs: 1, ..fit.clone() })?.seconds;
            let two = takes(&Fit { epochs: 2, ..fit.clone() })?.seconds;
            Ok([(2.0 * one - two).max(0.0), (two - one).max(1e-9)])
        };
        let mut epochs = 0;
        for width in widths {
            fit.width = *width;
            let [fixed, each] = parts(&fit)?;
            epochs = ((seconds - fixed) / each).max(0.0) as u64;
            if epochs >= FEW_EPOCHS {
                break;
            }
        }
        if epochs < FEW_EPOCHS {
            let [fixed, each] = parts(&fit)?;
            let share = seconds / (fixed + FEW_EPOCHS as f64 * each);
            let part = |rows: u64| {
                let part = (rows as f64 * share) as u64;
                (part.max(FEWEST_ROWS) < rows).then_some(part.max(FEWEST_ROWS))
            };
            (fit.subset, fit.test_subset) = (part(rows.train), part(rows.test));
            let [fixed, each] = parts(&fit)?;
            epochs = ((seconds - fixed) / each).max(1.0) as u64;
        }
        let steps = (fit.rows(rows).train / fit.batch as u64).max(1);
        let most = (STEPS / steps).clamp(MOST_EPOCHS, MOST_EPOCHS_OF_FEW);
        fit.epochs = epochs.clamp(1, most);
        let memory = machine_memory().map_or(u64::MAX, |it| (it as f64 * MEMORY) as u64);
        while takes(&fit)?.memory > memory && fit.batch > SMALLEST_BATCH {
            fit.batch /= 2;
        }
        let free = RunDir::at(".").location().free_bytes().unwrap_or(u64::MAX);
        let disk = DISK.min((free as f64 * DISK_SHARE) as u64);
        if takes(&fit)?.bytes > disk {
            fit.max_bytes =
                Some(disk / 1_000_000_000 * 1_000_000_000).filter(|it| *it > 0).or(Some(disk));
        }
        let takes = takes(&fit)?;
        Ok((fit, takes))
    }

    /// The rows of each split that a run takes.
    pub fn rows(&self, rows: PerSplit<u64>) -> PerSplit<u64> {
        PerSplit {
            train: rows.train.min(self.subset.unwrap_or(u64::MAX)),
            test: rows.test.min(self.test_subset.unwrap_or(u64::MAX)),
        }
    }
}

/// Forecasts the run of a pipeline file.
fn takes(text: &str, rows: PerSplit<u64>, size: SampleSize) -> Result<Takes> {
    let pipeline = Pipeline::parse(text, Path::new("init.toml"), &[], &Environment::default())?;
    let costs = Costs::new(&pipeline, rows, size)?;
    let boundaries = boundary::resolve(&pipeline, || Costs::new(&pipeline, rows, size))?;
    let stored: Vec<bool> = boundaries.iter().map(|it| it.stored).collect();
    let memory = (0..pipeline.modules.len()).map(|it| costs.training_memory(it, &stored)).max();
    Ok(Takes {
        seconds: costs.total_seconds(&stored, &costs.assumed_pace()),
        memory: memory.ok_or_else(|| Error::failed("a pipeline without modules"))?,
        bytes: costs.most_bytes(&stored),
    })
}

/// The memory of this machine in bytes; `None` where the system does not tell (other than Linux).
fn machine_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}
