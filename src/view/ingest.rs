//! Brings images to the size and the channels of the view, once, at ingest.

use image::DynamicImage;
use image::imageops::FilterType;

use crate::pipeline::{ImageView, SampleSize};
use crate::sample::Pixels;
use crate::{Error, Result};

impl Pixels {
    /// The height and width of the image.
    pub fn size(&self) -> SampleSize {
        SampleSize::of_image(self.height, self.width)
    }
}

/// Brings an image to the channels and the size of `view`.
///
/// Channels follow PIL's `convert("L")` and `convert("RGB")`. Gray is ITU-R 601 luma in fixed point. Alpha is dropped,
/// not blended. Of 16-bit values the high byte counts. The decoder has already resolved a palette.
///
/// With `view.resize`, the largest centred square is resampled bilinearly to `[resize, resize]` (a triangle filter,
/// widened when it makes the image smaller).
///
/// # Errors
/// When the image has no pixel.
pub fn ingest(view: &ImageView, image: &DynamicImage) -> Result<Pixels> {
    let (width, height) = (image.width(), image.height());
    if width == 0 || height == 0 {
        return Err(Error::failed(format!("the image has no pixel ({height}x{width})")));
    }
    let values = if view.grayscale { gray(image) } else { rgb(image) };
    let channels = view.channels();
    let Some(resize) = view.resize else {
        return Ok(Pixels { height: height as usize, width: width as usize, channels, values });
    };
    let side = u32::try_from(resize)
        .map_err(|_| Error::failed(format!("`view.resize` = {resize} is too large")))?;
    let square = width.min(height);
    let corner = ((width - square) / 2, (height - square) / 2);
    let whole = Pixels { height: height as usize, width: width as usize, channels, values };
    let square = whole.into_image()?.crop_imm(corner.0, corner.1, square, square);
    let values = square.resize_exact(side, side, FilterType::Triangle).into_bytes();
    Ok(Pixels { height: resize, width: resize, channels, values })
}

/// ITU-R 601 luma, `0.299 R + 0.587 G + 0.114 B`, in the fixed point of PIL's `convert("L")`.
fn luma([r, g, b]: [u8; 3]) -> u8 {
    ((u32::from(r) * 19595 + u32::from(g) * 38470 + u32::from(b) * 7471 + 0x8000) >> 16) as u8
}

/// Converts to gray values, `[height, width]`.
fn gray(image: &DynamicImage) -> Vec<u8> {
    convert(image, |v| [v], |rgb| [luma(rgb)])
}

/// Converts to RGB values, `[height, width, 3]`.
fn rgb(image: &DynamicImage) -> Vec<u8> {
    convert(image, |v| [v; 3], |rgb| rgb)
}

/// Applies `of_gray` or `of_rgb` to every pixel, without its alpha.
fn convert<const C: usize>(
    image: &DynamicImage,
    of_gray: impl Fn(u8) -> [u8; C],
    of_rgb: impl Fn([u8; 3]) -> [u8; C],
) -> Vec<u8> {
    let grays = |values: &[u8], step| -> Vec<u8> {
        values.chunks_exact(step).flat_map(|pixel| of_gray(pixel[0])).collect()
    };
    let rgbs = |values: &[u8], step| -> Vec<u8> {
        values.chunks_exact(step).flat_map(|p| of_rgb([p[0], p[1], p[2]])).collect()
    };
    match image {
        DynamicImage::ImageLuma8(image) => grays(image, 1),
        DynamicImage::ImageLumaA8(image) => grays(image, 2),
        DynamicImage::ImageRgb8(image) => rgbs(image, 3),
        DynamicImage::ImageRgba8(image) => rgbs(image, 4),
        DynamicImage::ImageLuma16(image) => grays(&high_bytes(image), 1),
        DynamicImage::ImageLumaA16(image) => grays(&high_bytes(image), 2),
        DynamicImage::ImageRgb16(image) => rgbs(&high_bytes(image), 3),
        DynamicImage::ImageRgba16(image) => rgbs(&high_bytes(image), 4),
        // No built-in decoder gives floating point.
        other => rgbs(&other.to_rgb8(), 3),
    }
}

fn high_bytes(values: &[u16]) -> Vec<u8> {
    values.iter().map(|value| (value >> 8) as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, ImageBuffer, Luma, LumaA, Rgb, RgbImage, Rgba};

    fn view(grayscale: bool, resize: Option<usize>) -> ImageView {
        ImageView { resize, grayscale, ..ImageView::new(8, 4) }
    }

    fn values(grayscale: bool, image: impl Into<DynamicImage>) -> Vec<u8> {
        ingest(&view(grayscale, None), &image.into()).unwrap().values
    }

    /// Compares with `PIL.Image.new("RGB", (1, 1), rgb).convert("L")`.
    #[test]
    fn luma_is_pils() {
        let expected = [
            ([255, 0, 0], 76),
            ([0, 255, 0], 150),
            ([0, 0, 255], 29),
            ([255, 255, 255], 255),
            ([12, 200, 99], 132),
            ([1, 2, 3], 2),
        ];
        for (rgb, gray) in expected {
            assert_eq!(luma(rgb), gray, "{rgb:?}");
        }
        assert!((0..=255).all(|v| luma([v; 3]) == v));
    }

    #[test]
    fn every_kind_of_image_gets_the_channels_of_the_view() {
        let kinds: [(DynamicImage, [u8; 3], u8); 8] = [
            (GrayImage::from_pixel(1, 1, Luma([77])).into(), [77; 3], 77),
            (ImageBuffer::from_pixel(1, 1, LumaA([77u8, 3])).into(), [77; 3], 77),
            (RgbImage::from_pixel(1, 1, Rgb([12, 200, 99])).into(), [12, 200, 99], 132),
            // The colour counts although it is transparent.
            (ImageBuffer::from_pixel(1, 1, Rgba([12u8, 200, 99, 0])).into(), [12, 200, 99], 132),
            (ImageBuffer::from_pixel(1, 1, Luma([0x4DFFu16])).into(), [77; 3], 77),
            (ImageBuffer::from_pixel(1, 1, LumaA([0x4D00u16, 9])).into(), [77; 3], 77),
            (
                ImageBuffer::from_pixel(1, 1, Rgb([0x0C00u16, 0xC8FF, 0x6380])).into(),
                [12, 200, 99],
                132,
            ),
            (
                ImageBuffer::from_pixel(1, 1, Rgba([0x0C00u16, 0xC8FF, 0x6380, 0])).into(),
                [12, 200, 99],
                132,
            ),
        ];
        for (image, rgb, gray) in kinds {
            let kind = image.color();
            assert_eq!(values(false, image.clone()), rgb, "{kind:?} as RGB");
            assert_eq!(values(true, image), [gray], "{kind:?} as gray");
        }
    }

    #[test]
    fn channels_come_last_and_rows_first() {
        let image = RgbImage::from_fn(3, 2, |x, y| Rgb([x as u8, y as u8, 9]));
        let pixels = ingest(&view(false, None), &image.into()).unwrap();
        assert_eq!((pixels.height, pixels.width, pixels.channels), (2, 3, 3));
        assert_eq!(pixels.values[9..], [0, 1, 9, 1, 1, 9, 2, 1, 9]);
    }

    #[test]
    fn resizing_keeps_the_centred_square() {
        // 8 wide, 4 high: black, a white square in the middle, black.
        let image =
            GrayImage::from_fn(8, 4, |x, _| Luma([if (2..6).contains(&x) { 255 } else { 0 }]));
        for (grayscale, values) in [(true, 4), (false, 12)] {
            let pixels = ingest(&view(grayscale, Some(2)), &image.clone().into()).unwrap();
            assert_eq!((pixels.height, pixels.width), (2, 2));
            assert_eq!(pixels.values, vec![255; values]);
        }
    }

    #[test]
    fn resizing_interpolates_linearly() {
        // Pixel centres of 2 lie at -0.25, 0.25, 0.75 and 1.25 of those of 4.
        let image = GrayImage::from_fn(2, 2, |x, _| Luma([x as u8 * 200]));
        let pixels = ingest(&view(true, Some(4)), &image.into()).unwrap();
        assert_eq!(pixels.values[..4], [0, 50, 150, 200]);
    }

    #[test]
    fn an_image_without_pixels_is_an_error() {
        let error = ingest(&view(true, Some(4)), &GrayImage::new(0, 3).into()).unwrap_err();
        assert!(error.to_string().contains("no pixel"), "{error}");
    }
}
