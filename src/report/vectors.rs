//! The pooled vectors of a module, and the place in a sample that each comes from.

use std::cmp::Ordering;
use std::ops::Range;

use gimlet_store::Generation;

use super::place::{Field, Place};
use super::run_view::RunView;
use super::samples::Samples;
use super::shown::{self, Places};
use crate::pipeline::Split;
use crate::probe::pooled::Pooled;
use crate::stage::Step;
use crate::{Error, Kind, Result};

/// One vector of one sample, and its value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// The row of the sample.
    pub row: u64,
    /// The number of the vector in the sample: patches in the order (row, column), or moments in order of time.
    pub position: usize,
    /// The activation of a channel, or the similarity to a query.
    pub value: f32,
}

/// Collects the highest hits, up to a limit, the highest first. Equal hits are in the order of their rows.
#[derive(Debug, Clone, Default)]
pub struct Highest {
    most: usize,
    /// The hits, the highest first.
    pub hits: Vec<Hit>,
}

impl Highest {
    /// An empty collection for at most `most` hits.
    pub fn new(most: usize) -> Self {
        Self { most, hits: Vec::new() }
    }

    /// Keeps a hit if it is among the highest. A value that is not finite is dropped.
    pub fn offer(&mut self, hit: Hit) {
        let before = |it: &Hit| it.value.total_cmp(&hit.value).then(hit.row.cmp(&it.row));
        let place = self.hits.partition_point(|it| before(it) == Ordering::Greater);
        if place < self.most && hit.value.is_finite() {
            self.hits.truncate(self.most - 1);
            self.hits.insert(place, hit);
        }
    }

    /// Adds the hits of another collection.
    pub fn and(mut self, other: Self) -> Self {
        other.hits.into_iter().for_each(|it| self.offer(it));
        self
    }
}

/// The pooled vectors of a trained module for a split.
pub struct Vectors {
    /// The vectors.
    pub pooled: Pooled,
    /// The number of samples that have vectors.
    pub rows: u64,
    places: Box<dyn Places>,
}

impl Vectors {
    /// Opens the vectors of module `index`, for the first view of the samples.
    ///
    /// # Errors
    /// [`Kind::NotReady`] when the module has not been encoded; when the vectors cannot be read.
    pub fn open(run: &RunView<'_>, index: usize, samples: &Samples) -> Result<Self> {
        let generation = Self::generation(run, index, samples.split)?;
        let pooled = Pooled::open(&generation)?;
        let rows = pooled.rows().min(samples.count());
        let keys = generation.reader(&[crate::train::input::POOLED])?.keys()?;
        let modules = run.pipeline.modules.get(..=index).unwrap_or_default();
        let attribute = |name: &str| {
            let place = generation.manifest().schema.attributes.iter().position(|it| it == name);
            let values = place.and_then(|it| keys.attributes.get(it)).cloned();
            let at = generation.dir().to_string();
            values.ok_or_else(|| Error::new(Kind::Damaged, format!("`{at}` has no `{name}`")))
        };
        let places = shown::places(&run.pipeline.view, samples, modules, &attribute)?;
        Ok(Self { pooled, rows, places })
    }

    /// The generation that module `index` wrote for a split.
    ///
    /// # Errors
    /// [`Kind::NotReady`] when there is none.
    pub fn generation(run: &RunView<'_>, index: usize, split: Split) -> Result<Generation> {
        let missing = || {
            let name = run.standing.plan.module(index);
            let what =
                format!("module `{name}` has no vectors of the {} split to show", split.name());
            run.missing(what, Step::Encode(run.standing.plan.last(index))).into_error()
        };
        run.trained(index, split)?.ok_or_else(missing)
    }

    /// Rows and columns of the grid of vectors in each row.
    fn grid(&self) -> (usize, usize) {
        let [rows, columns, _] = self.pooled.shape();
        (rows, columns)
    }

    /// The place that a vector comes from.
    pub fn place(&self, row: u64, position: usize) -> Place {
        self.places.place(row, position, self.grid())
    }

    /// The positions of a row that see nothing but its sample: for an image all; for a recording the ones that
    /// see no silence before or after it.
    pub fn own(&self, row: u64) -> Range<usize> {
        self.places.own(row, self.grid())
    }

    /// Whether the crop of a row is mirrored.
    pub fn is_flipped(&self, row: u64) -> bool {
        self.places.is_flipped(row)
    }

    /// The receptive field of a step of sound.
    pub fn field(&self) -> Option<Field> {
        self.places.field()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_highest_are_those_of_a_sort(
            values in proptest::collection::vec(-3i8..4, 0..40),
            most in 0usize..6,
            cut in 0usize..40,
        ) {
            let hit = |(row, value): (usize, &i8)| {
                Hit { row: row as u64, position: 0, value: f32::from(*value) }
            };
            let all: Vec<Hit> = values.iter().enumerate().map(hit).collect();
            let of = |hits: &[Hit]| {
                let mut highest = Highest::new(most);
                hits.iter().for_each(|it| highest.offer(*it));
                highest
            };
            let (first, second) = all.split_at(cut.min(all.len()));
            let mut sorted = all.clone();
            sorted.sort_by(|a, b| b.value.total_cmp(&a.value).then(a.row.cmp(&b.row)));
            sorted.truncate(most);
            prop_assert_eq!(of(first).and(of(second)).hits, sorted);
        }
    }
}
