//! Where samples come from: `[data]`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::per_split::PerSplit;
use super::{ActivationFiles, RowLabels, Split};
use crate::sample;

/// Where samples come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Data {
    /// Where samples are read from.
    pub source: Source,
    /// The largest number of training rows, drawn by the seed; all when `None`.
    pub subset: Option<usize>,
    /// The largest number of test rows, drawn by the seed; all when `None`.
    pub test_subset: Option<usize>,
    /// What to do about a sample that cannot be read.
    pub on_bad_sample: OnBadSample,
}

/// Takes all samples of a source.
impl From<Source> for Data {
    fn from(source: Source) -> Self {
        Self { source, subset: None, test_subset: None, on_bad_sample: OnBadSample::Fail }
    }
}

impl From<Textures> for Data {
    fn from(textures: Textures) -> Self {
        Source::Textures(textures).into()
    }
}

impl From<PerSplit<Arc<dyn sample::Source>>> for Data {
    fn from(own: PerSplit<Arc<dyn sample::Source>>) -> Self {
        Source::Own(Own(own)).into()
    }
}

impl From<Files> for Data {
    fn from(files: Files) -> Self {
        Source::Files(files).into()
    }
}

impl From<ActivationFiles> for Data {
    fn from(files: ActivationFiles) -> Self {
        Source::Activations(files).into()
    }
}

impl Data {
    /// Whether samples may have labels.
    pub fn is_labelled(&self) -> bool {
        match &self.source {
            Source::Files(files) => files.label.is_some(),
            Source::Textures(_) => true,
            Source::Activations(files) => files.labels != RowLabels::Without,
            Source::Own(Own(own)) => own.train.is_labelled(),
        }
    }

    /// The largest number of rows to take of a split; all when `None`.
    pub fn subset_of(&self, split: Split) -> Option<usize> {
        match split {
            Split::Train => self.subset,
            Split::Test => self.test_subset,
        }
    }
}

/// What samples are read from, or made by.
#[derive(Debug, Clone, PartialEq)]
// A pipeline has only one of them, so its size does not matter.
#[allow(clippy::large_enum_variant)]
pub enum Source {
    /// Files on disk: Hugging Face-style Parquet, binary files of images, or folders.
    Files(Files),
    /// Generated textures.
    Textures(Textures),
    /// Activations that were made elsewhere.
    Activations(ActivationFiles),
    /// Samples of the calling program. A pipeline file cannot name them.
    Own(Own),
}

impl Source {
    /// Whether the data have a label for every hop.
    pub fn has_frames(&self) -> bool {
        match self {
            Source::Files(files) => files.frames.is_some() || files.alignments.is_some(),
            Source::Textures(_) | Source::Activations(_) => false,
            Source::Own(Own(own)) => own.train.frame_names().is_some(),
        }
    }

    /// The names of the labels after the first.
    pub fn further(&self) -> Vec<&str> {
        match self {
            Source::Files(files) => files.further.iter().map(String::as_str).collect(),
            Source::Textures(_) | Source::Activations(_) => Vec::new(),
            Source::Own(Own(own)) => {
                own.train.further_labels().iter().map(|it| &*it.name).collect()
            }
        }
    }

    /// Height and width of its images in pixels, where the source makes them all alike.
    pub fn side(&self) -> Option<usize> {
        match self {
            Source::Textures(textures) => Some(textures.size),
            Source::Files(_) | Source::Activations(_) | Source::Own(_) => None,
        }
    }

    /// The number of classes, where it is known before any label is read.
    pub fn classes(&self) -> Option<usize> {
        match self {
            Source::Textures(textures) => Some(textures.classes),
            Source::Own(Own(own)) => own.train.label_names().map(<[String]>::len),
            Source::Files(_) | Source::Activations(_) => None,
        }
    }

    /// The folder that relative paths of files start from.
    pub fn root(&self) -> Option<&Path> {
        match self {
            Source::Files(files) => Some(&files.root),
            Source::Activations(files) => Some(&files.root),
            Source::Textures(_) | Source::Own(_) => None,
        }
    }
}

/// Parquet files, binary files of images, or folders of images or sounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Files {
    /// Paths or globs of the training split, as the pipeline file has them.
    pub train: Vec<String>,
    /// Paths or globs of the test split, as the pipeline file has them.
    pub test: Vec<String>,
    /// One of this many samples of `train` is of the test split, and the others of the training split; `test` is empty
    /// then.
    pub hold_out: Option<usize>,
    /// The folder that relative paths start from: `data.root`, else `GIMLET_DATA`, else the pipeline file's folder.
    pub root: PathBuf,
    /// What the samples are; images by default.
    pub medium: Medium,
    /// The column that holds the images or sounds (Parquet).
    pub column: String,
    /// The column that holds the labels (Parquet), or what `labels` or `names` call them. `None` when the data has no
    /// labels; the names of folders are not labels then, either.
    pub label: Option<String>,
    /// Further columns of labels, in order. Empty when `label` is `None`.
    pub further: Vec<String>,
    /// The column that holds a label for every hop (Parquet).
    pub frames: Option<String>,
    /// Paths or globs of text files that hold a label for every hop.
    pub alignments: Option<Vec<String>>,
    /// A CSV file with the labels of files, in each of the split's folders or in `root`.
    pub labels: Option<String>,
    /// The pattern by which the names of files tell their labels ([`NamePattern`](crate::pipeline::NamePattern)).
    pub names: Option<String>,
}

impl Files {
    /// Settings for samples of `medium` in `column`, without any files or labels yet.
    pub fn of(medium: Medium, column: impl Into<String>) -> Self {
        Self {
            train: Vec::new(),
            test: Vec::new(),
            hold_out: None,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// Images.
    Image,
    /// Recordings.
    Sound,
}

impl Medium {
    /// Whether samples are images.
    pub fn is_image(&self) -> bool {
        *self == Medium::Image
    }

    /// The key that names the column of the samples; also the column's name when the key is left out.
    pub fn key(self) -> &'static str {
        match self {
            Medium::Image => "image",
            Medium::Sound => "audio",
        }
    }

    /// The word for one sample: "image".
    pub fn noun(self) -> &'static str {
        match self {
            Medium::Image => "image",
            Medium::Sound => "sound",
        }
    }
}

/// The settings of the texture generator ([`crate::source::textures`]).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Textures {
    /// The number of classes.
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

/// Samples of the calling program, one source per split. The keys of steps hold their
/// [`content`](sample::Source::content).
#[derive(Clone)]
pub struct Own(pub PerSplit<Arc<dyn sample::Source>>);

impl Own {
    fn contents(&self) -> PerSplit<sample::Content> {
        self.0.as_ref().map(|it| it.content())
    }
}

impl PartialEq for Own {
    fn eq(&self, other: &Self) -> bool {
        self.contents() == other.contents()
    }
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Own").field(&self.contents()).finish()
    }
}

impl Default for Textures {
    fn default() -> Self {
        Self { classes: 10, size: 32, train: 4000, test: 1000, noise: 0.1 }
    }
}

/// What to do about a sample that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnBadSample {
    /// Ends the run, and names the sample.
    Fail,
    /// Leaves the sample out, and says so.
    Skip,
}
