//! The maps that flow through the modules: what follows from the view, and where it leaves that open from the
//! samples.

use super::Run;
use super::extent::{image_size, size_in_view};
use super::plan::Step;
use crate::pipeline::{Map, Pooling, Split};
use crate::{Error, Result};

impl Run<'_> {
    /// The maps that module `index` reads and writes.
    pub(super) fn maps(&self, index: usize) -> Result<(Map, Map)> {
        self.pipeline
            .shapes(self.image()?)?
            .get(index)
            .copied()
            .ok_or_else(|| Error::failed(format!("there is no module {index}")))
    }

    /// How the maps of a sample become the vectors that losses and probes see.
    pub(super) fn pooling(&self) -> Result<Pooling> {
        Ok(Pooling::of(&self.pipeline.view, self.image()?))
    }

    /// Height and width of the images; of sound, 1 and the samples of a recording. Before `ingest` what the
    /// view says of them, so that weights can be imported where nothing was decoded yet; the first image is
    /// looked at only where the view says nothing.
    ///
    /// # Errors
    /// When the first image has to be looked at, and cannot be.
    pub(super) fn image(&self) -> Result<(usize, usize)> {
        let ingested = self.plan.generations(Step::Ingest, Split::Train, &self.dir)?;
        let Some(ingested) = ingested.first() else {
            return size_in_view(self.pipeline).map_or_else(|| image_size(self.pipeline, None), Ok);
        };
        let shape = ingested.manifest().schema.columns.first().map(|it| it.shape.clone());
        match shape.as_deref() {
            Some([height, width, _]) => Ok((*height, *width)),
            Some([samples]) => Ok((1, *samples)),
            other => Err(Error::failed(format!("samples of shape {other:?}"))),
        }
    }
}
