//! What steps are given from outside: when to stop, who hears of their progress, and what they compute on.

use gimlet_store::Shard;

use super::progress::Progress;
use crate::Result;
use crate::device::Device;
use crate::stop::Stop;

/// A process's work on a run.
#[derive(Clone)]
pub struct Session<'a> {
    /// Set from outside to ask a step for a stop: it saves its state and returns
    /// [`Kind::Interrupted`](crate::Kind::Interrupted).
    pub stop: &'a Stop,
    /// Hears how far steps have come.
    pub progress: &'a dyn Progress,
    /// What modules compute on.
    pub device: Device,
    /// Whether a step waits for another process that works on its stage, where it would fail otherwise.
    pub waits: bool,
    /// Which parts of datasets it encodes; other processes encode the others.
    pub shard: Shard,
}

impl<'a> Session<'a> {
    /// Work that computes by our kernels, waits for no other process, and encodes all parts.
    pub fn new(stop: &'a Stop, progress: &'a dyn Progress) -> Self {
        Self { stop, progress, device: Device::Cpu, waits: false, shard: Shard::WHOLE }
    }

    /// Fails when a stop was asked for.
    ///
    /// # Errors
    /// [`Kind::Interrupted`](crate::Kind::Interrupted).
    pub fn check_stop(&self) -> Result<()> {
        self.stop.check("what was done is kept")
    }
}
