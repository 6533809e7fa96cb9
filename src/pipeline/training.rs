//! The `[training]` and `[probe]` tables.

use super::bounds::{COUNT, is, positive, whole};
use super::origin::Fault;
use super::settings::{Probe, Training};

/// The longest time between checkpoints: a year.
const MAX_CHECKPOINT_SECONDS: f64 = 365.0 * 24.0 * 3600.0;

/// Fails unless every number is within its bounds.
pub fn check(training: &Training) -> Result<(), Fault> {
    let Training { checkpoint_seconds: seconds, input_noise: noise, .. } = *training;
    let wanted = "a number of seconds from 0 to a year";
    let holds = (0.0..=MAX_CHECKPOINT_SECONDS).contains(&seconds);
    is("training.checkpoint_seconds", seconds, wanted, holds)?;
    whole("training.epochs", training.epochs, &COUNT)?;
    whole("training.batch", training.batch, &COUNT)?;
    whole("training.micro_batch", training.micro_batch, &COUNT)?;
    positive("training.learning_rate", training.learning_rate)?;
    let holds = noise >= 0.0 && noise.is_finite();
    is("training.input_noise", noise, "a finite number from 0", holds)?;
    whole("training.held_out", training.held_out, &(0..=*COUNT.end()))
}

/// Fails unless every number of a probe is within its bounds.
pub fn check_probe(probe: &Probe) -> Result<(), Fault> {
    whole("probe.epochs", probe.epochs, &COUNT)?;
    whole("probe.batch", probe.batch, &COUNT)?;
    positive("probe.learning_rate", probe.learning_rate)
}
