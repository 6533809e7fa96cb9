//! How much data a run has: known before anything is decoded, from headers or from what is ingested.

use gimlet_store::Generation;
use serde_json::Value;

use super::run_dir::{INGEST, RunDir};
use crate::pipeline::{Pipeline, Source, Split};
use crate::{Error, Result, source};

/// The samples of a split.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples {
    /// What tells them from others: the source's own word.
    pub identity: Value,
    /// How many the pipeline asks for; those that turn out to be broken included.
    pub count: u64,
}

impl Samples {
    /// The samples of a split, by the source; when that is gone, by what was ingested from it.
    ///
    /// # Errors
    /// When the source cannot be opened and nothing was ingested.
    pub fn of(pipeline: &Pipeline, split: Split, dir: &RunDir) -> Result<Self> {
        let missing = match source::open(&pipeline.data, split, pipeline.seed) {
            Ok(source) => {
                let most = pipeline.data.subset_of(split).unwrap_or(usize::MAX);
                let count = source.rows().min(most) as u64;
                return Ok(Self { identity: source.identity(), count });
            }
            Err(error) => error,
        };
        let newest = dir.dataset(INGEST, split).readable()?.next().transpose()?;
        let Some(ingested) = newest else { return Err(missing) };
        let Some(identity) = ingested.manifest().settings.get("source") else {
            return Err(missing);
        };
        let skipped = ingested.manifest().summary["skipped"].as_array().map_or(0, Vec::len);
        Ok(Self { identity: identity.clone(), count: ingested.rows() + skipped as u64 })
    }
}

/// Height and width of the images once they are ingested; `ingested` are those, where they are there.
///
/// # Errors
/// When neither the pipeline nor what was ingested says it, and the first image's header cannot be
/// read.
pub fn image_size(pipeline: &Pipeline, ingested: Option<&Generation>) -> Result<(usize, usize)> {
    let side = match &pipeline.data.source {
        _ if pipeline.view.resize.is_some() => pipeline.view.resize,
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
