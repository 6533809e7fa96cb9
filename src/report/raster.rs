//! Pictures with few pixels, as PNG.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{Rgba, RgbaImage, imageops};

use super::picture;
use crate::Result;

/// A colour and how much it covers: red, green, blue, alpha.
pub type Pixel = [u8; 4];

/// A fully transparent pixel.
pub const CLEAR: Pixel = [0; 4];

/// The colours above and below zero. People who cannot tell red from green can tell them apart.
const ABOVE: [u8; 3] = [217, 72, 15];
const BELOW: [u8; 3] = [37, 99, 201];

/// A picture: pixels, row after row from the top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture(RgbaImage);

impl Picture {
    /// A picture whose pixels are `pixel(column, row)`.
    pub fn of(width: usize, height: usize, pixel: impl Fn(usize, usize) -> Pixel) -> Self {
        let pixel = |x: u32, y: u32| Rgba(pixel(x as usize, y as usize));
        Self(RgbaImage::from_fn(width as u32, height as u32, pixel))
    }

    /// The width in pixels.
    pub fn width(&self) -> usize {
        self.0.width() as usize
    }

    /// The height in pixels.
    pub fn height(&self) -> usize {
        self.0.height() as usize
    }

    /// The pixel in column `x` and row `y`; clear outside.
    pub fn at(&self, x: usize, y: usize) -> Pixel {
        self.0.get_pixel_checked(x as u32, y as u32).map_or(CLEAR, |it| it.0)
    }

    /// Puts another picture over this one. Parts that lie outside are left out.
    pub fn put(&mut self, left: usize, top: usize, other: &Self) {
        imageops::replace(&mut self.0, &other.0, left as i64, top as i64);
    }

    /// Resizes the picture: a smaller one has the mean of the pixels under each pixel, a larger one the nearest
    /// pixel.
    pub fn sized(&self, width: usize, height: usize) -> Self {
        let (width, height) = (width.max(1), height.max(1));
        let span = |at: usize, of: usize, to: usize| {
            let from = at * of / to;
            from..((at + 1) * of / to).max(from + 1)
        };
        Self::of(width, height, |x, y| {
            let mut sums = [0u64; 4];
            let mut count = 0;
            for y in span(y, self.height(), height) {
                for x in span(x, self.width(), width) {
                    let [red, green, blue, alpha] = self.at(x, y).map(u64::from);
                    let parts = [red * alpha, green * alpha, blue * alpha, alpha];
                    sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
                    count += 1;
                }
            }
            let [red, green, blue, alpha] = sums;
            let colour = |sum: u64| sum.checked_div(alpha).unwrap_or(0) as u8;
            [colour(red), colour(green), colour(blue), (alpha / count) as u8]
        })
    }

    /// Enlarges every pixel to a square of `times` by `times`.
    pub fn enlarged(&self, times: usize) -> Self {
        self.sized(self.width() * times.max(1), self.height() * times.max(1))
    }

    /// Reduces the picture, with its proportions, to at most `width` by `height`.
    pub fn within(&self, width: usize, height: usize) -> Self {
        if self.width() <= width && self.height() <= height {
            return self.clone();
        }
        let share = |of: usize, most: usize| most as f64 / of.max(1) as f64;
        let share = share(self.width(), width).min(share(self.height(), height));
        let scaled = |size: usize| ((size as f64 * share).round() as usize).max(1);
        self.sized(scaled(self.width()), scaled(self.height()))
    }

    /// Puts the picture on a background of one colour.
    pub fn over(&self, ground: [u8; 3]) -> Self {
        Self::of(self.width(), self.height(), |x, y| {
            let [red, green, blue, alpha] = self.at(x, y);
            let alpha = u32::from(alpha);
            let mix = |above: u8, below: u8| {
                ((u32::from(above) * alpha + u32::from(below) * (255 - alpha) + 127) / 255) as u8
            };
            [mix(red, ground[0]), mix(green, ground[1]), mix(blue, ground[2]), 255]
        })
    }

    /// Puts pictures below each other, aligned left, with `gap` clear pixels between them.
    pub fn stacked(pictures: &[Self], gap: usize) -> Self {
        let width = pictures.iter().map(Self::width).max().unwrap_or(0);
        let gaps = gap * pictures.len().saturating_sub(1);
        let height = pictures.iter().map(Self::height).sum::<usize>() + gaps;
        let mut all = Self::of(width, height, |_, _| CLEAR);
        let mut top = 0;
        for picture in pictures {
            all.put(0, top, picture);
            top += picture.height() + gap;
        }
        all
    }

    /// Puts pictures in rows of `columns`, each in a cell as large as the largest picture, with `gap` clear
    /// pixels between them.
    pub fn tiled(pictures: &[Self], columns: usize, gap: usize) -> Self {
        let columns = columns.clamp(1, pictures.len().max(1));
        let rows = pictures.len().div_ceil(columns);
        let width = pictures.iter().map(Self::width).max().unwrap_or(0) + gap;
        let height = pictures.iter().map(Self::height).max().unwrap_or(0) + gap;
        let size = (columns * width, (rows * height).saturating_sub(gap));
        let mut all = Self::of(size.0.saturating_sub(gap), size.1, |_, _| CLEAR);
        for (place, picture) in pictures.iter().enumerate() {
            all.put(place % columns * width, place / columns * height, picture);
        }
        all
    }

    /// The picture as a PNG file.
    ///
    /// # Errors
    /// When the picture has no pixels, or too many.
    pub fn png(&self) -> Result<Vec<u8>> {
        picture::written(|out| {
            // Many pixels are equal; PNG's filters would make them less so.
            let (size, filter) = (CompressionType::Best, FilterType::NoFilter);
            self.0.write_with_encoder(PngEncoder::new_with_quality(out, size, filter))
        })
    }

    /// The picture as a data URI, for a page.
    ///
    /// # Errors
    /// The errors of [`Self::png`].
    pub fn data_uri(&self) -> Result<String> {
        Ok(picture::data_uri("image/png", &self.png()?))
    }
}

/// The colour of a value on a scale from `-largest` to `largest`. Zero is clear, so that the page's background
/// shows, light or dark.
pub fn diverging(value: f32, largest: f32) -> Pixel {
    let share = if largest > 0.0 { (value.abs() / largest).min(1.0) } else { 0.0 };
    let [red, green, blue] = if value < 0.0 { BELOW } else { ABOVE };
    [red, green, blue, (255.0 * share).round() as u8]
}

/// The colour of lines.
pub const INK: Pixel = [BELOW[0], BELOW[1], BELOW[2], 255];

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(value: u8) -> Pixel {
        [value, value, value, 255]
    }

    #[test]
    fn smaller_is_the_mean_and_larger_the_nearest() {
        let picture = Picture::of(4, 2, |x, y| grey((10 * x + 100 * y) as u8));
        let small = picture.sized(2, 1);
        assert_eq!((small.at(0, 0), small.at(1, 0)), (grey(55), grey(75)));
        let large = picture.enlarged(3);
        assert_eq!((large.width(), large.height()), (12, 6));
        assert_eq!((large.at(2, 2), large.at(3, 3)), (grey(0), grey(110)));
        assert_eq!(picture.within(2, 50), small);
        assert_eq!(picture.within(9, 9), picture);
    }

    #[test]
    fn what_is_clear_has_no_part_in_the_mean_of_colours() {
        let picture = Picture::of(2, 1, |x, _| if x == 0 { grey(200) } else { CLEAR });
        assert_eq!(picture.sized(1, 1).at(0, 0), [200, 200, 200, 127]);
        assert_eq!(picture.over([100; 3]).at(1, 0), grey(100));
    }

    #[test]
    fn a_png_is_read_back_as_it_was() {
        let tile = Picture::of(3, 3, |x, y| [x as u8, y as u8, 7, 255]);
        let picture = Picture::tiled(&[tile.clone(), tile.clone(), tile.clone()], 2, 1);
        assert_eq!((picture.width(), picture.height()), (7, 7));
        assert_eq!(
            (picture.at(3, 0), picture.at(0, 5), picture.at(6, 6)),
            (CLEAR, [0, 1, 7, 255], CLEAR)
        );
        let read = image::load_from_memory(&picture.png().unwrap()).unwrap().to_rgba8();
        assert_eq!(read.dimensions(), (7, 7));
        assert_eq!(read.as_raw().as_slice(), picture.0.as_raw().as_slice());
        assert_eq!(Picture::stacked(&[tile.clone(), tile], 2).height(), 8);
    }

    #[test]
    fn zero_is_clear_and_signs_have_colours() {
        assert_eq!(diverging(0.0, 2.0)[3], 0);
        assert_eq!(diverging(-2.0, 2.0), [37, 99, 201, 255]);
        assert_eq!(diverging(5.0, 2.0), [217, 72, 15, 255]);
        assert_eq!(diverging(1.0, 0.0)[3], 0);
    }
}
