//! An open part: a local file, or a remote part of which this machine caches blocks.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::cache::SharedFetch;
use crate::location::Location;
use crate::manifest::Part;
use crate::positioned;
use crate::store::Store;

/// An open part, read at positions by many threads at once.
#[derive(Debug)]
pub(crate) enum PartFile {
    Local(File, Store),
    Remote(RemotePart),
}

/// A part that is read by requests. Its hash names its blocks, so those of an earlier file of its name are never used.
#[derive(Debug)]
pub(crate) struct RemotePart {
    at: Location,
    blake3: String,
    bytes: u64,
}

impl PartFile {
    /// Opens a part that a manifest names. For a remote part, this sends no request.
    ///
    /// # Errors
    /// The errors of [`crate::backend::Backend::open`].
    pub fn open(at: &Location, part: &Part) -> io::Result<Self> {
        Ok(match at.backend().open(at.within())? {
            Some(file) => Self::Local(file, at.store().clone()),
            None => Self::Remote(RemotePart {
                at: at.clone(),
                blake3: part.blake3.clone(),
                bytes: part.bytes,
            }),
        })
    }

    /// The size in bytes; of a remote part, that in the manifest: reading a shorter or longer object fails later.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn size(&self) -> io::Result<u64> {
        match self {
            Self::Local(file, _) => Ok(file.metadata()?.len()),
            Self::Remote(part) => Ok(part.bytes),
        }
    }

    /// Fills `out` with the bytes from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file ends too early; others when it cannot be read.
    pub fn read_exact_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        match self {
            Self::Local(file, store) => {
                file.read_exact_at(out, offset)?;
                store.shared.counters.read(out.len());
                Ok(())
            }
            Self::Remote(part) => part.read(out, offset),
        }
    }

    /// Fills `out`, slice after slice, with the bytes from `offset` on.
    ///
    /// # Errors
    /// The errors of [`Self::read_exact_at`].
    pub fn read_exact_vectored_at(&self, out: &mut [IoSliceMut], offset: u64) -> io::Result<()> {
        match self {
            Self::Local(file, store) => {
                let bytes = out.iter().map(|slice| slice.len()).sum();
                positioned::read_exact_vectored_at(file, out, offset)?;
                store.shared.counters.read(bytes);
                Ok(())
            }
            Self::Remote(part) => {
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

    /// Drops these bytes from the cache of this machine, because they are wrong. Returns `false` when nothing is
    /// cached, so that reading again would give the same bytes.
    pub fn forget(&self, offset: u64, length: u64) -> bool {
        let Self::Remote(part) = self else { return false };
        let Some(cache) = part.at.store().cache() else { return false };
        cache.forget(&part.blake3, offset..offset.saturating_add(length));
        true
    }

    /// Announces that these bytes will be read soon, so that they may be fetched meanwhile.
    pub fn will_need(&self, offset: u64, length: u64) {
        match self {
            Self::Local(file, _) => positioned::will_need(file, offset, length),
            Self::Remote(part) => part.will_need(offset, length),
        }
    }
}

impl RemotePart {
    fn read(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.saturating_add(out.len() as u64);
        if end > self.bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (backend, path) = (self.at.backend(), self.at.within());
        match self.at.store().cache() {
            Some(cache) => {
                let fetch = |range| backend.read_range(path, range);
                cache.read(&self.blake3, self.bytes, offset, out, &fetch)?;
            }
            None => out.copy_from_slice(&backend.read_range(path, offset..end)?),
        }
        self.at.store().shared.counters.read(out.len());
        Ok(())
    }

    fn will_need(&self, offset: u64, length: u64) {
        let Some(cache) = self.at.store().cache() else { return };
        let at = self.at.clone();
        let fetch: Arc<SharedFetch> =
            Arc::new(move |range| at.backend().read_range(at.within(), range));
        cache.will_need(&self.blake3, self.bytes, offset..offset.saturating_add(length), fetch);
    }
}
