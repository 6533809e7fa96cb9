//! Modules that do not train: with their trained weights, or as they were drawn.

use super::Run;
use crate::Result;
use crate::module::Frozen;
use crate::parameters::Parameters;
use crate::schedule::At;

/// Builds a module with its trained weights.
pub(super) fn trained(run: &Run<'_>, at: At) -> Result<Box<dyn Frozen>> {
    with(run, at.module, &run.standing.weights(at)?)
}

/// Builds module `index` as it was drawn.
pub(super) fn untrained(run: &Run<'_>, index: usize) -> Result<Box<dyn Frozen>> {
    run.subject(index)?.untrained()
}

/// Builds module `index` with the encoder of `parameters`, on the device of the session.
pub(super) fn with(
    run: &Run<'_>,
    index: usize,
    parameters: &Parameters,
) -> Result<Box<dyn Frozen>> {
    run.subject_without_classes(index)?.frozen(parameters)
}
