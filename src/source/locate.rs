//! From the paths and globs of the settings to the files of a split.

use std::path::{Path, PathBuf};

use super::clutter::is_clutter;
use super::folder_holds::{self, Holds};
use super::{file_list, record_names};
use crate::pipeline::settings::{Medium, Split};
use crate::{Error, Kind, Result};

/// The files of a split, sorted and each once.
#[derive(Debug)]
pub enum Located {
    Parquet(Vec<PathBuf>),
    /// Of images of one size, uncompressed.
    Records(Vec<PathBuf>),
    Folders(Vec<PathBuf>),
    /// Sounds in files of their own.
    Loose(Vec<PathBuf>),
}

/// Paths and globs as the user gave them.
pub struct Named<'a> {
    /// What relative ones start from.
    pub root: &'a Path,
    pub patterns: &'a [String],
    /// Where the user gave them, for messages.
    pub key: &'a str,
    /// How the user can change the root, for messages.
    pub roots: &'a str,
}

/// Finds what is named, of a medium: all folders, or all files of one kind, which their names tell.
///
/// # Errors
/// When a path or glob matches nothing, or when folders and files are mixed.
pub fn locate(named: &Named<'_>, medium: Medium) -> Result<Located> {
    let key = named.key;
    let paths = paths(named)?;
    let folders = paths.iter().filter(|path| path.is_dir()).count();
    if paths.is_empty() {
        Err(Error::new(Kind::Usage, format!("`{key}` names no file"))
            .hint(format!("name Parquet files, binary files or a folder of {}s", medium.noun())))
    } else if folders == 0 {
        let (is_other, what): (&dyn Fn(&PathBuf) -> bool, _) = match medium {
            Medium::Image => (
                &|path| record_names::is_images(path) || record_names::is_beside(path),
                "binary files of images",
            ),
            Medium::Sound => (&|path| file_list::is_named_so(path, medium), "files of sounds"),
        };
        match (paths.iter().filter(|path| is_other(path)).count(), medium) {
            (0, _) => Ok(Located::Parquet(paths)),
            (all, Medium::Image) if all == paths.len() => {
                Ok(Located::Records(record_names::images_alone(paths)))
            }
            (all, Medium::Sound) if all == paths.len() => Ok(Located::Loose(paths)),
            (some, _) => {
                let message =
                    format!("`{key}` names {some} {what} and {} others", paths.len() - some);
                Err(Error::failed(message).hint("name only files of one data set"))
            }
        }
    } else if folders == paths.len() {
        let split = Split::ALL.into_iter().find(|split| key == format!("data.{}", split.name()));
        in_folders(paths, medium, split)
    } else {
        Err(Error::failed(format!(
            "`{key}` names both folders and files ({} and {})",
            folders,
            paths.len() - folders
        ))
        .hint(format!("name either files or folders of {}s", medium.noun())))
    }
}

/// What is read of folders that are named: all of them hold data of one kind.
///
/// # Errors
/// When they do not, or cannot be listed.
pub fn in_folders(paths: Vec<PathBuf>, medium: Medium, split: Option<Split>) -> Result<Located> {
    let (mut parquet, mut records, mut folders) = (Vec::new(), Vec::new(), Vec::new());
    for path in paths {
        match folder_holds::look(&path, medium, split)? {
            Holds::Files => folders.push(path),
            Holds::Parquet(files) => parquet.extend(files),
            Holds::Records(files) => records.extend(files),
        }
    }
    match (parquet.is_empty(), records.is_empty(), folders.is_empty()) {
        (true, true, _) => Ok(Located::Folders(folders)),
        (false, true, true) => Ok(Located::Parquet(parquet)),
        (true, false, true) => Ok(Located::Records(records)),
        _ => Err(Error::failed("the folders that are named hold data of different kinds")
            .hint("name only folders of one data set")),
    }
}

/// What is named, sorted and each once.
///
/// # Errors
/// When a path or glob matches nothing.
pub fn paths(named: &Named<'_>) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for pattern in named.patterns {
        paths.extend(matches(named, pattern)?);
    }
    paths.sort();
    paths.dedup();
    Ok(paths)
}

/// What one path or glob names; at least one path.
fn matches(named: &Named<'_>, pattern: &str) -> Result<Vec<PathBuf>> {
    let Named { root, key, roots, .. } = named;
    let path = root.join(pattern);
    // A path that is there is meant as it stands, even with a `[` in its name.
    if path.exists() {
        return Ok(vec![path]);
    }
    let is_glob = pattern.contains(['*', '?', '[']);
    let mut found = Vec::new();
    if is_glob {
        // The root is a folder, not a part of the pattern. (Joining an absolute pattern drops it.)
        let full = Path::new(&glob::Pattern::escape(&root.to_string_lossy())).join(pattern);
        let entries = glob::glob(&full.to_string_lossy()).map_err(|error| {
            Error::new(Kind::Usage, format!("`{key}`: `{pattern}` is not a glob: {error}"))
        })?;
        for entry in entries {
            let path = entry.map_err(|error| {
                let path = error.path().to_path_buf();
                Error::io("read", &path, error.into())
            })?;
            if !is_clutter(&path.file_name().unwrap_or_default().to_string_lossy()) {
                found.push(path);
            }
        }
    }
    if found.is_empty() {
        let what = if is_glob { "no file matches" } else { "there is no file or folder" };
        return Err(Error::failed(format!("{what} `{}` (`{key}`)", path.display()))
            .hint(format!("relative paths start from {roots}")));
    }
    Ok(found)
}

/// `path` as the data set's owner would name it: relative to `root`, else its last part. Never
/// absolute, `/` between parts.
pub fn relative_name(root: &Path, path: &Path) -> String {
    let relative = path
        .strip_prefix(root)
        .ok()
        .or_else(|| path.file_name().map(Path::new))
        .unwrap_or(Path::new("."));
    let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}
