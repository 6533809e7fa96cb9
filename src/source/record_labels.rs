//! Reads labels that lie in their own file beside files of images of one size, and the names of classes beside them.

use std::io;
use std::path::{Path, PathBuf};

use super::record_bytes::unpacked;
use super::record_names::Kind;
use crate::{Error, Result};

/// The most bytes of a file of labels or names.
const MAX_LABELS: u64 = 1 << 26;

const IDX_HEADER: usize = 8;

/// The labels beside the images at `path`, counted from 0, and their file; `None` if records hold their own labels,
/// or there are none.
///
/// # Errors
/// When the labels do not exist, are not as many as the images, or are malformed.
pub fn beside(kind: Kind<'_>, path: &Path, rows: usize) -> Result<Option<(PathBuf, Vec<u8>)>> {
    let Some(places) = kind.labels_beside(path) else { return Ok(None) };
    let file = places.iter().find(|it| it.exists()).unwrap_or(&places[0]);
    let failed = |error: io::Error| {
        Error::io("read the labels", file, error)
            .hint("put them beside the images, or set `data.label = false`")
    };
    let bytes = unpacked(file, MAX_LABELS).map_err(failed)?;
    let labels = match kind {
        Kind::Idx(_) => of_idx(file, bytes)?,
        _ => bytes,
    };
    if labels.len() != rows {
        let (found, shown, images) = (labels.len(), file.display(), path.display());
        let message = format!("`{shown}` has {found} labels, and `{images}` has {rows} images");
        return Err(Error::failed(message).hint("get both again from where they came from"));
    }
    match kind {
        Kind::Stl(_) => Ok(Some((file.clone(), from_one(file, labels)?))),
        _ => Ok(Some((file.clone(), labels))),
    }
}

/// Whether labels lie beside the images at `path`, or in them.
pub fn are_there(kind: Kind<'_>, path: &Path) -> bool {
    kind.labels_beside(path).is_none_or(|places| places.iter().any(|it| it.exists()))
}

/// The labels in an IDX file, after its header.
fn of_idx(file: &Path, mut bytes: Vec<u8>) -> Result<Vec<u8>> {
    let number = |at: usize| Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
    let (Some(0x0801), Some(count)) = (number(0), number(4)) else {
        let message = format!("`{}` does not begin as an IDX file of labels does", file.display());
        return Err(Error::failed(message).hint("get it again from where it came from"));
    };
    let found = bytes.len() - IDX_HEADER;
    if found != count as usize {
        let message = format!(
            "`{}` is cut off, or of another kind: it says that it has {count} labels and has {found}",
            file.display()
        );
        return Err(Error::failed(message).hint("get it again from where it came from"));
    }
    Ok(bytes.split_off(IDX_HEADER))
}

/// Makes STL-10's labels count from 0: the files count from 1.
fn from_one(file: &Path, labels: Vec<u8>) -> Result<Vec<u8>> {
    if let Some(row) = labels.iter().position(|label| *label == 0) {
        let message = format!(
            "`{}`: the label of image {row} is 0, but the labels of such files begin at 1, as STL-10's",
            file.display()
        );
        return Err(Error::failed(message).hint(
            "add 1 to every label in it, or read the images without labels: `data.label = false`",
        ));
    }
    Ok(labels.into_iter().map(|label| label - 1).collect())
}

/// The names of classes in a file, one per line; `None` if the file does not exist.
///
/// # Errors
/// When the file cannot be read, or is not text.
pub fn names(file: &Path) -> Result<Option<Vec<String>>> {
    let bytes = match unpacked(file, MAX_LABELS) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read the names of classes", file, error)),
    };
    let Ok(text) = String::from_utf8(bytes) else {
        let message = format!("`{}`: the names of classes are not UTF-8", file.display());
        return Err(Error::failed(message).hint("write it in UTF-8, a name in each line"));
    };
    let text = text.trim_start_matches('\u{feff}');
    let names = text.lines().map(str::trim).filter(|name| !name.is_empty());
    Ok(Some(names.map(String::from).collect()))
}
