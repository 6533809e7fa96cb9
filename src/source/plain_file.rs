//! Opens files that other people or programs may have put there.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::Path;

use super::first_bytes;

/// The most bytes of a Git LFS pointer.
const LONGEST_POINTER: u64 = 1024;

/// Opens a file for reading; links are followed. Refuses anything that is not a regular file: reading a pipe may
/// wait forever, and a device may never end. Also refuses a Git LFS pointer, which stands in place of the data.
///
/// # Errors
/// The error of the system, or `InvalidInput` for what is not a regular file, or not the data.
pub fn open(path: &Path) -> io::Result<File> {
    let check = |metadata: fs::Metadata| match metadata.is_file() {
        true => Ok(metadata.len()),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a plain file")),
    };
    check(fs::metadata(path)?)?;
    let mut file = File::open(path)?;
    if check(file.metadata()?)? <= LONGEST_POINTER {
        let mut bytes = Vec::new();
        (&file).take(LONGEST_POINTER).read_to_end(&mut bytes)?;
        if bytes.starts_with(first_bytes::LFS) {
            let what = "it is a Git LFS pointer, not the data: `git lfs pull` fetches that";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        file.rewind()?;
    }
    Ok(file)
}

/// The first `most` bytes of a file that [`open`] opens, or all if there are fewer.
///
/// # Errors
/// The errors of [`open`], and when the file cannot be read.
pub fn start(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}
