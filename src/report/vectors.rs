//! The pooled vectors of a module, and where in the samples each of them is from.

use std::cmp::Ordering;
use std::ops::Range;

use gimlet_store::Generation;

use super::place::{Field, Place};
use super::samples::Samples;
use super::seen::Seen;
use super::shown::{self, Places};
use crate::pipeline::Split;
use crate::probe::pooled::Pooled;
use crate::stage::Step;
use crate::{Error, Kind, Result};

/// One vector of one sample, and what it is worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// The row of the sample.
    pub row: u64,
    /// The vector of the sample: patches in the order (row, column), or moments in time.
    pub position: usize,
    /// The activation of a channel, or the likeness to a query.
    pub value: f32,
}

/// The highest hits, so many at most: the highest first, and of equal ones that of the lowest row.
#[derive(Debug, Clone, Default)]
pub struct Highest {
    most: usize,
    hits: Vec<Hit>,
}

impl Highest {
    /// None yet.
    pub fn new(most: usize) -> Self {
        Self { most, hits: Vec::new() }
    }

    /// Keeps a hit if it is among the highest. What is not finite is not.
    pub fn offer(&mut self, hit: Hit) {
        let before = |it: &Hit| it.value.total_cmp(&hit.value).then(hit.row.cmp(&it.row));
        let place = self.hits.partition_point(|it| before(it) == Ordering::Greater);
        if place < self.most && hit.value.is_finite() {
            self.hits.truncate(self.most - 1);
            self.hits.insert(place, hit);
        }
    }

    /// With those of another.
    pub fn and(mut self, other: Self) -> Self {
        other.hits.into_iter().for_each(|it| self.offer(it));
        self
    }

    /// What was found, the highest first.
    pub fn into_hits(self) -> Vec<Hit> {
        self.hits
    }
}

/// The pooled vectors that a trained module has made of a split.
pub struct Vectors {
    /// The vectors.
    pub pooled: Pooled,
    rows: u64,
    places: Box<dyn Places>,
}

impl Vectors {
    /// Those of module `index`, of the first view of the samples.
    ///
    /// # Errors
    /// [`Kind::NotReady`] when the module has not been encoded; when it cannot be read.
    pub fn open(seen: &Seen<'_>, index: usize, samples: &Samples) -> Result<Self> {
        let split = samples.split();
        let generation = Self::generation(seen, index, split)?;
        let pooled = Pooled::open(&generation)?;
        let rows = pooled.rows().min(samples.count());
        let keys = generation.reader(&[crate::train::input::POOLED])?.keys()?;
        let modules = seen.pipeline.modules.get(..=index).unwrap_or_default();
        let attribute = |name: &str| {
            let place = generation.manifest().schema.attributes.iter().position(|it| it == name);
            let values = place.and_then(|it| keys.attributes.get(it)).cloned();
            let at = generation.dir().to_string();
            values.ok_or_else(|| Error::new(Kind::Damaged, format!("`{at}` has no `{name}`")))
        };
        let places = shown::of(&seen.pipeline.view).places(samples, modules, &attribute)?;
        Ok(Self { pooled, rows, places })
    }

    /// What module `index` has made of a split.
    ///
    /// # Errors
    /// [`Kind::NotReady`] when that is not there.
    pub fn generation(seen: &Seen<'_>, index: usize, split: Split) -> Result<Generation> {
        let missing = || {
            let name = seen.standing.plan.module(index);
            let what =
                format!("module `{name}` has no vectors of the {} split to show", split.name());
            seen.missing(what, Step::Encode(seen.standing.plan.last(index))).into_error()
        };
        seen.trained(index, split)?.ok_or_else(missing)
    }

    /// Samples that there are vectors of.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Rows and columns of the vectors of a row.
    fn grid(&self) -> (usize, usize) {
        let [rows, columns, _] = self.pooled.shape();
        (rows, columns)
    }

    /// Where a vector is from.
    pub fn place(&self, row: u64, position: usize) -> Place {
        self.places.place(row, position, self.grid())
    }

    /// The positions of a row that see nothing but its sample: all of an image; of a recording those that
    /// see none of the silence before or after it.
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
            prop_assert_eq!(of(first).and(of(second)).into_hits(), sorted);
        }
    }
}
