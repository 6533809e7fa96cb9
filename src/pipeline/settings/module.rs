//! Modules: `[[modules]]`.

use std::sync::Arc;

use super::Activations;
use crate::layer::{Layer, front};

/// A gradient-isolated module: layers that train together under one loss of their own.
#[derive(Debug, Clone, PartialEq)]
pub struct Module {
    /// Its name, unique in the pipeline.
    pub name: String,
    /// The layers in order, with each of several equal blocks in the list. Never empty.
    pub layers: Vec<Arc<dyn Layer>>,
    /// Passes over the training split; `training.epochs` unless the module says otherwise.
    pub epochs: usize,
    /// Adam's step size; `training.learning_rate` unless the module says otherwise.
    pub learning_rate: f64,
    /// What becomes of its activations; `store.activations` unless the module says otherwise.
    pub activations: Activations,
}

impl Module {
    /// The layers that make the targets of its loss: all except a context at the end.
    pub fn front(&self) -> &[Arc<dyn Layer>] {
        front(&self.layers)
    }
}
