//! The arrays of a `.npz` file: a zip archive with a `.npy` file for each.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::read::DeflateDecoder;
use zip::{CompressionMethod, ZipArchive};

use super::array::Array;
use super::npy::{self, Header};
use crate::source::plain_file;
use crate::{Error, Result};

/// Opens all arrays of a file, by their names.
///
/// # Errors
/// When it is no such file, or an array is not as [`npy::header`] says.
pub fn open(path: &Path) -> Result<BTreeMap<String, Array>> {
    let file = || plain_file::open(path).map_err(|error| Error::io("read", path, error));
    let wrong = |error: &dyn std::fmt::Display| {
        Error::failed(format!("`{}` is no .npz file: {error}", path.display()))
            .hint("write it with `numpy.savez(file, name=array)`")
    };
    let mut archive = ZipArchive::new(file()?).map_err(|error| wrong(&error))?;
    let mut arrays = BTreeMap::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(|error| wrong(&error))?;
        let full = entry.name().map_err(|error| wrong(&error))?.into_owned();
        let Some(name) = full.strip_suffix(".npy") else { continue };
        let (start, packed, method) =
            (entry.data_start(), entry.compressed_size(), entry.compression());
        let start = start.ok_or_else(|| wrong(&"an entry has no place"))?;
        drop(entry);
        let called = format!("array `{name}` of `{}`", path.display());
        let deflated = match method {
            CompressionMethod::Stored => false,
            CompressionMethod::DEFLATE => true,
            other => {
                let message = format!("{called} is packed by {other}, which is not read");
                return Err(Error::failed(message).hint("write it with `numpy.savez`"));
            }
        };
        let Header { encoded, shape, length } = npy::header(
            unpacking(file()?, start, packed, deflated).map_err(|it| wrong(&it))?,
            &called,
        )?;
        let shape = npy::split(shape, &called)?;
        let array = match deflated {
            false => Array::within(path, start + length, shape, encoded)?,
            true => {
                let path = path.to_owned();
                let most = bytes_of(&shape, encoded.element.bytes());
                Array::unpacked(&path.clone(), shape, encoded, move |out| {
                    let failed = |error| Error::io("unpack", &path, error);
                    let file = plain_file::open(&path).map_err(failed)?;
                    let mut from = unpacking(file, start, packed, true).map_err(failed)?;
                    io::copy(&mut from.by_ref().take(length), &mut io::sink()).map_err(failed)?;
                    // One byte too many is enough to tell that it does not fit its header.
                    io::copy(&mut from.take(most.saturating_add(1)), out).map(drop).map_err(failed)
                })
            }
        };
        arrays.insert(name.to_owned(), array);
    }
    Ok(arrays)
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
