//! The `[training]` and `[probe]` tables.

use super::bounds::{count, number_of};
use super::origin::Fault;
use super::reference;
use super::settings::{Probe, Training};

/// Fails unless every number is within its bounds.
pub fn check(training: &Training) -> Result<(), Fault> {
    let settings = reference::training();
    number_of(&settings, "training.checkpoint_seconds", training.checkpoint_seconds)?;
    count(&settings, "training.epochs", training.epochs)?;
    count(&settings, "training.batch", training.batch)?;
    count(&settings, "training.micro_batch", training.micro_batch)?;
    number_of(&settings, "training.learning_rate", training.learning_rate)?;
    number_of(&settings, "training.input_noise", training.input_noise)?;
    count(&settings, "training.held_out", training.held_out)
}

/// Fails unless every number of a probe is within its bounds.
pub fn check_probe(probe: &Probe) -> Result<(), Fault> {
    let settings = reference::probe();
    count(&settings, "probe.epochs", probe.epochs)?;
    count(&settings, "probe.batch", probe.batch)?;
    number_of(&settings, "probe.learning_rate", probe.learning_rate)
}
