//! The shapes of all modules of a run, worked out once from the size of its samples.

use std::sync::OnceLock;

use gimlet_store::Generation;

use crate::loss::Sizes;
use crate::pipeline::{Map, Pipeline, Pooling, SampleSize};
use crate::{Result, media};

/// The shapes of what flows through the modules of a pipeline, whose samples are all of one size.
#[derive(Debug, Clone)]
pub struct Stack {
    /// How large its samples are.
    pub sample: SampleSize,
    /// How the maps of a sample become the vectors that losses and probes see.
    pub pooling: Pooling,
    /// What each module reads and writes, per patch.
    maps: Vec<(Map, Map)>,
    /// The sizes that each module's loss is computed on, except the number of classes.
    sizes: Vec<Sizes>,
    /// How many classes the labels tell apart, once they are counted.
    classes: OnceLock<usize>,
}

impl Stack {
    /// The stack of `pipeline` for samples of the size `sample`.
    ///
    /// # Errors
    /// When the samples do not fit the pipeline.
    pub fn new(pipeline: &Pipeline, sample: SampleSize) -> Result<Self> {
        let maps = pipeline.shapes(sample)?;
        let pooling = pipeline.view.settings().pooling(sample);
        let sizes = maps.iter().enumerate();
        let sizes = sizes.map(|(index, maps)| pipeline.sizes(index, pooling, *maps, 0)).collect();
        Ok(Self { sample, pooling, maps, sizes, classes: OnceLock::new() })
    }

    /// The stack of `pipeline` for the samples that were ingested. Before `ingest` the view says how large they are, so
    /// that weights can be imported where nothing was decoded yet. The first image is looked at only where the view
    /// does not say it.
    ///
    /// # Errors
    /// When the samples do not fit the pipeline, or the first image has to be looked at and cannot be.
    pub fn of(pipeline: &Pipeline, ingested: Option<&Generation>) -> Result<Self> {
        let sample = match ingested {
            Some(ingested) => media::of(&pipeline.view).size_in(ingested)?,
            None => {
                let known = pipeline.view.settings().size(&pipeline.data.source);
                known.map_or_else(|| media::of(&pipeline.view).size(pipeline, None), Ok)?
            }
        };
        Self::new(pipeline, sample)
    }

    /// What a module reads, per patch.
    pub fn input(&self, module: usize) -> Map {
        self.maps[module].0
    }

    /// What a module writes, per patch.
    pub fn output(&self, module: usize) -> Map {
        self.maps[module].1
    }

    /// The sizes that a module's loss is computed on, where labels tell `classes` classes apart.
    pub fn sizes(&self, module: usize, classes: usize) -> Sizes {
        Sizes { classes, ..self.sizes[module] }
    }

    /// How many classes the labels tell apart; `count` counts them the first time.
    ///
    /// # Errors
    /// Those of `count`.
    pub(super) fn classes(&self, count: impl FnOnce() -> Result<usize>) -> Result<usize> {
        match self.classes.get() {
            Some(classes) => Ok(*classes),
            None => count().map(|classes| *self.classes.get_or_init(|| classes)),
        }
    }
}
