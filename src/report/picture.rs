//! Small pictures: image files, and sheets that hold many pictures of one size.

use std::io::Cursor;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::imageops::{self, FilterType as Resampling};
use image::{DynamicImage, GrayImage, ImageResult, Rgb, RgbImage};

use crate::{Error, Result};

/// A sheet whose PNG has more bytes becomes a JPEG, if that is smaller.
const LARGE: usize = 200 << 10;
const QUALITY: u8 = 85;

/// The most pixels along one side of a sheet: JPEG counts them in 16 bits.
const MOST_PIXELS: u32 = 65_500;

/// The colour of frames: visible on dark and on bright pictures.
const FRAME: Rgb<u8> = Rgb([255, 64, 32]);

/// A data URI that holds `bytes`.
pub fn data_uri(media_type: &str, bytes: &[u8]) -> String {
    format!("data:{media_type};base64,{}", STANDARD.encode(bytes))
}

/// Bytes as base64.
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// A picture as a PNG file.
///
/// # Errors
/// When the picture is too large for a PNG.
pub fn png(picture: &DynamicImage) -> Result<Vec<u8>> {
    written(|out| {
        let encoder =
            PngEncoder::new_with_quality(out, CompressionType::Default, FilterType::Adaptive);
        picture.write_with_encoder(encoder)
    })
}

/// A picture as a JPEG file.
///
/// # Errors
/// When the picture is too large for a JPEG.
pub fn jpeg(picture: &DynamicImage, quality: u8) -> Result<Vec<u8>> {
    written(|out| picture.write_with_encoder(JpegEncoder::new_with_quality(out, quality)))
}

/// The bytes that `write` writes.
pub(super) fn written(
    write: impl FnOnce(&mut Cursor<Vec<u8>>) -> ImageResult<()>,
) -> Result<Vec<u8>> {
    let mut out = Cursor::new(Vec::new());
    write(&mut out)
        .map_err(|error| Error::failed(format!("could not write a picture: {error}")))?;
    Ok(out.into_inner())
}

/// Reduces a picture so that no side is longer than `most` pixels.
pub fn thumbnail(picture: &DynamicImage, most: u32) -> DynamicImage {
    match picture.width().max(picture.height()) > most {
        true => picture.resize(most, most, Resampling::Triangle),
        false => picture.clone(),
    }
}

/// Enlarges the pixels of a picture, so that its longer side has at least `least` pixels.
pub fn enlarged(picture: &DynamicImage, least: u32) -> RgbImage {
    let longer = picture.width().max(picture.height()).max(1);
    let times = least.div_ceil(longer).max(1);
    let (width, height) = (picture.width() * times, picture.height() * times);
    imageops::resize(&picture.to_rgb8(), width.max(1), height.max(1), Resampling::Nearest)
}

/// Draws a frame two pixels wide just within this part of a picture: left, top, width and height.
pub fn frame(picture: &mut RgbImage, [left, top, width, height]: [u32; 4]) {
    let (right, bottom) = (left.saturating_add(width), top.saturating_add(height));
    for y in top..bottom.min(picture.height()) {
        for x in left..right.min(picture.width()) {
            if x < left + 2 || y < top + 2 || x + 2 >= right || y + 2 >= bottom {
                picture.put_pixel(x, y, FRAME);
            }
        }
    }
}

/// Puts rows of pictures beneath each other, on white.
pub fn contact_sheet(rows: &[Vec<RgbImage>]) -> DynamicImage {
    const ROOM: u32 = 6;
    let height_of = |row: &[RgbImage]| row.iter().map(RgbImage::height).max().unwrap_or(0);
    let width_of = |row: &[RgbImage]| row.iter().map(|it| it.width() + ROOM).sum::<u32>();
    let width = rows.iter().map(|row| width_of(row)).max().unwrap_or(0) + ROOM;
    let height = rows.iter().map(|row| height_of(row) + ROOM).sum::<u32>() + ROOM;
    let mut sheet = RgbImage::from_pixel(width, height, Rgb([255; 3]));
    let mut top = ROOM;
    for row in rows {
        let mut left = ROOM;
        for picture in row {
            imageops::replace(&mut sheet, picture, left.into(), top.into());
            left += picture.width() + ROOM;
        }
        top += height_of(row) + ROOM;
    }
    sheet.into()
}

/// Many pictures of one size in one file, row after row.
pub struct Sheet {
    /// Pixels of a tile: width and height.
    pub tile: (u32, u32),
    columns: u32,
    tiles: Vec<DynamicImage>,
}

impl Sheet {
    /// An empty sheet for tiles of `tile` pixels, `columns` per row.
    pub fn new(tile: (u32, u32), columns: u32) -> Self {
        let tile = (tile.0.max(1), tile.1.max(1));
        // At least 2, because the page divides by `columns - 1`.
        Self { tile, columns: columns.clamp(2, MOST_PIXELS / tile.0).max(2), tiles: Vec::new() }
    }

    /// Adds a tile; returns its column and row. A picture of another size is cut, or gets a black border.
    pub fn add(&mut self, tile: DynamicImage) -> [u32; 2] {
        let place = self.tiles.len() as u32;
        self.tiles.push(tile);
        [place % self.columns, place / self.columns]
    }

    /// The size of the sheet: columns and rows.
    pub fn size(&self) -> [u32; 2] {
        [self.columns, (self.tiles.len() as u32).div_ceil(self.columns).max(2)]
    }

    /// The sheet as the data URI of a PNG, or of a JPEG where the PNG is large. It is gray if all tiles are
    /// gray.
    ///
    /// # Errors
    /// When the sheet is too large for both formats.
    pub fn uri(&self) -> Result<String> {
        let [columns, rows] = self.size();
        let (width, height) = (columns * self.tile.0, rows * self.tile.1);
        let gray = self.tiles.iter().all(|it| matches!(it, DynamicImage::ImageLuma8(_)));
        let mut sheet: DynamicImage = match gray {
            true => GrayImage::new(width, height).into(),
            false => RgbImage::new(width, height).into(),
        };
        for (tile, place) in self.tiles.iter().zip(0u32..) {
            let tile = tile.crop_imm(0, 0, self.tile.0, self.tile.1);
            let left = (place % columns * self.tile.0).into();
            let top = (place / columns * self.tile.1).into();
            match &mut sheet {
                DynamicImage::ImageLuma8(it) => imageops::replace(it, &tile.to_luma8(), left, top),
                DynamicImage::ImageRgb8(it) => imageops::replace(it, &tile.to_rgb8(), left, top),
                _ => {}
            }
        }
        let small = png(&sheet)?;
        if small.len() > LARGE && height <= MOST_PIXELS {
            let lossy = jpeg(&sheet, QUALITY)?;
            if lossy.len() < small.len() {
                return Ok(data_uri("image/jpeg", &lossy));
            }
        }
        Ok(data_uri("image/png", &small))
    }
}
