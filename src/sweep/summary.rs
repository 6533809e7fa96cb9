//! The variants of a sweep beside each other.

use serde::Serialize;

use super::{RunResult, Sweep, SweepRun};
use crate::stage::comparison::{self, Line, Mean};
use crate::stage::findings::Row;

/// A variant over all seeds that have ended well.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// The name of the variant.
    pub variant: String,
    /// Modules of its stack.
    pub modules: usize,
    /// The seeds that have ended well.
    pub seeds: Vec<u64>,
    /// Of the probe of the last module on the test split; `None` without labels.
    pub accuracy: Option<Mean>,
    /// The same under each seed.
    pub accuracies: Vec<Option<f64>>,
    /// The same of further labels, each by its name.
    pub further: Vec<Further>,
    /// What it is above the baseline in accuracy, over the seeds that both have; `None` of the baseline
    /// itself.
    pub difference: Option<Mean>,
    /// The last module's own loss on the test split.
    pub loss: Mean,
    /// The same under each seed.
    pub losses: Vec<f64>,
    /// The loss of a guess, where the loss is one of guesses.
    pub chance_loss: Option<f64>,
    /// Of training and encoding all modules, the mean over seeds: what the variant takes alone, also where
    /// it shared modules with others.
    pub seconds: Option<f64>,
    /// The highest of all modules and seeds, in bytes.
    pub peak_memory: Option<u64>,
    /// What all modules wrote to disk, the mean over seeds.
    pub bytes: u64,
    /// Every module, trained and not.
    pub lines: Vec<Line>,
}

/// The accuracy of the last module on a further label.
#[derive(Debug, Clone, Serialize)]
pub struct Further {
    pub label: String,
    /// `None` when no row has such a label.
    pub accuracy: Option<Mean>,
    /// Under each seed.
    pub accuracies: Vec<Option<f64>>,
}

/// What the runs of each variant found; variants of which no run has ended well are left out.
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

/// `None` when nothing is there.
fn summary(
    variant: &str,
    runs: &[(u64, &RunResult)],
    baseline: Option<&[(u64, &RunResult)]>,
) -> Option<Summary> {
    let all: Vec<Vec<Row>> = runs.iter().map(|(_, result)| result.rows.clone()).collect();
    let lines = comparison::lines(variant, &all);
    let last = lines.iter().rfind(|line| line.kind == TRAINED)?.clone();
    let rows: Vec<&Row> = runs.iter().filter_map(|(_, result)| last_of(result)).collect();
    let accuracies = |place: Option<usize>| -> Vec<Option<f64>> {
        let of = |row: &&Row| match place {
            None => row.probe.accuracy,
            Some(place) => row.probe.further.get(place)?.accuracy,
        };
        rows.iter().map(of).collect()
    };
    let further = last.further.iter().enumerate().map(|(place, (label, accuracy))| Further {
        label: label.clone(),
        accuracy: *accuracy,
        accuracies: accuracies(Some(place)),
    });
    let seconds: Vec<f64> = runs.iter().filter_map(|(_, result)| seconds_of(result)).collect();
    let bytes = runs.iter().map(|(_, it)| trained(it).map(|row| row.bytes).sum::<u64>());
    Some(Summary {
        variant: variant.to_owned(),
        modules: lines.iter().filter(|line| line.kind == TRAINED).count(),
        seeds: runs.iter().map(|(seed, _)| *seed).collect(),
        accuracy: last.accuracy,
        accuracies: accuracies(None),
        further: further.collect(),
        difference: baseline.and_then(|baseline| Mean::of(&differences(runs, baseline))),
        loss: last.loss,
        losses: rows.iter().map(|row| row.probe.loss).collect(),
        chance_loss: last.chance_loss,
        seconds: Mean::of(&seconds).map(|it| it.mean),
        peak_memory: runs
            .iter()
            .flat_map(|(_, it)| trained(it).filter_map(|row| row.peak_memory))
            .max(),
        bytes: bytes.sum::<u64>() / runs.len().max(1) as u64,
        lines,
    })
}

const TRAINED: &str = "trained";

fn trained(result: &RunResult) -> impl Iterator<Item = &Row> {
    result.rows.iter().filter(|row| row.probe.kind == TRAINED)
}

fn last_of(result: &RunResult) -> Option<&Row> {
    trained(result).last()
}

/// `None` when a module does not tell.
fn seconds_of(result: &RunResult) -> Option<f64> {
    trained(result).map(|row| row.seconds).sum()
}

/// In accuracy of the last module, one for each seed that both have.
fn differences(runs: &[(u64, &RunResult)], baseline: &[(u64, &RunResult)]) -> Vec<f64> {
    let accuracy = |result: &RunResult| last_of(result)?.probe.accuracy;
    let pairs = runs.iter().filter_map(|(seed, result)| {
        let (_, other) = baseline.iter().find(|(other, _)| other == seed)?;
        Some(accuracy(result)? - accuracy(other)?)
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::record::ProbeResult;

    fn result(accuracies: &[f64], seconds: f64) -> RunResult {
        let row = |(index, accuracy): (usize, &f64)| Row {
            probe: ProbeResult {
                module: format!("m{index}"),
                index,
                kind: TRAINED.to_owned(),
                probe: "linear".to_owned(),
                split: "test".to_owned(),
                accuracy: Some(*accuracy),
                knn: None,
                confusion: None,
                confused: None,
                further: vec![],
                loss: 1.0,
                chance_loss: None,
            },
            seconds: Some(seconds),
            wait_share: None,
            peak_memory: Some(index as u64),
            bytes: 10,
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
        assert_eq!((found.modules, found.bytes, found.peak_memory), (2, 20, Some(1)));
        assert_eq!(found.seconds, Some(6.0), "both modules, the mean of 4 and 8");
        assert!((found.accuracy.unwrap().mean - 0.6).abs() < 1e-12);
        assert!(summary("none", &[], Some(&baseline)).is_none());
        // A seed that the baseline lacks has nothing to be compared with.
        let alone = summary("x", &[(3, &lone)], Some(&baseline)).unwrap();
        assert_eq!(alone.difference, None);
    }
}
