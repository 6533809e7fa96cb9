//! Parts of samples on a page: patches of images, and moments of recordings that can be heard.
//!
//! All pictures of a gallery lie in one sheet. The style sheet (`page/gallery.css`) finds a picture in it from
//! the place of the tile and the frame in the tile. The script (`page/gallery.js`) shows the whole tile,
//! framed, beside the pointer, and plays sounds.

use std::collections::HashMap;
use std::fmt::Write as _;

use image::{DynamicImage, RgbImage};
use serde_json::json;

use super::page::Html;
use super::picture::{self, Sheet};
use super::place::Place;
use super::samples::Samples;
use super::sound;
use super::vectors::{Hit, Vectors};
use crate::{Error, Result};

/// Longest side of a picture on the page, in pixels: larger images are shown smaller.
const MOST_SIDE: u32 = 128;

/// Pixels of a spectrogram.
pub const SPECTROGRAM: (u32, u32) = (96, 64);

/// Tiles per row of a sheet.
const COLUMNS: u32 = 12;

/// Parts of samples, and the sheet that has their pictures.
pub struct Gallery<'a> {
    /// The class of the sheet; its sounds are found by this name, too.
    name: &'static str,
    samples: &'a Samples,
    sheet: Sheet,
    /// Tiles by row, and for recordings also by the first sample that is heard.
    tiles: HashMap<(u64, usize), Tile>,
    /// The sounds: WAV files in base64.
    sounds: Vec<String>,
}

/// A tile of the sheet.
#[derive(Clone, Copy)]
struct Tile {
    at: [u32; 2],
    sound: Option<usize>,
}

impl<'a> Gallery<'a> {
    /// An empty gallery. `name` is unique on the page, and consists of letters and `-`.
    pub fn new(name: &'static str, samples: &'a Samples) -> Self {
        let size = match samples.image_size() {
            Some((height, width)) => {
                let (width, height) = (width as u32, height as u32);
                let longer = width.max(height).max(1);
                let most = longer.min(MOST_SIDE);
                let scaled = |side: u32| (side * most / longer).max(1);
                (scaled(width), scaled(height))
            }
            None => SPECTROGRAM,
        };
        let sheet = Sheet::new(size, COLUMNS);
        Self { name, samples, sheet, tiles: HashMap::new(), sounds: Vec::new() }
    }

    /// The HTML element for a part of a sample; `worth` is its value as text ("0.93").
    ///
    /// # Errors
    /// When the sample cannot be read.
    pub fn show(&mut self, row: u64, place: Place, worth: &str) -> Result<Html> {
        let samples = self.samples;
        let mut text = format!("sample {}", samples.id(row));
        if samples.label(row).is_some() {
            let _ = write!(text, ", {}", samples.label_text(row));
        }
        let _ = write!(text, ", {}", where_in(place, samples.rate));
        let text = Html::escape(&text);
        let worth_text = Html::escape(worth);
        let class = format!("look sheet-{}", self.name);
        match place {
            Place::Patch { top, left, side, .. } => {
                let (height, width) = samples.image_size().unwrap_or((1, 1));
                let tile = self.tile((row, 0), || Ok((samples.image(row)?, None)))?;
                let share = |pixels: usize, of: usize| pixels as f64 / of.max(1) as f64;
                let frame = [
                    share(left, width),
                    share(top, height),
                    share(side, width).min(1.0),
                    share(side, height).min(1.0),
                ];
                let [x, y, w, h] = frame.map(|it| format!("{it:.4}"));
                let [i, j] = tile.at;
                Ok(Html(format!(
                    "<div class=\"part\"><span class=\"{class}\" role=\"img\" aria-label=\"{text}\" \
                     style=\"--i:{i};--j:{j};--x:{x};--y:{y};--w:{w};--h:{h}\" \
                     data-text=\"{text}\" data-worth=\"{worth_text}\"></span>\
                     <small>{worth_text}</small></div>"
                )))
            }
            Place::Moment { from, to } => {
                let rate = samples.rate.unwrap_or(1);
                let heard = sound::around(samples.length(row), rate, from, to);
                let tile = self.tile((row, heard.start), || {
                    let recording = samples.recording(row)?;
                    let clip = recording.get(heard.clone()).unwrap_or_default();
                    let picture = sound::picture(clip, rate, SPECTROGRAM.0, SPECTROGRAM.1)?;
                    Ok((picture.into(), Some(picture::base64(&sound::wav(clip, rate)?))))
                })?;
                let length = heard.len().max(1) as f64;
                let share = |at: i64| ((at - heard.start as i64) as f64 / length).clamp(0.0, 1.0);
                let (x, right) = (share(from), share(to));
                let [x, w] = [x, right - x].map(|it| format!("{it:.4}"));
                let [i, j] = tile.at;
                let number = tile.sound.unwrap_or_default();
                Ok(Html(format!(
                    "<div class=\"part sound\"><button type=\"button\" class=\"{class} heard\" \
                     aria-label=\"Play {text}\" style=\"--i:{i};--j:{j};--x:0;--y:0;--w:1;--h:1;--from:{x};\
                     --long:{w}\" data-text=\"{text}\" data-worth=\"{worth_text}\" \
                     data-sounds=\"sounds-{}\" data-sound=\"{number}\"><i></i></button>\
                     <small>{worth_text}</small></div>",
                    self.name
                )))
            }
        }
    }

    /// The tile of a sample; the first time, `make` gives its picture and its sound.
    fn tile(
        &mut self,
        key: (u64, usize),
        make: impl FnOnce() -> Result<(DynamicImage, Option<String>)>,
    ) -> Result<Tile> {
        if let Some(tile) = self.tiles.get(&key) {
            return Ok(*tile);
        }
        let (width, height) = self.sheet.tile;
        let (picture, wav) = make()?;
        let fits = picture.width() <= width && picture.height() <= height;
        let scaled = match fits {
            true => picture,
            false => picture.resize_exact(width, height, image::imageops::FilterType::Triangle),
        };
        let sound = wav.map(|wav| {
            self.sounds.push(wav);
            self.sounds.len() - 1
        });
        let tile = Tile { at: self.sheet.add(scaled), sound };
        self.tiles.insert(key, tile);
        Ok(tile)
    }

    /// The HTML for the sheet and the sounds, which the page needs once.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn sheet(&self) -> Result<Html> {
        if self.tiles.is_empty() {
            return Ok(Html::default());
        }
        let mut html = sheet_style(self.name, &self.sheet)?;
        if !self.sounds.is_empty() {
            let _ = write!(
                html,
                "<script type=\"application/json\" id=\"sounds-{}\">{}</script>",
                self.name,
                json!(self.sounds)
            );
        }
        Ok(Html(html))
    }
}

/// The style rule that gives a sheet to the elements that show parts of it.
///
/// # Errors
/// When it cannot be written.
pub fn sheet_style(name: &str, sheet: &Sheet) -> Result<String> {
    let [columns, rows] = sheet.size();
    let (width, height) = sheet.tile;
    // Small images are enlarged without smoothing.
    let rendering = if width.max(height) <= 64 { "pixelated" } else { "auto" };
    Ok(format!(
        "<style>.sheet-{name}{{--C:{columns};--R:{rows};--tw:{width};--th:{height};\
         image-rendering:{rendering};background-image:url(\"{}\")}}</style>",
        sheet.uri()?
    ))
}

/// Says in words where a part lies in its sample.
pub fn where_in(place: Place, rate: Option<u32>) -> String {
    match place {
        Place::Patch { row, column, .. } => format!("patch {row}, {column}"),
        Place::Moment { from, to } => {
            let [from, to] = seconds([from, to], rate);
            format!("{from:.3} to {to:.3} s")
        }
    }
}

/// Converts samples of a recording to seconds.
pub fn seconds(samples: [i64; 2], rate: Option<u32>) -> [f64; 2] {
    samples.map(|it| it as f64 / f64::from(rate.unwrap_or(1).max(1)))
}

/// The picture of a single hit, for a contact sheet. For an image: the patch, and beneath it the whole image
/// with the patch framed. For a recording: the spectrogram with the moment framed.
///
/// # Errors
/// When the sample cannot be read.
pub fn portrait(samples: &Samples, vectors: &Vectors, hit: Hit) -> Result<RgbImage> {
    const SIDE: u32 = 96;
    match vectors.place(hit.row, hit.position) {
        Place::Patch { top, left, side, .. } => {
            let whole = samples.image(hit.row)?;
            let [top, left, side] = [top, left, side].map(|it| it as u32);
            let patch = whole.crop_imm(left, top, side, side);
            // Mirrored, if the module sees it mirrored.
            let patch = if vectors.is_flipped(hit.row) { patch.fliph() } else { patch };
            let patch = picture::enlarged(&patch, SIDE);
            let mut all = picture::enlarged(&whole, SIDE);
            let times = all.width() / whole.width().max(1);
            picture::frame(&mut all, [left, top, side, side].map(|it| it * times));
            let (width, below) = (patch.width().max(all.width()), patch.height() + 2);
            let mut both = RgbImage::from_pixel(width, below + all.height(), image::Rgb([255; 3]));
            image::imageops::replace(&mut both, &patch, 0, 0);
            image::imageops::replace(&mut both, &all, 0, below.into());
            Ok(both)
        }
        Place::Moment { from, to } => {
            let rate = samples.rate.unwrap_or(1);
            let heard = sound::around(samples.length(hit.row), rate, from, to);
            let recording = samples.recording(hit.row)?;
            let clip = recording.get(heard.clone()).unwrap_or_default();
            let (width, height) = (2 * SPECTROGRAM.0, 2 * SPECTROGRAM.1);
            let mut picture = sound::picture(clip, rate, width, height)?;
            let length = heard.len().max(1) as f64;
            let at = |sample: i64| {
                let share = (sample - heard.start as i64) as f64 / length;
                (share.clamp(0.0, 1.0) * f64::from(width)) as u32
            };
            let wide = (at(to) - at(from).min(at(to))).max(4);
            picture::frame(&mut picture, [at(from), 0, wide, height]);
            Ok(picture)
        }
    }
}

/// The WAV file for a hit: one second around it.
///
/// # Errors
/// [`crate::Kind::Usage`] when samples are images; when the recording cannot be read.
pub fn clip(samples: &Samples, vectors: &Vectors, hit: Hit) -> Result<Vec<u8>> {
    let (Place::Moment { from, to }, Some(rate)) =
        (vectors.place(hit.row, hit.position), samples.rate)
    else {
        let message = "the samples have no sound to write".to_string();
        return Err(Error::new(crate::Kind::Usage, message).hint("`--png FILE` writes pictures"));
    };
    let heard = sound::around(samples.length(hit.row), rate, from, to);
    let recording = samples.recording(hit.row)?;
    sound::wav(recording.get(heard).unwrap_or_default(), rate)
}
