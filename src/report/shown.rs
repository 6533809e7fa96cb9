//! How samples of a medium, and parts of them, are shown. A medium is a file with its [`Shown`], and its line in [`of`].

use std::ops::Range;

use gimlet_store::{Generation, Keys};

use super::place::{Field, Place};
use super::samples::Samples;
use crate::pipeline::{Module, View};
use crate::{Error, Kind, Result};

/// What is said of parts of samples, and how many of them a page has.
pub struct Words {
    /// One part.
    pub part: &'static str,
    /// Several.
    pub parts: &'static str,
    /// What tells where a part is, as the header of a table.
    pub place: &'static str,
    /// What to do with one on a page.
    pub look: &'static str,
    /// Channels of a module on a page, and parts of each.
    pub channels: (usize, usize),
    /// Queries of a page, and the parts that are shown beside each.
    pub queries: (usize, usize),
}

/// How samples that are seen so are shown.
pub trait Shown {
    /// What is said of them.
    fn words(&self) -> &'static Words;

    /// Where the vectors are from that the last of these modules has made of samples.
    ///
    /// # Errors
    /// When the attributes of the vectors do not say it.
    fn places(
        &self,
        samples: &Samples,
        modules: &[Module],
        attributes: &Attributes<'_>,
    ) -> Result<Box<dyn Places>>;
}

/// Where the vectors of a module are from.
pub trait Places: Send + Sync {
    /// Where the vector at `position` of a row is from, of a grid of so many rows and columns.
    fn place(&self, row: u64, position: usize, grid: (usize, usize)) -> Place;

    /// The positions of a row, of so many, that see nothing but its sample.
    fn own(&self, row: u64, grid: (usize, usize)) -> Range<usize> {
        let _ = row;
        0..grid.0 * grid.1
    }

    /// Whether what is seen of a row is mirrored.
    fn is_flipped(&self, _row: u64) -> bool {
        false
    }

    /// The receptive field of a step, where there are steps.
    fn field(&self) -> Option<Field> {
        None
    }
}

/// The attributes of the rows of a dataset.
pub struct Attributes<'a> {
    pub generation: &'a Generation,
    pub keys: &'a Keys,
}

impl Attributes<'_> {
    /// One of each row.
    ///
    /// # Errors
    /// When there is no such attribute.
    pub fn named(&self, name: &str) -> Result<&[i64]> {
        let attributes = &self.generation.manifest().schema.attributes;
        let place = attributes.iter().position(|it| it == name);
        let values = place.and_then(|it| self.keys.attributes.get(it)).map(Vec::as_slice);
        let at = self.generation.dir().display().to_string();
        values.ok_or_else(|| Error::new(Kind::Damaged, format!("`{at}` has no `{name}`")))
    }
}

/// How samples that are seen so are shown.
pub fn of(view: &View) -> &dyn Shown {
    match view {
        View::Images(view) => view,
        View::Sound(view) => view,
    }
}
