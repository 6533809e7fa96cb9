//! The files of images or sounds in folders within folders.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::locate::{Place, relative_name};
use super::transcripts;
use crate::pipeline::settings::Medium;
use crate::{Error, Result};

/// Folders within each other.
const DEEPEST: usize = 16;

/// The extensions of files of a medium, in lower case.
pub(super) fn extensions(medium: Medium) -> &'static [&'static str] {
    match medium {
        Medium::Image => &["png", "jpg", "jpeg"],
        Medium::Sound => &["wav", "flac", "mp3", "ogg", "oga", "wave"],
    }
}

/// Whether a file's name says that it is of a medium.
pub(super) fn is_named_so(path: &Path, medium: Medium) -> bool {
    path.extension().is_some_and(|extension| {
        extensions(medium).iter().any(|known| extension.eq_ignore_ascii_case(known))
    })
}

/// What was found, in the order of its names.
pub(super) struct FileList {
    pub files: Vec<Found>,
    /// The sorted names of the folders directly inside those that were listed: also of those without a
    /// file.
    pub classes: Vec<String>,
    /// Files of transcripts, where sounds were looked for.
    pub transcripts: Vec<PathBuf>,
}

/// A file of the medium.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    pub path: PathBuf,
    /// Its path relative to the folder that was listed, or its name.
    pub place: String,
    /// The folder it lies in, of those directly inside the one that was listed; `None` where it lies in
    /// that itself.
    pub class: Option<String>,
}

impl FileList {
    /// Lists all files of a medium under `folders`.
    ///
    /// # Errors
    /// When a folder cannot be listed, is reached twice or too deep, or there is no such file.
    pub fn under(folders: &[PathBuf], medium: Medium) -> Result<Self> {
        let mut list = Self { files: Vec::new(), classes: Vec::new(), transcripts: Vec::new() };
        for folder in folders {
            let before = list.files.len();
            for (path, is_folder) in entries(folder)? {
                if is_folder {
                    let class = relative_name(folder, &path);
                    list.walk(&path, 1, medium, &class, &mut HashSet::new())?;
                    list.classes.push(class);
                } else {
                    list.add(path, medium, None);
                }
            }
            // The files of one folder after those of another, so that it does not matter where folders lie.
            let own = &mut list.files[before..];
            own.iter_mut().for_each(|it| it.place = relative_name(folder, &it.path));
            own.sort();
        }
        list.transcripts.sort();
        list.classes.sort();
        list.classes.dedup();
        if list.files.is_empty() {
            let folders: Vec<_> = folders.iter().map(|f| format!("`{}`", f.display())).collect();
            let noun = medium.noun();
            let message = format!("empty dataset: no {noun} under {}", folders.join(", "));
            let known = extensions(medium).join(", .");
            return Err(
                Error::failed(message).hint(format!("{noun}s are files that end in .{known}"))
            );
        }
        Ok(list)
    }

    /// These files alone, and the transcripts beside them.
    ///
    /// # Errors
    /// When a folder of one cannot be listed.
    pub fn of(places: Vec<Place>, medium: Medium) -> Result<Self> {
        let mut folders: Vec<&Path> = places.iter().filter_map(|it| it.path.parent()).collect();
        folders.sort();
        folders.dedup();
        let mut list = Self { files: Vec::new(), classes: Vec::new(), transcripts: Vec::new() };
        if medium == Medium::Sound {
            for folder in folders {
                let beside = entries(folder)?.into_iter().map(|(path, _)| path);
                list.transcripts.extend(beside.filter(|path| transcripts::is_named_so(path)));
            }
        }
        let found = |Place { path, place }| Found { path, place, class: None };
        list.files = places.into_iter().map(found).collect();
        Ok(list)
    }

    fn add(&mut self, path: PathBuf, medium: Medium, class: Option<&str>) {
        if is_named_so(&path, medium) {
            let class = class.map(str::to_owned);
            self.files.push(Found { path, place: String::new(), class });
        } else if medium == Medium::Sound && transcripts::is_named_so(&path) {
            self.transcripts.push(path);
        }
    }

    /// Adds every file under `folder`, at any depth within reason. Links may lead round in circles, or
    /// each folder to the next by several, so that there are more paths than a disk has bytes: none is
    /// `seen` twice.
    fn walk(
        &mut self,
        folder: &Path,
        depth: usize,
        medium: Medium,
        class: &str,
        seen: &mut HashSet<PathBuf>,
    ) -> Result<()> {
        if depth > DEEPEST {
            let message = format!("`{}` lies more than {DEEPEST} folders deep", folder.display());
            return Err(Error::failed(message));
        }
        let real =
            folder.canonicalize().map_err(|error| Error::io("list the folder", folder, error))?;
        if !seen.insert(real) {
            let message = format!("`{}` was listed before, under another name", folder.display());
            return Err(Error::failed(message).hint("links lead to it: remove one of them"));
        }
        for (path, is_folder) in entries(folder)? {
            if is_folder {
                self.walk(&path, depth + 1, medium, class, seen)?;
            } else {
                self.add(path, medium, Some(class));
            }
        }
        Ok(())
    }
}

/// What lies in `folder`, and whether each is a folder. Names that start with a dot are not data.
fn entries(folder: &Path) -> Result<Vec<(PathBuf, bool)>> {
    // The folder of a bare file name is the empty path.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let failed = |error| Error::io("list the folder", folder, error);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let path = entry.path();
        let is_folder = path.is_dir();
        found.push((path, is_folder));
    }
    Ok(found)
}

/// Whether files of a medium lie directly in `folder`.
///
/// # Errors
/// When it cannot be listed.
pub(super) fn has_files(folder: &Path, medium: Medium) -> Result<bool> {
    Ok(entries(folder)?.iter().any(|(path, is_folder)| !is_folder && is_named_so(path, medium)))
}
