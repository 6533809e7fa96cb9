//! What steps are given from outside: when to stop, where to report progress, and what to compute on.

use gimlet_store::Shard;

use super::progress::Progress;
use crate::Result;
use crate::device::Device;
use crate::stop::Stop;

/// The work of one process on a run.
#[derive(Clone)]
pub struct Session<'a> {
    /// Set from outside to ask a step to stop: it saves its state and returns
    /// [`Kind::Interrupted`](crate::Kind::Interrupted).
    pub stop: &'a Stop,
    /// Shows how far steps have come.
    pub progress: &'a dyn Progress,
    /// What modules compute on.
    pub device: Device,
    /// Whether a step waits while another process works on its stage; otherwise it fails.
    pub waits: bool,
    /// The shard of datasets that it encodes; other processes encode the others.
    pub shard: Shard,
}

impl<'a> Session<'a> {
    /// A session that computes on the CPU with our kernels, waits for no other process, and encodes all parts.
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
