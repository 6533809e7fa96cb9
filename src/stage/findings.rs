//! What the probes of a run found, and what its modules cost.

use serde::{Deserialize, Serialize};

use super::record::ProbeResult;
use super::status::StepStatus;
use super::{Standing, Step};
use crate::Result;
use crate::pipeline::Split;

/// A module as it was trained, or its untrained twin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub probe: ProbeResult,
    /// Of training and encoding; the untrained stack is encoded in one pass, counted for each module, and
    /// so is one that trained at once.
    pub seconds: Option<f64>,
    /// The share of a training that was spent waiting for data.
    pub wait_share: Option<f64>,
    /// In bytes, where the system tells.
    pub peak_memory: Option<u64>,
    /// Written to disk.
    pub bytes: u64,
}

/// The probes alone, for scripts: what they found does not depend on the machine, what it cost does.
pub fn probes(rows: &[Row]) -> Vec<&ProbeResult> {
    rows.iter().map(|row| &row.probe).collect()
}

/// All probes of a run that are there for its present settings, each module's trained one first.
///
/// `stages` is the status of the run, which knows what the steps cost.
///
/// # Errors
/// When a record cannot be read.
pub fn collect(standing: &Standing, stages: &[StepStatus]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for step in standing.plan.steps() {
        let Step::Probe(index) = step else { continue };
        let Some((_, record)) = standing.probe(index)? else { continue };
        for probe in record.results {
            let trained = probe.kind == "trained";
            let stage = if trained { standing.plan.module(index) } else { "untrained" };
            let of_last_round =
                |it: &&StepStatus| it.in_round.is_none_or(|it| it.round == it.rounds);
            let steps = stages.iter().filter(|it| it.stage == stage && it.step != "probe");
            // Which has the seconds of all.
            let steps = steps.filter(of_last_round);
            let (mut seconds, mut peak_memory, mut bytes) = (None, None, 0);
            let mut wait_share = None;
            for it in steps {
                wait_share = it.wait_share.or(wait_share);
                seconds = it.seconds.map(|s| s + seconds.unwrap_or(0.0)).or(seconds);
                peak_memory = it.peak_memory.max(peak_memory);
                bytes += it.bytes.unwrap_or(0);
            }
            if !trained {
                bytes = untrained_bytes(standing, index)?;
            }
            rows.push(Row { probe, seconds, wait_share, peak_memory, bytes });
        }
    }
    Ok(rows)
}

/// Bytes of the pooled vectors of one untrained module.
fn untrained_bytes(standing: &Standing, index: usize) -> Result<u64> {
    let mut bytes = 0;
    for split in Split::ALL {
        let generations = standing.generations(Step::Untrained, split)?;
        bytes += generations.get(index).map_or(0, gimlet_store::Generation::bytes);
    }
    Ok(bytes)
}
