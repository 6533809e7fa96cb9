//! Lists the image or sound files in folders, at any depth.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::clutter::is_clutter;
use super::first_bytes::{self, ENOUGH};
use super::locate::{Place, relative_name};
use super::record_bytes::unpacked;
use super::unicode_form::{composed, escaped};
use super::{encoding, folder_holds, shorten, transcripts};
use crate::pipeline::settings::{Medium, OnBadSample};
use crate::{Error, Result};

/// The most folders within each other.
const DEEPEST: usize = 16;

/// Whether a file's extension is one of the medium's.
pub(super) fn is_named_so(path: &Path, medium: Medium) -> bool {
    path.extension().is_some_and(|extension| {
        encoding::of(medium).extensions.iter().any(|known| extension.eq_ignore_ascii_case(known))
    })
}

/// The files that were found, in the order of their names.
#[derive(Default)]
pub(super) struct FileList {
    pub files: Vec<FoundFile>,
    /// The sorted names of the folders directly inside the listed ones that have a file of the medium.
    pub classes: Vec<String>,
    /// Files of transcripts, if sounds were looked for.
    pub transcripts: Vec<PathBuf>,
    /// Files that are not of the medium.
    pub others: Vec<PathBuf>,
    /// Links whose target is missing.
    pub broken: Vec<PathBuf>,
    /// Folders directly inside the listed ones that have only other files, with the first of these.
    hollow: Vec<(PathBuf, Vec<PathBuf>)>,
}

/// A file of the medium.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FoundFile {
    pub path: PathBuf,
    /// Its path relative to the folder that was listed, or its name.
    pub place: String,
    /// The folder it lies in, of those directly inside the listed one; `None` if it lies in the listed one itself.
    pub class: Option<String>,
}

impl FileList {
    /// Lists all files of a medium under `folders`.
    ///
    /// # Errors
    /// When a folder cannot be listed, is reached twice or lies too deep, or there is no such file; when the target
    /// of a link is missing, unless bad samples are skipped.
    pub fn under(folders: &[PathBuf], medium: Medium, broken: OnBadSample) -> Result<Self> {
        let list = Self::all_under(folders, medium)?;
        if list.files.is_empty() {
            return Err(list.nothing(folders, medium));
        }
        list.check_links(broken)?;
        Ok(list)
    }

    /// Whether there is any file of a medium under `folder`.
    ///
    /// # Errors
    /// When a folder cannot be listed, is reached twice or lies too deep.
    pub fn is_any_under(folder: &Path, medium: Medium) -> Result<bool> {
        Ok(!Self::all_under(&[folder.to_path_buf()], medium)?.files.is_empty())
    }

    /// Lists all files of a medium under `folders`, of which there may be none.
    ///
    /// # Errors
    /// When a folder cannot be listed, is reached twice or lies too deep.
    pub fn all_under(folders: &[PathBuf], medium: Medium) -> Result<Self> {
        let mut list = Self::default();
        for folder in folders {
            let before = list.files.len();
            for Entry { path, kind } in entries(folder)? {
                if kind == EntryKind::Folder {
                    let (files, others) = (list.files.len(), list.others.len());
                    let class = relative_name(folder, &path);
                    list.walk(&path, 1, medium, &class, &mut HashSet::new())?;
                    if list.files.len() > files {
                        check_name(&path)?;
                        list.classes.push(class);
                    } else if list.others.len() > others {
                        list.hollow.push((path, list.others[others..].to_vec()));
                    }
                } else {
                    list.add(path, kind, medium, None)?;
                }
            }
            // The files of one folder come after those of the folder before, so it does not matter where folders lie.
            let own = &mut list.files[before..];
            own.iter_mut().for_each(|it| it.place = relative_name(folder, &it.path));
            // Sorts by the parts of paths.
            own.sort_by_cached_key(|it| it.place.replace('/', "\0"));
        }
        list.transcripts.sort();
        list.classes.sort();
        list.classes.dedup();
        Ok(list)
    }

    /// Lists only these files, and the transcripts beside them.
    ///
    /// # Errors
    /// When the folder of a file cannot be listed.
    pub fn of(places: Vec<Place>, medium: Medium) -> Result<Self> {
        let mut folders: Vec<&Path> = places.iter().filter_map(|it| it.path.parent()).collect();
        folders.sort();
        folders.dedup();
        let mut list = Self::default();
        if encoding::of(medium).lasts {
            for folder in folders {
                let beside = entries(folder)?.into_iter().map(|entry| entry.path);
                list.transcripts.extend(beside.filter(|path| transcripts::is_named_so(path)));
            }
        }
        places.iter().try_for_each(|it| check_name(&it.path))?;
        let found = |Place { path, place }| FoundFile { path, place, class: None };
        list.files = places.into_iter().map(found).collect();
        Ok(list)
    }

    fn add(
        &mut self,
        path: PathBuf,
        kind: EntryKind,
        medium: Medium,
        class: Option<&str>,
    ) -> Result<()> {
        if kind == EntryKind::Broken {
            self.broken.push(path);
        } else if is_named_so(&path, medium) {
            check_name(&path)?;
            let class = class.map(str::to_owned);
            self.files.push(FoundFile { path, place: String::new(), class });
        } else if encoding::of(medium).lasts && transcripts::is_named_so(&path) {
            self.transcripts.push(path);
        } else {
            self.others.push(path);
        }
        Ok(())
    }

    /// Adds every file under `folder`, down to a limit in depth. Nothing is `seen` twice: links may form circles, or
    /// lead from each folder to the next in several ways, so that there are more paths than a disk has bytes.
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
        for Entry { path, kind } in entries(folder)? {
            if kind == EntryKind::Folder {
                let files = self.files.len();
                self.walk(&path, depth + 1, medium, class, seen)?;
                if self.files.len() > files {
                    check_name(&path)?;
                }
            } else {
                self.add(path, kind, medium, Some(class))?;
            }
        }
        Ok(())
    }

    /// The error of folders without a file of the medium.
    fn nothing(&self, folders: &[PathBuf], medium: Medium) -> Error {
        let shown: Vec<_> = folders.iter().map(|f| format!("`{}`", f.display())).collect();
        let noun = medium.noun();
        let mut message = format!("empty dataset: no {noun} under {}", shown.join(", "));
        if let Some(hint) = folder_holds::parquet_within(folders, &self.others) {
            return Error::failed(message).hint(hint);
        }
        let told = self.others.iter().min().and_then(|first| {
            let told = first_bytes::tell(&unpacked(first, ENOUGH as u64).ok()?)?;
            Some((first, told))
        });
        if let Some((first, told)) = told {
            message += &format!("; `{}` is {}", first.display(), told.what);
            let advice = folder_holds::instead(first).unwrap_or(told.advice);
            return Error::failed(message).hint(advice);
        }
        let known = encoding::of(medium).extensions.join(", .");
        Error::failed(message).hint(format!("{noun}s are files that end in .{known}"))
    }

    fn check_links(&self, broken: OnBadSample) -> Result<()> {
        let Some(first) = self.broken.iter().min().filter(|_| broken == OnBadSample::Fail) else {
            return Ok(());
        };
        let leads =
            fs::read_link(first).map_or(String::new(), |to| format!(" (`{}`)", to.display()));
        let others = match self.broken.len() - 1 {
            0 => String::new(),
            more => format!("; so do {more} others"),
        };
        let message =
            format!("`{}` is a link that leads to nothing{leads}{others}", first.display());
        Err(Error::failed(message)
            .hint("mend or remove it, or set `data.on_bad_sample = \"skip\"`"))
    }

    /// Checks that the folders directly inside are classes with names that can be told apart.
    ///
    /// # Errors
    /// When a folder has files, but none of the medium, or two names look alike.
    pub fn check_classes(&self, medium: Medium) -> Result<()> {
        let noun = medium.noun();
        if let Some((folder, files)) = self.hollow.iter().min() {
            let names: Vec<String> =
                files.iter().map(|file| format!("`{}`", relative_name(folder, file))).collect();
            let message = format!(
                "the class folder `{}` has no {noun}: it holds {}",
                folder.display(),
                shorten(&names)
            );
            let known = encoding::of(medium).extensions.join(", .");
            return Err(Error::failed(message).hint(format!(
                "{noun}s are files that end in .{known}: convert what is in it, or remove the folder if it \
                 is no class"
            )));
        }
        let mut alike: BTreeMap<Cow<'_, str>, &String> = BTreeMap::new();
        for class in &self.classes {
            if let Some(other) = alike.insert(composed(class), class) {
                let message = format!(
                    "the class folders `{other}` and `{class}` look alike and are two: {} and {}",
                    escaped(other),
                    escaped(class)
                );
                return Err(Error::failed(message).hint(
                    "one name is composed of other characters than the other, as macOS writes them: \
                     move the files of both into one folder",
                ));
            }
        }
        Ok(())
    }
}

/// Checks that the name of a file or folder is valid text: two names that are not would look the same.
fn check_name(path: &Path) -> Result<()> {
    match path.file_name() {
        Some(name) if name.to_str().is_none() => {
            let folder = path.parent().unwrap_or(Path::new("")).display();
            let message = format!("the name {name:?} in `{folder}` is not UTF-8");
            Err(Error::failed(message).hint("rename it to a name in UTF-8"))
        }
        _ => Ok(()),
    }
}

/// A file or folder in a folder.
pub(super) struct Entry {
    pub path: PathBuf,
    pub kind: EntryKind,
}

/// The kind of an entry, after links are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryKind {
    Folder,
    File,
    Broken,
}

/// Lists `folder` in no order, without clutter.
///
/// # Errors
/// When the folder cannot be listed.
pub(super) fn entries(folder: &Path) -> Result<Vec<Entry>> {
    // The folder of a bare file name is the empty path.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let failed = |error| Error::io("list the folder", folder, error);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if is_clutter(&entry.file_name().to_string_lossy()) {
            continue;
        }
        let path = entry.path();
        let own = entry.file_type().map_err(failed)?;
        let kind = match own {
            kind if kind.is_dir() => EntryKind::Folder,
            kind if !kind.is_symlink() => EntryKind::File,
            _ if path.is_dir() => EntryKind::Folder,
            _ if path.exists() => EntryKind::File,
            _ => EntryKind::Broken,
        };
        found.push(Entry { path, kind });
    }
    Ok(found)
}

/// Whether files of a medium lie directly in `folder`.
///
/// # Errors
/// When the folder cannot be listed.
pub(super) fn has_files(folder: &Path, medium: Medium) -> Result<bool> {
    let is_one =
        |entry: &Entry| entry.kind != EntryKind::Folder && is_named_so(&entry.path, medium);
    Ok(entries(folder)?.iter().any(is_one))
}
