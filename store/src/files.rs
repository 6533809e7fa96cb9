//! Looking at what lies on a disk or, under a URL, on object storage. What changes it is in
//! [`crate::durable`].

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::object::Object;
pub use crate::object::is_url;
use crate::plain_file;

/// What lies in a folder under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name in the folder.
    pub name: String,
    /// In bytes; 0 of a folder.
    pub size: u64,
    /// When it was written to, where that is known.
    pub modified: Option<SystemTime>,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Whether it is a link, which is none of the store's. Objects never are.
    pub is_link: bool,
}

/// The path that a person means by `text`: a URL of object storage as it is, `file://` as a path of this
/// machine, and all else as a path.
///
/// # Errors
/// In words, when it is a URL of something else.
pub fn location(text: &str) -> Result<PathBuf, String> {
    match text.split_once("://") {
        None => Ok(text.into()),
        Some(("file", path)) if path.starts_with('/') => Ok(path.into()),
        Some(("file", _)) => Err("`file://` is followed by a path that begins with `/`".into()),
        Some((scheme @ ("s3" | "gs" | "az"), rest)) => match rest.split('/').next() {
            None | Some("") => Err(format!("`{scheme}://` is followed by the name of a bucket")),
            _ => Ok(text.trim_end_matches('/').into()),
        },
        Some((scheme, _)) => Err(format!(
            "`{scheme}://` is none of those that a store can lie at: s3://, gs://, az://, file://"
        )),
    }
}

/// What a folder holds, sorted by name; nothing when it does not exist. A name that is not UTF-8 is none of
/// the store's.
///
/// # Errors
/// When it cannot be listed.
pub fn list(folder: &Path) -> io::Result<Vec<Entry>> {
    if let Some(object) = Object::of(folder) {
        return object?.list();
    }
    let mut entries = Vec::new();
    for entry in entries_of(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        // Gone since it was listed.
        let Ok(metadata) = entry.metadata() else { continue };
        entries.push(Entry {
            name,
            size: if metadata.is_file() { metadata.len() } else { 0 },
            modified: metadata.modified().ok(),
            is_folder: metadata.is_dir(),
            is_link: metadata.is_symlink(),
        });
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// The names in a folder, sorted; none when it does not exist. Costs less than [`list`].
///
/// # Errors
/// When it cannot be listed.
pub fn names(folder: &Path) -> io::Result<Vec<String>> {
    if is_url(folder) {
        return Ok(list(folder)?.into_iter().map(|it| it.name).collect());
    }
    let names = entries_of(folder)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
    let mut names = names.filter_map(io::Result::transpose).collect::<io::Result<Vec<_>>>()?;
    names.sort_unstable();
    Ok(names)
}

/// What the system says of a folder; nothing when it does not exist.
fn entries_of(folder: &Path) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>>> {
    match fs::read_dir(folder) {
        Ok(found) => Ok(Some(found).into_iter().flatten()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None.into_iter().flatten()),
        Err(error) => Err(error),
    }
}

/// A whole file.
///
/// # Errors
/// `NotFound` when it is not there; when it cannot be read.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    match Object::of(path) {
        Some(object) => Ok(object?.read()?.into()),
        None => fs::read(path),
    }
}

/// A whole file of text.
///
/// # Errors
/// As [`read`]; `InvalidData` when it is not UTF-8.
pub fn read_to_string(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// The first bytes of a plain file, no more than `limit`. Links are refused.
///
/// # Errors
/// As [`read`]; `InvalidInput` of what is no plain file.
pub fn read_up_to(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    if let Some(object) = Object::of(path) {
        return Ok(object?.read_up_to(limit)?.into());
    }
    let mut bytes = Vec::new();
    plain_file::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The size of a plain file; `None` when there is none.
///
/// # Errors
/// When it cannot be looked at.
pub fn size(path: &Path) -> io::Result<Option<u64>> {
    if let Some(object) = Object::of(path) {
        return object?.size();
    }
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.is_file().then_some(metadata.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether there is a plain file.
///
/// # Errors
/// When it cannot be looked at.
pub fn is_file(path: &Path) -> io::Result<bool> {
    Ok(size(path)?.is_some())
}

/// Whether there is a folder.
///
/// # Errors
/// When it cannot be looked at.
pub fn is_folder(path: &Path) -> io::Result<bool> {
    match Object::of(path) {
        Some(object) => object?.is_folder(),
        None => Ok(path.is_dir()),
    }
}

/// How long ago `modified` was, by the clock of whoever stores `path`. What comes from the future is new.
///
/// # Errors
/// When a server does not say what time it is.
pub fn age(path: &Path, modified: SystemTime) -> io::Result<Duration> {
    let now = match Object::of(path) {
        Some(object) => object?.server_time()?,
        None => SystemTime::now(),
    };
    Ok(now.duration_since(modified).unwrap_or_default())
}
