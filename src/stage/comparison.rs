//! Compares the modules of several runs, over seeds.

use serde::Serialize;

use super::columns::Values;
use super::findings::Row;
use super::mean::Mean;
use super::origin::Origin;

/// A module of a variant, trained or untrained, over all seeds.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// Name of the variant.
    pub variant: String,
    /// Name of the module.
    pub module: String,
    /// Where the module's weights come from.
    #[serde(rename = "kind")]
    pub origin: Origin,
    /// Number of seeds.
    pub seeds: usize,
    /// The accuracy on each further label, by its name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub further: Vec<(String, Option<Mean>)>,
    /// Values over the seeds.
    #[serde(flatten)]
    pub values: Values,
}

/// The lines of a variant, from the rows of its run under each seed.
pub fn lines(variant: &str, runs: &[Vec<Row>]) -> Vec<Line> {
    let Some(first) = runs.first() else { return Vec::new() };
    let line = |row: &Row| {
        let same =
            |it: &&Row| (it.probe.index, it.probe.origin) == (row.probe.index, row.probe.origin);
        let rows: Vec<&Row> = runs.iter().flat_map(|run| run.iter().filter(same)).collect();
        let further = row.probe.further.iter().map(|it| {
            let judged = rows.iter().filter_map(|row| row.probe.judged(&it.label)?.accuracy);
            (it.label.clone(), Mean::of(&judged.collect::<Vec<_>>()))
        });
        Line {
            variant: variant.to_string(),
            module: row.probe.module.clone(),
            origin: row.probe.origin,
            seeds: rows.len(),
            further: further.collect(),
            values: Values::of_module(&rows),
        }
    };
    first.iter().map(line).collect()
}
