//! Files and their BLAKE3.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::file_system::FileSystem;
use crate::location::Location;

/// Bytes that are hashed at a time: enough for BLAKE3 to use vector instructions, few enough for the cache.
const BUFFER: usize = 256 << 10;

/// Bytes that are requested from a server at a time.
const PIECE: usize = 16 << 20;

/// Writes a file and hashes it on the way.
#[derive(Debug)]
pub(crate) struct HashedFile {
    system: FileSystem,
    file: File,
    path: PathBuf,
    hasher: blake3::Hasher,
    buffer: Vec<u8>,
    bytes: u64,
}

impl HashedFile {
    /// Writes to `file`, which lies at `path`, from its current position.
    pub fn new(system: &FileSystem, file: File, path: &Path) -> Self {
        let buffer = Vec::with_capacity(BUFFER);
        let (system, path) = (system.clone(), path.to_path_buf());
        Self { system, file, path, hasher: blake3::Hasher::new(), buffer, bytes: 0 }
    }

    /// Writes the rest; returns the hash and the size of the file. Errors call the file `target`, its final name.
    pub fn finish(mut self, target: &Location) -> Result<(String, u64)> {
        let left = self.buffer.len() as u64;
        self.flush().map_err(|error| target.error("write", &error).needing(left))?;
        Ok((self.hasher.finalize().to_hex().to_string(), self.bytes))
    }
}

impl Write for HashedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() == BUFFER {
            self.flush()?;
        }
        let taken = bytes.len().min(BUFFER - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.hasher.update(&self.buffer);
        self.system.write_all(&self.file, &self.buffer, &self.path)?;
        self.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// BLAKE3 of a plain file, in hex.
pub(crate) fn hash_of(at: &Location) -> Result<String> {
    let hash = || -> io::Result<String> {
        let (backend, path) = (at.backend(), at.within());
        if let Some(file) = backend.open(path)? {
            return hash_from(file, 0);
        }
        let mut hasher = blake3::Hasher::new();
        let size = backend.size(path)?.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        for start in (0..size).step_by(PIECE) {
            hasher.update(&backend.read_range(path, start..size.min(start + PIECE as u64))?);
        }
        Ok(hasher.finalize().to_hex().to_string())
    };
    hash().map_err(|error| Error::reading(at.path(), &error))
}

/// BLAKE3 of a file of this machine from `offset` on, in hex.
pub(crate) fn hash_from(mut file: impl Read + Seek, offset: u64) -> io::Result<String> {
    file.seek(SeekFrom::Start(offset))?;
    Ok(blake3::Hasher::new().update_reader(file)?.finalize().to_hex().to_string())
}
