//! Decodes image files to pixels: PNG, JPEG, WebP, BMP, GIF and TIFF.

use std::io::{Cursor, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use super::decode_room::{self, Held};
use super::first_bytes::{self, ALONE, ENOUGH};
use super::jpeg::{self, Segments};
use super::{orientation, whole};

/// The most pixels of an image; PIL has the same limit.
pub const MAX_PIXELS: u64 = 178_956_970;

/// The most pixels in height or width.
pub const MAX_SIDE: u32 = 1 << 18;

/// The most bytes of a file.
pub const MAX_BYTES: u64 = 1 << 30;

/// The most bytes of memory to decode one image. Only a few large images are decoded at a time.
pub const MAX_MEMORY: u64 = 4 << 30;

/// Memory that is allocated in addition to the pixels, as a multiple of their bytes: a turned copy, or the
/// decoder's own.
const OVERHEAD: u64 = 1;

/// Memory that the JPEG decoder allocates when coefficients come in several parts, as a multiple of the pixels'
/// bytes. The decoder accepts no limit. It keeps 16 bits per coefficient, twice when the image is progressive.
const JPEG_OVERHEAD: u64 = 5;

/// File name endings of the image formats that are read, in lower case.
pub const ENDINGS: [&str; 9] = ["png", "jpg", "jpeg", "jfif", "webp", "bmp", "gif", "tif", "tiff"];

/// A decoded image.
#[derive(Debug)]
pub struct Decoded {
    /// The image.
    pub image: DynamicImage,
    /// Whether it was turned or mirrored because its EXIF says so.
    pub turned: bool,
    /// Its share of the memory for images. Drop it after the image.
    pub room: Held,
}

/// Decodes an image of any supported format, which the bytes tell and not a name. If the file has several frames
/// or pages, decodes the first.
///
/// An orientation noted in EXIF is applied, as Hugging Face's `datasets` does.
///
/// # Errors
/// The reason, for people: an unknown format, damaged or truncated bytes, or an image beyond
/// [`MAX_PIXELS`] or [`MAX_SIDE`].
pub fn decode(bytes: &[u8]) -> Result<Decoded, String> {
    let format = format(bytes)?;
    // Decoders are foreign code that meets damaged bytes: a bug in one must not end a long run.
    match catch_unwind(AssertUnwindSafe(|| decode_as(format, bytes))) {
        Ok(decoded) => decoded,
        Err(_) => Err("the image is damaged (its decoder panicked)".to_owned()),
    }
}

/// The format of an image, if it is supported.
fn format(bytes: &[u8]) -> Result<ImageFormat, String> {
    use ImageFormat::{Bmp, Gif, Jpeg, Png, Tiff, WebP};
    if bytes.is_empty() {
        return Err("the image has no bytes".to_owned());
    }
    match image::guess_format(bytes) {
        Ok(format @ (Png | Jpeg | WebP | Bmp | Gif | Tiff)) => Ok(format),
        _ => Err(match first_bytes::tell(&bytes[..bytes.len().min(ENOUGH)]) {
            Some(told) if told.advice == ALONE => format!("it is {}, not an image", told.what),
            Some(told) => format!("it is {}: {}", told.what, told.advice),
            None => "it is no image of a kind that is read: PNG, JPEG, WebP, BMP, GIF, TIFF".into(),
        }),
    }
}

fn decode_as(format: ImageFormat, bytes: &[u8]) -> Result<Decoded, String> {
    match format {
        ImageFormat::Jpeg => {
            let segments = Segments::of(bytes);
            segments.check()?;
            let (width, height) = segments.size().unwrap_or_default();
            check_size(width, height)?;
            let (orientation, in_parts) = (orientation::of_jpeg(&segments), segments.in_parts());
            if !segments.is_usual() {
                let memory = u64::from(width) * u64::from(height) * 4 * (1 + JPEG_OVERHEAD);
                return within(memory, orientation, || jpeg::decode_unusual(bytes));
            }
            let overhead = if in_parts { JPEG_OVERHEAD } else { OVERHEAD };
            decode_by_image(format, bytes, orientation, overhead)
        }
        ImageFormat::WebP => {
            if !whole::webp(bytes) {
                return Err("the WebP is truncated".to_owned());
            }
            decode_by_image(format, bytes, orientation::of_webp(bytes), OVERHEAD)
        }
        ImageFormat::Png => decode_by_image(format, bytes, orientation::of_png(bytes), OVERHEAD),
        ImageFormat::Gif => {
            let (width, height) = whole::gif(bytes).ok_or("the GIF is truncated")?;
            check_size(width.into(), height.into())?;
            decode_by_image(format, bytes, Orientation::NoTransforms, OVERHEAD)
        }
        _ => decode_by_image(format, bytes, None, OVERHEAD),
    }
}

/// Decodes with the `image` crate. If `orientation` is `None`, its decoder tells the orientation.
fn decode_by_image(
    format: ImageFormat,
    bytes: &[u8],
    orientation: impl Into<Option<Orientation>>,
    overhead: u64,
) -> Result<Decoded, String> {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_MEMORY);
    let reader = ImageReader::with_format(Cursor::new(bytes), format);
    let said = |error: ImageError| said(format, error);
    let mut decoder = reader.into_decoder().map_err(said)?;
    let (width, height) = decoder.dimensions();
    check_size(width, height)?;
    if matches!(decoder.color_type(), ColorType::Rgb32F | ColorType::Rgba32F) {
        return Err("its values are floating point: convert it to 8 or 16 bits".to_owned());
    }
    decoder.set_limits(limits).map_err(said)?;
    let orientation = match orientation.into() {
        Some(orientation) => orientation,
        None => decoder.orientation().unwrap_or(Orientation::NoTransforms),
    };
    let memory = decoder.total_bytes().saturating_mul(1 + overhead);
    within(memory, orientation, || DynamicImage::from_decoder(decoder).map_err(said))
}

/// Waits until `memory` bytes are free, then decodes and turns the image.
fn within(
    memory: u64,
    orientation: Orientation,
    decode: impl FnOnce() -> Result<DynamicImage, String>,
) -> Result<Decoded, String> {
    if memory > MAX_MEMORY {
        return Err(format!("the image takes {memory} bytes to decode, more than {MAX_MEMORY}"));
    }
    let room = decode_room::IMAGES.take(memory);
    let mut image = decode()?;
    image.apply_orientation(orientation);
    Ok(Decoded { image, turned: orientation != Orientation::NoTransforms, room })
}

/// A decoder's error as a message, with the next step if it is known.
fn said(format: ImageFormat, error: ImageError) -> String {
    let format = format!("{format:?}").to_uppercase();
    match error {
        ImageError::Unsupported(error) => {
            format!("it is a {format} of a kind that is not read ({error}): convert it to PNG")
        }
        ImageError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            format!("the {format} is truncated")
        }
        error => error.to_string(),
    }
}

fn check_size(width: u32, height: u32) -> Result<(), String> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MAX_PIXELS || width > MAX_SIDE || height > MAX_SIDE {
        return Err(format!(
            "the image is too large: {height}x{width} (height x width) is {pixels} pixels; \
             {MAX_PIXELS} are read, and sides of {MAX_SIDE}: make it smaller"
        ));
    }
    Ok(())
}

/// Height and width that [`decode`] would give, read from the header; `None` when there is no header.
pub fn size(bytes: &[u8]) -> Option<(usize, usize)> {
    let format = format(bytes).ok()?;
    // As in `decode`: foreign code meets bytes that may be damaged.
    let read = catch_unwind(AssertUnwindSafe(|| {
        if format == ImageFormat::Jpeg {
            let segments = Segments::of(bytes);
            let readable = segments.size().filter(|(width, height)| *width > 0 && *height > 0);
            return Some((readable?, orientation::of_jpeg(&segments)));
        }
        let mut decoder =
            ImageReader::with_format(Cursor::new(bytes), format).into_decoder().ok()?;
        let orientation = match format {
            ImageFormat::Png => orientation::of_png(bytes),
            ImageFormat::WebP => orientation::of_webp(bytes),
            _ => decoder.orientation().unwrap_or(Orientation::NoTransforms),
        };
        Some((decoder.dimensions(), orientation))
    }));
    let ((width, height), orientation) = read.ok()??;
    let (width, height) = (width as usize, height as usize);
    // Orientations that swap height and width.
    let turned = matches!(orientation.to_exif(), 5..=8);
    Some(if turned { (width, height) } else { (height, width) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, RgbImage};
    use proptest::prelude::*;

    const FORMATS: [ImageFormat; 6] = [
        ImageFormat::Png,
        ImageFormat::Jpeg,
        ImageFormat::WebP,
        ImageFormat::Bmp,
        ImageFormat::Gif,
        ImageFormat::Tiff,
    ];

    fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let image: DynamicImage = image.into();
        // A GIF keeps these few colours exactly.
        let image = if format == ImageFormat::Gif { image.to_rgba8().into() } else { image };
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn ramp() -> RgbImage {
        RgbImage::from_fn(24, 20, |x, y| image::Rgb([x as u8 * 10, y as u8 * 12, (x * y) as u8]))
    }

    #[test]
    fn every_format_decodes_at_its_size() {
        let few =
            RgbImage::from_fn(24, 20, |x, y| image::Rgb([x as u8 / 8 * 80, y as u8 / 5 * 60, 7]));
        for format in FORMATS {
            let image = if format == ImageFormat::Gif { few.clone() } else { ramp() };
            let found = decode(&encoded(image.clone(), format)).unwrap();
            assert!(!found.turned);
            assert_eq!((found.image.width(), found.image.height()), (24, 20), "{format:?}");
            if format != ImageFormat::Jpeg {
                assert!(found.image.to_rgb8() == image, "{format:?}");
            }
            assert_eq!(size(&encoded(ramp(), format)), Some((20, 24)), "{format:?}");
        }
        assert_eq!(size(b"\x89PNG\r\n\x1a\n...."), None);
    }

    #[test]
    fn every_truncation_is_reported() {
        for format in FORMATS {
            let bytes = encoded(ramp(), format);
            // Bytes that a whole image can do without: a PNG's last chunk, 12 bytes without content; the byte
            // that ends a GIF; the padding byte of a WebP.
            let spare = match format {
                ImageFormat::Png => 12,
                ImageFormat::Gif | ImageFormat::WebP => 1,
                _ => 0,
            };
            for length in 0..bytes.len() - spare {
                assert!(decode(&bytes[..length]).is_err(), "{format:?} cut to {length} bytes");
            }
        }
    }

    #[test]
    fn other_formats_are_refused_by_name() {
        let told = |bytes: &[u8]| decode(bytes).unwrap_err();
        assert!(
            told(b"\0\0\0\x1cftypavif....")
                .contains("an AVIF image, which is not read: convert it")
        );
        assert!(told(b"version https://git-lfs.github.com/spec/v1\n").contains("`git lfs pull`"));
        assert!(told(b"some text").contains("PNG, JPEG, WebP, BMP, GIF, TIFF"));
        assert!(told(b"").contains("no bytes"));
    }

    #[test]
    fn large_images_are_refused_with_the_limit_and_long_ones_are_read() {
        let long = encoded(GrayImage::new(17_000, 2), ImageFormat::Jpeg);
        assert_eq!(decode(&long).unwrap().image.width(), 17_000);
        let wide = encoded(GrayImage::new(MAX_SIDE + 1, 1), ImageFormat::Png);
        let told = decode(&wide).unwrap_err();
        assert!(told.contains("1x262145") && told.contains("sides of 262144"), "{told}");
        let mut gif = encoded(ramp(), ImageFormat::Gif);
        gif[6..10].copy_from_slice(&[0xff; 4]);
        let told = decode(&gif).unwrap_err();
        assert!(told.contains("65535x65535") && told.contains("178956970"), "{told}");
    }

    proptest! {
        #[test]
        fn damaged_bytes_never_panic(
            format in 0..FORMATS.len(),
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        ) {
            let mut bytes = encoded(ramp(), FORMATS[format]);
            for (at, value) in damage {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            let reason = decode(&bytes).err().unwrap_or_default();
            prop_assert!(!reason.contains("panicked"), "{}", reason);
        }
    }
}
