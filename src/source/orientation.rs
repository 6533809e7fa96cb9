//! Reads from EXIF how an image must be turned to stand upright.

use image::metadata::Orientation;

use super::jpeg::Segments;

/// The orientation in the EXIF of a JPEG.
pub fn of_jpeg(segments: &Segments<'_>) -> Orientation {
    of_exif(segments.exif)
}

/// The orientation in the `eXIf` chunk of a PNG, wherever the chunk lies.
pub fn of_png(bytes: &[u8]) -> Orientation {
    let mut at = 8;
    let mut exif = None;
    while let Some((header, rest)) = bytes.get(at..).and_then(|rest| rest.split_first_chunk::<8>())
    {
        let [a, b, c, d, kind @ ..] = *header;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if &kind == b"eXIf" {
            exif = rest.get(..length);
            break;
        }
        at = at.saturating_add(12).saturating_add(length);
    }
    of_exif(exif)
}

/// The orientation in the `EXIF` chunk of a WebP.
pub fn of_webp(bytes: &[u8]) -> Orientation {
    let mut at = 12;
    let mut exif = None;
    while let Some((header, rest)) = bytes.get(at..).and_then(|rest| rest.split_first_chunk::<8>())
    {
        let [kind @ .., a, b, c, d] = *header;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        if &kind == b"EXIF" {
            exif = rest.get(..length);
            break;
        }
        at = at.saturating_add(8).saturating_add(length).saturating_add(length % 2);
    }
    of_exif(exif)
}

/// The orientation in EXIF data. Some writers put the prefix in front that EXIF has in JPEGs.
fn of_exif(exif: Option<&[u8]>) -> Orientation {
    let exif = exif.map(|exif| exif.strip_prefix(b"Exif\0\0").unwrap_or(exif));
    exif.and_then(Orientation::from_exif_chunk).unwrap_or(Orientation::NoTransforms)
}
