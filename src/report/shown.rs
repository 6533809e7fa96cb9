//! How samples of a medium, and parts of them, are shown. A medium is a file with its [`Shown`], and its line in
//! [`of`].

use std::ops::Range;

use super::place::{Field, Place};
use super::samples::Samples;
use crate::Result;
use crate::pipeline::{Module, View};

/// An attribute of every row of vectors, by its name.
pub type Attribute<'a> = dyn Fn(&str) -> Result<Vec<i64>> + 'a;

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
        attribute: &Attribute<'_>,
    ) -> Result<Box<dyn Places>>;
}

/// Where the vectors of a module are from.
pub trait Places: Send + Sync {
    /// Where the vector at `position` of a row is from, in a grid of these rows and columns.
    fn place(&self, row: u64, position: usize, grid: (usize, usize)) -> Place;

    /// The positions in the grid of a row that see nothing but its sample.
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

/// How samples that are seen so are shown.
pub fn of(view: &View) -> &dyn Shown {
    match view {
        View::Images(view) => view,
        View::Sound(view) => view,
    }
}
