//! How samples of a medium, and parts of them, are shown. Each medium has a file, and a line in [`words`] and in
//! [`places`].

use std::ops::Range;

use super::activation_places::{self, ActivationPlaces};
use super::moments::{self, Moments};
use super::patches::{self, Patches};
use super::place::{Field, Place};
use super::samples::Samples;
use crate::Result;
use crate::pipeline::{Module, View};

/// Returns the attribute with a given name for every row of vectors.
pub type Attribute<'a> = dyn Fn(&str) -> Result<Vec<i64>> + 'a;

/// Words for parts of samples, and how many parts a page has.
pub struct Words {
    /// The word for one part.
    pub part: &'static str,
    /// The word for several parts.
    pub parts: &'static str,
    /// The table header for the place of a part.
    pub place: &'static str,
    /// A sentence for the page: how to look at a part.
    pub look: &'static str,
    /// Channels per module on a page, and parts per channel.
    pub channels: (usize, usize),
    /// Queries per page, and parts shown beside each.
    pub queries: (usize, usize),
}

/// The words for parts of the samples of a view.
pub fn words(view: &View) -> &'static Words {
    match view {
        View::Images(_) => &patches::WORDS,
        View::Sound(_) => &moments::WORDS,
        View::Activations(_) => &activation_places::WORDS,
    }
}

/// The places of the vectors that the last of `modules` makes.
///
/// # Errors
/// When the vectors lack the attributes that tell their places.
pub fn places(
    view: &View,
    samples: &Samples,
    modules: &[Module],
    attribute: &Attribute<'_>,
) -> Result<Box<dyn Places>> {
    match view {
        View::Images(view) => Ok(Box::new(Patches::of(view, samples, attribute)?)),
        View::Sound(view) => Ok(Box::new(Moments::of(view, samples, modules, attribute)?)),
        View::Activations(_) => Ok(Box::new(ActivationPlaces::of(samples.size))),
    }
}

/// The places in the samples that a module's vectors are computed from.
pub trait Places: Send + Sync {
    /// The place of the vector at `position` of a row, in a grid of `(rows, columns)`.
    fn place(&self, row: u64, position: usize, grid: (usize, usize)) -> Place;

    /// The positions in the grid of a row that see nothing but its sample.
    fn own(&self, row: u64, grid: (usize, usize)) -> Range<usize> {
        let _ = row;
        0..grid.0 * grid.1
    }

    /// Whether the module sees the row mirrored.
    fn is_flipped(&self, _row: u64) -> bool {
        false
    }

    /// The receptive field of a step; `None` for media without steps.
    fn field(&self) -> Option<Field> {
        None
    }
}
