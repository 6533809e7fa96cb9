//! Opening files, and folders of files, that others may have put there.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use crate::error::{Error, Result};

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

/// Refuses a folder that is a link: the files in it would lie elsewhere.
pub(crate) fn check_folder(folder: &Path) -> Result<()> {
    match folder.symlink_metadata() {
        Ok(metadata) if metadata.is_symlink() => {
            Err(Error::damaged(folder, "it is a link, which may lead anywhere"))
        }
        // Of a folder that is not there, each file will be missed.
        _ => Ok(()),
    }
}
