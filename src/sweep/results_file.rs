//! Writes the results of all runs of a sweep as one Parquet file.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, StringArray, UInt64Array};

use super::{RunResult, Sweep, SweepRun};
use crate::Result;
use crate::parquet_table::{self, Column};
use crate::stage::columns::{ACCURACY, COLUMNS, Unit, each_once};
use crate::stage::findings::Row;

/// The columns that every file has, in addition to those of all tables, of the grid and of further labels.
const FIXED: [&str; 10] = [
    "sweep",
    "variant",
    "seed",
    "module",
    "module_index",
    "modules",
    "kind",
    "run_seconds",
    "settings",
    "pipeline",
];

/// A row of the file: a run, and one of its modules, trained or not.
type FoundRow<'a> = (&'a SweepRun, &'a RunResult, &'a Row);

/// Makes the bytes of a Parquet file with one row per run, module and kind.
///
/// Columns: `sweep`, `pipeline`, `variant`; one text column per key of the grid, called by the key, or `set.<key>`
/// where another column has that name (`set.loss`); `seed`; `module`, `module_index` (from 0), `modules` (in the
/// stack), `kind` ("trained", "untrained"); `accuracy`, and `accuracy_<label>` per further label; the other
/// [`COLUMNS`]; `run_seconds`, of the run's process; `settings`, the overrides as a JSON list.
///
/// # Errors
/// [`crate::Kind::Failed`] when the columns cannot be laid out.
pub fn results_file(
    sweep: &Sweep,
    runs: &[SweepRun],
    results: &[Option<&RunResult>],
) -> Result<Vec<u8>> {
    let pairs = runs.iter().zip(results).filter_map(|(run, result)| Some((run, (*result)?)));
    let found: Vec<FoundRow<'_>> = pairs
        .flat_map(|(run, result)| result.rows.iter().map(move |row| (run, result, row)))
        .collect();
    let texts = |of: &dyn Fn(&FoundRow<'_>) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(found.iter().map(of)))
    };
    let counts = |of: &dyn Fn(&FoundRow<'_>) -> Option<u64>| -> ArrayRef {
        Arc::new(UInt64Array::from_iter(found.iter().map(of)))
    };
    let numbers = |of: &dyn Fn(&FoundRow<'_>) -> Option<f64>| -> ArrayRef {
        Arc::new(Float64Array::from_iter(found.iter().map(of)))
    };

    let mut columns: Vec<Column> = Vec::new();
    let mut add = |name: &str, values: ArrayRef| {
        let nullable = values.is_nullable();
        columns.push(Column::new(name, values, nullable));
    };
    add("sweep", texts(&|_| sweep.name.clone()));
    add("pipeline", texts(&|(run, ..)| run.pipeline.name.clone()));
    add("variant", texts(&|(run, ..)| sweep.variants[run.variant].name.clone()));
    for (place, key) in sweep.grid.iter().enumerate() {
        let taken = FIXED.contains(&key.as_str()) || COLUMNS.iter().any(|it| it.name == *key);
        let name = if taken { format!("set.{key}") } else { key.clone() };
        add(&name, texts(&|(run, ..)| sweep.variants[run.variant].grid[place].clone()));
    }
    add("seed", counts(&|(run, ..)| Some(run.seed)));
    add("module", texts(&|(_, _, row)| row.probe.module.clone()));
    add("module_index", counts(&|(_, _, row)| Some(row.probe.index as u64)));
    add("modules", counts(&|(run, ..)| Some(run.pipeline.modules.len() as u64)));
    add("kind", texts(&|(_, _, row)| row.probe.origin.name().to_owned()));
    let further = found.iter().flat_map(|(_, _, row)| &row.probe.further);
    let labels = each_once(further.map(|it| it.label.as_str()));
    for column in &COLUMNS {
        let values = match column.unit {
            Unit::Bytes => counts(&|(_, _, row)| column.of(row).map(|it| it as u64)),
            _ => numbers(&|(_, _, row)| column.of(row)),
        };
        add(column.name, values);
        if column.name == ACCURACY.name {
            for label in &labels {
                let accuracy = |row: &Row| row.probe.judged(label)?.accuracy;
                add(&format!("accuracy_{label}"), numbers(&|(_, _, row)| accuracy(row)));
            }
        }
    }
    add("run_seconds", numbers(&|(_, result, _)| Some(result.seconds)));
    add("settings", texts(&|(run, ..)| serde_json::json!(run.overrides).to_string()));
    parquet_table::file("the results", columns)
}
