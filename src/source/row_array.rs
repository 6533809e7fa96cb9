//! An array in a file: its rows lie one after the other, and are read where they are wanted.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::element::Encoded;
use super::plain_file;
use crate::{Error, Result};

/// An array whose first dimension counts rows.
pub struct Array {
    /// The file that it comes from.
    pub path: PathBuf,
    pub rows: usize,
    /// The shape of a row.
    pub shape: Vec<usize>,
    pub encoded: Encoded,
    at: At,
}

/// Where the bytes of an array lie.
enum At {
    /// In the file itself, from this byte on.
    File(File, u64),
    /// In a temporary file without a name, once they are unpacked.
    Unpacked { unpack: Box<Unpack>, file: OnceLock<File>, busy: Mutex<()> },
}

/// Writes the bytes of an array, row after row.
type Unpack = dyn Fn(&mut File) -> Result<()> + Send + Sync;

impl Array {
    /// An array that lies in a file of its own bytes, from byte `start` on.
    ///
    /// # Errors
    /// When the file cannot be opened, or is shorter than the array.
    pub fn within(
        path: &Path,
        start: u64,
        (rows, shape): (usize, Vec<usize>),
        encoded: Encoded,
    ) -> Result<Self> {
        let failed = |error| Error::io("read", path, error);
        let file = plain_file::open(path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        let array = Self { path: path.to_owned(), rows, shape, encoded, at: At::File(file, start) };
        let end = array.bytes().and_then(|it| it.checked_add(start));
        match end {
            Some(end) if end <= bytes => Ok(array),
            _ => Err(Error::failed(format!(
                "`{}` is cut off: it has {bytes} bytes, its {rows} rows of shape {:?} need {}",
                path.display(),
                array.shape,
                end.map_or("more".to_owned(), |it| it.to_string())
            ))
            .hint("get it again from where it came from")),
        }
    }

    /// An array that has to be unpacked before its rows can be read in any order. That is done when the first row is
    /// read, into a temporary file.
    pub fn unpacked(
        path: &Path,
        (rows, shape): (usize, Vec<usize>),
        encoded: Encoded,
        unpack: impl Fn(&mut File) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        let (unpack, file) = (Box::new(unpack), OnceLock::new());
        let at = At::Unpacked { unpack, file, busy: Mutex::default() };
        Self { path: path.to_owned(), rows, shape, encoded, at }
    }

    /// Bytes of a row; `None` where there are too many for a number.
    fn row_bytes(&self) -> Option<usize> {
        let values = self.shape.iter().try_fold(1usize, |all, side| all.checked_mul(*side))?;
        values.checked_mul(self.encoded.element.bytes())
    }

    fn bytes(&self) -> Option<u64> {
        (self.row_bytes()? as u64).checked_mul(self.rows as u64)
    }

    /// The bytes of the rows from `first` on, `count` of them.
    ///
    /// # Errors
    /// When the file cannot be read or unpacked.
    pub fn read(&self, first: usize, count: usize) -> Result<Vec<u8>> {
        let (file, start) = match &self.at {
            At::File(file, start) => (file, *start),
            At::Unpacked { unpack, file, busy } => (self.unpack(unpack, file, busy)?, 0),
        };
        let row = self.row_bytes().unwrap_or(usize::MAX);
        let mut bytes = vec![0; row.saturating_mul(count)];
        file.read_exact_at(&mut bytes, start + (first as u64) * row as u64)
            .map_err(|error| Error::io("read", &self.path, error))?;
        Ok(bytes)
    }

    /// The temporary file with the unpacked rows; the first caller unpacks.
    fn unpack<'a>(
        &self,
        unpack: &Unpack,
        file: &'a OnceLock<File>,
        busy: &Mutex<()>,
    ) -> Result<&'a File> {
        let _alone = busy.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = file.get() {
            return Ok(file);
        }
        let folder = std::env::temp_dir();
        let failed = |error| {
            Error::io("unpack into", &folder, error)
                .hint("set TMPDIR to a folder with room for the unpacked rows")
        };
        let mut unpacked = tempfile::tempfile_in(&folder).map_err(failed)?;
        unpack(&mut unpacked)?;
        let found = unpacked.metadata().map_err(failed)?.len();
        if Some(found) != self.bytes() {
            let message = format!(
                "`{}` is damaged: unpacked, it has {found} bytes, not {}",
                self.path.display(),
                self.bytes().unwrap_or(u64::MAX)
            );
            return Err(Error::failed(message).hint("get it again from where it came from"));
        }
        Ok(file.get_or_init(|| unpacked))
    }

    /// Reads row `row` as f32.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn floats(&self, row: usize) -> Result<Vec<f32>> {
        let bytes = self.read(row, 1)?;
        let mut values = Vec::with_capacity(bytes.len() / self.encoded.element.bytes());
        self.encoded.floats(&bytes, &mut values);
        Ok(values)
    }
}
