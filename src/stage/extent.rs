//! How much data a run has: known before anything is decoded, from headers or from what is ingested.

use gimlet_store::Generation;

use crate::pipeline::{OnBadSample, Pipeline, SampleSize, Short, SoundView, Source, Split, View};
use crate::{Error, Result, source, view};

/// The most samples of a recording: over an hour at 16 kHz.
const MOST_SAMPLES: u64 = 1 << 26;

/// How large the samples are once they are ingested; `ingested` are those, where they are there.
///
/// # Errors
/// When neither the pipeline nor what was ingested says it, and the first image's header cannot be
/// read.
pub fn image_size(pipeline: &Pipeline, ingested: Option<&Generation>) -> Result<SampleSize> {
    let view = match &pipeline.view {
        View::Images(view) => view,
        View::Sound(view) => return Ok(SampleSize::of_sound(longest(pipeline, view, ingested)?)),
    };
    let side = match &pipeline.data.source {
        _ if view.resize.is_some() => view.resize,
        Source::Textures(textures) => Some(textures.size),
        Source::Files(_) => None,
    };
    if let Some(side) = side {
        return Ok(SampleSize::square(side));
    }
    let column = ingested.and_then(|it| it.manifest().schema.columns.first());
    if let Some([height, width, _]) = column.map(|column| column.shape.as_slice()) {
        return Ok(SampleSize { height: *height, width: *width });
    }
    let source = source::open(&pipeline.data, Split::Train, pipeline.seed)?;
    match (source.first_size(), pipeline.data.on_bad_sample) {
        (Ok(Some((height, width))), _) => Ok(SampleSize { height, width }),
        (_, OnBadSample::Skip) => first_whole(source.as_ref()),
        (Err(error), OnBadSample::Fail) => Err(error),
        (Ok(None), OnBadSample::Fail) => Err(Error::failed(
            "the header of the first image does not say how large the images are",
        )
        .hint("mend or remove it, or set `data.on_bad_sample = \"skip\"`")),
    }
}

/// The size of the first image that is not broken, where broken ones are skipped.
fn first_whole(source: &dyn source::Source) -> Result<SampleSize> {
    for row in 0..source.rows() {
        let read = source.read(&[row])?;
        if let Some(Ok(sample)) = read.into_iter().next() {
            let image = sample.media.image()?;
            let (height, width) = (image.height() as usize, image.width() as usize);
            return Ok(SampleSize { height, width });
        }
    }
    Err(Error::failed(format!("none of {} training images could be read", source.rows())))
}

/// Fails when no recording of a split, which has not been ingested, fills a window and those that are shorter are
/// left out.
///
/// # Errors
/// That; when the source cannot be read.
pub fn check_windows(pipeline: &Pipeline, view: &SoundView, split: Split) -> Result<()> {
    if view.short == Short::Pad {
        return Ok(());
    }
    let source = source::open(&pipeline.data, split, pipeline.seed)?;
    let rows: Vec<usize> = (0..source.rows()).collect();
    longest_of(view, source.as_ref(), &rows).map(|_| ())
}

/// The same as far as the view says it, without a look at any sample: of images no smaller than its crop, and of
/// recordings one window. `None` where it says nothing.
pub fn size_in_view(pipeline: &Pipeline) -> Option<SampleSize> {
    match &pipeline.view {
        View::Images(_) => pipeline.image_size().map(SampleSize::square),
        View::Sound(view) => Some(SampleSize::of_sound(view.window)),
    }
}

/// Samples of the longest training recording, at the rate of the view and as far as they are kept.
fn longest(pipeline: &Pipeline, view: &SoundView, ingested: Option<&Generation>) -> Result<usize> {
    let column = ingested.and_then(|it| it.manifest().schema.columns.first());
    if let Some([samples]) = column.map(|column| column.shape.as_slice()) {
        return Ok(*samples);
    }
    let source = source::open(&pipeline.data, Split::Train, pipeline.seed)?;
    let rows: Vec<usize> = (0..source.rows()).collect();
    longest_of(view, source.as_ref(), &rows)
}

/// Samples of the longest of these recordings, at the rate of the view and as far as they are kept; a
/// window at least.
///
/// # Errors
/// When the source cannot be read, one is so long that no row of a dataset holds it, or all are shorter than a window
/// and such are left out.
pub fn longest_of(view: &SoundView, source: &dyn source::Source, rows: &[usize]) -> Result<usize> {
    let mut longest = view.window;
    let mut most = 0;
    for (row, length) in rows.iter().zip(source.lengths(rows)?) {
        // What cannot be read is met when it is decoded.
        let Some(length) = length else {
            most = u64::MAX;
            continue;
        };
        let samples = view::resampled_len(length.samples, length.rate, view.rate);
        let samples = samples.min(view.clip.map_or(u64::MAX, |clip| clip as u64));
        if samples > MOST_SAMPLES {
            let message = format!(
                "recording {row} has {samples} samples at {} Hz, at most {MOST_SAMPLES} are kept",
                view.rate
            );
            return Err(Error::failed(message).hint("set `view.clip`, or cut it up"));
        }
        longest = longest.max(samples as usize);
        most = most.max(samples);
    }
    if view.short == Short::Skip && most < view.window as u64 {
        let (count, window, rate) = (rows.len(), view.window, view.rate);
        let message = format!(
            "none of {count} recordings is as long as a window (`view.window`, {window} samples): the longest has \
             {most} at {rate} Hz, and `view.short = \"skip\"` leaves out all that are shorter"
        );
        return Err(Error::failed(message)
            .hint(format!("set `view.window` to {most} or less, or `view.short = \"pad\"`")));
    }
    Ok(longest)
}
