//! Summarises each variant of a sweep over its seeds, for comparison.

use serde::Serialize;

use super::{RunResult, Sweep, SweepRun};
use crate::stage::columns::Values;
use crate::stage::comparison::{self, Line};
use crate::stage::findings::Row;
use crate::stage::mean::Mean;
use crate::stage::origin::Origin;
use crate::stage::record::Judged;

/// The results of a variant over all seeds that have ended well.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// The name of the variant.
    pub variant: String,
    /// The number of modules in its stack.
    pub modules: usize,
    /// The seeds that have ended well.
    pub seeds: Vec<u64>,
    /// The accuracy of the last module under each seed; `None` without labels.
    pub accuracies: Vec<Option<f64>>,
    /// The accuracy of the last module on further labels.
    pub further: Vec<Further>,
    /// The accuracy minus that of the baseline, over the seeds that both have; `None` for the baseline itself.
    pub difference: Option<Mean>,
    /// The loss of the last module under each seed.
    pub losses: Vec<f64>,
    /// Values of the whole stack, over seeds: what the variant takes by itself, even where it shared modules with
    /// others.
    #[serde(flatten)]
    pub values: Values,
    /// One line per module, trained and untrained.
    pub lines: Vec<Line>,
}

/// The accuracy of the last module on a further label.
#[derive(Debug, Clone, Serialize)]
pub struct Further {
    pub label: String,
    /// The mean over seeds; `None` when no row has this label.
    pub accuracy: Option<Mean>,
    /// The accuracy under each seed.
    pub accuracies: Vec<Option<f64>>,
}

/// Summarises the runs of each variant. Variants without a run that has ended well are left out.
pub fn summaries(sweep: &Sweep, runs: &[SweepRun], results: &[Option<&RunResult>]) -> Vec<Summary> {
    let of = |variant: usize| -> Vec<(u64, &RunResult)> {
        let all = runs.iter().zip(results);
        all.filter(|(run, _)| run.variant == variant)
            .filter_map(|(run, result)| Some((run.seed, (*result)?)))
            .collect()
    };
    let baseline = of(sweep.baseline);
    let variants = sweep.variants.iter().enumerate();
    variants
        .filter_map(|(place, variant)| {
            let baseline = (place != sweep.baseline).then_some(&baseline[..]);
            summary(&variant.name, &of(place), baseline)
        })
        .collect()
}

/// Summarises one variant; `None` when it has no results.
fn summary(
    variant: &str,
    runs: &[(u64, &RunResult)],
    baseline: Option<&[(u64, &RunResult)]>,
) -> Option<Summary> {
    let all: Vec<Vec<Row>> = runs.iter().map(|(_, result)| result.rows.clone()).collect();
    let seeds: Vec<Vec<&Row>> = runs.iter().map(|(_, it)| trained(it).collect()).collect();
    let rows: Vec<&Row> = seeds.iter().filter_map(|rows| rows.last().copied()).collect();
    let first = rows.first()?;
    let further = first.probe.further.iter().map(|Judged { label, .. }| {
        let accuracy = |row: &&Row| row.probe.judged(label)?.accuracy;
        let accuracies: Vec<Option<f64>> = rows.iter().map(accuracy).collect();
        let known: Vec<f64> = accuracies.iter().copied().flatten().collect();
        Further { label: label.clone(), accuracy: Mean::of(&known), accuracies }
    });
    Some(Summary {
        variant: variant.to_owned(),
        modules: seeds.first().map_or(0, Vec::len),
        seeds: runs.iter().map(|(seed, _)| *seed).collect(),
        accuracies: rows.iter().map(|row| row.probe.accuracy).collect(),
        further: further.collect(),
        difference: baseline.and_then(|baseline| Mean::of(&differences(runs, baseline))),
        losses: rows.iter().map(|row| row.probe.loss).collect(),
        values: Values::of_stack(&seeds),
        lines: comparison::lines(variant, &all),
    })
}

fn trained(result: &RunResult) -> impl Iterator<Item = &Row> {
    result.rows.iter().filter(|row| row.probe.origin == Origin::Trained)
}

/// The differences in accuracy of the last module, one for each seed that both have.
fn differences(runs: &[(u64, &RunResult)], baseline: &[(u64, &RunResult)]) -> Vec<f64> {
    let accuracy = |result: &RunResult| trained(result).last()?.probe.accuracy;
    let pairs = runs.iter().filter_map(|(seed, result)| {
        let (_, other) = baseline.iter().find(|(other, _)| other == seed)?;
        Some(accuracy(result)? - accuracy(other)?)
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Split;
    use crate::stage::record::{Classifier, ProbeResult};
    use crate::train::took::Took;

    fn result(accuracies: &[f64], seconds: f64) -> RunResult {
        let row = |(index, accuracy): (usize, &f64)| Row {
            probe: ProbeResult {
                module: format!("m{index}"),
                index,
                origin: Origin::Trained,
                probe: Classifier::Linear,
                split: Split::Test,
                rows: Some(100),
                accuracy: Some(*accuracy),
                knn: None,
                confusion: None,
                confused: None,
                further: vec![],
                loss: 1.0,
                chance_loss: None,
            },
            took: Some(Took {
                seconds,
                peak_memory: Some(index as u64),
                bytes: Some(10),
                ..Took::default()
            }),
            wait_share: None,
        };
        let rows = accuracies.iter().enumerate().map(row).collect();
        RunResult { key: String::new(), rows, seconds: 0.0 }
    }

    #[test]
    fn the_last_module_counts_and_differences_are_those_of_the_same_seed() {
        let (one, two) = (result(&[0.1, 0.5], 2.0), result(&[0.1, 0.7], 4.0));
        let (lone, other) = (result(&[0.6], 1.0), result(&[0.9], 1.0));
        let baseline = [(1, &one), (2, &two)];
        let found = summary("x", &[(2, &other), (1, &lone)], Some(&baseline)).unwrap();
        // 0.9 - 0.7 and 0.6 - 0.5, whatever order the seeds are in.
        let difference = found.difference.unwrap();
        assert!((difference.mean - 0.15).abs() < 1e-12, "{difference:?}");
        assert!((difference.deviation.unwrap() - 0.005f64.sqrt()).abs() < 1e-12);

        let found = summary("base", &baseline, None).unwrap();
        assert_eq!(found.difference, None);
        assert_eq!(found.modules, 2);
        let found = serde_json::to_value(&found).unwrap();
        assert_eq!((found["bytes"].as_u64(), found["peak_memory"].as_u64()), (Some(20), Some(1)));
        assert_eq!(found["seconds"], 6.0, "both modules, the mean of 4 and 8");
        assert!((found["accuracy"]["mean"].as_f64().unwrap() - 0.6).abs() < 1e-12);
        assert!(found["chance_loss"].is_null() && found.get("wait_share").is_none());
        assert!(summary("none", &[], Some(&baseline)).is_none());
        // A seed that the baseline lacks has nothing to be compared with.
        let alone = summary("x", &[(3, &lone)], Some(&baseline)).unwrap();
        assert_eq!(alone.difference, None);
    }
}
