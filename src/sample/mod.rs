//! Samples, and what gives them: a [`Source`] of one split, which a program may bring along.

pub mod content;
mod pixels;
mod source;

use std::fmt;
use std::path::PathBuf;

use image::DynamicImage;

use crate::{Error, Result};

pub use content::{Content, PassedOver};
pub use pixels::Pixels;
pub use source::{Keep, Source, no_length};

/// A decoded image or sound, and what is known about it.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The sample's row in its source.
    pub id: i64,
    /// Where in the source it comes from, for people: a path, as a rule.
    pub source: String,
    /// The index of its class; `None` when the data has no labels, or none for this sample.
    pub label: Option<i64>,
    /// Its classes by [`further_labels`](Source::further_labels), in their order.
    pub further: Vec<Option<i64>>,
    /// A label for every hop of the sample, from its start; [`NO_FRAME`] where there is none.
    pub frames: Option<Vec<u8>>,
    /// What is said in it.
    pub text: Option<String>,
    /// The image or sound.
    pub media: Media,
    /// What is worth telling of it.
    pub remarks: Remarks,
}

/// What decoding did to a sample that its owner may want to know of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Remarks {
    /// The orientation that EXIF notes was applied.
    pub turned: bool,
    /// A sound was too loud: values of it lay beyond [-1, 1], or many in a row at the end of that.
    pub clipped: bool,
    /// All its values are the same: an image of one colour, or a silent sound.
    pub constant: bool,
}

/// The frame label of a hop without one. So there are as many classes, at most.
pub const NO_FRAME: u8 = u8::MAX;

/// What a sample is.
#[derive(Debug, Clone, PartialEq)]
pub enum Media {
    /// An image as it was decoded.
    Image(DynamicImage),
    /// An image as a dataset holds it.
    Pixels(Pixels),
    /// A sound: as it was decoded, or at the rate of the view as a dataset holds it.
    Sound(Waveform),
}

impl Media {
    /// The decoded image.
    ///
    /// # Errors
    /// When it is something else.
    pub fn image(&self) -> Result<&DynamicImage> {
        match self {
            Media::Image(image) => Ok(image),
            other => Err(other.is_not("an image")),
        }
    }

    /// The image as a dataset holds it.
    ///
    /// # Errors
    /// When it is something else.
    pub fn pixels(&self) -> Result<&Pixels> {
        match self {
            Media::Pixels(pixels) => Ok(pixels),
            other => Err(other.is_not("an image of pixels")),
        }
    }

    /// The sound.
    ///
    /// # Errors
    /// When it is something else.
    pub fn sound(&self) -> Result<&Waveform> {
        match self {
            Media::Sound(waveform) => Ok(waveform),
            other => Err(other.is_not("a sound")),
        }
    }

    /// Bytes that its values take.
    pub fn bytes(&self) -> usize {
        match self {
            Media::Image(image) => image.as_bytes().len(),
            Media::Pixels(pixels) => pixels.values.len(),
            Media::Sound(waveform) => size_of_val(waveform.samples.as_slice()),
        }
    }

    fn is_not(&self, wanted: &str) -> Error {
        let found = match self {
            Media::Image(_) => "an image",
            Media::Pixels(_) => "an image of pixels",
            Media::Sound(_) => "a sound",
        };
        Error::failed(format!("a sample is {found} where {wanted} is needed"))
    }
}

/// Sound of one channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Waveform {
    /// Samples a second.
    pub rate: u32,
    /// In [-1, 1]; the mean of the channels, where the file has several.
    pub samples: Vec<f32>,
    /// How many of them lay beyond that, slightly, and were clipped.
    pub clipped: usize,
}

/// How long a sound is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    /// Of one channel.
    pub samples: u64,
    /// Samples a second.
    pub rate: u32,
}

/// Labels that samples have besides the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelSet {
    /// What the pipeline calls it: a column.
    pub name: String,
    /// The names of its classes, by label; `None` when the data does not name them.
    pub names: Option<Vec<String>>,
}

/// A sample that cannot be read, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadSample {
    /// The sample's row in its source.
    pub id: i64,
    /// Where in the source it comes from, for people; empty when the file already says it.
    pub source: String,
    /// The file that holds it.
    pub file: PathBuf,
    /// Its row in `file`, where a file holds many.
    pub row: Option<usize>,
    /// Why it cannot be read.
    pub reason: String,
}

impl fmt::Display for BadSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(row) = self.row {
            write!(f, "row {row} of ")?;
        }
        write!(f, "`{}`", self.file.display())?;
        if !self.source.is_empty() {
            write!(f, " ({})", self.source)?;
        }
        write!(f, ": {}", self.reason)
    }
}
