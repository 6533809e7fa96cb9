//! The part of a sample that a pooled vector is computed from.

use std::sync::Arc;

use crate::layer::{Layer, Map, Window};
use crate::pipeline::{ImageView, SoundView};
use crate::view::Frame;

/// A part of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A patch of an image: its place in the grid, and its square in the ingested image, in pixels. Modules
    /// never see across patches: the patch sees this square and nothing else.
    Patch {
        /// Its row in the grid.
        row: usize,
        /// Its column in the grid.
        column: usize,
        /// The first row of its pixels.
        top: usize,
        /// The first column of its pixels.
        left: usize,
        /// Its pixels across, and down.
        side: usize,
    },
    /// A moment of a recording: the samples that its steps are computed from, counted from the start
    /// of the recording. They may lie before it or after it, where there is padding.
    Moment {
        /// Its first sample.
        from: i64,
        /// The sample after its last.
        to: i64,
    },
}

/// The patch at `position`, in a grid with `columns` columns over a crop of `crop` pixels.
pub fn patch(
    view: &ImageView,
    crop: usize,
    frame: Frame,
    columns: usize,
    position: usize,
) -> Place {
    let (row, column) = (position / columns.max(1), position % columns.max(1));
    let side = view.patch;
    let right = column * view.stride;
    // The crop is mirrored first, then cut into patches.
    let from_left = if frame.flipped { crop.saturating_sub(right + side) } else { right };
    let (top, left) = (frame.top + row * view.stride, frame.left + from_left);
    Place::Patch { row, column, top, left, side }
}

/// The receptive field of a step in a stack of layers for sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Samples that one step sees through convolutions.
    pub size: usize,
    /// Samples from one step to the next.
    pub jump: usize,
    /// The first sample that step 0 sees; below 0 if that is padding.
    pub start: i64,
    /// Whether a recurrent layer also passes on everything before it, from the start of the window.
    pub recurrent: bool,
}

impl Field {
    /// The receptive field of a step after `layers`. A kernel `k` with stride `s` and padding `p` adds `(k - 1)
    /// j` to the size, takes `p j` from the start, and multiplies the distance of steps `j` by `s` (Araujo,
    /// Norris & Sim 2019, "Computing receptive fields of convolutional neural networks", equations 1 to 3).
    pub fn of<'a>(layers: impl IntoIterator<Item = &'a Arc<dyn Layer>>) -> Self {
        let first = Self { size: 1, jump: 1, start: 0, recurrent: false };
        layers.into_iter().fold(first, |field, layer| {
            let Window { kernel: [_, kernel], stride: [_, stride], padding: [_, padding] } =
                layer.window();
            Self {
                size: field.size + kernel.saturating_sub(1) * field.jump,
                jump: field.jump * stride,
                start: field.start - (padding * field.jump) as i64,
                recurrent: field.recurrent || layer.is_context(),
            }
        })
    }

    /// The number of steps that `layers` make from a window.
    pub fn steps<'a>(
        view: &SoundView,
        layers: impl IntoIterator<Item = &'a Arc<dyn Layer>>,
    ) -> usize {
        let window = Map { height: 1, width: view.window, channels: 1 };
        let map = layers.into_iter().try_fold(window, |map, layer| layer.output(map));
        map.map_or(0, |it| it.width)
    }

    /// The moment of the stored vector at `position`, in a window that starts at `start`. Each of the `vectors`
    /// stored vectors is the mean of an equal part of the `steps`.
    pub fn moment(self, start: i64, steps: usize, vectors: usize, position: usize) -> Place {
        let vectors = vectors.max(1);
        let first = position * steps / vectors;
        let last = ((position + 1) * steps / vectors).saturating_sub(1).max(first);
        let at = |step: usize| start + self.start + (step * self.jump) as i64;
        Place::Moment { from: at(first), to: at(last) + self.size as i64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::{Conv1d, Relu};

    /// The encoder of the paper, and of `pipelines/spoken-digits.toml`.
    fn paper() -> Vec<Arc<dyn Layer>> {
        let layers = [(10, 5, 2), (8, 4, 2), (4, 2, 2), (4, 2, 2), (4, 2, 1)];
        let layer = |(kernel, stride, padding)| {
            [Conv1d { channels: 4, kernel, stride, padding }.shared(), Relu.shared()]
        };
        layers.into_iter().flat_map(layer).collect()
    }

    #[test]
    fn the_field_of_the_paper_is_465_samples_a_hop_apart() {
        let field = Field::of(&paper());
        // 10 + 7*5 + 3*20 + 3*40 + 3*80; 2 + 2*5 + 2*20 + 2*40 + 80.
        assert_eq!((field.size, field.jump, field.start), (465, 160, -212));
        assert!(!field.recurrent);
    }

    #[test]
    fn a_vector_that_stands_for_several_steps_sees_what_all_of_them_see() {
        let field = Field::of(&paper()[..2]);
        assert_eq!((field.size, field.jump, field.start), (10, 5, -2));
        assert_eq!(field.moment(0, 4, 4, 1), Place::Moment { from: 3, to: 13 });
        assert_eq!(field.moment(100, 4, 2, 1), Place::Moment { from: 108, to: 123 });
    }

    #[test]
    fn a_mirrored_crop_has_its_first_patch_on_the_right() {
        let view = ImageView { crop: Some(28), flip: true, ..ImageView::new(8, 4) };
        let frame = |flipped| Frame { top: 2, left: 1, flipped };
        let place = |flipped, position| patch(&view, 28, frame(flipped), 6, position);
        let at = |row, column, top, left| Place::Patch { row, column, top, left, side: 8 };
        assert_eq!(place(false, 8), at(1, 2, 6, 9));
        assert_eq!(place(true, 0), at(0, 0, 2, 21));
        assert_eq!(place(true, 5), at(0, 5, 2, 1));
    }
}
