//! What all that is measured has in common.

use std::fmt;
use std::path::PathBuf;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use crate::data::Data;

pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Rows of a minibatch, of a row group, and of a step of a scan.
pub const BATCH: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Write,
    ScanWarm,
    ScanCold,
    RandomWarm,
    RandomCold,
    /// With the system told two batches ahead what will be read.
    RandomColdAdvised,
}

impl Operation {
    pub fn is_cold(self) -> bool {
        matches!(self, Self::ScanCold | Self::RandomCold | Self::RandomColdAdvised)
    }

    pub fn is_scan(self) -> bool {
        matches!(self, Self::ScanWarm | Self::ScanCold)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Write => "write, synced",
            Self::ScanWarm => "scan, warm",
            Self::ScanCold => "scan, cold",
            Self::RandomWarm => "random, warm",
            Self::RandomCold => "random, cold",
            Self::RandomColdAdvised => "random, cold, advised",
        })
    }
}

/// What is to be read.
pub struct Job<'a> {
    pub data: &'a Data,
    pub operation: Operation,
    pub threads: usize,
    /// Reading ends with the batch in which this is over, if not before.
    pub limit: Duration,
}

/// How many rows in how long. `Err`: why it was not measured.
pub type Measured = std::result::Result<Rate, String>;

#[derive(Debug, Clone, Copy)]
pub struct Rate {
    pub rows: u64,
    pub time: Duration,
}

/// Files of one kind with all rows of a [`Data`].
pub trait Side {
    fn name(&self) -> &str;

    /// Whether writing takes so long that it is done once.
    fn is_foreign(&self) -> bool {
        false
    }

    /// Writes the files, in place of those of an earlier round.
    fn write(&mut self, data: &Data) -> Result<Measured>;

    /// Reads as `job` says.
    fn read(&self, job: &Job) -> Result<Measured>;

    /// The files with the rows.
    fn files(&self) -> Result<Vec<PathBuf>>;

    /// Removes everything.
    fn remove(&mut self) -> Result<()>;

    /// What is worth a line below the table.
    fn note(&self) -> Option<String> {
        None
    }
}

impl Job<'_> {
    /// Reads batch after batch, each thread its own, until the rows are over (again and again where
    /// they are warm) or the time is. `buffers` makes what a thread reads into; `each` reads the rows
    /// of a batch, and knows those of the batch after next.
    pub fn measure<B>(
        &self,
        buffers: impl Fn() -> B + Sync,
        each: impl Fn(&mut B, &[u64], Option<&[u64]>) -> Result<()> + Sync,
    ) -> Result<Measured> {
        let order = if self.operation.is_scan() { self.data.in_order() } else { self.data.order() };
        let batches: Vec<&[u64]> = order.chunks_exact(BATCH).collect();
        let start = Barrier::new(self.threads);
        let work = |thread: usize| -> Result<(u64, Instant, Instant)> {
            let mut buffers = buffers();
            let mine: Vec<_> = batches.iter().skip(thread).step_by(self.threads).collect();
            start.wait();
            let begun = Instant::now();
            let mut rows = 0;
            while begun.elapsed() < self.limit {
                for (nth, batch) in mine.iter().enumerate() {
                    each(&mut buffers, batch, mine.get(nth + 2).map(|later| **later))?;
                    rows += batch.len() as u64;
                    if begun.elapsed() >= self.limit {
                        break;
                    }
                }
                if self.operation.is_cold() {
                    break;
                }
            }
            Ok((rows, begun, Instant::now()))
        };
        let done = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..self.threads).map(|thread| scope.spawn(move || work(thread))).collect();
            let done = threads.into_iter().map(|thread| match thread.join() {
                Ok(done) => done,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            done.collect::<Result<Vec<_>>>()
        })?;
        let begun = done.iter().map(|(_, begun, _)| *begun).min();
        let ended = done.iter().map(|(_, _, ended)| *ended).max();
        let time = ended.zip(begun).map_or(Duration::ZERO, |(ended, begun)| ended - begun);
        Ok(Ok(Rate { rows: done.iter().map(|(rows, ..)| rows).sum(), time }))
    }
}
