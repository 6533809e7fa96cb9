//! Samples, and the trait [`Source`], which gives the samples of one split. A program may implement it.

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
    /// Where in the source it comes from, for people; usually a path.
    pub source: String,
    /// The index of its class; `None` if the data has no labels, or none for this sample.
    pub label: Option<i64>,
    /// Its further labels, in the order of [`further_labels`](Source::further_labels).
    pub further: Vec<Option<i64>>,
    /// A label for every hop of the sample, from its start; [`NO_FRAME`] for a hop without one.
    pub frames: Option<Vec<u8>>,
    /// The text that is said in the sample.
    pub text: Option<String>,
    /// The image or sound.
    pub media: Media,
    /// Remarks on how it was decoded.
    pub remarks: Remarks,
}

/// Remarks about the decoding of a sample that its owner may want to know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Remarks {
    /// The orientation in EXIF was applied.
    pub turned: bool,
    /// The sound was too loud: values lay beyond [-1, 1], or many in a row at the limits of that range.
    pub clipped: bool,
    /// All its values are the same: an image of one colour, or a silent sound.
    pub constant: bool,
}

/// The frame label of a hop without one. It is also the largest number of classes.
pub const NO_FRAME: u8 = u8::MAX;

/// The image, the sound or the activations of a sample.
#[derive(Debug, Clone, PartialEq)]
pub enum Media {
    /// An image as it was decoded.
    Image(DynamicImage),
    /// An image as a dataset holds it.
    Pixels(Pixels),
    /// A sound, either as it was decoded, or as a dataset holds it, at the rate of the view.
    Sound(Waveform),
    /// Activations that were made elsewhere.
    Activation(Activation),
}

impl Media {
    /// The decoded image.
    ///
    /// # Errors
    /// When the sample is not a decoded image.
    pub fn image(&self) -> Result<&DynamicImage> {
        match self {
            Media::Image(image) => Ok(image),
            other => Err(other.is_not("an image")),
        }
    }

    /// The image as a dataset holds it.
    ///
    /// # Errors
    /// When the sample is not an image of a dataset.
    pub fn pixels(&self) -> Result<&Pixels> {
        match self {
            Media::Pixels(pixels) => Ok(pixels),
            other => Err(other.is_not("an image of pixels")),
        }
    }

    /// The sound.
    ///
    /// # Errors
    /// When the sample is not a sound.
    pub fn sound(&self) -> Result<&Waveform> {
        match self {
            Media::Sound(waveform) => Ok(waveform),
            other => Err(other.is_not("a sound")),
        }
    }

    /// The activations.
    ///
    /// # Errors
    /// When the sample is not activations.
    pub fn activation(&self) -> Result<&Activation> {
        match self {
            Media::Activation(activation) => Ok(activation),
            other => Err(other.is_not("activations")),
        }
    }

    /// The bytes of its values in memory.
    pub fn bytes(&self) -> usize {
        match self {
            Media::Image(image) => image.as_bytes().len(),
            Media::Pixels(pixels) => pixels.values.len(),
            Media::Sound(waveform) => size_of_val(waveform.samples.as_slice()),
            Media::Activation(activation) => size_of_val(activation.values.as_slice()),
        }
    }

    fn is_not(&self, wanted: &str) -> Error {
        let found = match self {
            Media::Image(_) => "an image",
            Media::Pixels(_) => "an image of pixels",
            Media::Sound(_) => "a sound",
            Media::Activation(_) => "activations",
        };
        Error::failed(format!("a sample is {found} where {wanted} is needed"))
    }
}

/// A row of activations that were made elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Activation {
    /// The size of each dimension, the slowest first; the last are the channels.
    pub shape: Vec<usize>,
    /// The values; empty where they are read where they lie.
    pub values: Vec<f32>,
    /// The row of the dataset that is read where it lies; `None` where the values are here.
    pub place: Option<u64>,
    /// Whether the values were f16, so that a copy of them in f16 is exact.
    pub half: bool,
}

impl Activation {
    /// Bytes of a value in a copy that is exact; `None` where there is no copy.
    pub fn kept_bytes(&self) -> Option<usize> {
        self.place.is_none().then_some(if self.half { 2 } else { 4 })
    }
}

/// Sound of one channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Waveform {
    /// Samples per second.
    pub rate: u32,
    /// Values in [-1, 1]; the mean of the channels if the file has several.
    pub samples: Vec<f32>,
    /// The number of samples that lay slightly beyond [-1, 1] and were clipped.
    pub clipped: usize,
}

/// The length of a sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    /// Samples per channel.
    pub samples: u64,
    /// Samples per second.
    pub rate: u32,
}

/// A label of samples other than the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelSet {
    /// The column that the pipeline names.
    pub name: String,
    /// The names of its classes, by label; `None` if the data does not name them.
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
    /// Its row in `file`, if the file holds many samples.
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
