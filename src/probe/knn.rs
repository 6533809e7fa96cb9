//! Weighted k-nearest-neighbour classification (Wu et al. 2018, "Unsupervised Feature Learning via
//! Non-Parametric Instance Discrimination", section 3.4). Nothing is trained, so it judges the vectors alone.
//!
//! Let `s_i` be the cosine similarity of a query to row i of the bank, and N the k most similar rows. Then
//! class c has the votes
//!
//! ```text
//! w_c = sum over i in N with class c of exp(s_i / tau)
//! ```
//!
//! and the class with most votes is found. tau = 0.07 as in that paper. k = 20 as in DINO (Caron et al. 2021,
//! who found it best throughout) instead of the paper's 200, since small datasets have fewer rows per class
//! than that. The search is exact.

use std::cmp::Ordering;

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::linear::{Rows, share_found};
use crate::{Error, Result};
use gimlet_kernel::with_values;

/// The number of neighbours that vote.
pub const NEIGHBOURS: usize = 20;

/// The temperature tau: the smaller, the more the most similar rows dominate the vote.
pub const TEMPERATURE: f64 = 0.07;

/// Queries compared at once, with `BANK` rows of the bank: their similarities stay in the cache.
pub const QUERIES: usize = 256;
const BANK: usize = 2048;

/// The share of `queries` for which the `k` most similar rows of `bank`, or all if there are fewer, find the
/// right class.
///
/// The result does not depend on the order of the bank: among equally similar rows, and among classes with
/// equal votes, the lower class comes first.
///
/// # Errors
/// The errors of [`predictions`].
pub fn accuracy(
    bank: &Rows,
    queries: &Rows,
    k: usize,
    stop: impl Fn() -> Result<()>,
) -> Result<f64> {
    Ok(share_found(&predictions(bank, queries, k, stop)?, queries))
}

/// The class that the `k` most similar rows of `bank` find for each of `queries`. `stop` is called now and
/// then; its error ends the work.
///
/// # Errors
/// When either has no rows, or they differ in features; the error of `stop`.
pub fn predictions(
    bank: &Rows,
    queries: &Rows,
    k: usize,
    stop: impl Fn() -> Result<()>,
) -> Result<Vec<u32>> {
    let features = bank.features();
    if bank.labels.is_empty() || queries.labels.is_empty() || features != queries.features() {
        return Err(Error::failed("neighbours need rows in both splits, of the same features"));
    }
    let bank_blocks = unit(bank, BANK)?;
    let k = k.clamp(1, bank.labels.len());
    let mut found = Vec::with_capacity(queries.labels.len());
    for block in unit(queries, QUERIES)? {
        stop()?;
        let mut nearest: Vec<Nearest> = Vec::new();
        nearest.resize_with(block.dim(0)?, || Nearest::new(k));
        for (index, rows) in bank_blocks.iter().enumerate() {
            let labels = &bank.labels[index * BANK..];
            let similar = block.matmul(&rows.t()?)?;
            with_values(&similar, "neighbours", |similar| {
                let all = similar.par_chunks(rows.dim(0)?).zip(&mut nearest);
                all.for_each(|(similar, nearest)| nearest.offer(similar, labels));
                Ok(())
            })?;
        }
        found.extend(nearest.into_iter().map(Nearest::vote));
    }
    Ok(found)
}

/// The vectors divided by their lengths, `block` rows in each tensor. A vector of length 0, or with a NaN, has
/// no direction and becomes 0.
fn unit(rows: &Rows, block: usize) -> Result<Vec<Tensor>> {
    let features = rows.features();
    let blocks = rows.vectors.chunks(block * features).map(|vectors| {
        let mut out = Vec::with_capacity(vectors.len());
        for vector in vectors.chunks_exact(features) {
            let squares: f64 = vector.iter().map(|it| f64::from(*it).powi(2)).sum();
            match squares > 0.0 && squares.is_finite() {
                true => {
                    let scale = squares.sqrt().recip();
                    out.extend(vector.iter().map(|it| (f64::from(*it) * scale) as f32));
                }
                false => out.extend(std::iter::repeat_n(0.0, features)),
            }
        }
        Ok(Tensor::from_vec(out, (vectors.len() / features, features), &Device::Cpu)?)
    });
    blocks.collect()
}

/// The rows seen so far that are most similar to one query, in order.
struct Nearest {
    k: usize,
    /// Pairs of similarity and class.
    rows: Vec<(f32, u32)>,
}

/// The order: more similar rows first; among equals, the lower class first.
fn order(one: &(f32, u32), other: &(f32, u32)) -> Ordering {
    other.0.total_cmp(&one.0).then(one.1.cmp(&other.1))
}

impl Nearest {
    fn new(k: usize) -> Self {
        Self { k, rows: Vec::with_capacity(k + 1) }
    }

    fn offer(&mut self, similar: &[f32], labels: &[u32]) {
        for (similar, label) in similar.iter().zip(labels) {
            // Most rows stop here.
            if self.rows.len() == self.k && self.rows[self.k - 1].0 > *similar {
                continue;
            }
            let row = (*similar, *label);
            let place = self.rows.partition_point(|it| order(it, &row) != Ordering::Greater);
            if place < self.k {
                self.rows.insert(place, row);
                self.rows.truncate(self.k);
            }
        }
    }

    fn vote(self) -> u32 {
        // Similarities are at most 1: less 1, no exponential overflows, whatever the temperature.
        let weight = |similar: f32| ((f64::from(similar) - 1.0) / TEMPERATURE).exp();
        let mut votes: Vec<(u32, f64)> = Vec::new();
        for (similar, label) in self.rows {
            match votes.iter_mut().find(|(of, _)| *of == label) {
                Some((_, votes)) => *votes += weight(similar),
                None => votes.push((label, weight(similar))),
            }
        }
        votes.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
        votes.first().map_or(0, |(label, _)| *label)
    }
}
