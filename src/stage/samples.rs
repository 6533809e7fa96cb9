//! Reads samples of a source as a dataset holds them. Broken ones are skipped or are an error, as `data.on_bad_sample`
//! says.

use super::Run;
use crate::pipeline::{OnBadSample, SampleSize};
use crate::source::{BadSample, Sample, Source};
use crate::{Error, Result, media};

/// The samples read from some rows.
pub(super) struct Samples {
    pub whole: Vec<Sample>,
    /// The broken samples. The user has been warned of each.
    pub skipped: Vec<BadSample>,
}

/// Reads the samples of `rows` as a dataset holds them, each of `size` if that is known.
///
/// # Errors
/// When one is broken and `data.on_bad_sample` is `fail`, they differ in size or are of another medium, or the
/// source cannot be read.
pub(super) fn read(
    run: &Run<'_>,
    source: &dyn Source,
    rows: &[usize],
    size: Option<SampleSize>,
) -> Result<Samples> {
    let view = &run.pipeline.view;
    let ingested = |sample| media::of(view).ingested(sample, size);
    let mut samples = Samples { whole: Vec::with_capacity(rows.len()), skipped: Vec::new() };
    for sample in source.read_through(rows, &ingested)? {
        match (sample, run.pipeline.data.on_bad_sample) {
            (Ok(sample), _) => samples.whole.push(sample),
            (Err(bad), OnBadSample::Skip) => {
                run.session.progress.warn(&format!("skipped {bad}"));
                samples.skipped.push(bad);
            }
            (Err(bad), OnBadSample::Fail) => {
                return Err(Error::failed(bad.to_string())
                    .hint("mend or remove it, or set `data.on_bad_sample = \"skip\"`"));
            }
        }
    }
    Ok(samples)
}
