//! The trait for anything that holds a split of a data set.

use super::{BadSample, Content, LabelSet, Length, PassedOver, Sample};
use crate::{Error, Result};

/// Reduces a sample to what is kept of it. Called where the sample is decoded, so that there are never more whole
/// images than threads, however small the files of large images are.
pub type Keep<'a> = dyn Fn(Sample) -> Result<Sample> + Sync + 'a;

/// A split of a data set.
///
/// [`Source::content`] identifies its rows: anything made from them is stale when it changes.
pub trait Source: Send + Sync {
    /// The number of samples, at least 1.
    fn rows(&self) -> usize;

    /// The names of the classes, by label; `None` when the data does not name them.
    fn label_names(&self) -> Option<&[String]>;

    /// Whether samples may have labels. By default, whether the classes have names.
    fn is_labelled(&self) -> bool {
        self.label_names().is_some()
    }

    /// The labels that samples have after the first, in the order of [`Sample::further`].
    fn further_labels(&self) -> &[LabelSet] {
        &[]
    }

    /// The names of the classes of [`Sample::frames`]; `None` when the data does not name them.
    fn frame_names(&self) -> Option<&[String]> {
        None
    }

    /// The content that the rows depend on: every file whose bytes can change a row.
    fn content(&self) -> Content;

    /// Files that lie among those of the source and are not read.
    fn passed_over(&self) -> &[PassedOver] {
        &[]
    }

    /// The samples of `rows`, in this order, each reduced by `keep`.
    ///
    /// # Errors
    /// When a file cannot be read, a label is missing, a row lies beyond the last, or `keep` fails. An image that
    /// cannot be decoded is a [`BadSample`] instead, for the caller to judge.
    fn read_through(&self, rows: &[usize], keep: &Keep) -> Result<Vec<Result<Sample, BadSample>>>;

    /// The samples of `rows`, whole.
    ///
    /// # Errors
    /// Fails like [`Self::read_through`].
    fn read(&self, rows: &[usize]) -> Result<Vec<Result<Sample, BadSample>>> {
        self.read_through(rows, &Ok)
    }

    /// Height and width of the first image, from its header alone; `None` if the header is broken, or the samples are
    /// not images.
    ///
    /// # Errors
    /// When a file cannot be read.
    fn first_size(&self) -> Result<Option<(usize, usize)>> {
        Ok(None)
    }

    /// The lengths of the sounds of `rows`, in this order; `None` if the header is broken. Only headers are read if the
    /// format has the length in its header.
    ///
    /// # Errors
    /// When a file cannot be read, a row lies beyond the last, or the samples are not sounds.
    fn lengths(&self, rows: &[usize]) -> Result<Vec<Option<Length>>> {
        let _ = rows;
        Err(no_length())
    }
}

/// The error of asking for the length of an image.
pub fn no_length() -> Error {
    Error::failed("the length of an image was asked for: only sounds have one")
}
