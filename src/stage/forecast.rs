//! Forecasts what a run would do and what it would take, before anything runs: `gimlet plan`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use gimlet_store::{Column, DType};
use serde::Serialize;

use super::boundary::Boundary;
use super::cost::{Costs, Pace};
use super::disk_room::{Room, size_of_folder};
use super::status::{State, StepStatus};
use super::{Standing, StepKind};
use crate::Result;
use crate::pipeline::{Compression, PerSplit, Pipeline, Split};
use crate::schedule::{At, InRound, Step};

/// How a number is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Certainty {
    /// The step is done, and this is what it took.
    Actual,
    /// Computed from steps that were timed now.
    Measured,
    /// Computed from shapes and assumed rates.
    Estimated,
    /// An upper bound: estimated for uncompressed values, while the compression is not known yet.
    Most,
}

/// What one step would do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepForecast {
    /// `ingest`, `untrained` or the module's name.
    pub stage: String,
    /// What the step does.
    pub step: StepKind,
    /// The round, where the schedule has several.
    #[serde(flatten)]
    pub in_round: Option<InRound>,
    /// The state of the step.
    pub state: State,
    /// Whether a run would do it.
    pub runs: bool,
    /// Why a run would do it; empty if it would not.
    pub why: String,
    /// Rows that the step writes for each split; `None` if it writes none.
    pub rows: Option<PerSplit<u64>>,
    /// The tensors in a row of its datasets, one dataset after another.
    pub tensors: Vec<Tensor>,
    /// Bytes that the step leaves on disk; with several rounds, until its round is retired.
    pub bytes: u64,
    /// How sure `bytes` is.
    pub bytes_are: Certainty,
    /// Bytes that the step has still to write, including its temporary disk space.
    pub bytes_to_write: u64,
    /// Seconds of the step; for a step that is done, including the rounds before it.
    pub seconds: f64,
    /// How sure `seconds` is.
    pub seconds_are: Certainty,
    /// The peak of a training, in bytes.
    pub memory: Option<u64>,
    /// How sure `memory` is.
    pub memory_is: Certainty,
    /// What becomes of the activations; only for an encoding.
    pub boundary: Option<Boundary>,
}

/// A tensor of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tensor {
    /// The name of its column.
    pub name: String,
    /// The type of its values.
    pub dtype: DType,
    /// Its shape.
    pub shape: Vec<usize>,
}

/// What a run would do, step by step, and whether there is room for it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Forecast {
    /// The steps, in order.
    pub steps: Vec<StepForecast>,
    /// Bytes that all steps leave on disk, done or not.
    pub total_bytes: u64,
    /// Seconds of the steps that would run.
    pub seconds: f64,
    /// The room that the run needs on disk, and the room that is free.
    pub room: Room,
}

impl Forecast {
    /// Forecasts the run of `pipeline`, at `pace` if the modules were timed.
    ///
    /// # Errors
    /// When the images do not say how large they are or do not fit the pipeline, or when the run
    /// directory cannot be read.
    pub fn new(pipeline: &Pipeline, standing: &Standing, pace: Option<&Pace>) -> Result<Self> {
        let costs = standing.costs(pipeline)?;
        let mut steps = Vec::new();
        let wanted = standing.wanted_with_done()?;
        for ((step, _), status) in wanted.iter().zip(standing.status_of(&wanted)?) {
            steps.push(forecast(&costs, standing, pace, *step, status)?);
        }
        let keep = pipeline.store.keep_generations;
        let mut total_bytes = 0u64;
        for (place, it) in steps.iter().enumerate() {
            let is_alike =
                |later: &&StepForecast| (&later.stage, later.step) == (&it.stage, it.step);
            if steps[place + 1..].iter().filter(is_alike).count() < keep {
                total_bytes = total_bytes.saturating_add(it.bytes);
            }
        }
        Ok(Self {
            total_bytes,
            seconds: steps.iter().filter(|it| it.runs).map(|it| it.seconds).sum(),
            room: room(&costs, standing, &wanted)?,
            steps,
        })
    }
}

fn forecast(
    costs: &Costs<'_>,
    standing: &Standing,
    pace: Option<&Pace>,
    step: Step,
    status: StepStatus,
) -> Result<StepForecast> {
    let (done, stored) = (status.state == State::Done, standing.plan.stored());
    let schemas = costs.schemas(step, stored);
    let rows = PerSplit::from_fn(|split| costs.rows(step, split));
    let estimated =
        if compressed(costs, standing, step) { Certainty::Most } else { Certainty::Estimated };
    let took = status.took.filter(|_| done);
    let (bytes, bytes_are) = match took.and_then(|it| it.bytes) {
        Some(bytes) => (bytes, Certainty::Actual),
        _ => (costs.bytes(step, stored), estimated),
    };
    let (seconds, seconds_are) = match (took, pace) {
        (Some(took), _) => (took.seconds, Certainty::Actual),
        (_, Some(pace)) => (costs.seconds(step, stored, pace), Certainty::Measured),
        (_, None) => (costs.seconds(step, stored, &costs.assumed_pace()), Certainty::Estimated),
    };
    let (memory, memory_is) = match (step, took.and_then(|it| it.peak_memory)) {
        (Step::Train(_), Some(memory)) => (Some(memory), Certainty::Actual),
        (Step::Train(at), _) => {
            (Some(costs.training_memory(at.module, stored)), Certainty::Estimated)
        }
        _ => (None, Certainty::Estimated),
    };
    let tensor = |column: &Column| Tensor {
        name: column.name.clone(),
        dtype: column.dtype,
        shape: column.shape.clone(),
    };
    let tensors = schemas.iter().flat_map(|schema| schema.columns.iter().map(tensor));
    Ok(StepForecast {
        stage: status.stage,
        step: status.step,
        in_round: status.in_round,
        state: status.state,
        runs: !done,
        why: status.why,
        rows: (!schemas.is_empty()).then_some(rows),
        tensors: tensors.collect(),
        bytes,
        bytes_are,
        bytes_to_write: if done { 0 } else { to_write(costs, standing, step)? },
        seconds,
        seconds_are,
        memory,
        memory_is,
        boundary: match step {
            Step::Encode(at) => Some(standing.plan.boundary(at.module).clone()),
            _ => None,
        },
    })
}

/// Whether compression may write fewer bytes than estimated.
fn compressed(costs: &Costs<'_>, standing: &Standing, step: Step) -> bool {
    let Step::Encode(at) = step else { return false };
    standing.plan.boundary(at.module).stored
        && costs.pipeline.store.compression != Compression::None
}

/// Bytes that an unfinished step has still to write.
fn to_write(costs: &Costs<'_>, standing: &Standing, step: Step) -> Result<u64> {
    let stored = standing.plan.stored();
    let all = costs.bytes(step, stored).saturating_add(costs.passing_bytes(step, stored));
    Ok(all.saturating_sub(begun(standing, step)?))
}

/// Bytes that an unfinished step has already written.
fn begun(standing: &Standing, step: Step) -> Result<u64> {
    if let Step::Train(at) = step {
        return size_of_folder(&standing.training_folder(at));
    }
    let mut there = 0;
    for split in Split::ALL {
        let key = &standing.plan.key(step, split).hash;
        for dataset in standing.datasets(step, split) {
            there += match dataset.find(key)? {
                Some(generation) => generation.bytes(),
                None => size_of_folder(&dataset.folder_of(key))?,
            };
        }
    }
    Ok(there)
}

/// The room for what `steps` have still to write: the most bytes that are on disk at any time. Each step
/// comes with whether it is done.
///
/// # Errors
/// When the run directory cannot be read.
pub fn room(costs: &Costs<'_>, standing: &Standing, steps: &[(Step, bool)]) -> Result<Room> {
    let (store, stored) = (&costs.pipeline.store, standing.plan.stored());
    let (mut needed, mut passing, mut there, mut parts) = (0u64, 0u64, 0u64, 0u64);
    let mut any_compressed = false;
    // For each step, the number of its rounds that are on disk or will be.
    let mut kept: HashMap<Step, usize> = HashMap::new();
    // The last step comes first: the logs of later rounds are longer.
    for (step, _) in steps.iter().rev().filter(|(_, done)| !done) {
        let (stays, goes) = (costs.bytes(*step, stored), costs.passing_bytes(*step, stored));
        let kept = match kept.entry(in_round(*step, 0)) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(rounds_there(standing, *step)?),
        };
        // Some bytes go when a step ends: its temporary files, and the earlier round that it replaces. Those of two
        // steps are never on disk together.
        if *kept < store.keep_generations {
            *kept += 1;
            needed = needed.saturating_add(stays);
            passing = passing.max(goes);
        } else {
            passing = passing.max(goes.saturating_add(stays));
        }
        there = there.saturating_add(begun(standing, *step)?.min(stays.saturating_add(goes)));
        any_compressed |= compressed(costs, standing, *step);
        parts = parts.max(costs.parts(*step));
    }
    let needed = needed.saturating_add(passing).saturating_sub(there);
    let (location, locks) = (standing.dir.location(), size_of_folder(&standing.dir.locks())?);
    Ok(Room {
        used: size_of_folder(location)?.saturating_sub(locks),
        needed,
        parts,
        available: location.free_bytes(),
        max_bytes: store.max_bytes,
        compressed: any_compressed,
    })
}

/// A step in another round; a step outside rounds itself.
fn in_round(step: Step, round: usize) -> Step {
    match step {
        Step::Train(at) => Step::Train(At { round, ..at }),
        Step::Encode(at) => Step::Encode(At { round, ..at }),
        Step::Ingest | Step::Untrained | Step::Probe(_) => step,
    }
}

/// Number of rounds of a step that are on disk; 0 for a step outside rounds.
fn rounds_there(standing: &Standing, step: Step) -> Result<usize> {
    let mut there = 0;
    if let Step::Train(_) | Step::Encode(_) = step {
        for round in 0..standing.plan.rounds() {
            there += usize::from(standing.is_done(in_round(step, round))?);
        }
    }
    Ok(there)
}
