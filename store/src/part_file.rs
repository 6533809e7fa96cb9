//! An open part: a file, or an object of which this machine keeps blocks.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::path::Path;
use std::sync::Arc;

use crate::cache::Fetch;
use crate::kept;
use crate::manifest::Part;
use crate::object::Object;
use crate::plain_file;
use crate::positioned;

/// An open part, read at positions by many threads at once.
#[derive(Debug)]
pub(crate) enum PartFile {
    Local(File),
    Object(ObjectPart),
}

/// A part on object storage. Its blocks are known by its content, so that those of another file that
/// had its name are never taken for its own.
#[derive(Debug)]
pub(crate) struct ObjectPart {
    object: Object,
    blake3: String,
    bytes: u64,
}

impl PartFile {
    /// Opens a part of a manifest. Of an object, nothing is asked yet.
    ///
    /// # Errors
    /// As `plain_file::open`; when there can be no object of that name.
    pub fn open(path: &Path, part: &Part) -> io::Result<Self> {
        Ok(match Object::of(path) {
            Some(object) => {
                let (blake3, bytes) = (part.blake3.clone(), part.bytes);
                Self::Object(ObjectPart { object: object?, blake3, bytes })
            }
            None => Self::Local(plain_file::open(path)?),
        })
    }

    /// How long it is. Of an object that is what the manifest says: a shorter one has no such bytes to
    /// read, a longer one another index.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn size(&self) -> io::Result<u64> {
        match self {
            Self::Local(file) => Ok(file.metadata()?.len()),
            Self::Object(part) => Ok(part.bytes),
        }
    }

    /// Fills `out` with the bytes from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` when it ends before; when it cannot be read.
    pub fn read_exact_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        match self {
            Self::Local(file) => positioned::read_exact_at(file, out, offset),
            Self::Object(part) => part.read(out, offset),
        }
    }

    /// Fills `out`, slice after slice, with the bytes from `offset` on.
    ///
    /// # Errors
    /// As [`Self::read_exact_at`].
    pub fn read_exact_vectored_at(&self, out: &mut [IoSliceMut], offset: u64) -> io::Result<()> {
        match self {
            Self::Local(file) => positioned::read_exact_vectored_at(file, out, offset),
            Self::Object(part) => {
                let mut bytes = vec![0; out.iter().map(|slice| slice.len()).sum()];
                part.read(&mut bytes, offset)?;
                let mut rest = bytes.as_slice();
                for slice in out {
                    let (here, behind) = rest.split_at(slice.len());
                    slice.copy_from_slice(here);
                    rest = behind;
                }
                Ok(())
            }
        }
    }

    /// Drops what this machine keeps of these bytes, as they are not what was written; `false` when it
    /// keeps nothing of them, so that to read them again would give the same.
    pub fn forget(&self, offset: u64, length: u64) -> bool {
        match (self, kept::cache()) {
            (Self::Object(part), Some(cache)) => {
                cache.forget(&part.blake3, offset..offset.saturating_add(length));
                true
            }
            _ => false,
        }
    }

    /// Says that these bytes will be read soon, so that they may be fetched meanwhile.
    pub fn will_need(&self, offset: u64, length: u64) {
        match self {
            Self::Local(file) => positioned::will_need(file, offset, length),
            Self::Object(part) => part.will_need(offset, length),
        }
    }
}

impl ObjectPart {
    fn read(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.saturating_add(out.len() as u64);
        if end > self.bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match kept::cache() {
            Some(cache) => {
                let fetch = |range| self.object.read_range(range);
                cache.read(&self.blake3, self.bytes, offset, out, &fetch)?;
            }
            None => out.copy_from_slice(&self.object.read_range(offset..end)?),
        }
        positioned::count(out.len() as u64);
        Ok(())
    }

    fn will_need(&self, offset: u64, length: u64) {
        let Some(cache) = kept::cache() else { return };
        let object = self.object.clone();
        let fetch: Arc<Fetch> = Arc::new(move |range| object.read_range(range));
        cache.will_need(&self.blake3, self.bytes, offset..offset.saturating_add(length), fetch);
    }
}
