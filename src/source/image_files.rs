//! The encoding of image files.

use std::io;
use std::path::Path;

use super::class_order::Order;
use super::decode::{self, Decoded};
use super::encoding::{Encoding, Loaded};
use super::{Media, Remarks, plain_file};
use crate::Error;

pub(super) const IMAGES: Encoding = Encoding {
    extensions: &decode::ENDINGS,
    order: Order::Text,
    feature: "Image()",
    lasts: false,
    decode,
    read: |path| {
        let bytes = bytes(path).map_err(|error| Error::io("read the image", path, error))?;
        Ok(decode(&bytes))
    },
    size: decode::size,
    // Reads the whole file up to a limit: JPEG decoders would do the same, without a limit.
    size_of_file: |path| Ok(decode::size(&bytes(path)?)),
    length: |_| None,
    length_of_file: |_| Ok(None),
};

fn decode(bytes: &[u8]) -> Result<Loaded, String> {
    let Decoded { image, turned, room } = decode::decode(bytes)?;
    Ok((Media::Image(image), Remarks { turned, ..Remarks::default() }, Some(room)))
}

/// The bytes of a file, which must not be too long.
fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let bytes = plain_file::start(path, decode::MAX_BYTES + 1)?;
    match bytes.len() as u64 {
        ..=decode::MAX_BYTES => Ok(bytes),
        _ => Err(io::Error::other(format!("it has more than {} bytes", decode::MAX_BYTES))),
    }
}
