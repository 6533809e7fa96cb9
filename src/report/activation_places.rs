//! How activations that were made elsewhere are shown, and where vectors of them are from.

use image::{DynamicImage, GrayImage};

use super::place::Place;
use super::shown::{Places, Words};
use crate::pipeline::{ActivationKind, SampleSize};
use crate::{Error, Result};

pub(super) const WORDS: Words = Words {
    part: "patch",
    parts: "patches",
    place: "row, column",
    look: "Point at one to see its sample: a place is as bright as its vector is long.",
    channels: (6, 8),
    queries: (5, 7),
};

/// Where vectors of activations are from.
pub(super) struct ActivationPlaces {
    size: SampleSize,
}

impl ActivationPlaces {
    pub fn of(size: SampleSize) -> Self {
        Self { size }
    }
}

impl Places for ActivationPlaces {
    fn place(&self, _row: u64, position: usize, (rows, columns): (usize, usize)) -> Place {
        let SampleSize { width, cell, .. } = self.size;
        let map = cell.map(|it| it.map);
        match cell.map(|it| it.kind) {
            // A vector stands for an equal part of the steps.
            Some(ActivationKind::Steps) => {
                let left = position * width / (rows * columns).max(1);
                Place::Patch { row: 0, column: position, top: 0, left, side: 1 }
            }
            _ => {
                let (row, column) = (position / columns.max(1), position % columns.max(1));
                let (down, across) = map.map_or((1, 1), |it| (it.height, it.width));
                let (top, left) = (row * down, column * across);
                Place::Patch { row, column, top, left, side: down.min(across) }
            }
        }
    }
}

/// Height and width of the picture of a row: one pixel for each place.
pub(super) fn picture_size(size: SampleSize) -> (usize, usize) {
    let (down, across) = size.cell.map_or((1, 1), |it| (it.map.height, it.map.width));
    (size.height * down, size.width * across)
}

/// The picture of a row: a pixel is as bright as the vector of its place is long, and white the longest.
///
/// # Errors
/// When there are more or fewer values than the size says.
pub(super) fn picture(size: SampleSize, values: &[f32]) -> Result<DynamicImage> {
    let map = size.cell.map(|it| it.map);
    let channels = map.map_or(1, |it| it.channels).max(1);
    let length = |vector: &[f32]| vector.iter().map(|it| it * it).sum::<f32>().sqrt();
    let lengths: Vec<f32> = values.chunks_exact(channels).map(length).collect();
    let longest = lengths.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    let (height, width) = picture_size(size);
    let (down, across) = map.map_or((1, 1), |it| (it.height, it.width));
    let mut pixels = vec![0; height * width];
    // The values of a patch lie together.
    for (place, length) in lengths.iter().enumerate() {
        let (patch, within) = (place / (down * across), place % (down * across));
        let row = patch / size.width * down + within / across;
        let column = patch % size.width * across + within % across;
        if let Some(pixel) = pixels.get_mut(row * width + column) {
            *pixel = (255.0 * length / longest) as u8;
        }
    }
    let image = GrayImage::from_raw(width as u32, height as u32, pixels);
    image.map(Into::into).ok_or_else(|| Error::failed("a row of activations has no picture"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::ActivationView;

    #[test]
    fn a_picture_has_a_pixel_for_each_place() {
        let size = ActivationView::default().seen(&[1, 2, 2, 1, 2]).unwrap();
        // Two patches of 2x1, the second as long as can be in its last place.
        let values = [0.0, 0.0, 3.0, 4.0, 0.0, 5.0, 6.0, 8.0];
        let picture = picture(size, &values).unwrap().into_luma8();
        assert_eq!(picture.dimensions(), (2, 2));
        assert_eq!(picture.into_raw(), [0, 127, 127, 255]);
    }

    #[test]
    fn a_vector_lies_in_the_grid_or_the_sequence() {
        let view = ActivationView::default();
        let place = |shape: &[usize], position, grid| {
            ActivationPlaces::of(view.seen(shape).unwrap()).place(0, position, grid)
        };
        let at = |row, column, top, left, side| Place::Patch { row, column, top, left, side };
        assert_eq!(place(&[2, 3, 8], 4, (2, 3)), at(1, 1, 1, 1, 1));
        assert_eq!(place(&[2, 3, 4, 4, 8], 4, (2, 3)), at(1, 1, 4, 4, 4));
        assert_eq!(place(&[1, 1, 50, 8], 3, (10, 1)), at(0, 3, 0, 15, 1));
    }
}
