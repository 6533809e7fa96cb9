//! What becomes of the activations between two modules: they are stored, or recomputed when they are needed.

use serde::Serialize;

use super::cost::{Costs, Pace};
use crate::Result;
use crate::module;
use crate::pipeline::{Activations, Pipeline};
use crate::quantity::bytes_in_words;
use crate::schedule::Manner;

/// What becomes of one module's activations, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Boundary {
    /// Whether the activations are stored; if not, the next module lets the frozen modules below it compute them.
    pub stored: bool,
    /// Whether relu(z) is stored instead of z.
    pub relu: bool,
    /// The reason, in words.
    pub why: String,
}

/// Returns the boundaries of a pipeline, one per module. `costs` is called only if one of them is `auto`, or only the
/// samples tell how many channels they have.
///
/// # Errors
/// Those of `costs`.
pub fn resolve<'a>(
    pipeline: &'a Pipeline,
    costs: impl Fn() -> Result<Costs<'a>>,
) -> Result<Vec<Boundary>> {
    let wanted: Vec<Activations> = pipeline.modules.iter().map(|it| it.activations).collect();
    let mut why = vec!["as the pipeline says".to_owned(); wanted.len()];
    let mut stored: Vec<bool> = wanted.iter().map(|it| *it != Activations::Recompute).collect();
    let (schedule, last) = (&pipeline.schedule, wanted.len() - 1);
    match schedule.manner() {
        Manner::InOnePass => {
            stored.fill(false);
            why.fill(format!("{}: only what probes read is stored", schedule.name()));
        }
        Manner::InWorkers(_) => {
            stored[..last].fill(true);
            why[..last].fill(format!("{}: the next module reads them", schedule.name()));
            stored[last] = wanted[last] == Activations::Store;
        }
        Manner::InTurn if wanted.contains(&Activations::Auto) => {
            choose(&costs()?, &wanted, &mut stored, &mut why);
        }
        Manner::InTurn => {}
    }
    let mut channels = Some(match pipeline.view.settings().channels() {
        Some(channels) => channels,
        None => costs()?.channels(),
    });
    let mut boundaries = Vec::with_capacity(wanted.len());
    for (index, module) in pipeline.modules.iter().enumerate() {
        channels = module.out_channels(channels);
        // Activations that no module reads are stored as they are.
        let next = pipeline.modules.get(index + 1).zip(channels);
        let hidden = next.is_some_and(|(next, channels)| {
            pipeline.store.relu && module::reads_only_relu(next.layers(), channels)
        });
        let relu = stored[index] && hidden;
        boundaries.push(Boundary { stored: stored[index], relu, why: why[index].clone() });
    }
    Ok(boundaries)
}

/// What changes if one more boundary is recomputed.
struct Switch {
    boundary: usize,
    seconds: f64,
    bytes: u64,
}

impl Switch {
    /// Bytes saved per second that is spent.
    fn worth(&self) -> f64 {
        self.bytes as f64 / self.seconds.max(1e-9)
    }
}

/// Decides the boundaries that are `auto`.
///
/// It begins with everything stored. First it makes boundaries recomputed that save seconds, one after another.
/// Then, as long as the run is larger than `store.max_bytes`, those that save the most bytes per second they cost.
/// Of the latter, boundaries that fit after all are stored again.
fn choose(costs: &Costs<'_>, wanted: &[Activations], stored: &mut [bool], why: &mut [String]) {
    // A training step takes equally long whatever is stored, and it depends on settings that are in no key.
    let pace = Pace { step: vec![0.0; wanted.len()], ..costs.assumed_pace() };
    let seconds = |stored: &[bool]| costs.total_seconds(stored, &pace);
    let last = wanted.len() - 1;
    if wanted[last] == Activations::Auto {
        stored[last] = false;
        why[last] = "auto: no module reads them".to_owned();
    }
    let switches = |stored: &[bool]| -> Vec<Switch> {
        let free = (0..last).filter(|it| wanted[*it] == Activations::Auto && stored[*it]);
        let switch = |boundary| {
            let mut without = stored.to_vec();
            without[boundary] = false;
            Switch {
                boundary,
                seconds: seconds(&without) - seconds(stored),
                bytes: costs.total_bytes(stored).saturating_sub(costs.total_bytes(&without)),
            }
        };
        free.map(switch).collect()
    };
    loop {
        let cheaper = switches(stored).into_iter().filter(|switch| switch.seconds < 0.0);
        let Some(best) = cheaper.min_by(|a, b| a.seconds.total_cmp(&b.seconds)) else { break };
        stored[best.boundary] = false;
        let saved = in_words(-best.seconds);
        why[best.boundary] = format!("auto: {saved} less than writing and reading them");
    }

    let limit = costs.pipeline.store.max_bytes.unwrap_or(u64::MAX);
    let mut for_room = Vec::new();
    while costs.most_bytes(stored) > limit {
        let all = switches(stored).into_iter();
        let Some(best) = all.max_by(|a, b| a.worth().total_cmp(&b.worth())) else { break };
        stored[best.boundary] = false;
        for_room.push(best.boundary);
    }
    for boundary in for_room {
        let without = (costs.total_bytes(stored), seconds(stored));
        stored[boundary] = true;
        if costs.most_bytes(stored) > limit {
            let saved = bytes_in_words(costs.total_bytes(stored).saturating_sub(without.0));
            let more = in_words(without.1 - seconds(stored));
            stored[boundary] = false;
            why[boundary] = format!("auto: for `store.max_bytes`, {saved} less; {more} more");
        }
    }
    for switch in switches(stored) {
        let more = in_words(switch.seconds);
        why[switch.boundary] = format!("auto: recomputing them would take {more} more");
    }
}

/// Formats seconds.
fn in_words(seconds: f64) -> String {
    if seconds < 1.0 { format!("{seconds:.3} s") } else { format!("{seconds:.0} s") }
}
