//! The columns for what probes find and what modules cost. Tables, JSON documents and results files share them.
//!
//! A new column is one entry of [`COLUMNS`].

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::findings::Row;
use super::mean::Mean;
use crate::quantity::short_bytes;

/// A column: its names, and how its value is computed for a module, over seeds, and for a whole stack.
pub struct Column {
    /// The name in JSON documents and Parquet files.
    pub name: &'static str,
    /// The name in tables.
    pub heading: &'static str,
    /// The unit of its numbers.
    pub unit: Unit,
    /// Whether tables of sweeps have it.
    pub in_sweeps: bool,
    of: fn(&Row) -> Option<f64>,
    over_modules: OverModules,
    over_seeds: OverSeeds,
}

/// Unit of the numbers in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A share of samples, in per cent: `48.10 %`.
    Accuracy,
    /// A share of time: `3.1 %`.
    Waiting,
    /// A loss: `2.345`.
    Loss,
    /// Whole seconds: `12`.
    Seconds,
    /// Bytes: `1.2 MB`.
    Bytes,
}

enum OverModules {
    Last,
    Sum,
    Highest,
}

#[derive(PartialEq)]
enum OverSeeds {
    /// Mean and standard deviation.
    Spread,
    Mean,
    Highest,
    /// The value of the first seed; all seeds have the same value.
    First,
    /// Left out.
    Nothing,
}

/// The accuracy of the linear probe on the first label; columns for further labels follow it.
pub const ACCURACY: Column = Column {
    name: "accuracy",
    heading: "accuracy",
    unit: Unit::Accuracy,
    in_sweeps: true,
    of: |row| row.probe.accuracy,
    over_modules: OverModules::Last,
    over_seeds: OverSeeds::Spread,
};

/// The accuracy of nearest neighbours on the first label.
const KNN: Column = Column {
    name: "knn",
    heading: "k-NN",
    unit: Unit::Accuracy,
    in_sweeps: true,
    of: |row| row.probe.knn,
    over_modules: OverModules::Last,
    over_seeds: OverSeeds::Spread,
};

/// The module's own loss on the test split.
pub const LOSS: Column = Column {
    name: "loss",
    heading: "loss",
    unit: Unit::Loss,
    in_sweeps: true,
    of: |row| Some(row.probe.loss),
    over_modules: OverModules::Last,
    over_seeds: OverSeeds::Spread,
};

/// All columns, in their order.
pub const COLUMNS: [Column; 8] = [
    ACCURACY,
    KNN,
    LOSS,
    Column {
        name: "chance_loss",
        heading: "chance",
        unit: Unit::Loss,
        in_sweeps: false,
        of: |row| row.probe.chance_loss,
        over_modules: OverModules::Last,
        over_seeds: OverSeeds::First,
    },
    Column {
        name: "seconds",
        heading: "seconds",
        unit: Unit::Seconds,
        in_sweeps: true,
        of: |row| row.took.map(|it| it.seconds),
        over_modules: OverModules::Sum,
        over_seeds: OverSeeds::Mean,
    },
    Column {
        name: "wait_share",
        heading: "waited",
        unit: Unit::Waiting,
        in_sweeps: false,
        of: |row| row.wait_share,
        over_modules: OverModules::Highest,
        over_seeds: OverSeeds::Nothing,
    },
    Column {
        name: "peak_memory",
        heading: "memory",
        unit: Unit::Bytes,
        in_sweeps: true,
        of: |row| Some(row.took?.peak_memory? as f64),
        over_modules: OverModules::Highest,
        over_seeds: OverSeeds::Highest,
    },
    Column {
        name: "bytes",
        heading: "written",
        unit: Unit::Bytes,
        in_sweeps: true,
        of: |row| Some(row.took.and_then(|it| it.bytes).unwrap_or(0) as f64),
        over_modules: OverModules::Sum,
        over_seeds: OverSeeds::Mean,
    },
];

impl Column {
    /// Value for a module under one seed.
    pub fn of(&self, row: &Row) -> Option<f64> {
        (self.of)(row)
    }

    /// Whether the column has a value over seeds.
    pub fn is_over_seeds(&self) -> bool {
        self.over_seeds != OverSeeds::Nothing
    }

    /// Formats a value for a table.
    pub fn shown(&self, value: Option<Mean>) -> String {
        let Some(value) = value else { return "-".to_string() };
        match self.unit {
            Unit::Accuracy => value.shown(|it| format!("{:.2}", 100.0 * it)) + " %",
            Unit::Waiting => value.shown(|it| format!("{:.1}", 100.0 * it)) + " %",
            Unit::Loss => value.shown(|it| format!("{it:.3}")),
            Unit::Seconds => value.shown(|it| format!("{it:.0}")),
            Unit::Bytes => value.shown(|it| short_bytes(it as u64)),
        }
    }

    fn over_modules(&self, rows: &[&Row]) -> Option<f64> {
        let mut all = rows.iter().map(|row| self.of(row));
        match self.over_modules {
            OverModules::Last => all.next_back()?,
            // If one value is unknown, the sum is too.
            OverModules::Sum => all.sum(),
            OverModules::Highest => all.flatten().reduce(f64::max),
        }
    }

    fn over_seeds(&self, values: &[Option<f64>]) -> Option<Mean> {
        let known: Vec<f64> = values.iter().copied().flatten().collect();
        let one = |mean| Mean { mean, deviation: None };
        match self.over_seeds {
            OverSeeds::Spread => Mean::of(&known),
            OverSeeds::Mean => Mean::of(&known).map(|it| one(it.mean)),
            OverSeeds::Highest => known.into_iter().reduce(f64::max).map(one),
            OverSeeds::First => values.first().copied().flatten().map(one),
            OverSeeds::Nothing => None,
        }
    }
}

/// A value for each column, in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Values(Vec<Option<Mean>>);

impl Values {
    /// The values of a module under one seed.
    pub fn of_row(row: &Row) -> Self {
        let one = |mean| Mean { mean, deviation: None };
        Self(COLUMNS.iter().map(|column| column.of(row).map(one)).collect())
    }

    /// The values of a module over seeds; each seed has one row.
    pub fn of_module(rows: &[&Row]) -> Self {
        Self::over_seeds(|column| rows.iter().map(|row| column.of(row)).collect())
    }

    /// The values of a stack over seeds; each seed has one row per module.
    pub fn of_stack(seeds: &[Vec<&Row>]) -> Self {
        Self::over_seeds(|column| seeds.iter().map(|rows| column.over_modules(rows)).collect())
    }

    /// `of` gives the values of a column, one per seed.
    fn over_seeds(of: impl Fn(&Column) -> Vec<Option<f64>>) -> Self {
        Self(COLUMNS.iter().map(|column| column.over_seeds(&of(column))).collect())
    }

    /// The value in a column.
    pub fn get(&self, column: &Column) -> Option<Mean> {
        let place = COLUMNS.iter().position(|it| it.name == column.name)?;
        self.0[place]
    }

    /// The columns and their values.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Column, Option<Mean>)> {
        const ALL: &[Column] = &COLUMNS;
        ALL.iter().zip(self.0.iter().copied())
    }
}

/// Serialises values over seeds as fields of a JSON object.
impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_map(None)?;
        for (column, value) in self.iter() {
            let mean = value.map(|it| it.mean);
            match (&column.over_seeds, column.unit) {
                (OverSeeds::Nothing, _) => {}
                (OverSeeds::Spread, _) => fields.serialize_entry(column.name, &value)?,
                (_, Unit::Bytes) => {
                    fields.serialize_entry(column.name, &mean.map(|it| it as u64))?;
                }
                _ => fields.serialize_entry(column.name, &mean)?,
            }
        }
        fields.end()
    }
}

/// Lists names in order of their first appearance, each once.
pub fn each_once<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut once = Vec::new();
    for name in names {
        if !once.contains(&name) {
            once.push(name);
        }
    }
    once
}
