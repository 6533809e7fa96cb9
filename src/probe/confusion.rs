//! Which classes a probe takes for which.

use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The most classes of a matrix: a probe keeps it in its record, which would be long.
pub const MOST_CLASSES: usize = 100;

/// Pairs of classes that are kept where there are more.
pub const PAIRS: usize = 20;

/// How often each class was taken for each: `[true class][class found]`, over the classes from 0 to the
/// highest in either; `None` where these are more than [`MOST_CLASSES`].
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

/// How often each class was taken for another: class, the one it was taken for, how often, of every pair
/// that occurs.
pub fn pairs(found: &[u32], labels: &[u32]) -> Vec<(usize, usize, u64)> {
    let mut pairs = BTreeMap::<(u32, u32), u64>::new();
    for (found, label) in found.iter().zip(labels).filter(|(found, label)| found != label) {
        *pairs.entry((*label, *found)).or_default() += 1;
    }
    let pairs = pairs.into_iter();
    pairs.map(|((label, found), count)| (label as usize, found as usize, count)).collect()
}

/// The same of a matrix.
pub fn pairs_of(counts: &[Vec<u64>]) -> Vec<(usize, usize, u64)> {
    let cells = counts.iter().enumerate().flat_map(|(row, cells)| {
        cells.iter().enumerate().map(move |(column, count)| (row, column, *count))
    });
    cells.filter(|(row, column, count)| row != column && *count > 0).collect()
}

/// The most frequent of such pairs, at most so many. Of equal ones the first classes come first.
pub fn most_confused(mut pairs: Vec<(usize, usize, u64)>, most: usize) -> Vec<(usize, usize, u64)> {
    pairs.sort_by_key(|(row, column, count)| (Reverse(*count), *row, *column));
    pairs.truncate(most);
    pairs
}
