//! Files and their BLAKE3.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::damage::cannot_read;
use crate::error::{Error, Result};
use crate::faults::{self, Operation};
use crate::files::is_url;
use crate::object::Object;
use crate::plain_file;

/// Large enough for BLAKE3 to use vector instructions, small enough for the cache.
const BUFFER: usize = 256 << 10;

/// Writes a file and hashes it on the way.
#[derive(Debug)]
pub(crate) struct HashedFile {
    file: File,
    path: PathBuf,
    hasher: blake3::Hasher,
    buffer: Vec<u8>,
    bytes: u64,
}

impl HashedFile {
    /// Writes `file`, which lies at `path`, from where it stands.
    pub fn new(file: File, path: &Path) -> Self {
        let buffer = Vec::with_capacity(BUFFER);
        let path = path.to_path_buf();
        Self { file, path, hasher: blake3::Hasher::new(), buffer, bytes: 0 }
    }

    /// Makes the file durable; gives its hash and size. Errors name it `target`, as it will be
    /// called.
    pub fn finish(mut self, target: &Path) -> Result<(String, u64)> {
        let left = self.buffer.len() as u64;
        self.flush()
            .and_then(|()| faults::point(Operation::Sync, &self.path))
            .and_then(|()| if is_url(target) { Ok(()) } else { self.file.sync_all() })
            .map_err(|error| Error::io(target, "write", &error).needing(left))?;
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
        faults::write_all(&self.file, &self.buffer, &self.path)?;
        self.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// BLAKE3 of a file from `offset` on, in hex.
pub(crate) fn hash_from(path: &Path, offset: u64) -> Result<String> {
    let hash = || -> io::Result<String> {
        if let Some(object) = Object::of(path) {
            let mut hasher = blake3::Hasher::new();
            object?.read_all(offset, |bytes| {
                hasher.update(bytes);
            })?;
            return Ok(hasher.finalize().to_hex().to_string());
        }
        let mut file = plain_file::open(path)?;
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
