//! Reads the marker segments of JPEG files (ITU-T T.81, annex B), and decodes the files that the decoder of
//! `image` reads wrong.

use image::{DynamicImage, GrayImage, RgbImage};
use jpeg_decoder::{Decoder, PixelFormat};

const START_OF_SCAN: u8 = 0xDA;
const END_OF_IMAGE: u8 = 0xD9;
const EXIF: u8 = 0xE1;

/// What the segments of a JPEG say.
#[derive(Debug, Default)]
pub struct Segments<'a> {
    /// Whether the segments lead from the start to an end-of-image marker.
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
    width: u16,
    components: u8,
    factors: Factors,
}

/// The sampling factors of the components.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Factors {
    /// In each direction every component has factor 1 or the maximum; the first has the maximum, which is 1, 2 or 4.
    Usual,
    /// In each direction every component has factor 1 or the maximum.
    Simple,
    Other,
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
            // The other markers in this range are tables.
            (0xC0..=0xCF, _) if [0xC4, 0xC8, 0xCC].contains(&marker) => {}
            (0xC0..=0xCF, &[bits, a, b, c, d, components, ref each @ ..])
                if self.frame.is_none() =>
            {
                let (height, width) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
                let factors = Factors::of(each);
                self.frame = Some(Frame { marker, bits, height, width, components, factors });
            }
            (EXIF, [b'E', b'x', b'i', b'f', 0, 0, exif @ ..]) if self.exif.is_none() => {
                self.exif = Some(exif);
            }
            _ => {}
        }
    }

    /// Whether coefficients come in several parts, so that a decoder keeps all until the last has come.
    pub fn in_parts(&self) -> bool {
        self.scans > 1 || self.frame.is_some_and(|frame| frame.marker == 0xC2)
    }

    /// Width and height.
    pub fn size(&self) -> Option<(u32, u32)> {
        self.frame.map(|frame| (frame.width.into(), frame.height.into()))
    }

    /// Whether the decoder of `image` reads it right. If components of a sequential frame have their own scans, or
    /// the first component has fewer samples than others, that decoder mixes up their blocks and reports no error.
    pub fn is_usual(&self) -> bool {
        let together = |frame: &Frame| self.scans == 1 || frame.marker == 0xC2;
        self.frame.is_some_and(|it| it.factors == Factors::Usual && together(&it))
    }

    /// Refuses JPEGs that no decoder here reads.
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
        if frame.width == 0 {
            return Err("the JPEG has no width: it is damaged".to_owned());
        }
        if ![1, 3, 4].contains(&frame.components) {
            return Err(format!("it is a JPEG of {} components, {CONVERT}", frame.components));
        }
        if frame.factors == Factors::Other && self.scans > 1 {
            return Err(format!("it is a JPEG of unusual sampling in several scans, {CONVERT}"));
        }
        if self.scans == 0 {
            return Err("the JPEG has no scan: it is damaged".to_owned());
        }
        Ok(())
    }
}

impl Factors {
    /// Reads the factors of components, three bytes each.
    fn of(components: &[u8]) -> Self {
        let all: Vec<[u8; 2]> =
            components.chunks_exact(3).map(|it| [it[1] >> 4, it[1] & 15]).collect();
        let most = [0, 1].map(|side| all.iter().map(|it| it[side]).max().unwrap_or(0));
        let is_simple = |it: &[u8; 2]| (0..2).all(|side| [1, most[side]].contains(&it[side]));
        if !all.iter().all(is_simple) {
            return Factors::Other;
        }
        let is_usual = all.first() == Some(&most) && most.iter().all(|it| [1, 2, 4].contains(it));
        if is_usual { Factors::Usual } else { Factors::Simple }
    }
}

/// Decodes a JPEG that is not usual.
///
/// # Errors
/// The reason, for people.
pub fn decode_unusual(bytes: &[u8]) -> Result<DynamicImage, String> {
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

/// Converts CMYK to RGB like PIL's `convert("RGB")`.
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
