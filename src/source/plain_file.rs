//! Opening files that others may have put there.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::Path;

use super::first_bytes;

/// No pointer of Git LFS is longer.
const LONGEST_POINTER: u64 = 1024;

/// Opens a file to read it; links are followed. What is no file is refused: a pipe would be waited
/// for, a device never ends. So is a pointer of Git LFS, which stands where the data should.
///
/// # Errors
/// As the system says, and `InvalidInput` for what is no file, or not the data.
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
        if first_bytes::is_lfs_pointer(&bytes) {
            let what = "it is a Git LFS pointer, not the data: `git lfs pull` fetches that";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        file.rewind()?;
    }
    Ok(file)
}
