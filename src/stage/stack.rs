//! The shapes of all modules of a run, worked out once from the size of its samples.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use gimlet_store::Generation;

use crate::loss::Sizes;
use crate::module::Cost;
use crate::pipeline::{Map, Pipeline, Pooling, SampleSize};
use crate::python::{self, Described};
use crate::{Error, Kind, Result, media};

/// The shapes of what flows through the modules of a pipeline, whose samples are all of one size.
#[derive(Debug, Clone)]
pub struct Stack {
    /// How large its samples are.
    pub sample: SampleSize,
    /// How the maps of a sample become the vectors that losses and probes see.
    pub pooling: Pooling,
    /// Rows and columns of the patches of a sample.
    pub grid: [usize; 2],
    /// What each module reads and writes, per patch.
    maps: Vec<(Map, Map)>,
    /// The sizes that each module's loss is computed on, except the number of classes.
    sizes: Vec<Sizes>,
    /// What each module costs.
    costs: Vec<Cost>,
    /// What dry runs have found of the modules in PyTorch, by their places.
    described: BTreeMap<usize, Described>,
    /// How many classes the labels tell apart, once they are counted.
    classes: OnceLock<usize>,
}

impl Stack {
    /// The stack of `pipeline` for samples of the size `sample`. Modules in PyTorch are described by a dry run.
    ///
    /// # Errors
    /// When the samples do not fit the pipeline, or a module in PyTorch cannot be made.
    pub fn new(pipeline: &Pipeline, sample: SampleSize) -> Result<Self> {
        let mut described = BTreeMap::new();
        let (maps, grid) = loop {
            let outputs = described.iter().map(|(at, it): (&usize, &Described)| (*at, it.map()));
            let walked = pipeline.walk(sample, &outputs.collect())?;
            // They end before a module in PyTorch that is not described yet.
            let next = walked.ends.len();
            match pipeline.modules.get(next).and_then(|it| it.python()) {
                None => break (walked.ends, walked.grid),
                Some(stage) => {
                    described.insert(next, python::described(stage, walked.next, walked.grid)?);
                }
            }
        };
        let pooling = pipeline.view.settings().pooling(sample);
        let sizes = maps.iter().enumerate();
        let sizes: Vec<_> =
            sizes.map(|(index, maps)| pipeline.sizes(index, pooling, *maps, 0)).collect();
        for index in described.iter().filter(|it| it.1.draws_negatives).map(|it| *it.0) {
            pipeline.loss.check(sizes[index]).map_err(|misfit| {
                let name = &pipeline.modules[index].name;
                let message = format!("module `{name}` reads negatives, and {}", misfit.message);
                Error::new(Kind::Usage, message)
            })?;
        }
        let costs =
            pipeline.modules.iter().zip(&maps).enumerate().map(|(index, (module, ends))| {
                let of_layers = || Cost::of(module.layers(), ends.0);
                described.get(&index).map_or_else(of_layers, Described::cost)
            });
        let (costs, classes) = (costs.collect(), OnceLock::new());
        Ok(Self { sample, pooling, grid, maps, sizes, costs, described, classes })
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

    /// What a module costs, without its loss.
    pub fn cost(&self, module: usize) -> Cost {
        self.costs[module]
    }

    /// What a dry run has found of a module in PyTorch; `None` where the module has layers.
    pub fn described(&self, module: usize) -> Option<&Described> {
        self.described.get(&module)
    }

    /// Whether a module reads what the loss of the pipeline draws.
    pub fn draws_negatives(&self, module: usize) -> bool {
        self.described(module).is_none_or(|it| it.draws_negatives)
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
