//! How samples are seen: `[view]`.

use serde::{Deserialize, Serialize};

/// Mean and standard deviation of the paper's images (STL-10), gray.
const GRAY: ([f32; 1], [f32; 1]) = ([0.4120], [0.2570]);

/// Mean and standard deviation of the paper's images (STL-10), red, green and blue.
const RGB: ([f32; 3], [f32; 3]) = ([0.4313, 0.4156, 0.3663], [0.2683, 0.2610, 0.2687]);

/// What a recording's windows start at multiples of: 10 ms at the paper's rate.
const HOP: usize = 160;

/// How a sample is seen.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum View {
    /// Of images.
    Images(ImageView),
    /// Of sound.
    Sound(SoundView),
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

/// From a waveform to a window of it, which is the one patch that the first module sees.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SoundView {
    /// Samples a second: recordings are resampled at ingest.
    pub rate: u32,
    /// Samples of a recording that are kept, from its start; all when `None`.
    pub clip: Option<usize>,
    /// Samples of the window: at random in training, the centre in evaluation.
    pub window: usize,
    /// Samples between the places where a window may start; pooled vectors are means over so many.
    pub hop: usize,
    /// What becomes of a recording that is shorter than the window.
    pub short: Short,
    /// (value - mean) / std; `None`: as the training split has them.
    pub normalise: Option<Normalise>,
    /// Frozen windows that are stored of every training recording; of a test recording it is the centre.
    pub views: usize,
}

/// Of values in [-1, 1].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Normalise {
    /// What is taken off.
    pub mean: f32,
    /// What the rest is divided by.
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
    /// Windows of `window` samples of recordings at `rate`, all else as a pipeline file has it by default.
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

    /// Hops that begin in a window.
    pub fn frames(&self) -> usize {
        self.window.div_ceil(self.hop)
    }
}

/// From a decoded image to patches.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImageView {
    /// Images are resized to this height and width at ingest.
    pub resize: Option<usize>,
    /// One channel (ITU-R 601 luma) instead of three.
    pub grayscale: bool,
    /// Height and width of the crop: random in training, the centre in evaluation. `None`: the
    /// whole image.
    pub crop: Option<usize>,
    /// Mirror left-right with p = 0.5 in training.
    pub flip: bool,
    /// Height and width of a patch.
    pub patch: usize,
    /// Distance between the corners of neighbouring patches.
    pub stride: usize,
    /// Per channel, on values scaled to [0, 1]: (value - mean) / std.
    pub mean: Vec<f32>,
    /// The deviation, per channel.
    pub std: Vec<f32>,
    /// Frozen crops that are stored of every training sample; of a test sample it is the centre.
    pub views: usize,
}

impl ImageView {
    /// Patches of gray images, `stride` pixels apart, all else as a pipeline file has it by default.
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

    /// The view of images in colour, normalised as a pipeline file has them by default.
    #[must_use]
    pub fn in_colour(self) -> Self {
        Self { grayscale: false, mean: RGB.0.to_vec(), std: RGB.1.to_vec(), ..self }
    }

    /// 1 or 3.
    pub fn channels(&self) -> usize {
        if self.grayscale { 1 } else { 3 }
    }

    /// The number of patches along one side of a crop of `crop` pixels.
    pub fn grid(&self, crop: usize) -> usize {
        (crop - self.patch) / self.stride + 1
    }
}

/// How large a sample is: an image as it is stored, after `resize` and before `crop`; of sound 1 and the samples
/// of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleSize {
    /// In pixels.
    pub height: usize,
    /// In pixels, or samples.
    pub width: usize,
}

impl SampleSize {
    /// A square image.
    pub fn square(side: usize) -> Self {
        Self { height: side, width: side }
    }

    /// A recording.
    pub fn of_sound(samples: usize) -> Self {
        Self { height: 1, width: samples }
    }
}
