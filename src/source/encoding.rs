//! How samples of a medium are stored in files. To add a medium, add a file with its [`Encoding`] and a line in [`of`].

use std::io;
use std::path::Path;

use super::class_order::Order;
use super::decode_room::Held;
use super::image_files::IMAGES;
use super::sound_files::SOUNDS;
use super::{Length, Media, Remarks};
use crate::Result;
use crate::pipeline::settings::Medium;

/// A decoded sample, remarks about it, and its share of the memory for images.
pub(super) type Loaded = (Media, Remarks, Option<Held>);

/// Height and width, if a header tells them.
pub(super) type Size = Option<(usize, usize)>;

/// How samples of a medium are stored in files.
pub(super) struct Encoding {
    /// The extensions of its files, in lower case.
    pub extensions: &'static [&'static str],
    /// The order of classes that have names.
    pub order: Order,
    /// The Hugging Face feature type of a column with such samples.
    pub feature: &'static str,
    /// Whether samples last for a time: they have a length instead of a size, and words may be said in them.
    pub lasts: bool,
    /// Decodes a sample; the error says why it cannot be decoded, for people.
    pub decode: fn(&[u8]) -> Result<Loaded, String>,
    /// Decodes a sample from its own file; the inner error says why it cannot be decoded.
    pub read: fn(&Path) -> Result<Result<Loaded, String>>,
    pub size: fn(&[u8]) -> Size,
    pub size_of_file: fn(&Path) -> io::Result<Size>,
    /// How long a sample lasts according to its header.
    pub length: fn(&[u8]) -> Option<Length>,
    pub length_of_file: fn(&Path) -> io::Result<Option<Length>>,
}

/// The encoding of a medium.
pub(super) fn of(medium: Medium) -> &'static Encoding {
    match medium {
        Medium::Image => &IMAGES,
        Medium::Sound => &SOUNDS,
    }
}
