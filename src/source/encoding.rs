//! How samples of a medium lie in files. A medium is a file with its [`Encoding`], and its line in [`of`].

use std::io;
use std::path::Path;

use super::class_order::Order;
use super::decode_room::Held;
use super::image_files::IMAGES;
use super::sound_files::SOUNDS;
use super::{Length, Media, Remarks};
use crate::Result;
use crate::pipeline::settings::Medium;

/// A decoded sample, what there is to say of it, and its share of the memory for images.
pub(super) type Loaded = (Media, Remarks, Option<Held>);

/// Height and width, where a header says them.
pub(super) type Size = Option<(usize, usize)>;

/// How samples of a medium lie in files.
pub(super) struct Encoding {
    /// The extensions of such files, in lower case.
    pub extensions: &'static [&'static str],
    /// The order of classes that have names.
    pub order: Order,
    /// What Hugging Face datasets call a column of them.
    pub feature: &'static str,
    /// Whether samples last for a time: they have a length in place of a size, and words may be said in them.
    pub lasts: bool,
    /// Decodes a sample; else why it is none, for people.
    pub decode: fn(&[u8]) -> Result<Loaded, String>,
    /// Decodes the sample in a file of its own; inside, why it is none.
    pub read: fn(&Path) -> Result<Result<Loaded, String>>,
    pub size: fn(&[u8]) -> Size,
    pub size_of_file: fn(&Path) -> io::Result<Size>,
    /// How long a sample lasts, as its header says.
    pub length: fn(&[u8]) -> Option<Length>,
    pub length_of_file: fn(&Path) -> io::Result<Option<Length>>,
}

/// How samples of this medium lie in files.
pub(super) fn of(medium: Medium) -> &'static Encoding {
    match medium {
        Medium::Image => &IMAGES,
        Medium::Sound => &SOUNDS,
    }
}
