//! The kinds of files that data come in. Adding one is its file, with a [`FileKind`], and its line in [`KINDS`].

use std::path::{Path, PathBuf};

use super::alignments::Alignments;
use super::classes::Numbering;
use super::content::PassedOver;
use super::folder::{FOLDERS, LOOSE_FILES};
use super::huggingface::PARQUET;
use super::locate::Place;
use super::records::RECORDS;
use super::{Classified, Columns};
use crate::Result;
use crate::pipeline::settings::{Files, Medium, OnBadSample, Split};

/// What is read of a folder, and what is not.
pub(super) type Within = (Vec<PathBuf>, Vec<PathBuf>);

/// A kind of files that data come in.
pub(super) struct FileKind {
    /// What such files are called; each kind has a name of its own.
    pub name: &'static str,
    /// The keys of [data] that say nothing of such files, and why.
    pub refused: (&'static [&'static str], &'static str),
    /// Whether the name of a file says that it is of this kind.
    pub takes: fn(&Path, Medium) -> bool,
    /// Those that hold samples, of files which are named one by one.
    pub samples_in: fn(Vec<Place>) -> Vec<Place>,
    /// What is read of a folder in which these files lie; `None` where that is not of this kind. Where names tell of
    /// splits, it is what the split is made of.
    pub within: fn(&Path, &[PathBuf], Medium, Option<Split>) -> Result<Option<Within>>,
    /// Whether labels are read of such files where no pipeline says so.
    pub have_labels: fn(&[Place], &Columns) -> Result<bool>,
    /// Opens what was found, with labels as far as the settings ask for them.
    pub open: fn(Vec<Place>, Opening<'_>) -> Result<Box<dyn Classified>>,
}

/// How files are opened.
pub(super) struct Opening<'a> {
    pub settings: &'a Files,
    pub on_bad_sample: OnBadSample,
    pub alignments: Option<Alignments>,
    pub numbering: Numbering,
    pub passed_over: Vec<PassedOver>,
}

/// All kinds; what several would take is of the first. Parquet takes all files, and the last all folders.
pub(super) static KINDS: [FileKind; 4] = [RECORDS, LOOSE_FILES, PARQUET, FOLDERS];
