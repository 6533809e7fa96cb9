//! Reads the bytes of a file of images or labels, either as they are or unpacked from gzip, as MNIST is downloaded.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use flate2::read::MultiGzDecoder;

use super::plain_file;

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The most bytes that are unpacked, since they stay in memory.
pub const MAX_UNPACKED: u64 = 1 << 30;

/// A file that may be packed; its first bytes tell.
#[derive(Debug)]
pub struct Bytes {
    path: PathBuf,
    kept: Kept,
}

#[derive(Debug)]
enum Kept {
    Plain(Mutex<File>, u64),
    /// All unpacked bytes, once they are needed.
    Packed(Mutex<Option<Arc<Vec<u8>>>>),
}

impl Bytes {
    /// Opens a file.
    ///
    /// # Errors
    /// The error of the system.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = plain_file::open(path)?;
        let length = file.metadata()?.len();
        let kept = match is_packed(&mut file)? {
            true => Kept::Packed(Mutex::new(None)),
            false => Kept::Plain(Mutex::new(file), length),
        };
        Ok(Self { path: path.to_path_buf(), kept })
    }

    /// The number of bytes; `None` for a packed file, where it is known only after unpacking.
    pub fn length(&self) -> Option<u64> {
        match &self.kept {
            Kept::Plain(_, length) => Some(*length),
            Kept::Packed(_) => None,
        }
    }

    /// Fills `into` from byte `place` on; the file has `length` bytes in all.
    ///
    /// # Errors
    /// The error of the system, or when a packed file is damaged or has another length.
    pub fn read_at(&self, place: u64, into: &mut [u8], length: u64) -> io::Result<()> {
        match &self.kept {
            Kept::Plain(file, _) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(place))?;
                file.read_exact(into)
            }
            Kept::Packed(all) => {
                let all = self.unpack(all, length)?;
                let start = usize::try_from(place).unwrap_or(usize::MAX);
                let from = all.get(start..).and_then(|rest| rest.get(..into.len()));
                into.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
        }
    }

    fn unpack(&self, all: &Mutex<Option<Arc<Vec<u8>>>>, length: u64) -> io::Result<Arc<Vec<u8>>> {
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(all) = &*all {
            return Ok(all.clone());
        }
        let found = unpacked(&self.path, length + 1)?;
        if found.len() as u64 != length {
            let more = if found.len() as u64 > length { " or more" } else { "" };
            let what = format!("it says that it has {length} bytes and has {}{more}", found.len());
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        Ok(all.insert(Arc::new(found)).clone())
    }
}

/// The first `most` bytes of a file, unpacked if it is in gzip.
///
/// # Errors
/// The error of the system, or when a packed file is damaged.
pub fn unpacked(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut file = plain_file::open(path)?;
    let mut bytes = Vec::new();
    if is_packed(&mut file)? {
        MultiGzDecoder::new(io::BufReader::new(file)).take(most).read_to_end(&mut bytes)?;
    } else {
        file.take(most).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// Whether a file begins like gzip; leaves the file at its start.
fn is_packed(file: &mut File) -> io::Result<bool> {
    let mut magic = Vec::new();
    file.take(2).read_to_end(&mut magic)?;
    file.rewind()?;
    Ok(magic == GZIP)
}
