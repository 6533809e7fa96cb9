//! Modules that do not train: with their trained weights, or as they were drawn.

use super::{Run, trainee};
use crate::Result;
use crate::module::Module;
use crate::parameters::Parameters;
use crate::schedule::At;

/// Builds a module with its trained weights.
pub(super) fn trained(run: &Run<'_>, at: At) -> Result<Module> {
    with(run, at.module, &run.standing.weights(at)?)
}

/// Builds module `index` as it was drawn.
pub(super) fn untrained(run: &Run<'_>, index: usize) -> Result<Module> {
    with(run, index, &trainee::drawn(run, index)?)
}

/// Builds module `index` with the encoder of `parameters`, on the device of the session.
pub(super) fn with(run: &Run<'_>, index: usize, parameters: &Parameters) -> Result<Module> {
    let encoder = parameters.under("encoder").on(&run.session.device)?;
    let channels = run.stack()?.input(index).channels;
    Module::new(&run.pipeline.modules[index].layers, channels, &encoder)
}
