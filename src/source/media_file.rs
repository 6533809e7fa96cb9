//! An image or a sound in a file of its own.

use std::io::{self, Read};
use std::path::Path;

use super::decode::Decoded;
use super::decode_room::Held;
use super::{Media, Remarks, decode, plain_file, sound};
use crate::pipeline::settings::Medium;
use crate::{Error, Result};

/// What is in a file, what there is to say of it, and its share of the memory for images.
pub(super) type Loaded = (Media, Remarks, Option<Held>);

/// The image or sound of a file; inside, why it is none.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn read(medium: Medium, path: &Path) -> Result<Result<Loaded, String>> {
    let failed = |error| Error::io(&format!("read the {}", medium.noun()), path, error);
    Ok(match medium {
        Medium::Image => {
            decode::decode(&bytes(path).map_err(failed)?).map(|Decoded { image, turned, room }| {
                let remarks = Remarks { turned, ..Remarks::default() };
                (Media::Image(image), remarks, Some(room))
            })
        }
        Medium::Sound => sound::decode_file(plain_file::open(path).map_err(failed)?)
            .map(|it| (Media::Sound(it), Remarks::default(), None)),
    })
}

/// The bytes of a file of an image, that ends, and not too late.
pub(super) fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    plain_file::open(path)?.take(decode::MAX_BYTES + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 {
        ..=decode::MAX_BYTES => Ok(bytes),
        _ => Err(io::Error::other(format!("it has more than {} bytes", decode::MAX_BYTES))),
    }
}
