//! The kinds of files that data come in. Adding one is its file, with a [`FileKind`], and its line in [`KINDS`].

use std::path::{Path, PathBuf};

use super::alignments::Alignments;
use super::classes::Numbering;
use super::content::PassedOver;
use super::folder::{Folders, LooseFiles};
use super::huggingface::ParquetFiles;
use super::locate::Place;
use super::records::RecordFiles;
use super::{Classified, Columns};
use crate::Result;
use crate::pipeline::settings::{Files, Medium, OnBadSample, Split};

/// What is read of a folder, and what is not.
pub(super) type Within = (Vec<PathBuf>, Vec<PathBuf>);

/// A kind of files that data come in.
pub(super) trait FileKind: Sync {
    /// What such files are called; each kind has a name of its own.
    fn name(&self) -> &'static str;

    /// Whether the name of a file says that it is of this kind.
    fn takes(&self, _file: &Path, _medium: Medium) -> bool {
        false
    }

    /// Those that hold samples, of files which are named one by one.
    fn samples_in(&self, files: Vec<Place>) -> Vec<Place> {
        files
    }

    /// What is read of a folder in which `inside` lie; `None` where that is not of this kind. Where names of files
    /// tell of splits, it is what `split` is made of.
    ///
    /// # Errors
    /// When it cannot be listed, or holds files of the other split alone.
    fn within(
        &self,
        _folder: &Path,
        _inside: &[PathBuf],
        _medium: Medium,
        _split: Option<Split>,
    ) -> Result<Option<Within>> {
        Ok(None)
    }

    /// The keys of [data] that say nothing of such files, and why.
    fn refused(&self) -> (&'static [&'static str], &'static str);

    /// Whether labels are read of such files where no pipeline says so, which one would call `column`.
    ///
    /// # Errors
    /// When one cannot be looked at.
    fn have_labels(&self, places: &[Place], column: &str, columns: &Columns) -> Result<bool>;

    /// Opens what was found, with labels as far as the settings ask for them.
    ///
    /// # Errors
    /// When it is not what the settings say, or holds no sample.
    fn open(&self, found: Vec<Place>, opening: Opening<'_>) -> Result<Box<dyn Classified>>;
}

/// How files are opened.
pub(super) struct Opening<'a> {
    pub settings: &'a Files,
    pub on_bad_sample: OnBadSample,
    pub alignments: Option<Alignments>,
    pub numbering: Numbering,
    pub passed_over: Vec<PassedOver>,
}

/// All kinds; what several would take is of the first.
pub(super) const KINDS: [&dyn FileKind; 4] = [&RecordFiles, &LooseFiles, &ParquetFiles, &Folders];

/// The kind of files that are named and no other kind takes.
pub(super) const NAMED: &dyn FileKind = &ParquetFiles;

/// The kind of folders that hold files of no other kind.
pub(super) const IN_FOLDERS: &dyn FileKind = &Folders;
