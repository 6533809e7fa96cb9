//! What a pipeline file says, checked and with every default filled in.
//!
//! The parts derive `Serialize`: the key of a stage is a hash of the slice of them that matters to it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use crate::loss::Settings as Loss;

/// A whole pipeline: where its samples come from, how they are seen, and what is trained on them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pipeline {
    /// Names the run directory; the file's stem unless the file says otherwise.
    pub name: String,
    /// The pipeline file.
    pub file: PathBuf,
    /// Every random draw of the run starts here.
    pub seed: u64,
    pub data: Data,
    pub view: View,
    /// In order; each reads what the one before it wrote. Never empty.
    pub modules: Vec<Module>,
    /// What every module trains with.
    pub loss: Loss,
    pub training: Training,
    /// In which order modules train.
    pub schedule: Schedule,
    pub store: Store,
    pub probe: Probe,
    /// What a cluster is asked for. Part of no key: it changes no result.
    #[serde(skip)]
    pub slurm: Slurm,
}

impl Pipeline {
    /// How often every module trains on a newer generation and writes one: 1, but in rounds.
    pub fn rounds(&self) -> usize {
        match &self.schedule {
            Schedule::Rounds(schedule) => schedule.rounds,
            _ => 1,
        }
    }

    /// Whether all modules train at once, in one process, on the maps of one forward pass.
    pub fn trains_together(&self) -> bool {
        matches!(self.schedule, Schedule::Simultaneous)
    }

    /// The share of a batch that comes from older generations.
    pub fn replay(&self) -> f64 {
        match &self.schedule {
            Schedule::Rounds(schedule) => schedule.replay,
            Schedule::Async(schedule) => schedule.replay,
            Schedule::Sequential { .. } | Schedule::Simultaneous => 0.0,
        }
    }
}

/// The split of a dataset: modules train on one, and are judged on the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    Train,
    Test,
}

impl Split {
    pub const ALL: [Split; 2] = [Split::Train, Split::Test];

    /// Frozen views of each sample, of which a training sample has so many: a test sample has one.
    pub fn views(self, of_training: usize) -> usize {
        match self {
            Split::Train => of_training,
            Split::Test => 1,
        }
    }

    /// The split's name in paths, files and messages.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Test => "test",
        }
    }
}

/// Where samples come from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Data {
    pub source: Source,
    /// At most this many training rows, drawn by the seed; all when `None`.
    pub subset: Option<usize>,
    /// At most this many test rows, drawn by the seed; all when `None`.
    pub test_subset: Option<usize>,
    pub on_bad_sample: OnBadSample,
}

impl Data {
    /// At most this many rows of a split; all when `None`.
    pub fn subset_of(&self, split: Split) -> Option<usize> {
        match split {
            Split::Train => self.subset,
            Split::Test => self.test_subset,
        }
    }
}

/// A kind of source.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
// A pipeline has one of them.
#[allow(clippy::large_enum_variant)]
pub enum Source {
    /// Files on disk: Hugging Face-style Parquet, binary files of images, or folders.
    Files(Files),
    /// Generated textures.
    Textures(Textures),
}

/// Parquet files, binary files of images, or folders of images or sounds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Files {
    /// Paths or globs of the training split, as the pipeline file has them.
    pub train: Vec<String>,
    /// Paths or globs of the test split, as the pipeline file has them.
    pub test: Vec<String>,
    /// What relative paths start from: `data.root`, else `GIMLET_DATA`, else the pipeline file's
    /// folder. Not part of any key: a data set may move.
    #[serde(skip)]
    pub root: PathBuf,
    /// What the samples are. Images are what is meant where nothing is said.
    #[serde(skip_serializing_if = "Medium::is_image")]
    pub medium: Medium,
    /// The column that holds the images or sounds (Parquet).
    #[serde(rename = "image")]
    pub column: String,
    /// The column that holds the labels (Parquet), or what `labels` or `names` call them; `None`
    /// when the data has no labels (then for folders, too, their names are not labels).
    pub label: Option<String>,
    /// Further columns of labels, in order. Empty when there is no first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub further: Vec<String>,
    /// The column that holds a label for every hop (Parquet).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames: Option<String>,
    /// Paths or globs of text files that hold a label for every hop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alignments: Option<Vec<String>>,
    /// A CSV file with the labels of files, in each of the split's folders or in `root`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<String>,
    /// How the names of files tell their labels ([`NamePattern`](super::NamePattern)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names: Option<String>,
}

impl Files {
    /// No files yet, without labels, of a medium in this column.
    pub fn of(medium: Medium, column: impl Into<String>) -> Self {
        Self {
            train: Vec::new(),
            test: Vec::new(),
            root: PathBuf::new(),
            medium,
            column: column.into(),
            label: None,
            further: Vec::new(),
            frames: None,
            alignments: None,
            labels: None,
            names: None,
        }
    }

    /// All columns of labels, the first and the further ones.
    pub fn label_columns(&self) -> impl Iterator<Item = &String> {
        self.label.iter().chain(&self.further)
    }
}

/// What samples are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Medium {
    Image,
    Sound,
}

impl Medium {
    /// Whether it is images.
    pub fn is_image(&self) -> bool {
        *self == Medium::Image
    }

    /// The key of the column that holds such samples, and the column's name when it is left out.
    pub fn key(self) -> &'static str {
        match self {
            Medium::Image => "image",
            Medium::Sound => "audio",
        }
    }

    /// One of it, in words: "image".
    pub fn noun(self) -> &'static str {
        match self {
            Medium::Image => "image",
            Medium::Sound => "sound",
        }
    }
}

/// The settings of the texture generator ([`crate::source::textures`]).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Textures {
    pub classes: usize,
    /// Height and width in pixels.
    pub size: usize,
    /// Training images.
    pub train: usize,
    /// Test images.
    pub test: usize,
    /// Standard deviation of the pixel noise, in units of the full range.
    pub noise: f32,
}

/// What to do about a sample that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnBadSample {
    Fail,
    Skip,
}

/// How a sample is seen.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum View {
    Images(ImageView),
    Sound(SoundView),
}

impl View {
    /// Of what the first module reads: 1 or 3.
    pub fn channels(&self) -> usize {
        match self {
            View::Images(view) => view.channels(),
            View::Sound(_) => 1,
        }
    }

    /// Frozen crops or windows that are stored of every sample of a split.
    pub fn views_of(&self, split: Split) -> usize {
        split.views(match self {
            View::Images(view) => view.views,
            View::Sound(view) => view.views,
        })
    }

    /// The attributes of a row of activations: which view of its sample it is, and what frames that. Of
    /// an image, the first row and column of the crop, and 1 where it is mirrored; of sound, the first
    /// sample of the window.
    pub fn attributes(&self) -> &'static [&'static str] {
        match self {
            View::Images(_) => &["view", "crop_top", "crop_left", "flip"],
            View::Sound(_) => &["view", "start"],
        }
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
    pub mean: f32,
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
    pub std: Vec<f32>,
    /// Frozen crops that are stored of every training sample; of a test sample it is the centre.
    pub views: usize,
}

impl ImageView {
    /// 1 or 3.
    pub fn channels(&self) -> usize {
        if self.grayscale { 1 } else { 3 }
    }

    /// The number of patches along one side of a crop of `crop` pixels.
    pub fn grid(&self, crop: usize) -> usize {
        (crop - self.patch) / self.stride + 1
    }
}

/// A map of features, or an image: `[height, width, channels]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Map {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
}

impl Map {
    /// Values in the map.
    pub fn len(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Whether it holds no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A gradient-isolated module: layers that train together under one loss of their own.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Module {
    pub name: String,
    /// In order, blocks repeated as often as they occur. Never empty.
    pub layers: Vec<Layer>,
    /// Passes over the training split; `training.epochs` unless the module says otherwise.
    pub epochs: usize,
    /// `training.learning_rate` unless the module says otherwise.
    pub learning_rate: f64,
    /// What becomes of its activations; `store.activations` unless the module says otherwise. Not
    /// part of its training: the key of its encoding has what came of it.
    #[serde(skip)]
    pub activations: Activations,
}

impl Module {
    /// The layers that make what its loss takes for targets: all but a GRU at the end.
    pub fn front(&self) -> &[Layer] {
        front(&self.layers)
    }
}

/// See [`Module::front`].
pub fn front(layers: &[Layer]) -> &[Layer] {
    match layers {
        [front @ .., Layer::Gru { .. }] => front,
        _ => layers,
    }
}

/// One layer, or one residual block. What each computes is in [`crate::module`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// A convolution with bias, zero-padded.
    Conv {
        channels: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
    },
    /// A convolution with bias along the width of maps, zero-padded there: of sound, whose maps have a
    /// height of 1.
    Conv1d {
        channels: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
    },
    Relu,
    /// A gated recurrent unit along the width of maps, the last layer of its module: what comes out is
    /// the context that predicts, what goes in are the targets (Löwe et al. 2019, audio).
    Gru {
        channels: usize,
        /// Whether gradients go back in time; else the state is detached at every step.
        bptt: bool,
    },
    /// A pre-activation block of two 3x3 convolutions.
    Basic {
        channels: usize,
        stride: usize,
    },
    /// A pre-activation block of 1x1, 3x3 and 1x1 convolutions; its output has `4 * planes` channels.
    Bottleneck {
        planes: usize,
        stride: usize,
    },
}

/// How a module is trained.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Training {
    /// Passes over the training split.
    pub epochs: usize,
    /// Samples a step.
    pub batch: usize,
    /// Samples of a batch whose activations are held at a time; all when `None`. The loss is that of
    /// the whole batch, its negatives included; gradients are summed in another order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub micro_batch: Option<usize>,
    /// Hold no activations for the backward pass, but compute them again, a few patches at a time.
    /// Part of no key: it changes no result.
    #[serde(skip)]
    pub recompute: bool,
    /// Adam's step size (betas 0.9 and 0.999, eps 1e-8).
    pub learning_rate: f64,
    /// Standard deviation of the Gaussian noise on the activations that a module trains on, as a share of
    /// the root mean square of each sample's ([`crate::train::noise`]).
    pub input_noise: f64,
    /// Seconds between checkpoints. Part of no key: it changes no result.
    #[serde(skip)]
    pub checkpoint_seconds: f64,
    /// Test rows whose loss and accuracy are logged after every epoch: whole batches, as many as fit and one
    /// in any case; none when 0. Part of no key: it changes no result.
    #[serde(skip)]
    pub held_out: usize,
}

/// In which order modules train.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Schedule {
    /// One after another, each to its last epoch or until its loss on the test split has not become
    /// smaller for `patience` epochs.
    Sequential { patience: Option<usize> },
    /// In each round every module trains on the newest generation of its input, then writes one.
    Rounds(Rounds),
    /// All in one process and one forward pass, with no gradient between them and no store.
    Simultaneous,
    /// All at once, each in a process of its own, on whatever its predecessor has written last.
    Async(Async),
}

/// See [`Schedule::Rounds`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rounds {
    pub rounds: usize,
    /// Passes over the training split in each round.
    pub epochs_per_round: usize,
    /// The share of a batch that comes from older generations.
    pub replay: f64,
}

/// See [`Schedule::Async`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Async {
    /// Epochs after which a module writes a generation.
    pub sync_every: usize,
    /// Epochs that a module trains on one generation before it waits for a newer one, as long as
    /// somebody works on that.
    pub max_staleness: usize,
    /// The share of a batch that comes from older generations.
    pub replay: f64,
}

impl Schedule {
    /// What it is called in a pipeline file.
    pub fn name(&self) -> &'static str {
        let kind = match self {
            Schedule::Sequential { .. } => ScheduleKind::Sequential,
            Schedule::Rounds(_) => ScheduleKind::Rounds,
            Schedule::Simultaneous => ScheduleKind::Simultaneous,
            Schedule::Async(_) => ScheduleKind::Async,
        };
        kind.name()
    }
}

/// The kinds of [`Schedule`], as a pipeline file names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScheduleKind {
    Sequential,
    Rounds,
    Simultaneous,
    Async,
}

impl ScheduleKind {
    /// As in a pipeline file.
    pub fn name(self) -> &'static str {
        match self {
            ScheduleKind::Sequential => "sequential",
            ScheduleKind::Rounds => "rounds",
            ScheduleKind::Simultaneous => "simultaneous",
            ScheduleKind::Async => "async",
        }
    }
}

/// How activations are stored.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Store {
    pub dtype: ActivationType,
    pub compression: Compression,
    /// Store relu(z) where the next module reads nothing else of z.
    pub relu: bool,
    /// Rows in one Parquet file.
    pub rows_per_part: usize,
    /// What becomes of the activations of modules that do not say so themselves.
    #[serde(skip)]
    pub activations: Activations,
    /// The most bytes that the whole run may take on disk; no limit when `None`.
    #[serde(skip)]
    pub max_bytes: Option<u64>,
    /// The most bytes of batches that are read ahead of the trainer; one batch always is.
    #[serde(skip)]
    pub read_memory: u64,
    /// Generations of a dataset that cleaning up leaves there.
    #[serde(skip)]
    pub keep_generations: usize,
    /// Where runs lie, each in a folder of its name: a URL of object storage, or a folder. `runs` when
    /// `None`.
    #[serde(skip)]
    pub url: Option<PathBuf>,
    /// The most bytes of object storage that this machine keeps a copy of.
    #[serde(skip)]
    pub cache_bytes: u64,
}

/// The type activations are stored in; training computes in f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActivationType {
    F32,
    F16,
    /// Whole numbers of 8 bits, with a scale for each sample and channel.
    Int8,
}

/// How stored values are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// As the first rows that are written suggest.
    Auto,
    None,
    Lz4,
    Zstd,
}

/// What becomes of a module's activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activations {
    /// They are written, and the next module reads them.
    Store,
    /// The next module has the frozen predecessors compute them whenever it needs them; only the
    /// pooled vectors are written.
    Recompute,
    /// Whichever a cost model says is faster, within `store.max_bytes`.
    Auto,
}

/// The linear probe: a linear classifier on the mean of the pooled vectors.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Probe {
    pub epochs: usize,
    pub batch: usize,
    /// Adam's step size.
    pub learning_rate: f64,
}

/// What `gimlet slurm` asks a cluster for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Slurm {
    /// Of all jobs.
    pub all: Requests,
    pub ingest: Requests,
    pub train: Requests,
    /// Also of the stack as it was drawn.
    pub encode: Requests,
    pub probe: Requests,
    /// Lines of bash before the work of every job.
    pub setup: Vec<String>,
    /// Seconds before its time limit at which a job is told to save its state.
    pub grace_seconds: Option<usize>,
}

/// Options of `sbatch`, in its own words; those that are `None` are left to the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requests {
    pub partition: Option<String>,
    pub account: Option<String>,
    pub qos: Option<String>,
    pub time: Option<String>,
    pub gres: Option<String>,
    pub cpus_per_task: Option<usize>,
    pub mem: Option<String>,
    pub constraint: Option<String>,
    /// Any others.
    pub extra: Vec<String>,
}
