//! How patches of images are shown, and where vectors of them are from.

use super::place::{Place, patch};
use super::samples::Samples;
use super::shown::{Attribute, Places, Words};
use crate::Result;
use crate::pipeline::ImageView;
use crate::view::Frame;

pub(super) const WORDS: Words = Words {
    part: "patch",
    parts: "patches",
    place: "row, column",
    look: "Point at one to see its image.",
    channels: (6, 8),
    queries: (5, 7),
};

/// Where vectors of patches are from.
pub(super) struct Patches {
    view: ImageView,
    /// Pixels across the crop, and down.
    side: usize,
    /// The frame of each row.
    frames: Vec<Frame>,
}

impl Patches {
    pub fn of(view: &ImageView, samples: &Samples, attribute: &Attribute<'_>) -> Result<Self> {
        let side = view.crop.or(samples.image_size().map(|it| it.0)).unwrap_or(view.patch);
        let (tops, lefts) = (attribute("crop_top")?, attribute("crop_left")?);
        let each = tops.into_iter().zip(lefts).zip(attribute("flip")?);
        let frames = each.map(|((top, left), flip)| Frame {
            top: top.max(0) as usize,
            left: left.max(0) as usize,
            flipped: flip == 1,
        });
        Ok(Self { view: view.clone(), side, frames: frames.collect() })
    }
}

impl Places for Patches {
    fn place(&self, row: u64, position: usize, (_, columns): (usize, usize)) -> Place {
        let none = Frame { top: 0, left: 0, flipped: false };
        let frame = self.frames.get(row as usize).copied().unwrap_or(none);
        patch(&self.view, self.side, frame, columns, position)
    }

    fn is_flipped(&self, row: u64) -> bool {
        self.frames.get(row as usize).is_some_and(|it| it.flipped)
    }
}
