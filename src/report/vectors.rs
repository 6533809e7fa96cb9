//! The pooled vectors of a module, and where in the samples each of them is from.

use std::cmp::Ordering;
use std::ops::Range;

use gimlet_store::Generation;

use super::place::{Crop, Field, Place, patch};
use super::samples::Samples;
use super::seen::Seen;
use crate::pipeline::{ImageView, Split, View};
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
    places: Places,
}

/// Where vectors are from.
enum Places {
    /// Of each row, its crop.
    Images { view: ImageView, crops: Vec<Crop> },
    /// Of each row, the first sample of its window, and how many its recording has.
    Sound { field: Field, steps: usize, starts: Vec<i64>, lengths: Vec<i64> },
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
        let attributes = generation.manifest().schema.attributes.clone();
        let keys = generation.reader(&[crate::train::input::POOLED])?.keys()?;
        let attribute = |name: &str| -> Result<&[i64]> {
            let place = attributes.iter().position(|it| it == name);
            let values = place.and_then(|it| keys.attributes.get(it)).map(Vec::as_slice);
            let at = generation.dir().to_string();
            values.ok_or_else(|| Error::new(Kind::Damaged, format!("`{at}` has no `{name}`")))
        };
        let places = match &seen.pipeline.view {
            View::Images(view) => {
                let side = view.crop.or(samples.image_size().map(|it| it.0)).unwrap_or(view.patch);
                let (tops, lefts) = (attribute("crop_top")?, attribute("crop_left")?);
                let each = tops.iter().zip(lefts).zip(attribute("flip")?);
                let crops = each.map(|((top, left), flip)| Crop {
                    top: (*top).max(0) as usize,
                    left: (*left).max(0) as usize,
                    side,
                    flipped: *flip == 1,
                });
                Places::Images { view: view.clone(), crops: crops.take(rows as usize).collect() }
            }
            View::Sound(view) => {
                let modules = seen.pipeline.modules.get(..=index).unwrap_or_default();
                let layers = || modules.iter().flat_map(|it| &it.layers);
                let (field, steps) = (Field::of(layers()), Field::steps(view, layers()));
                let starts = attribute("start")?.iter().take(rows as usize).copied().collect();
                let lengths = (0..rows).map(|row| samples.length(row) as i64).collect();
                Places::Sound { field, steps, starts, lengths }
            }
        };
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

    /// Where a vector is from.
    pub fn place(&self, row: u64, position: usize) -> Place {
        let [_, columns, _] = self.pooled.shape();
        match &self.places {
            Places::Images { view, crops } => {
                let none = Crop { top: 0, left: 0, side: view.patch, flipped: false };
                let crop = crops.get(row as usize).copied().unwrap_or(none);
                patch(view, crop, columns, position)
            }
            Places::Sound { field, steps, starts, .. } => {
                let start = starts.get(row as usize).copied().unwrap_or(0);
                field.moment(start, *steps, self.pooled.positions(), position)
            }
        }
    }

    /// The positions of a row that see nothing but its sample: all of an image; of a recording those that
    /// see none of the silence before or after it, which are alike in all recordings.
    pub fn own(&self, row: u64) -> Range<usize> {
        let all = 0..self.pooled.positions();
        let Places::Sound { lengths, .. } = &self.places else { return all };
        let length = lengths.get(row as usize).copied().unwrap_or(0);
        let sees = |position: usize| match self.place(row, position) {
            Place::Moment { from, to } => (from >= 0, to <= length),
            Place::Patch { .. } => (true, true),
        };
        let start = all.clone().find(|it| sees(*it).0).unwrap_or(all.end);
        let end = all.rev().find(|it| sees(*it).1).map_or(0, |it| it + 1);
        start..end.max(start)
    }

    /// Whether the crop of a row is mirrored.
    pub fn is_flipped(&self, row: u64) -> bool {
        match &self.places {
            Places::Images { crops, .. } => crops.get(row as usize).is_some_and(|it| it.flipped),
            Places::Sound { .. } => false,
        }
    }

    /// The receptive field of a step of sound.
    pub fn field(&self) -> Option<Field> {
        match &self.places {
            Places::Images { .. } => None,
            Places::Sound { field, .. } => Some(*field),
        }
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
