//! From the paths and globs of the settings to the files of a split.

use std::path::{Path, PathBuf};

use super::records;
use crate::{Error, Kind, Result};

/// The files of a split, sorted and each once.
#[derive(Debug)]
pub enum Located {
    Parquet(Vec<PathBuf>),
    /// Of images of one size, uncompressed.
    Records(Vec<PathBuf>),
    Folders(Vec<PathBuf>),
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

/// Finds what is named: all folders, or all files of one kind, which their names tell.
///
/// # Errors
/// When a path or glob matches nothing, or when folders and files are mixed.
pub fn locate(named: &Named<'_>) -> Result<Located> {
    let Named { patterns, key, .. } = named;
    let mut paths = Vec::new();
    for pattern in *patterns {
        paths.extend(matches(named, pattern)?);
    }
    paths.sort();
    paths.dedup();
    let folders = paths.iter().filter(|path| path.is_dir()).count();
    if paths.is_empty() {
        Err(Error::new(Kind::Usage, format!("`{key}` names no file"))
            .hint("name Parquet files, binary files or a folder of images"))
    } else if folders == 0 {
        match paths.iter().filter(|path| records::is_named_so(path)).count() {
            0 => Ok(Located::Parquet(paths)),
            all if all == paths.len() => Ok(Located::Records(paths)),
            some => {
                let message = format!(
                    "`{key}` names {some} binary files of images and {} others",
                    paths.len() - some
                );
                Err(Error::failed(message).hint("name only files of one data set"))
            }
        }
    } else if folders == paths.len() {
        Ok(Located::Folders(paths))
    } else {
        Err(Error::failed(format!(
            "`{key}` names both folders and files ({} and {})",
            folders,
            paths.len() - folders
        ))
        .hint("name either files or folders of images"))
    }
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
            found.push(entry.map_err(|error| {
                let path = error.path().to_path_buf();
                Error::io("read", &path, error.into())
            })?);
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
