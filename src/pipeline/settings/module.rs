//! Modules: `[[modules]]`.

use std::sync::Arc;

use super::{Activations, PythonStage};
use crate::layer::{Layer, Map, front};

/// A gradient-isolated module, which trains under one loss of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Module {
    /// Its name, unique in the pipeline.
    pub name: String,
    /// What it computes.
    pub body: Body,
    /// Passes over the training split; `training.epochs` unless the module says otherwise.
    pub epochs: usize,
    /// Adam's step size; `training.learning_rate` unless the module says otherwise.
    pub learning_rate: f64,
    /// What becomes of its activations; `store.activations` unless the module says otherwise.
    pub activations: Activations,
}

/// What a module computes.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// The layers in order, with each of several equal blocks in the list. Never empty.
    Layers(Vec<Arc<dyn Layer>>),
    /// A stage written in PyTorch, which also has a loss of its own.
    Python(PythonStage),
}

impl Module {
    /// Its layers; none where it is written in PyTorch.
    pub fn layers(&self) -> &[Arc<dyn Layer>] {
        match &self.body {
            Body::Layers(layers) => layers,
            Body::Python(_) => &[],
        }
    }

    /// The stage in PyTorch that it is; `None` where it has layers.
    pub fn python(&self) -> Option<&PythonStage> {
        match &self.body {
            Body::Layers(_) => None,
            Body::Python(stage) => Some(stage),
        }
    }

    /// The shape of the vectors that its loss sees, before they are pooled, for maps of shape `input` and an output of
    /// shape `output`: a context at the end is left out.
    pub fn seen(&self, input: Map, output: Map) -> Map {
        match &self.body {
            // Every layer fits, or there would be no output.
            Body::Layers(layers) => {
                front(layers).iter().try_fold(input, |map, it| it.output(map)).unwrap_or(output)
            }
            Body::Python(_) => output,
        }
    }

    /// The number of channels that it makes of `input` channels; `None` where that is not known without a dry run.
    pub fn out_channels(&self, input: Option<usize>) -> Option<usize> {
        let of = |input| self.layers().iter().fold(input, |it, layer| layer.out_channels(it));
        match (&self.body, input) {
            (Body::Python(_), _) => None,
            (Body::Layers(_), Some(input)) => Some(of(input)),
            // Most layers make the same of any number.
            (Body::Layers(_), None) => Some(of(1)).filter(|it| *it == of(2)),
        }
    }
}
