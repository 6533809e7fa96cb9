//! How samples are seen: `[view]`.

use serde::{Deserialize, Serialize};

use super::{ActivationView, Cell};

/// Mean and standard deviation of the paper's images (STL-10), gray.
const GRAY: ([f32; 1], [f32; 1]) = ([0.4120], [0.2570]);

/// Mean and standard deviation of the paper's images (STL-10), red, green and blue.
const RGB: ([f32; 3], [f32; 3]) = ([0.4313, 0.4156, 0.3663], [0.2683, 0.2610, 0.2687]);

/// The default hop in samples: 10 ms at the paper's rate. Windows start at multiples of the hop.
const HOP: usize = 160;

/// How a sample is seen.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum View {
    /// A view of images.
    Images(ImageView),
    /// A view of sound.
    Sound(SoundView),
    /// A view of activations.
    Activations(ActivationView),
}

impl From<ImageView> for View {
    fn from(view: ImageView) -> Self {
        View::Images(view)
    }
}

impl From<SoundView> for View {
    fn from(view: SoundView) -> Self {
        View::Sound(view)
    }
}

impl From<ActivationView> for View {
    fn from(view: ActivationView) -> Self {
        View::Activations(view)
    }
}

/// Turns a waveform into a window of it, which is the one patch that the first module sees.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SoundView {
    /// Samples per second. Recordings are resampled at ingest.
    pub rate: u32,
    /// Samples of a recording that are kept, from its start; all when `None`.
    pub clip: Option<usize>,
    /// Samples in a window, which is drawn at random in training and is the centre in evaluation.
    pub window: usize,
    /// Samples between the places where a window may start. Stored pooled vectors are means over `hop` samples.
    pub hop: usize,
    /// What becomes of a recording that is shorter than the window.
    pub short: Short,
    /// Makes `(value - mean) / std` of each value. With `None`, mean and deviation of the training split.
    pub normalise: Option<Normalise>,
    /// Frozen windows that are stored per training recording. A test recording has one, the centre.
    pub views: usize,
}

/// Mean and standard deviation for normalising sound, of values in [-1, 1].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Normalise {
    /// What is subtracted.
    pub mean: f32,
    /// What the difference is divided by.
    pub std: f32,
}

/// What becomes of a recording that is shorter than the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Short {
    /// Silence follows it.
    Pad,
    /// It is left out.
    Skip,
}

impl SoundView {
    /// A view of windows of `window` samples at `rate` samples per second, else with the defaults of a pipeline file.
    pub fn new(rate: u32, window: usize) -> Self {
        Self {
            rate,
            clip: None,
            window,
            hop: HOP.min(window),
            short: Short::Pad,
            normalise: None,
            views: 1,
        }
    }

    /// The number of hops that begin in a window.
    pub fn frames(&self) -> usize {
        self.window.div_ceil(self.hop)
    }
}

/// Turns a decoded image into patches.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImageView {
    /// Images are resized to this height and width at ingest.
    pub resize: Option<usize>,
    /// One channel (ITU-R 601 luma) instead of three.
    pub grayscale: bool,
    /// Height and width of the crop: random in training, the centre in evaluation; the whole image when `None`.
    pub crop: Option<usize>,
    /// Mirror left-right with p = 0.5 in training.
    pub flip: bool,
    /// Height and width of a patch.
    pub patch: usize,
    /// Distance between the corners of neighbouring patches in pixels.
    pub stride: usize,
    /// The mean per channel: values scaled to [0, 1] become `(value - mean) / std`.
    pub mean: Vec<f32>,
    /// The standard deviation per channel.
    pub std: Vec<f32>,
    /// Frozen crops that are stored per training sample. A test sample has one, the centre.
    pub views: usize,
}

impl ImageView {
    /// A view of gray images with patches `stride` pixels apart, otherwise with the defaults of a pipeline file.
    pub fn new(patch: usize, stride: usize) -> Self {
        Self {
            resize: None,
            grayscale: true,
            crop: None,
            flip: true,
            patch,
            stride,
            mean: GRAY.0.to_vec(),
            std: GRAY.1.to_vec(),
            views: 1,
        }
    }

    /// Makes it a view of images in colour, with the normalisation that a pipeline file has by default.
    #[must_use]
    pub fn in_colour(self) -> Self {
        Self { grayscale: false, mean: RGB.0.to_vec(), std: RGB.1.to_vec(), ..self }
    }

    /// The number of channels: 1 or 3.
    pub fn channels(&self) -> usize {
        if self.grayscale { 1 } else { 3 }
    }

    /// The number of patches along one side of a crop of `crop` pixels.
    pub fn grid(&self, crop: usize) -> usize {
        (crop - self.patch) / self.stride + 1
    }
}

/// The size of a sample. For an image, that of the stored image, after `resize` and before `crop`; for sound, 1 and
/// the number of samples of the recording; for activations, rows and columns of their grid, or 1 and the number of
/// steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleSize {
    /// Height in pixels, or rows of a grid.
    pub height: usize,
    /// Width in pixels, samples, columns of a grid, or steps.
    pub width: usize,
    /// What lies at each place of activations; `None` for images and sound.
    pub cell: Option<Cell>,
}

impl SampleSize {
    /// The size of a square image.
    pub fn square(side: usize) -> Self {
        Self::of_image(side, side)
    }

    /// The size of an image.
    pub fn of_image(height: usize, width: usize) -> Self {
        Self { height, width, cell: None }
    }

    /// The size of a recording.
    pub fn of_sound(samples: usize) -> Self {
        Self::of_image(1, samples)
    }

    /// The channels of activations; `None` for images and sound, whose view says it.
    pub fn channels(self) -> Option<usize> {
        self.cell.map(|cell| cell.map.channels)
    }

    /// The number of places: pixels, samples, or values of activations without their channels.
    pub fn places(self) -> usize {
        self.height * self.width * self.cell.map_or(1, |cell| cell.map.positions())
    }
}
