//! Finds the files of a split from the paths and globs of the settings.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use super::clutter::is_clutter;
use super::content::PassedOver;
use super::file_kind::{FileKind, KINDS};
use super::{folder_holds, passed_over};
use crate::folder::folder_of;
use crate::pipeline::settings::{Medium, Split};
use crate::{Error, Kind, Result};

/// The files or folders of a split, each once, in the order of their rows.
#[derive(Clone)]
pub(super) struct Located {
    pub kind: &'static FileKind,
    pub places: Vec<Place>,
    /// Files in a named folder that are not read.
    pub passed_over: Vec<PassedOver>,
}

/// A file or folder that is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The path as the user spelled it, after the root.
    pub path: PathBuf,
    /// Its path relative to the folders that a glob names; its own name if no glob names it.
    pub place: String,
}

/// Paths and globs as the user gave them.
pub struct Named<'a> {
    /// The folder that relative paths start from.
    pub root: &'a Path,
    pub patterns: &'a [String],
    /// Where the user gave them, for messages.
    pub key: &'a str,
    /// How the user can change the root, for messages.
    pub roots: &'a str,
}

/// Finds what is named, for a medium: only folders, or only files of one kind, told by their names.
///
/// # Errors
/// When [`paths`] fails, or folders and files are mixed.
pub(super) fn locate(named: &Named<'_>, medium: Medium) -> Result<Located> {
    let key = named.key;
    let paths = paths(named)?;
    let folders = paths.iter().filter(|it| it.path.is_dir()).count();
    if paths.is_empty() {
        Err(Error::new(Kind::Usage, format!("`{key}` names no file"))
            .hint(format!("name Parquet files, binary files or a folder of {}s", medium.noun())))
    } else if folders == 0 {
        let taken =
            |kind: &FileKind| paths.iter().filter(|it| (kind.takes)(&it.path, medium)).count();
        let mut kinds = KINDS.iter().map(|kind| (kind, taken(kind)));
        let (kind, some) = kinds.find(|(_, some)| *some > 0).unwrap_or((&KINDS[0], 0));
        if some < paths.len() {
            let (name, others) = (kind.name, paths.len() - some);
            let message = format!("`{key}` names {some} {name} and {others} others");
            return Err(Error::failed(message).hint("name only files of one data set"));
        }
        Ok(Located { kind, places: (kind.samples_in)(paths), passed_over: Vec::new() })
    } else if folders == paths.len() {
        let folders: Vec<PathBuf> = paths.into_iter().map(|it| it.path).collect();
        refuse_nested(&folders, key)?;
        let split = Split::ALL.into_iter().find(|split| *key == format!("data.{}", split.name()));
        in_folders(folders, medium, split)
    } else {
        let files = paths.len() - folders;
        let message = format!("`{key}` names both folders and files ({folders} and {files})");
        Err(Error::failed(message)
            .hint(format!("name either files or folders of {}s", medium.noun())))
    }
}

/// Finds what is read in folders that are named, and what is not. All folders must hold data of one kind.
///
/// # Errors
/// When they hold data of several kinds, or cannot be listed.
pub(super) fn in_folders(
    folders: Vec<PathBuf>,
    medium: Medium,
    split: Option<Split>,
) -> Result<Located> {
    let mut kinds: Vec<&'static FileKind> = Vec::new();
    let (mut places, mut others) = (Vec::new(), Vec::new());
    for folder in folders {
        let (kind, (read, over)) = folder_holds::look(&folder, medium, split)?;
        let place = |path: PathBuf| Place { place: relative_name(&folder, &path), path };
        kinds.push(kind);
        places.extend(read.into_iter().map(place));
        others.extend(over.iter().map(|path| relative_name(&folder, path)));
    }
    let kind = kinds.first().copied().unwrap_or(&KINDS[0]);
    if kinds.iter().any(|it| it.name != kind.name) {
        return Err(Error::failed("the folders that are named hold data of different kinds")
            .hint("name only folders of one data set"));
    }
    Ok(Located { kind, places, passed_over: passed_over::by_kind(others, None) })
}

/// Refuses folders of which one lies in another: its files would be read twice.
fn refuse_nested(folders: &[PathBuf], key: &str) -> Result<()> {
    let real = |folder: &PathBuf| {
        folder.canonicalize().map_err(|error| Error::io("look at", folder, error))
    };
    let real = folders.iter().map(real).collect::<Result<Vec<_>>>()?;
    for (inner, folder) in real.iter().zip(folders) {
        let Some(outer) = real.iter().position(|it| it != inner && inner.starts_with(it)) else {
            continue;
        };
        let (inner, outer) = (folder.display(), folders[outer].display());
        let message = format!("`{key}` names `{outer}` and `{inner}`, which lies in it");
        return Err(Error::failed(message).hint("name one of them"));
    }
    Ok(())
}

/// Finds the files and folders that are named, each once. Sorts them by `place`, which depends neither on the order of
/// the paths and globs nor on where the data lies.
///
/// # Errors
/// [`Kind::NotReady`] when nothing that is named exists; another kind when only a part exists, or it cannot be
/// looked at.
pub fn paths(named: &Named<'_>) -> Result<Vec<Place>> {
    let mut all = Vec::new();
    let mut missing = None;
    let mut seen = Seen::default();
    for pattern in named.patterns {
        let found = matches(named, pattern)?;
        if found.is_empty() {
            missing = missing.or(Some(pattern));
        }
        for place in found {
            if seen.is_new(&place.path)? {
                all.push(place);
            }
        }
    }
    // Sorts by the parts of paths, as folders are listed.
    all.sort_by(|a, b| Path::new(&a.place).cmp(Path::new(&b.place)));
    match missing {
        None => Ok(all),
        Some(pattern) => Err(not_there(named, pattern, all.is_empty())),
    }
}

/// The error of a path or glob that names nothing; `all` says that nothing that is named exists.
fn not_there(named: &Named<'_>, pattern: &str, all: bool) -> Error {
    let Named { root, key, roots, .. } = named;
    let what = if is_glob(pattern) { "no file matches" } else { "there is no file or folder" };
    let kind = if all { Kind::NotReady } else { Kind::Failed };
    Error::new(kind, format!("{what} `{}` (`{key}`)", root.join(pattern).display()))
        .hint(format!("relative paths start from {roots}"))
}

fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?', '['])
}

/// The files and folders that were seen, by their real path and not by the name that was given.
#[derive(Default)]
struct Seen {
    real: HashSet<PathBuf>,
    /// Real paths of folders, kept because many files lie in few folders.
    folders: HashMap<PathBuf, PathBuf>,
}

impl Seen {
    /// Whether an existing path leads to something new. A link and its target count as one file.
    fn is_new(&mut self, path: &Path) -> Result<bool> {
        let failed = |error| Error::io("look at", path, error);
        let is_link = fs::symlink_metadata(path).map_err(failed)?.is_symlink();
        let real = match (folder_of(path), path.file_name()) {
            (folder, Some(name)) if !is_link => {
                let real = match self.folders.get(&folder) {
                    Some(real) => real.clone(),
                    None => {
                        let real = folder.canonicalize().map_err(failed)?;
                        self.folders.insert(folder, real.clone());
                        real
                    }
                };
                real.join(name)
            }
            _ => path.canonicalize().map_err(failed)?,
        };
        Ok(self.real.insert(real))
    }
}

/// The files and folders that one path or glob names.
fn matches(named: &Named<'_>, pattern: &str) -> Result<Vec<Place>> {
    let Named { root, key, .. } = named;
    let path = root.join(pattern);
    // An existing path is taken literally, even with a `[` in its name.
    match fs::metadata(&path) {
        Ok(_) => {
            let place = relative_name(&path, &path);
            return Ok(vec![Place { path, place }]);
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if fs::symlink_metadata(&path).is_ok() {
                let message = format!("`{}` (`{key}`) is a broken link", path.display());
                return Err(Error::failed(message).hint("mend the link, or name what it leads to"));
            }
        }
        Err(error) => return Err(Error::io("look at", &path, error)),
    }
    if !is_glob(pattern) {
        return Ok(Vec::new());
    }
    // The root is a literal folder, not a part of the pattern. (Joining an absolute pattern drops it.)
    let full = Path::new(&glob::Pattern::escape(&root.to_string_lossy())).join(pattern);
    let entries = glob::glob(&full.to_string_lossy()).map_err(|error| {
        Error::new(Kind::Usage, format!("`{key}`: `{pattern}` is not a glob: {error}"))
    })?;
    let plain: PathBuf = Path::new(pattern)
        .components()
        .take_while(|part| !is_glob(&part.as_os_str().to_string_lossy()))
        .collect();
    let base = root.join(plain);
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| {
            let path = error.path().to_path_buf();
            Error::io("read", &path, error.into())
        })?;
        if !is_clutter(&path.file_name().unwrap_or_default().to_string_lossy()) {
            found.push(Place { place: relative_name(&base, &path), path });
        }
    }
    Ok(found)
}

/// `path` relative to `folder`, with `/` between parts; if it lies elsewhere, its last part. Never absolute, and
/// without `.` parts.
pub fn relative_name(folder: &Path, path: &Path) -> String {
    if let Ok(rest) = path.strip_prefix(folder)
        && let Some(rest) = rest.to_str().filter(|it| !it.is_empty() && cfg!(unix))
    {
        return rest.to_owned();
    }
    let parts = |path: &Path| -> Vec<String> {
        let parts = path.components().filter(|part| *part != Component::CurDir);
        parts.map(|part| part.as_os_str().to_string_lossy().into_owned()).collect()
    };
    let (folder, all) = (parts(folder), parts(path));
    match all.strip_prefix(folder.as_slice()) {
        Some(rest) if !rest.is_empty() => rest.join("/"),
        _ => path.file_name().map_or_else(|| ".".into(), |it| it.to_string_lossy().into_owned()),
    }
}
