//! Several runs beside each other: means over seeds, and how far seeds differ.

use serde::Serialize;

use super::findings::Row;

/// A mean over seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Mean {
    pub mean: f64,
    /// The sample's standard deviation; `None` of one seed.
    pub deviation: Option<f64>,
}

/// A module of a variant, trained or not, over all seeds.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    pub variant: String,
    pub module: String,
    /// "trained" or "untrained".
    pub kind: String,
    pub seeds: usize,
    /// Of the probe on the test split; `None` without labels.
    pub accuracy: Option<Mean>,
    /// The same of further labels, each by its name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub further: Vec<(String, Option<Mean>)>,
    /// The module's own loss on the test split.
    pub loss: Mean,
    pub chance_loss: Option<f64>,
    /// The mean of the seconds of training and encoding.
    pub seconds: Option<f64>,
    /// The highest of all seeds, in bytes.
    pub peak_memory: Option<u64>,
    /// The mean of the bytes written.
    pub bytes: u64,
}

impl Mean {
    /// Of values; `None` when there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt());
        (!values.is_empty()).then_some(Self { mean, deviation })
    }
}

/// The lines of a variant, from the rows of its run under each seed.
pub fn lines(variant: &str, runs: &[Vec<Row>]) -> Vec<Line> {
    let Some(first) = runs.first() else { return Vec::new() };
    let line = |row: &Row| {
        let same =
            |it: &&Row| (it.probe.index, &it.probe.kind) == (row.probe.index, &row.probe.kind);
        let rows: Vec<&Row> = runs.iter().flat_map(|run| run.iter().filter(same)).collect();
        let all = |value: &dyn Fn(&Row) -> Option<f64>| -> Vec<f64> {
            rows.iter().filter_map(|row| value(row)).collect()
        };
        Some(Line {
            variant: variant.to_string(),
            module: row.probe.module.clone(),
            kind: row.probe.kind.clone(),
            seeds: rows.len(),
            accuracy: Mean::of(&all(&|row| row.probe.accuracy)),
            further: row
                .probe
                .further
                .iter()
                .enumerate()
                .map(|(place, judged)| {
                    let accuracy = |row: &Row| row.probe.further.get(place)?.accuracy;
                    (judged.label.clone(), Mean::of(&all(&accuracy)))
                })
                .collect(),
            loss: Mean::of(&all(&|row| Some(row.probe.loss)))?,
            chance_loss: row.probe.chance_loss,
            seconds: Mean::of(&all(&|row| row.seconds)).map(|it| it.mean),
            peak_memory: rows.iter().filter_map(|row| row.peak_memory).max(),
            bytes: rows.iter().map(|row| row.bytes).sum::<u64>() / rows.len().max(1) as u64,
        })
    };
    first.iter().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deviation_is_that_of_a_sample() {
        assert_eq!(Mean::of(&[]), None);
        assert_eq!(Mean::of(&[3.0]), Some(Mean { mean: 3.0, deviation: None }));
        assert_eq!(Mean::of(&[1.0, 2.0, 3.0]), Some(Mean { mean: 2.0, deviation: Some(1.0) }));
    }
}
