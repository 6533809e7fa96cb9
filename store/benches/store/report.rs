//! The tables.

use std::fmt::{self, Write};
use std::path::Path;

use crate::arguments::Arguments;
use crate::data::Data;
use crate::place;
use crate::rounds::{Cell, SideResults};
use crate::side::{Operation, Result};

/// Between these lines of a file the tables have their place.
const MARKS: [&str; 2] = ["<!-- store: begin -->", "<!-- store: end -->"];

pub struct Report {
    text: String,
    shapes: Vec<Shape>,
}

struct Shape {
    title: String,
    row_bytes: usize,
    /// Bytes of all values.
    bytes: u64,
    /// Of every group; the first side of each is the plain file.
    groups: Vec<Vec<SideResults>>,
}

impl Report {
    pub fn new(arguments: &Arguments, machine: String, versions: String) -> Self {
        let given = arguments.given.join(" ");
        let text =
            format!("`cargo bench --bench store -- {given}`\n\n{machine}. Others: {versions}.\n");
        Self { text, shapes: Vec::new() }
    }

    pub fn add(&mut self, data: &Data, group: Vec<SideResults>) {
        let bytes = data.rows() as u64 * data.row_bytes() as u64;
        let title = format!(
            "{} rows of {:?} halves, {:.2} MB a row, {:.2} GB",
            thousands(data.rows() as f64),
            data.shape(),
            data.row_bytes() as f64 / 1e6,
            bytes as f64 / 1e9
        );
        match self.shapes.last_mut().filter(|shape| shape.title == title) {
            Some(shape) => shape.groups.push(group),
            None => self.shapes.push(Shape {
                title,
                row_bytes: data.row_bytes(),
                bytes,
                groups: vec![group],
            }),
        }
    }

    /// Puts the tables into a file, in place of those of an earlier run.
    pub fn write_into(&self, path: &Path) -> Result<()> {
        place::fill(path, MARKS, self)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        for shape in &self.shapes {
            write!(f, "\n### {}\n", shape.title)?;
            if let Some([plain, halves, widened, singles]) = shape.groups.first().map(Vec::as_slice)
            {
                f.write_str("\nOurs beside a plain file, MB/s, median (least to most):\n\n")?;
                f.write_str(&shape.ours(plain, halves, widened, singles))?;
            }
            f.write_str("\nAll, one thread, MB/s (median ratio to a plain file beside it):\n\n")?;
            f.write_str(&shape.all()?)?;
            f.write_str(&shape.notes())?;
        }
        Ok(())
    }
}

impl Shape {
    fn ours(
        &self,
        plain: &SideResults,
        halves: &SideResults,
        widened: &SideResults,
        singles: &SideResults,
    ) -> String {
        let mut table = Table::new(&[
            "",
            "threads",
            "plain file",
            "ours, as halves",
            "ratio",
            "plain file, then widened",
            "ours, as f32",
            "ratio to plain",
            "ratio to widened",
        ]);
        for (place, cell) in plain.cells.iter().enumerate() {
            let ratio = |side: &SideResults, to: &SideResults| {
                Spread::of(ratios(&side.cells[place], &to.cells[place])).ratio()
            };
            let rate = |side: &SideResults| self.megabytes(&side.cells[place]).rate();
            table.row(vec![
                cell.operation.to_string(),
                cell.threads.to_string(),
                rate(plain),
                rate(halves),
                ratio(halves, plain),
                rate(widened),
                rate(singles),
                ratio(singles, plain),
                ratio(singles, widened),
            ]);
        }
        table.text()
    }

    fn all(&self) -> std::result::Result<String, fmt::Error> {
        let columns = [
            Operation::Write,
            Operation::ScanWarm,
            Operation::ScanCold,
            Operation::RandomWarm,
            Operation::RandomCold,
        ];
        let mut table = Table::new(&[
            "",
            "bytes on disk",
            "write",
            "scan, warm",
            "scan, cold",
            "random, warm",
            "samples/s",
            "random, cold",
            "samples/s",
        ]);
        for (nth, group) in self.groups.iter().enumerate() {
            let Some((plain, others)) = group.split_first() else { continue };
            // The plain file is the same in every group: one row of it is enough.
            let sides = if nth == 0 { group.iter() } else { others.iter() };
            for side in sides {
                let mut row = vec![side.name.clone(), String::new()];
                write!(row[1], "{:.2}", side.bytes as f64 / self.bytes as f64)?;
                for operation in columns {
                    let place = side
                        .cells
                        .iter()
                        .position(|at| at.operation == operation && at.threads == 1);
                    let Some(place) = place else { continue };
                    let cell = &side.cells[place];
                    let ratio = Spread::of(ratios(cell, &plain.cells[place]));
                    row.push(match (self.megabytes(cell), ratio) {
                        (Spread(Some(rate)), Spread(Some(ratio))) => {
                            format!("{} ({})", thousands(rate.1), ratio_digits(ratio.1))
                        }
                        _ => "–".into(),
                    });
                    if !operation.is_scan() && operation != Operation::Write {
                        let samples = Spread::of(rates(cell, |rate| rate.rows_per_second()));
                        row.push(samples.0.map_or("–".into(), |it| thousands(it.1)));
                    }
                }
                table.row(row);
            }
        }
        Ok(table.text())
    }

    /// What `auto` chose, and why something is missing.
    fn notes(&self) -> String {
        let mut notes: Vec<String> = Vec::new();
        for side in self.groups.iter().flatten() {
            notes.extend(side.note.clone());
            for cell in &side.cells {
                let why = cell.rounds.iter().filter_map(|measured| measured.as_ref().err()).next();
                let failed = cell.rounds.iter().filter(|measured| measured.is_err()).count();
                if let Some(why) = why {
                    let rounds = cell.rounds.len();
                    let operation = cell.operation;
                    notes.push(format!(
                        "{}, {operation}: skipped in {failed} of {rounds} rounds: {why}",
                        side.name
                    ));
                }
            }
        }
        notes.dedup();
        if notes.is_empty() { String::new() } else { format!("\n- {}\n", notes.join("\n- ")) }
    }

    fn megabytes(&self, cell: &Cell) -> Spread {
        Spread::of(rates(cell, |rate| rate.megabytes(self.row_bytes)))
    }
}

fn rates(cell: &Cell, of: impl Fn(crate::side::Rate) -> f64) -> Vec<f64> {
    cell.rounds.iter().flatten().map(|rate| of(*rate)).collect()
}

/// Of the rates in the same rounds.
fn ratios(cell: &Cell, to: &Cell) -> Vec<f64> {
    let rounds = cell.rounds.iter().zip(&to.rounds);
    let both = rounds.filter_map(|(cell, to)| Some((cell.as_ref().ok()?, to.as_ref().ok()?)));
    both.map(|(cell, to)| cell.rows_per_second() / to.rows_per_second()).collect()
}

/// Least, median, most; `None` of nothing.
struct Spread(Option<(f64, f64, f64)>);

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = match values.len() {
            0 => return Self(None),
            count if count % 2 == 1 => values[middle],
            _ => (values[middle - 1] + values[middle]) / 2.0,
        };
        Self(Some((values[0], median, values[values.len() - 1])))
    }

    fn rate(&self) -> String {
        self.0.map_or("–".into(), |(least, median, most)| {
            format!("{} ({} to {})", thousands(median), thousands(least), thousands(most))
        })
    }

    fn ratio(&self) -> String {
        self.0.map_or("–".into(), |(least, median, most)| {
            format!("**{median:.2}** ({least:.2} to {most:.2})")
        })
    }
}

/// As many digits as tell a slow side from a very slow one.
fn ratio_digits(ratio: f64) -> String {
    if ratio < 0.1 { format!("{ratio:.3}") } else { format!("{ratio:.2}") }
}

fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Markdown, aligned so that it can be read in a terminal.
struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    fn new(head: &[&str]) -> Self {
        Self { rows: vec![head.iter().map(ToString::to_string).collect()] }
    }

    fn row(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    fn text(&self) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let mut text = String::new();
        for (nth, row) in self.rows.iter().enumerate() {
            for (column, cell) in row.iter().enumerate() {
                let fill = " ".repeat(width(column) - cell.chars().count());
                let (left, right) = if column == 0 { ("", fill) } else { (&*fill, String::new()) };
                text += &format!("| {left}{cell}{right} ");
            }
            text += "|\n";
            if nth == 0 {
                for column in 0..row.len() {
                    let end = if column == 0 { "-" } else { ":" };
                    text += &format!("|{}{end}", "-".repeat(width(column) + 1));
                }
                text += "|\n";
            }
        }
        text
    }
}
