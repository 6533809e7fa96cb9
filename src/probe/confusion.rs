//! Which classes a probe confuses.

use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The most classes of a matrix: a probe keeps it in its record, which would otherwise get long.
pub const MOST_CLASSES: usize = 100;

/// The number of pairs kept if there are more classes.
pub const PAIRS: usize = 20;

/// Counts how often each class was taken for each other: `[true class][class found]`, over the classes from 0
/// to the highest in either; `None` with more than [`MOST_CLASSES`].
pub fn matrix(found: &[u32], labels: &[u32]) -> Option<Vec<Vec<u64>>> {
    let classes = found.iter().chain(labels).max().map_or(0, |class| *class as usize + 1);
    if classes > MOST_CLASSES {
        return None;
    }
    let mut counts = vec![vec![0; classes]; classes];
    for (found, label) in found.iter().zip(labels) {
        counts[*label as usize][*found as usize] += 1;
    }
    Some(counts)
}

/// Lists the confusions: true class, class found, and count, for every pair of different classes that occurs.
pub fn pairs(found: &[u32], labels: &[u32]) -> Vec<(usize, usize, u64)> {
    let mut pairs = BTreeMap::<(u32, u32), u64>::new();
    for (found, label) in found.iter().zip(labels).filter(|(found, label)| found != label) {
        *pairs.entry((*label, *found)).or_default() += 1;
    }
    let pairs = pairs.into_iter();
    pairs.map(|((label, found), count)| (label as usize, found as usize, count)).collect()
}

/// Lists the confusions in a matrix from [`matrix`], in the form of [`pairs`].
pub fn pairs_of(counts: &[Vec<u64>]) -> Vec<(usize, usize, u64)> {
    let cells = counts.iter().enumerate().flat_map(|(row, cells)| {
        cells.iter().enumerate().map(move |(column, count)| (row, column, *count))
    });
    cells.filter(|(row, column, count)| row != column && *count > 0).collect()
}

/// The most frequent of `pairs`, at most `most`. Equally frequent ones are in the order of their classes.
pub fn most_confused(mut pairs: Vec<(usize, usize, u64)>, most: usize) -> Vec<(usize, usize, u64)> {
    pairs.sort_by_key(|(row, column, count)| (Reverse(*count), *row, *column));
    pairs.truncate(most);
    pairs
}
