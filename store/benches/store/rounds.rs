//! Measures sides beside each other, round after round, each operation on one side right after it on
//! another: what else the machine does meets them all, and ratios hold.

use std::fs;
use std::time::Duration;

use crate::arguments::Arguments;
use crate::cache;
use crate::data::Data;
use crate::side::{Job, Measured, Operation, Rate, Result, Side};

/// How long a measurement goes on, if the rows are not over before.
const WARM: Duration = Duration::from_secs(1);
const COLD: Duration = Duration::from_secs(2);

/// Rounds where a side is a process of its own: it takes long to start, and its ratio is far from 1.
const FOREIGN_ROUNDS: usize = 3;

pub struct Group {
    sides: Vec<Box<dyn Side>>,
    operations: Vec<(Operation, usize)>,
}

/// What was measured of a side.
pub struct SideResults {
    pub name: String,
    /// On disk.
    pub bytes: u64,
    pub cells: Vec<Cell>,
    pub note: Option<String>,
}

/// An operation on a side, in every round.
pub struct Cell {
    pub operation: Operation,
    pub threads: usize,
    pub rounds: Vec<Measured>,
}

impl Group {
    pub fn new(sides: Vec<Box<dyn Side>>, operations: &[(Operation, usize)]) -> Self {
        Self { sides, operations: operations.to_vec() }
    }

    pub fn sides(&self) -> &[Box<dyn Side>] {
        &self.sides
    }

    pub fn run(mut self, data: &Data, arguments: &Arguments) -> Result<Vec<SideResults>> {
        let cells = self.operations.iter().map(|(operation, threads)| Cell {
            operation: *operation,
            threads: *threads,
            rounds: Vec::new(),
        });
        let cells: Vec<Cell> = cells.collect();
        let mut results: Vec<SideResults> = (self.sides.iter())
            .map(|side| SideResults {
                name: side.name().into(),
                bytes: 0,
                cells: cells.iter().map(Cell::empty).collect(),
                note: None,
            })
            .collect();
        let foreign = self.sides.iter().any(|side| side.is_foreign());
        let rounds = if foreign { arguments.rounds.min(FOREIGN_ROUNDS) } else { arguments.rounds };
        for round in 0..rounds {
            for (place, cell) in cells.iter().enumerate() {
                for nth in 0..self.sides.len() {
                    let nth = (nth + round) % self.sides.len();
                    let (side, result) = (&mut self.sides[nth], &mut results[nth]);
                    let measured = measure(side.as_mut(), cell, data, &result.cells)?;
                    progress(data, side.name(), cell, &measured);
                    result.cells[place].rounds.push(measured);
                }
            }
        }
        for (side, result) in self.sides.iter_mut().zip(&mut results) {
            result.note = side.note();
            for path in side.files()? {
                result.bytes += fs::metadata(path)?.len();
            }
            side.remove()?;
        }
        Ok(results)
    }
}

impl Cell {
    fn empty(&self) -> Self {
        Self { operation: self.operation, threads: self.threads, rounds: Vec::new() }
    }
}

fn measure(side: &mut dyn Side, cell: &Cell, data: &Data, done: &[Cell]) -> Result<Measured> {
    let &Cell { operation, threads, .. } = cell;
    let written = done.iter().find(|cell| cell.operation == Operation::Write);
    let written = written.and_then(|cell| cell.rounds.first());
    if operation == Operation::Write {
        return match written {
            Some(once) if side.is_foreign() => Ok(once.clone()),
            _ => side.write(data),
        };
    }
    if let Some(Err(why)) = written {
        return Ok(Err(why.clone()));
    }
    let files = side.files()?;
    let limit = if operation.is_cold() {
        // Twice: what was just written, the host of a virtual disk may still be busy with.
        for _ in 0..2 {
            cache::warm(&files)?;
            if let Err(why) = cache::drop_files(&files)? {
                return Ok(Err(why));
            }
        }
        COLD
    } else {
        cache::warm(&files)?;
        WARM
    };
    side.read(&Job { data, operation, threads, limit })
}

fn progress(data: &Data, name: &str, cell: &Cell, measured: &Measured) {
    let Cell { operation, threads, .. } = cell;
    let rate = match measured {
        Ok(rate) => format!("{:.0} MB/s", rate.megabytes(data.row_bytes())),
        Err(why) => format!("skipped: {why}"),
    };
    eprintln!("{:?}  {name:28} {operation}, {threads} thread(s): {rate}", data.shape());
}

impl Rate {
    /// Per second.
    pub fn rows_per_second(self) -> f64 {
        self.rows as f64 / self.time.as_secs_f64()
    }

    /// Per second, in rows of as many bytes.
    pub fn megabytes(self, row_bytes: usize) -> f64 {
        self.rows_per_second() * row_bytes as f64 / 1e6
    }
}
