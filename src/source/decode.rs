//! From the bytes of a PNG or JPEG file to pixels.

use std::io::{BufRead, Cursor, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

/// Height and width may not exceed this.
pub const MAX_SIDE: u32 = 16384;

/// A file may not be longer, nor may a decoder allocate more.
pub const MAX_BYTES: u64 = 1 << 30;

/// What the decoder of a JPEG allocates beside its pixels, in bytes of its pixels: it is not told
/// how much it may, and keeps 16 bits of each coefficient, twice when it is progressive.
const JPEG_OVERHEAD: u64 = 5;

/// Decodes a PNG or JPEG image; the bytes, not a name, say which it is.
///
/// An orientation noted in EXIF is not applied (nor is it by PIL's `Image.open`).
///
/// # Errors
/// The reason, for people: an unknown format, damaged or truncated bytes, or an image beyond
/// [`MAX_SIDE`].
pub fn decode(bytes: &[u8]) -> Result<DynamicImage, String> {
    if bytes.is_empty() {
        return Err("the image has no bytes".to_owned());
    }
    let format = match image::guess_format(bytes) {
        Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg)) => format,
        _ => return Err("the image is neither PNG nor JPEG".to_owned()),
    };
    if format == ImageFormat::Jpeg && !jpeg_is_whole(bytes) {
        // The decoder would fill the missing part with gray and report success.
        return Err("the JPEG is truncated".to_owned());
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_BYTES);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    let decode = || {
        let decoder = reader.into_decoder().map_err(|error| error.to_string())?;
        let (width, height) = decoder.dimensions();
        let overhead = if format == ImageFormat::Jpeg { JPEG_OVERHEAD } else { 0 };
        if decoder.total_bytes().saturating_mul(1 + overhead) > MAX_BYTES {
            return Err(format!("the image is too large ({height}x{width})"));
        }
        DynamicImage::from_decoder(decoder).map_err(|error| error.to_string())
    };
    // Decoders are foreign code that meets damaged bytes: a bug in one must not end a long run.
    match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(Ok(image)) => Ok(image),
        Ok(Err(reason)) => Err(reason),
        Err(_) => Err("the image is damaged (its decoder panicked)".to_owned()),
    }
}

/// Height and width of a PNG or JPEG image, from its header; `None` when there is none.
pub fn size(image: impl BufRead + Seek) -> Option<(usize, usize)> {
    let reader = ImageReader::new(image).with_guessed_format().ok()?;
    // As in `decode`: foreign code meets bytes that may be damaged.
    let read = catch_unwind(AssertUnwindSafe(|| reader.into_dimensions()));
    let (width, height) = read.ok()?.ok()?;
    Some((height as usize, width as usize))
}

/// Whether the marker segments of a JPEG lead from its start to an end-of-image marker
/// (ITU-T T.81, annex B).
fn jpeg_is_whole(bytes: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xDA;
    const END_OF_IMAGE: u8 = 0xD9;
    let mut at = 2;
    loop {
        // Entropy-coded data and padding lie between segments: go to the next marker. FF 00 is a
        // stuffed byte, FF FF padding.
        let Some(offset) = bytes.get(at..).and_then(|rest| rest.iter().position(|&b| b == 0xFF))
        else {
            return false;
        };
        at += offset + 1;
        match bytes.get(at) {
            None => return false,
            Some(&END_OF_IMAGE) => return true,
            Some(0x00) => at += 1,
            Some(0xFF) => {}
            // Restart markers and TEM stand alone.
            Some(0xD0..=0xD8 | 0x01) => at += 1,
            Some(&marker) => {
                let Some(&[high, low]) = bytes.get(at + 1..at + 3) else { return false };
                at += 1 + usize::from(u16::from_be_bytes([high, low]));
                if marker == START_OF_SCAN && at >= bytes.len() {
                    return false;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, RgbImage};
    use proptest::prelude::*;

    fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.into().write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn ramp() -> RgbImage {
        RgbImage::from_fn(24, 20, |x, y| image::Rgb([x as u8 * 10, y as u8 * 12, (x * y) as u8]))
    }

    #[test]
    fn png_and_jpeg_decode_at_their_size() {
        let png = decode(&encoded(ramp(), ImageFormat::Png)).unwrap();
        assert_eq!(png, DynamicImage::from(ramp()));
        let jpeg = decode(&encoded(ramp(), ImageFormat::Jpeg)).unwrap();
        assert_eq!((jpeg.width(), jpeg.height()), (24, 20));
        for format in [ImageFormat::Png, ImageFormat::Jpeg] {
            assert_eq!(size(Cursor::new(encoded(ramp(), format))), Some((20, 24)));
        }
        assert_eq!(size(Cursor::new(b"GIF89a....")), None);
    }

    #[test]
    fn every_truncation_is_reported() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg] {
            let bytes = encoded(ramp(), format);
            // A PNG's last chunk is 12 bytes of nothing; without it the image is still whole.
            let whole = if format == ImageFormat::Png { bytes.len() - 12 } else { bytes.len() };
            for length in 0..whole {
                assert!(decode(&bytes[..length]).is_err(), "{format:?} cut to {length} bytes");
            }
        }
    }

    #[test]
    fn other_formats_and_large_images_are_refused_by_name() {
        assert!(decode(b"GIF89a....").unwrap_err().contains("neither PNG nor JPEG"));
        assert!(decode(b"").unwrap_err().contains("no bytes"));
        let wide = encoded(GrayImage::new(MAX_SIDE + 1, 1), ImageFormat::Png);
        assert!(decode(&wide).is_err());
    }

    proptest! {
        #[test]
        fn damaged_bytes_never_panic(
            jpeg in any::<bool>(),
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        ) {
            let format = if jpeg { ImageFormat::Jpeg } else { ImageFormat::Png };
            let mut bytes = encoded(ramp(), format);
            for (at, value) in damage {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            let reason = decode(&bytes).err().unwrap_or_default();
            prop_assert!(!reason.contains("panicked"), "{}", reason);
        }
    }
}
