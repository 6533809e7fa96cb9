//! How much data a run has: known before anything is decoded, from headers or from what is ingested.

use gimlet_store::Generation;

use crate::pipeline::{Pipeline, SoundView, Source, Split, View};
use crate::{Error, Result, source, view};

/// The most samples of a recording: over an hour at 16 kHz.
const MOST_SAMPLES: u64 = 1 << 26;

/// Height and width of the samples once they are ingested; `ingested` are those, where they are there.
///
/// # Errors
/// When neither the pipeline nor what was ingested says it, and the first image's header cannot be
/// read.
pub fn image_size(pipeline: &Pipeline, ingested: Option<&Generation>) -> Result<(usize, usize)> {
    let view = match &pipeline.view {
        View::Images(view) => view,
        View::Sound(view) => return Ok((1, longest(pipeline, view, ingested)?)),
    };
    let side = match &pipeline.data.source {
        _ if view.resize.is_some() => view.resize,
        Source::Textures(textures) => Some(textures.size),
        Source::Files(_) => None,
    };
    if let Some(side) = side {
        return Ok((side, side));
    }
    let column = ingested.and_then(|it| it.manifest().schema.columns.first());
    if let Some([height, width, _]) = column.map(|column| column.shape.as_slice()) {
        return Ok((*height, *width));
    }
    let source = source::open(&pipeline.data, Split::Train, pipeline.seed)?;
    source.first_size()?.ok_or_else(|| {
        Error::failed("the header of the first image does not say how large the images are")
            .hint("set `view.resize`, or run `gimlet ingest` first")
    })
}

/// The same as far as the view says it, without a look at any sample: of images no smaller than its crop, and of
/// recordings one window. `None` where it says nothing.
pub fn size_in_view(pipeline: &Pipeline) -> Option<(usize, usize)> {
    match &pipeline.view {
        View::Images(_) => pipeline.image_size().map(|side| (side, side)),
        View::Sound(view) => Some((1, view.window)),
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
/// When the source cannot be read, or one is so long that no row of a dataset holds it.
pub fn longest_of(view: &SoundView, source: &dyn source::Source, rows: &[usize]) -> Result<usize> {
    let mut longest = view.window;
    for (row, length) in rows.iter().zip(source.lengths(rows)?) {
        // What cannot be read is met when it is decoded.
        let Some(length) = length else { continue };
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
    }
    Ok(longest)
}
