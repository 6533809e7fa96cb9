//! Images in files.

use std::io::{self, Read};
use std::path::Path;

use super::class_order::Order;
use super::decode::{self, Decoded};
use super::encoding::{Encoding, Loaded};
use super::{Media, Remarks, plain_file};
use crate::{Error, Result};

/// Images in files.
pub(super) struct ImageFiles;

impl Encoding for ImageFiles {
    fn extensions(&self) -> &'static [&'static str] {
        &decode::ENDINGS
    }

    fn order(&self) -> Order {
        Order::Text
    }

    fn feature(&self) -> &'static str {
        "Image()"
    }

    fn lasts(&self) -> bool {
        false
    }

    fn decode(&self, bytes: &[u8]) -> Result<Loaded, String> {
        decode::decode(bytes).map(|Decoded { image, turned, room }| {
            (Media::Image(image), Remarks { turned, ..Remarks::default() }, Some(room))
        })
    }

    fn read(&self, path: &Path) -> Result<Result<Loaded, String>> {
        let bytes = bytes(path).map_err(|error| Error::io("read the image", path, error))?;
        Ok(self.decode(&bytes))
    }

    fn size_of_file(&self, path: &Path) -> io::Result<Option<(usize, usize)>> {
        // All of it, within bounds: decoders of JPEG do the same, without.
        Ok(decode::size(&bytes(path)?))
    }

    fn size(&self, bytes: &[u8]) -> Option<(usize, usize)> {
        decode::size(bytes)
    }
}

/// The bytes of a file that ends, and not too late.
fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    plain_file::open(path)?.take(decode::MAX_BYTES + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 {
        ..=decode::MAX_BYTES => Ok(bytes),
        _ => Err(io::Error::other(format!("it has more than {} bytes", decode::MAX_BYTES))),
    }
}
