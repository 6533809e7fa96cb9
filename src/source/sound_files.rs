//! Sounds in files.

use std::io;
use std::path::Path;

use super::class_order::Order;
use super::encoding::{Encoding, Loaded};
use super::{Length, Media, Remarks, plain_file, sound};
use crate::{Error, Result};

/// Sounds in files.
pub(super) struct SoundFiles;

impl Encoding for SoundFiles {
    fn extensions(&self) -> &'static [&'static str] {
        &["wav", "flac", "mp3", "ogg", "oga", "wave"]
    }

    fn order(&self) -> Order {
        Order::Numbers
    }

    fn feature(&self) -> &'static str {
        "Audio()"
    }

    fn lasts(&self) -> bool {
        true
    }

    fn decode(&self, bytes: &[u8]) -> Result<Loaded, String> {
        Ok((Media::Sound(sound::decode(bytes)?), Remarks::default(), None))
    }

    fn read(&self, path: &Path) -> Result<Result<Loaded, String>> {
        let file =
            plain_file::open(path).map_err(|error| Error::io("read the sound", path, error))?;
        let decoded = sound::decode_file(file);
        Ok(decoded.map(|it| (Media::Sound(it), Remarks::default(), None)))
    }

    fn length(&self, bytes: &[u8]) -> Option<Length> {
        sound::length(bytes)
    }

    fn length_of_file(&self, path: &Path) -> io::Result<Option<Length>> {
        Ok(sound::length_of_file(plain_file::open(path)?))
    }
}
