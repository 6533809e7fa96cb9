//! An image as a dataset holds it.

use image::{DynamicImage, GrayImage, RgbImage};

use crate::{Error, Result};

/// An image of 8-bit values, `[height, width, channels]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels {
    /// Rows of pixels.
    pub height: usize,
    /// Pixels per row.
    pub width: usize,
    /// 1 or 3.
    pub channels: usize,
    /// Row by row, the channels of a pixel beside each other.
    pub values: Vec<u8>,
}

impl Pixels {
    /// Whether all pixels are of one colour.
    pub fn is_constant(&self) -> bool {
        let mut pixels = self.values.chunks_exact(self.channels.max(1));
        let first = pixels.next();
        pixels.all(|pixel| Some(pixel) == first)
    }

    /// Converts the values to an image that can be shown.
    ///
    /// # Errors
    /// When there are more or fewer values than the size says.
    pub fn into_image(self) -> Result<DynamicImage> {
        let Self { height, width, channels, values } = self;
        let image = match channels {
            1 => GrayImage::from_raw(width as u32, height as u32, values).map(Into::into),
            _ => RgbImage::from_raw(width as u32, height as u32, values).map(Into::into),
        };
        image.ok_or_else(|| Error::failed(format!("the image does not fill {height}x{width}")))
    }
}
