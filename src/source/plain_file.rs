//! Opening files that others may have put there.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Opens a file to read it; links are followed. What is no file is refused: a pipe would be waited
/// for, a device never ends.
///
/// # Errors
/// As the system says, and `InvalidInput` for what is no file.
pub fn open(path: &Path) -> io::Result<File> {
    let check = |metadata: fs::Metadata| match metadata.is_file() {
        true => Ok(()),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a plain file")),
    };
    check(fs::metadata(path)?)?;
    let file = File::open(path)?;
    check(file.metadata()?)?;
    Ok(file)
}
