//! How moments of recordings are shown, and where vectors of them are from.

use std::ops::Range;

use super::place::{Field, Place};
use super::samples::Samples;
use super::shown::{Attribute, Places, Words};
use crate::Result;
use crate::pipeline::{Module, SoundView};

pub(super) const WORDS: Words = Words {
    part: "moment",
    parts: "moments",
    place: "seconds",
    look: "Press one to hear the second around it; its frame is what is seen.",
    // Few, because each has a sound: a second takes as many bytes as many pictures.
    channels: (4, 5),
    queries: (3, 4),
};

/// Where vectors of moments are from.
pub(super) struct Moments {
    field: Field,
    /// Steps of a window.
    steps: usize,
    /// The first sample of the window of each row.
    starts: Vec<i64>,
    /// The number of samples in the recording of each row.
    lengths: Vec<i64>,
}

impl Moments {
    pub fn of(
        view: &SoundView,
        samples: &Samples,
        modules: &[Module],
        attribute: &Attribute<'_>,
    ) -> Result<Self> {
        let layers = || modules.iter().flat_map(|it| it.layers());
        let (field, steps) = match modules.iter().any(|it| it.python().is_some()) {
            // What a module in PyTorch sees is not known: at most the whole window.
            true => (Field { size: view.window, jump: 0, start: 0, recurrent: false }, 1),
            false => (Field::of(layers()), Field::steps(view, layers())),
        };
        Ok(Self {
            field,
            steps,
            starts: attribute("start")?,
            lengths: (0..samples.count()).map(|row| samples.length(row) as i64).collect(),
        })
    }
}

impl Places for Moments {
    fn place(&self, row: u64, position: usize, (rows, columns): (usize, usize)) -> Place {
        let start = self.starts.get(row as usize).copied().unwrap_or(0);
        self.field.moment(start, self.steps, rows * columns, position)
    }

    /// The steps that see no silence before or after the recording; vectors of silence are alike in all
    /// recordings.
    fn own(&self, row: u64, grid: (usize, usize)) -> Range<usize> {
        let all = 0..grid.0 * grid.1;
        let length = self.lengths.get(row as usize).copied().unwrap_or(0);
        let sees = |position: usize| match self.place(row, position, grid) {
            Place::Moment { from, to } => (from >= 0, to <= length),
            Place::Patch { .. } => (true, true),
        };
        let start = all.clone().find(|it| sees(*it).0).unwrap_or(all.end);
        let end = all.rev().find(|it| sees(*it).1).map_or(0, |it| it + 1);
        start..end.max(start)
    }

    fn field(&self) -> Option<Field> {
        Some(self.field)
    }
}
