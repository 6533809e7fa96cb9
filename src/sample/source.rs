//! A split of a data set, as whatever holds it gives its samples.

use super::{BadSample, Content, LabelSet, Length, PassedOver, Sample};
use crate::{Error, Result};

/// What is left of a sample. Called where it is decoded, so that there are no more whole images at a
/// time than threads, however small the files of large images are.
pub type Keep<'a> = dyn Fn(Sample) -> Result<Sample> + Sync + 'a;

/// A split of a data set.
/// Its rows are known by [`Source::content`]: what is made of them is stale when that changes.
pub trait Source: Send + Sync {
    /// The number of samples, at least 1.
    fn rows(&self) -> usize;

    /// The names of the classes, by label; `None` when the data does not name them.
    fn label_names(&self) -> Option<&[String]>;

    /// Whether samples may have labels. As a rule, where these have names.
    fn is_labelled(&self) -> bool {
        self.label_names().is_some()
    }

    /// The labels that samples have besides the first, in the order of [`Sample::further`].
    fn further_labels(&self) -> &[LabelSet] {
        &[]
    }

    /// The names of the classes of [`Sample::frames`]; `None` when the data does not name them.
    fn frame_names(&self) -> Option<&[String]> {
        None
    }

    /// What the rows are made of: every file whose bytes can change one.
    fn content(&self) -> Content;

    /// Files that lie among those that are read, and are passed over.
    fn passed_over(&self) -> &[PassedOver] {
        &[]
    }

    /// The samples of `rows`, in this order, as `keep` leaves them.
    ///
    /// # Errors
    /// When a file cannot be read, a label is missing, or a row lies beyond the last; and what
    /// `keep` says. An image that does not decode is a [`BadSample`] instead, and the caller's to
    /// judge.
    fn read_through(&self, rows: &[usize], keep: &Keep) -> Result<Vec<Result<Sample, BadSample>>>;

    /// The samples of `rows` as they are.
    ///
    /// # Errors
    /// As [`Self::read_through`].
    fn read(&self, rows: &[usize]) -> Result<Vec<Result<Sample, BadSample>>> {
        self.read_through(rows, &Ok)
    }

    /// Height and width of the first image, from its header alone; `None` when the header is broken, or these are no
    /// images.
    ///
    /// # Errors
    /// When a file cannot be read.
    fn first_size(&self) -> Result<Option<(usize, usize)>> {
        Ok(None)
    }

    /// How long the sounds of `rows` are, in this order; `None` where the header is broken. Headers
    /// alone say it where the format has it in its header.
    ///
    /// # Errors
    /// When a file cannot be read, a row lies beyond the last, or these are no sounds.
    fn lengths(&self, rows: &[usize]) -> Result<Vec<Option<Length>>> {
        let _ = rows;
        Err(no_length())
    }
}

/// The error of asking for the length of an image.
pub fn no_length() -> Error {
    Error::failed("the length of an image was asked for: only sounds have one")
}
