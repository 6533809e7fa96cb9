//! JPEG files: what their marker segments say (ITU-T T.81, annex B), and a decoder for those that the one
//! of `image` reads wrong.

use image::{DynamicImage, GrayImage, RgbImage};
use jpeg_decoder::{Decoder, PixelFormat};

const START_OF_SCAN: u8 = 0xDA;
const END_OF_IMAGE: u8 = 0xD9;
const EXIF: u8 = 0xE1;

/// What a JPEG's segments say.
#[derive(Debug, Default)]
pub struct Segments<'a> {
    /// Whether they lead from its start to an end-of-image marker.
    pub whole: bool,
    frame: Option<Frame>,
    scans: usize,
    pub exif: Option<&'a [u8]>,
}

/// A frame header.
#[derive(Debug, Clone, Copy)]
struct Frame {
    marker: u8,
    bits: u8,
    height: u16,
    components: u8,
}

impl<'a> Segments<'a> {
    /// Follows the segments as far as they lead.
    pub fn of(bytes: &'a [u8]) -> Self {
        let mut found = Self::default();
        let mut at = 2;
        loop {
            // Entropy-coded data and padding lie between segments: go to the next marker. FF 00 is a
            // stuffed byte, FF FF padding.
            let rest = bytes.get(at..).unwrap_or_default();
            let Some(offset) = rest.iter().position(|&b| b == 0xFF) else { return found };
            at += offset + 1;
            match bytes.get(at) {
                None => return found,
                Some(&END_OF_IMAGE) => {
                    found.whole = true;
                    return found;
                }
                Some(0x00) => at += 1,
                Some(0xFF) => {}
                // Restart markers and TEM stand alone.
                Some(0xD0..=0xD8 | 0x01) => at += 1,
                Some(&marker) => {
                    let Some(&[high, low]) = bytes.get(at + 1..at + 3) else { return found };
                    let end = at + 1 + usize::from(u16::from_be_bytes([high, low]));
                    let content = bytes.get(at + 3..end.max(at + 3)).unwrap_or_default();
                    found.take(marker, content);
                    at = end;
                }
            }
        }
    }

    fn take(&mut self, marker: u8, content: &'a [u8]) {
        match (marker, content) {
            (START_OF_SCAN, _) => self.scans += 1,
            // All others between them are tables.
            (0xC0..=0xCF, _) if [0xC4, 0xC8, 0xCC].contains(&marker) => {}
            (0xC0..=0xCF, &[bits, high, low, _, _, components, ..]) if self.frame.is_none() => {
                let height = u16::from_be_bytes([high, low]);
                self.frame = Some(Frame { marker, bits, height, components });
            }
            (EXIF, [b'E', b'x', b'i', b'f', 0, 0, exif @ ..]) if self.exif.is_none() => {
                self.exif = Some(exif);
            }
            _ => {}
        }
    }

    /// Whether coefficients come a part at a time, so that all are kept until the last has come.
    pub fn in_parts(&self) -> bool {
        self.scans > 1 || self.frame.is_some_and(|frame| frame.marker == 0xC2)
    }

    /// Whether each component, or some, has a scan of its own, and the frame is sequential: where
    /// components are subsampled, the decoder of `image` takes their blocks for others'.
    pub fn by_component(&self) -> bool {
        self.scans > 1 && matches!(self.frame, Some(Frame { marker: 0xC0 | 0xC1, .. }))
    }

    /// Refuses what no decoder of ours reads.
    ///
    /// # Errors
    /// The reason, for people.
    pub fn check(&self) -> Result<(), String> {
        const CONVERT: &str = "which is not read: convert it to a baseline JPEG or to PNG";
        if !self.whole {
            // Decoders would fill the missing part with gray and report success.
            return Err("the JPEG is truncated".to_owned());
        }
        let Some(frame) = self.frame else {
            return Err("the JPEG has no frame: it is damaged".to_owned());
        };
        match frame.marker {
            0xC0..=0xC2 => {}
            0xC9 | 0xCA => return Err(format!("it is a JPEG in arithmetic coding, {CONVERT}")),
            0xC3 | 0xCB => return Err(format!("it is a lossless JPEG, {CONVERT}")),
            _ => return Err(format!("it is a hierarchical JPEG, {CONVERT}")),
        }
        if frame.bits != 8 {
            return Err(format!("it is a JPEG of {} bits a sample, {CONVERT}", frame.bits));
        }
        if frame.height == 0 {
            return Err(format!("it is a JPEG that says its height at its end, {CONVERT}"));
        }
        if ![1, 3, 4].contains(&frame.components) {
            return Err(format!("it is a JPEG of {} components, {CONVERT}", frame.components));
        }
        if self.scans == 0 {
            return Err("the JPEG has no scan: it is damaged".to_owned());
        }
        Ok(())
    }
}

/// Decodes a sequential JPEG of several scans.
///
/// # Errors
/// The reason, for people.
pub fn decode_by_component(bytes: &[u8]) -> Result<DynamicImage, String> {
    let mut decoder = Decoder::new(bytes);
    let pixels = decoder.decode().map_err(|error| error.to_string())?;
    let info = decoder.info().ok_or("the JPEG has no header")?;
    let (width, height) = (u32::from(info.width), u32::from(info.height));
    let image = match info.pixel_format {
        PixelFormat::L8 => GrayImage::from_raw(width, height, pixels).map(Into::into),
        PixelFormat::RGB24 => RgbImage::from_raw(width, height, pixels).map(Into::into),
        PixelFormat::CMYK32 => {
            RgbImage::from_raw(width, height, without_black(pixels)).map(Into::into)
        }
        PixelFormat::L16 => None,
    };
    image.ok_or_else(|| "the JPEG does not fill its size".to_owned())
}

/// RGB from CMYK, as PIL's `convert("RGB")`.
fn without_black(mut pixels: Vec<u8>) -> Vec<u8> {
    let count = pixels.len() / 4;
    for place in 0..count {
        let [cyan, magenta, yellow, black] = [0, 1, 2, 3].map(|it| pixels[4 * place + it]);
        let light = u32::from(255 - black);
        for (channel, ink) in [cyan, magenta, yellow].into_iter().enumerate() {
            let product = u32::from(ink) * light + 128;
            let shade = ((product >> 8) + product) >> 8;
            pixels[3 * place + channel] = (light - shade) as u8;
        }
    }
    pixels.truncate(3 * count);
    pixels
}
