//! The maps that flow through the modules: what follows from the view, and where it leaves that open from the
//! samples.

use super::Run;
use super::plan::Step;
use crate::pipeline::{Map, Pooling, Split};
use crate::{Error, Result, media};

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
        Ok(self.pipeline.view.settings().pooling(self.image()?))
    }

    /// Height and width of the images; of sound, 1 and the samples of a recording. Before `ingest` what the
    /// view says of them, so that weights can be imported where nothing was decoded yet; the first image is
    /// looked at only where the view says nothing.
    ///
    /// # Errors
    /// When the first image has to be looked at, and cannot be.
    pub(super) fn image(&self) -> Result<(usize, usize)> {
        let handler = media::of(&self.pipeline.view);
        let ingested = self.plan.generations(Step::Ingest, Split::Train, &self.dir)?;
        let Some(ingested) = ingested.first() else {
            let known = self.pipeline.view.settings().size(&self.pipeline.data.source);
            return known.map_or_else(|| handler.size(self.pipeline, None), Ok);
        };
        let shape = ingested.manifest().schema.columns.first().map(|it| it.shape.as_slice());
        shape
            .and_then(|shape| handler.size_of_column(shape))
            .ok_or_else(|| Error::failed(format!("samples of shape {shape:?}")))
    }
}
