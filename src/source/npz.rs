//! The arrays of a `.npz` file: a zip archive with a `.npy` file for each.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::read::DeflateDecoder;
use zip::{CompressionMethod, ZipArchive};

use super::npy::{self, Header};
use super::plain_file;
use super::row_array::Array;
use crate::{Error, Result};

/// The arrays of a file by their names; of those that cannot be read, such as text, why.
pub type Arrays = BTreeMap<String, Result<Array>>;

/// Opens all arrays of a file.
///
/// # Errors
/// When it is no such file.
pub fn open(path: &Path) -> Result<Arrays> {
    let file = plain_file::open(path).map_err(|error| Error::io("read", path, error))?;
    let wrong = |error: &dyn std::fmt::Display| {
        Error::failed(format!("`{}` is no .npz file: {error}", path.display()))
            .hint("write it with `numpy.savez(file, name=array)`")
    };
    let mut archive = ZipArchive::new(file).map_err(|error| wrong(&error))?;
    let mut arrays = BTreeMap::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(|error| wrong(&error))?;
        let full = entry.name().map_err(|error| wrong(&error))?.into_owned();
        let Some(name) = full.strip_suffix(".npy") else { continue };
        let (start, packed, method) =
            (entry.data_start(), entry.compressed_size(), entry.compression());
        let start = start.ok_or_else(|| wrong(&"an entry has no place"))?;
        drop(entry);
        let entry = Entry { start, packed, method };
        arrays.insert(name.to_owned(), entry.open(path, name));
    }
    Ok(arrays)
}

/// Where an array lies in the archive, and how it is packed.
#[derive(Clone, Copy)]
struct Entry {
    start: u64,
    packed: u64,
    method: CompressionMethod,
}

impl Entry {
    /// Opens the array.
    fn open(self, path: &Path, name: &str) -> Result<Array> {
        let Self { start, packed, method } = self;
        let failed = |path: &Path, error| Error::io("unpack", path, error);
        let called = format!("array `{name}` of `{}`", path.display());
        let deflated = match method {
            CompressionMethod::Stored => false,
            CompressionMethod::DEFLATE => true,
            other => {
                let message = format!("{called} is packed by {other}, which is not read");
                return Err(Error::failed(message).hint("write it with `numpy.savez`"));
            }
        };
        let file = plain_file::open(path).map_err(|error| failed(path, error))?;
        let bytes =
            unpacking(file, start, packed, deflated).map_err(|error| failed(path, error))?;
        let Header { encoded, shape, length } = npy::header(bytes, &called)?;
        let shape = npy::split(shape, &called)?;
        if !deflated {
            return Array::within(path, start + length, shape, encoded);
        }
        let most = bytes_of(&shape, encoded.element.bytes());
        let from = path.to_owned();
        Ok(Array::unpacked(path, shape, encoded, move |out| {
            let file = plain_file::open(&from).map_err(|error| failed(&from, error))?;
            let unpack = || {
                let mut bytes = unpacking(file, start, packed, true)?;
                io::copy(&mut bytes.by_ref().take(length), &mut io::sink())?;
                // One byte too many is enough to tell that it does not fit its header.
                io::copy(&mut bytes.take(most.saturating_add(1)), out)
            };
            unpack().map(drop).map_err(|error| failed(&from, error))
        }))
    }
}

/// Bytes of an array of rows; as many as there can be, where its shape says more.
fn bytes_of((rows, shape): &(usize, Vec<usize>), each: usize) -> u64 {
    let sides = shape.iter().chain([rows, &each]);
    sides.fold(1u64, |all, side| all.saturating_mul(*side as u64))
}

/// Reads `packed` bytes of an entry from byte `start` on, unpacked.
fn unpacking(mut file: File, start: u64, packed: u64, deflated: bool) -> io::Result<Box<dyn Read>> {
    file.seek(SeekFrom::Start(start))?;
    let bytes = file.take(packed);
    Ok(if deflated { Box::new(DeflateDecoder::new(bytes)) } else { Box::new(bytes) })
}
