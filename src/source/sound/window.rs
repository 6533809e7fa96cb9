//! Reads a part of a file as if it were a whole file.

use std::io::{self, Read, Seek, SeekFrom};

use symphonia::core::io::MediaSource;

use super::Input;

/// A range of the bytes of a file.
pub struct Window<R> {
    file: R,
    start: u64,
    end: u64,
    /// The place where the file is read next, in bytes.
    at: u64,
}

impl<R: Input> Window<R> {
    /// The bytes from `start` to `end` of `file`.
    ///
    /// # Errors
    /// When the file cannot be read there.
    pub fn new(mut file: R, start: u64, end: u64) -> io::Result<Self> {
        let at = file.seek(SeekFrom::Start(start))?;
        Ok(Self { file, start, end: end.max(start), at })
    }

    pub fn size(&self) -> u64 {
        self.end - self.start
    }
}

impl<R: Input> Read for Window<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let most = out.len().min(left);
        let read = self.file.read(&mut out[..most])?;
        self.at += read as u64;
        Ok(read)
    }
}

impl<R: Input> Seek for Window<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(to) => self.start.checked_add(to),
            SeekFrom::End(by) => self.end.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        let to = to.filter(|to| *to >= self.start);
        let to = to.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        self.at = self.file.seek(SeekFrom::Start(to))?;
        Ok(self.at - self.start)
    }
}

impl<R: Input> MediaSource for Window<R> {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.size())
    }
}
