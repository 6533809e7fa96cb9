//! Files and their BLAKE3.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::damage::cannot_read;
use crate::error::Result;

/// Large enough for BLAKE3 to use vector instructions, small enough for the cache.
const BUFFER: usize = 256 << 10;

/// Writes a file and hashes it on the way.
#[derive(Debug)]
pub(crate) struct HashedFile {
    file: File,
    hasher: blake3::Hasher,
    buffer: Vec<u8>,
    bytes: u64,
}

impl HashedFile {
    /// Writes from where `file` stands.
    pub fn new(file: File) -> Self {
        let buffer = Vec::with_capacity(BUFFER);
        Self { file, hasher: blake3::Hasher::new(), buffer, bytes: 0 }
    }

    /// Makes the file durable; gives its hash and size.
    pub fn finish(mut self) -> io::Result<(String, u64)> {
        self.flush()?;
        self.file.sync_all()?;
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
        self.file.write_all(&self.buffer)?;
        self.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// BLAKE3 of a file from `offset` on, in hex.
pub(crate) fn hash_from(path: &Path, offset: u64) -> Result<String> {
    let hash = || -> io::Result<String> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; BUFFER];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(hasher.finalize().to_hex().to_string()),
                read => hasher.update(&buffer[..read]),
            };
        }
    };
    hash().map_err(|error| cannot_read(path, &error))
}
