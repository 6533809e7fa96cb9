//! The kinds of files that data come in. To add one, add a file with its [`FileKind`] and a line in [`KINDS`].

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

/// The paths in a folder that are read, and those that are not.
pub(super) type Within = (Vec<PathBuf>, Vec<PathBuf>);

/// Looks for the files of a kind in a folder: among these files, and of this split alone where one is given.
type LookWithin = fn(&Path, &[PathBuf], Medium, Option<Split>) -> Result<Option<Within>>;

/// A kind of files that data come in.
pub(super) struct FileKind {
    /// The name of the kind in messages; no two kinds have the same.
    pub name: &'static str,
    /// The keys of `[data]` that do not apply to such files, and why.
    pub refused: (&'static [&'static str], &'static str),
    /// Whether the name of a file says that it is of this kind.
    pub takes: fn(&Path, Medium) -> bool,
    /// Of files that are named one by one, those that hold samples.
    pub samples_in: fn(Vec<Place>) -> Vec<Place>,
    /// What is read of a folder with these files; `None` if the folder is not of this kind. If names tell the split,
    /// only the files of the given split are read.
    pub within: LookWithin,
    /// Whether labels are read from such files when no pipeline says so.
    pub have_labels: fn(&[Place], &Columns) -> Result<bool>,
    /// Opens the files that were found, with the labels that the settings ask for.
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

/// All kinds. The first that takes a file has it. Parquet takes any file, and the last kind any folder.
pub(super) static KINDS: [FileKind; 4] = [RECORDS, LOOSE_FILES, PARQUET, FOLDERS];
