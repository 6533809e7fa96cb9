//! Opening files, and folders of files, that others may have put there.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use crate::error::{Error, Result};
use crate::files::is_url;
use crate::object::Object;

/// Opens a file to read it. A link is refused, as it may lead out of its folder; so is what is no
/// file: a pipe would be waited for, a device never ends.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let is_file = |metadata: fs::Metadata| match metadata.is_file() {
        true => Ok(()),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a plain file")),
    };
    is_file(fs::symlink_metadata(path)?)?;
    let file = File::open(path)?;
    is_file(file.metadata()?)?;
    Ok(file)
}

/// The size of a file that [`open`] would open, or of an object.
pub(crate) fn size(path: &Path) -> io::Result<u64> {
    match Object::of(path) {
        Some(object) => object?.size()?.ok_or_else(|| io::ErrorKind::NotFound.into()),
        None => Ok(open(path)?.metadata()?.len()),
    }
}

/// Refuses a folder that is a link: the files in it would lie elsewhere.
pub(crate) fn check_folder(folder: &Path) -> Result<()> {
    if is_url(folder) {
        return Ok(());
    }
    match folder.symlink_metadata() {
        Ok(metadata) if metadata.is_symlink() => {
            Err(Error::damaged(folder, "it is a link, which may lead anywhere"))
        }
        // Of a folder that is not there, each file will be missed.
        _ => Ok(()),
    }
}
