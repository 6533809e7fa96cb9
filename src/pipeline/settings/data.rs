//! Where samples come from: `[data]`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::per_split::PerSplit;
use super::Split;
use crate::sample;

/// Where samples come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Data {
    /// Where they are read from.
    pub source: Source,
    /// At most this many training rows, drawn by the seed; all when `None`.
    pub subset: Option<usize>,
    /// At most this many test rows, drawn by the seed; all when `None`.
    pub test_subset: Option<usize>,
    /// What to do about a sample that cannot be read.
    pub on_bad_sample: OnBadSample,
}

/// All samples of a source.
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

impl Data {
    /// Whether samples may have labels.
    pub fn is_labelled(&self) -> bool {
        match &self.source {
            Source::Files(files) => files.label.is_some(),
            Source::Textures(_) => true,
            Source::Own(Own(own)) => own.train.is_labelled(),
        }
    }

    /// At most this many rows of a split; all when `None`.
    pub fn subset_of(&self, split: Split) -> Option<usize> {
        match split {
            Split::Train => self.subset,
            Split::Test => self.test_subset,
        }
    }
}

/// What samples are read from, or made by.
#[derive(Debug, Clone, PartialEq)]
// A pipeline has one of them.
#[allow(clippy::large_enum_variant)]
pub enum Source {
    /// Files on disk: Hugging Face-style Parquet, binary files of images, or folders.
    Files(Files),
    /// Generated textures.
    Textures(Textures),
    /// What the calling program gives. No pipeline file can say it.
    Own(Own),
}

impl Source {
    /// Whether the data have a label for every hop.
    pub fn has_frames(&self) -> bool {
        match self {
            Source::Files(files) => files.frames.is_some() || files.alignments.is_some(),
            Source::Textures(_) => false,
            Source::Own(Own(own)) => own.train.frame_names().is_some(),
        }
    }

    /// What the labels after the first are called.
    pub fn further(&self) -> Vec<&str> {
        match self {
            Source::Files(files) => files.further.iter().map(String::as_str).collect(),
            Source::Textures(_) => Vec::new(),
            Source::Own(Own(own)) => {
                own.train.further_labels().iter().map(|it| &*it.name).collect()
            }
        }
    }

    /// Height and width of its images, where it makes them all alike.
    pub fn side(&self) -> Option<usize> {
        match self {
            Source::Textures(textures) => Some(textures.size),
            Source::Files(_) | Source::Own(_) => None,
        }
    }

    /// Classes that labels tell apart, where that is known before any is read.
    pub fn classes(&self) -> Option<usize> {
        match self {
            Source::Textures(textures) => Some(textures.classes),
            Source::Own(Own(own)) => own.train.label_names().map(<[String]>::len),
            Source::Files(_) => None,
        }
    }

    /// What relative paths of files start from.
    pub fn root(&self) -> Option<&Path> {
        match self {
            Source::Files(files) => Some(&files.root),
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
    /// What relative paths start from: `data.root`, else `GIMLET_DATA`, else the pipeline file's
    /// folder.
    pub root: PathBuf,
    /// What the samples are. Images are what is meant where nothing is said.
    pub medium: Medium,
    /// The column that holds the images or sounds (Parquet).
    pub column: String,
    /// The column that holds the labels (Parquet), or what `labels` or `names` call them; `None`
    /// when the data has no labels (then for folders, too, their names are not labels).
    pub label: Option<String>,
    /// Further columns of labels, in order. Empty when there is no first.
    pub further: Vec<String>,
    /// The column that holds a label for every hop (Parquet).
    pub frames: Option<String>,
    /// Paths or globs of text files that hold a label for every hop.
    pub alignments: Option<Vec<String>>,
    /// A CSV file with the labels of files, in each of the split's folders or in `root`.
    pub labels: Option<String>,
    /// How the names of files tell their labels ([`NamePattern`](super::NamePattern)).
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// Images.
    Image,
    /// Recordings.
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
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Textures {
    /// How many classes there are.
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

/// Samples of the calling program, a source per split. In the keys of steps they are their
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
