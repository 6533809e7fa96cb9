//! Samples of a source, decoded and as the view sees them: the broken ones as the pipeline wants it.

use super::Run;
use crate::pipeline::{ImageView, OnBadSample, SampleSize, SoundView};
use crate::source::{BadSample, Media, Remarks, Sample, Source, Waveform};
use crate::view::{self, Pixels, Verdict};
use crate::{Error, Result};

/// The most rows of a source that are read at once, and the most memory that their images may take.
const CHUNK: usize = 512;
const CHUNK_BYTES: usize = 128 << 20;

/// Rows to read at once of images such as this one.
pub(super) fn rows_at_once(pixels: &Pixels) -> usize {
    (CHUNK_BYTES / pixels.values.len().max(1)).clamp(1, CHUNK)
}

/// Rows to read at once of recordings of so many samples.
pub(super) fn recordings_at_once(samples: usize) -> usize {
    (CHUNK_BYTES / (size_of::<f32>() * samples.max(1))).clamp(1, CHUNK)
}

/// What was read of some rows.
pub(super) struct Samples<T> {
    pub whole: Vec<(Sample, T)>,
    /// They have been told of.
    pub skipped: Vec<BadSample>,
}

impl Run<'_> {
    /// The images of these rows, each of `size` if that is known.
    ///
    /// # Errors
    /// When one is broken and `data.on_bad_sample` is `fail`, images differ in size, or the source
    /// cannot be read.
    pub(super) fn images(
        &self,
        view: &ImageView,
        source: &dyn Source,
        rows: &[usize],
        size: Option<SampleSize>,
    ) -> Result<Samples<Pixels>> {
        let read = source.read_through(rows, &|sample| seen(view, sample, size))?;
        self.sort(read, |sample| view::ingest(view, sample.media.image()?))
    }

    /// The recordings of these rows at the rate of the view, as far as they are kept.
    ///
    /// # Errors
    /// When one is broken and `data.on_bad_sample` is `fail`, or the source cannot be read.
    pub(super) fn recordings(
        &self,
        view: &SoundView,
        source: &dyn Source,
        rows: &[usize],
    ) -> Result<Samples<Vec<f32>>> {
        let read = source.read_through(rows, &|sample| heard(view, sample))?;
        self.sort(read, |sample| {
            let nothing = Waveform { rate: view.rate, samples: Vec::new(), clipped: 0 };
            match std::mem::replace(&mut sample.media, Media::Sound(nothing)) {
                Media::Sound(waveform) => Ok(waveform.samples),
                Media::Image(_) => Err(Error::failed("a sample is an image, not a sound")),
            }
        })
    }

    /// Whole samples with what `take` takes of them, and broken ones, where they may be.
    fn sort<T>(
        &self,
        read: Vec<Result<Sample, BadSample>>,
        take: impl Fn(&mut Sample) -> Result<T>,
    ) -> Result<Samples<T>> {
        let mut whole = Vec::with_capacity(read.len());
        let mut skipped = Vec::new();
        for sample in read {
            match (sample, self.pipeline.data.on_bad_sample) {
                (Ok(mut sample), _) => {
                    let taken = take(&mut sample)?;
                    whole.push((sample, taken));
                }
                (Err(bad), OnBadSample::Skip) => {
                    self.session.progress.warn(&format!("skipped {bad}"));
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
fn seen(view: &ImageView, mut sample: Sample, size: Option<SampleSize>) -> Result<Sample> {
    let pixels = view::ingest(view, sample.media.image()?)?;
    if let Some(size) = size {
        check_size(&sample, pixels.size(), size)?;
    }
    sample.media = Media::Image(pixels.into_image()?);
    Ok(sample)
}

/// A recording at the rate of the view, as far as it is kept.
fn heard(view: &SoundView, mut sample: Sample) -> Result<Sample> {
    let waveform = sample.media.sound()?;
    let clipped = waveform.clipped;
    let Verdict { silent, clipped: too_loud } = view::judge(&waveform.samples);
    let remarks = Remarks { clipped: clipped > 0 || too_loud, silent, ..sample.remarks };
    let mut samples = view::resample(waveform, view.rate)?;
    samples.truncate(view.clip.unwrap_or(usize::MAX));
    sample.media = Media::Sound(Waveform { rate: view.rate, samples, clipped });
    sample.remarks = remarks;
    Ok(sample)
}

/// Fails unless an image that was found is of this `size`, as others are.
pub(super) fn check_size(sample: &Sample, found: SampleSize, size: SampleSize) -> Result<()> {
    if found == size {
        return Ok(());
    }
    let message = format!(
        "images differ in size: row {} ({}) is {}x{}, others are {}x{}",
        sample.id, sample.source, found.width, found.height, size.width, size.height
    );
    Err(Error::failed(message).hint("set `view.resize` to one size for all"))
}
