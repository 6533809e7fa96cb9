//! What the steps of a run ask of a module. A module has layers (`layers.rs`) or is written in PyTorch (`python.rs`);
//! no other file of `stage` asks which.

mod layers;
mod python;

use std::sync::Arc;

use serde_json::Value;

use super::Stack;
use crate::Result;
use crate::device::Device;
use crate::exchange::published::Published;
use crate::loss::{Loss, Sizes};
use crate::module::Frozen;
use crate::parameters::Parameters;
use crate::pipeline::{Body, Module, Pipeline};
use crate::train::learning::{Judge, Learning};

/// A module in its stack, and what it computes on.
pub(super) struct Place<'a> {
    pub pipeline: &'a Pipeline,
    pub stack: &'a Stack,
    /// The module's place in the stack.
    pub index: usize,
    /// The sizes that its loss is computed on.
    pub sizes: Sizes,
    pub device: &'a Device,
    /// What the keys of the run hold of the module, as in [`key_of`]; `None` where there is no run.
    pub key: Option<&'a Value>,
}

/// Where a training starts, and how it goes on.
pub(super) struct Start<'a> {
    /// The state after a number of steps; without one, training starts from the drawn parameters.
    pub state: Option<(&'a Parameters, u64)>,
    pub learning_rate: f64,
    /// Steps of an epoch, where dead channels are looked for.
    pub steps_per_epoch: Option<u64>,
}

/// A module of a run: drawn, trained, frozen, judged and exported.
pub(super) trait Subject {
    /// Draws the parameters that its training starts from.
    ///
    /// # Errors
    /// When they cannot be drawn.
    fn drawn(&self) -> Result<Parameters>;

    /// Makes it ready to train.
    ///
    /// # Errors
    /// When a parameter of the state is missing or has another shape.
    fn learning(&self, start: Start<'_>) -> Result<Box<dyn Learning>>;

    /// Makes it as it was drawn, frozen.
    ///
    /// # Errors
    /// Those of [`Self::drawn`].
    fn untrained(&self) -> Result<Box<dyn Frozen>>;

    /// Makes it with `parameters`, frozen.
    ///
    /// # Errors
    /// When a parameter is missing or has another shape.
    fn frozen(&self, parameters: &Parameters) -> Result<Box<dyn Frozen>>;

    /// Makes what computes its loss with `parameters`.
    ///
    /// # Errors
    /// When a parameter is missing or has another shape.
    fn judge(&self, parameters: &Parameters) -> Result<Arc<dyn Judge>>;

    /// Its loss with `parameters`, where that is computed from the pooled vectors that are stored.
    ///
    /// # Errors
    /// When a parameter is missing or has another shape.
    fn loss_of_pooled(&self, parameters: &Parameters) -> Result<Option<Box<dyn Loss>>>;

    /// Its parameters as a file of weights has them.
    fn published(&self) -> Vec<Published>;
}

/// The module at `place`.
pub(super) fn of<'a>(place: Place<'a>) -> Box<dyn Subject + 'a> {
    match &place.pipeline.modules[place.index].body {
        Body::Layers(layers) => Box::new(layers::OfLayers { place, layers }),
        Body::Python(stage) => Box::new(python::OfPython { place, stage }),
    }
}

/// What keys hold of what a module computes: `layers`, or `python`.
///
/// # Errors
/// When a module in PyTorch cannot be loaded.
pub(super) fn key_of(module: &Module) -> Result<Value> {
    match &module.body {
        Body::Layers(layers) => layers::key_of(layers),
        Body::Python(stage) => python::key_of(stage),
    }
}
