//! How samples of a medium lie in files. A medium is a file with its [`Encoding`], and its line in [`of`].

use std::io;
use std::path::Path;

use super::class_order::Order;
use super::decode_room::Held;
use super::image_files::ImageFiles;
use super::sound_files::SoundFiles;
use super::{Length, Media, Remarks};
use crate::Result;
use crate::pipeline::settings::Medium;

/// A decoded sample, what there is to say of it, and its share of the memory for images.
pub(super) type Loaded = (Media, Remarks, Option<Held>);

/// How samples of a medium lie in files.
pub(super) trait Encoding: Sync {
    /// The extensions of such files, in lower case.
    fn extensions(&self) -> &'static [&'static str];

    /// The order of classes that have names.
    fn order(&self) -> Order;

    /// What Hugging Face datasets call a column of them.
    fn feature(&self) -> &'static str;

    /// Whether samples last for a time: they have a length in place of a size, and words may be said in them.
    fn lasts(&self) -> bool;

    /// Decodes a sample.
    ///
    /// # Errors
    /// Why it is none, for people.
    fn decode(&self, bytes: &[u8]) -> Result<Loaded, String>;

    /// Decodes the sample in a file of its own; inside, why it is none.
    ///
    /// # Errors
    /// When the file cannot be read.
    fn read(&self, path: &Path) -> Result<Result<Loaded, String>>;

    /// Height and width of the sample in a file of its own, as [`Self::size`].
    ///
    /// # Errors
    /// When the file cannot be read.
    fn size_of_file(&self, _path: &Path) -> io::Result<Option<(usize, usize)>> {
        Ok(None)
    }

    /// Height and width, as the header says.
    fn size(&self, _bytes: &[u8]) -> Option<(usize, usize)> {
        None
    }

    /// How long it lasts, as the header says.
    fn length(&self, _bytes: &[u8]) -> Option<Length> {
        None
    }

    /// How long the sample in a file of its own lasts, as [`Self::length`].
    ///
    /// # Errors
    /// When the file cannot be read.
    fn length_of_file(&self, _path: &Path) -> io::Result<Option<Length>> {
        Ok(None)
    }
}

/// How samples of this medium lie in files.
pub(super) fn of(medium: Medium) -> &'static dyn Encoding {
    match medium {
        Medium::Image => &ImageFiles,
        Medium::Sound => &SoundFiles,
    }
}
