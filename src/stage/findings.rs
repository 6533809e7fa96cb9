//! What the probes of a run found, and what its modules cost.

use serde::{Deserialize, Serialize};

use super::origin::Origin;
use super::record::ProbeResult;
use super::run_dir::UNTRAINED;
use super::status::StepStatus;
use super::{Standing, Step, StepKind};
use crate::Result;
use crate::pipeline::Split;
use crate::train::took::Took;

/// What the probe found for a module, trained or untrained, and what the module cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What the probe found.
    pub probe: ProbeResult,
    /// What training and encoding took. A stack that is encoded in one pass (untrained, or trained at once) counts in
    /// full for each of its modules. `None` if the record is gone.
    #[serde(flatten)]
    pub took: Option<Took>,
    /// The share of its seconds that the training waited for data.
    pub wait_share: Option<f64>,
}

/// Returns the probes without the costs, for scripts: costs depend on the machine, findings do not.
pub fn probes(rows: &[Row]) -> Vec<&ProbeResult> {
    rows.iter().map(|row| &row.probe).collect()
}

/// Collects all existing probes for the present settings of a run, each module's trained one first.
///
/// `stages` is the status of the run, which holds the costs of the steps.
///
/// # Errors
/// When a record cannot be read.
pub fn collect(standing: &Standing, stages: &[StepStatus]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for step in standing.plan.steps() {
        let Step::Probe(index) = step else { continue };
        let Some((_, record)) = standing.probe(index)? else { continue };
        for probe in record.results {
            let trained = probe.origin == Origin::Trained;
            let stage = if trained { standing.plan.module(index) } else { UNTRAINED };
            // The record of the last round holds the seconds of all rounds.
            let of_last_round =
                |it: &&StepStatus| it.in_round.is_none_or(|it| it.round == it.rounds);
            let steps = stages.iter().filter(|it| it.stage == stage && it.step != StepKind::Probe);
            let steps: Vec<&StepStatus> = steps.filter(of_last_round).collect();
            let mut took = steps.iter().filter_map(|it| it.took).reduce(Took::and);
            if let (false, Some(took)) = (trained, &mut took) {
                took.bytes = Some(untrained_bytes(standing, index)?);
            }
            let wait_share = steps.iter().filter_map(|it| it.wait_share).next_back();
            rows.push(Row { probe, took, wait_share });
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
