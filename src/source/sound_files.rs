//! The encoding of sound files.

use super::class_order::Order;
use super::encoding::{Encoding, Loaded};
use super::{Media, Remarks, Waveform, plain_file, sound};
use crate::Error;

pub(super) const SOUNDS: Encoding = Encoding {
    extensions: &["wav", "flac", "mp3", "ogg", "oga", "wave"],
    order: Order::Numbers,
    feature: "Audio()",
    lasts: true,
    decode: |bytes| sound::decode(bytes).map(loaded),
    read: |path| {
        let file =
            plain_file::open(path).map_err(|error| Error::io("read the sound", path, error))?;
        Ok(sound::decode_file(file).map(loaded))
    },
    size: |_| None,
    size_of_file: |_| Ok(None),
    length: sound::length,
    length_of_file: |path| Ok(sound::length_of_file(plain_file::open(path)?)),
};

fn loaded(waveform: Waveform) -> Loaded {
    (Media::Sound(waveform), Remarks::default(), None)
}
