//! Samples of a source, decoded and as the view sees them: the broken ones as the pipeline wants it.

use super::Run;
use crate::pipeline::{OnBadSample, View};
use crate::source::{BadSample, Media, Sample, Source};
use crate::view::{self, Pixels};
use crate::{Error, Result};

/// The most rows of a source that are read at once, and the most memory that their images may take.
const CHUNK: usize = 512;
const CHUNK_BYTES: usize = 128 << 20;

/// Rows to read at once of images such as this one.
pub(super) fn rows_at_once(pixels: &Pixels) -> usize {
    (CHUNK_BYTES / pixels.values.len().max(1)).clamp(1, CHUNK)
}

/// What was read of some rows.
pub(super) struct Samples {
    pub whole: Vec<(Sample, Pixels)>,
    /// They have been told of.
    pub skipped: Vec<BadSample>,
}

impl Run<'_> {
    /// The samples of these rows, each of `size` if that is known.
    ///
    /// # Errors
    /// When one is broken and `data.on_bad_sample` is `fail`, images differ in size, or the source
    /// cannot be read.
    pub(super) fn samples(
        &self,
        source: &dyn Source,
        rows: &[usize],
        size: Option<(usize, usize)>,
    ) -> Result<Samples> {
        let view = &self.pipeline.view;
        let mut whole = Vec::with_capacity(rows.len());
        let mut skipped = Vec::new();
        for sample in source.read_through(rows, &|sample| seen(view, sample, size))? {
            match (sample, self.pipeline.data.on_bad_sample) {
                (Ok(sample), _) => {
                    let pixels = view::ingest(view, sample.media.image()?)?;
                    whole.push((sample, pixels));
                }
                (Err(bad), OnBadSample::Skip) => {
                    self.progress.warn(&format!("skipped {bad}"));
                    skipped.push(bad);
                }
                (Err(bad), OnBadSample::Fail) => {
                    return Err(Error::failed(bad.to_string())
                        .hint("mend or remove it, or set `data.on_bad_sample = \"skip\"`"));
                }
            }
        }
        Ok(Samples { whole, skipped })
    }
}

/// A sample as the view sees it; of `size`, if that is known.
fn seen(view: &View, mut sample: Sample, size: Option<(usize, usize)>) -> Result<Sample> {
    let pixels = view::ingest(view, sample.media.image()?)?;
    if let Some(size) = size {
        check_size(&sample, (pixels.height, pixels.width), size)?;
    }
    sample.media = Media::Image(pixels.into_image()?);
    Ok(sample)
}

/// Fails unless an image that was found is of this `size`, as others are.
pub(super) fn check_size(
    sample: &Sample,
    found: (usize, usize),
    size: (usize, usize),
) -> Result<()> {
    if found == size {
        return Ok(());
    }
    let message = format!(
        "images differ in size: row {} ({}) is {}x{}, others are {}x{}",
        sample.id, sample.source, found.1, found.0, size.1, size.0
    );
    Err(Error::failed(message).hint("set `view.resize` to one size for all"))
}
