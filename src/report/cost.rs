//! What the steps of a run cost, and where the time of training steps went.

use askama::Template;

use super::page::{Html, Section};
use super::run_view::RunView;
use crate::Result;
use crate::pipeline::Split;
use crate::quantity::bytes_in_words;
use crate::stage::InRound;
use crate::stage::status::StepStatus;
use crate::stage::{At, Step, StepKind};
use crate::train::checkpoint::Checkpoints;
use crate::train::profile::Breakdown;
use crate::train::took::Took;

/// The pieces of a bar, in the order of the page's colours.
const NAMES: [&str; 7] =
    ["wait for data", "forward", "loss", "backward", "optimiser", "held-out", "everything else"];

#[derive(Template)]
#[template(path = "cost.html")]
struct Body {
    rows: Vec<[String; 7]>,
    names: [&'static str; 7],
    bars: Vec<Bar>,
}

/// Where the time of a module's steps went.
struct Bar {
    title: String,
    /// The bar in words.
    told: String,
    pieces: Vec<Piece>,
}

struct Piece {
    colour: usize,
    percent: String,
    told: String,
}

/// Builds the section on cost.
///
/// # Errors
/// When a record cannot be read.
pub fn section(run: &RunView<'_>) -> Result<Section> {
    let mut bars = Vec::new();
    for index in 0..run.pipeline.modules.len() {
        if let Some((steps, took)) = took(run, index)?.filter(|(steps, _)| *steps > 0) {
            bars.push(bar(run.standing.plan.module(index), steps, &took));
        }
    }
    let body = Body { rows: run.stages.iter().map(row).collect(), names: NAMES, bars };
    Ok(Section {
        id: "cost",
        title: "Cost",
        lead: "What each step took, over all attempts and rounds. Read: bytes of datasets as they lie in \
               their files, again in every epoch, from the disk or the system's cache; the source that \
               `ingest` reads is not counted. The untrained stack is encoded in one pass."
            .to_string(),
        body: Html::render(&body)?,
        ..Section::default()
    })
}

/// The number of steps of a module's training so far, and their cost, from its record or its checkpoint.
fn took(run: &RunView<'_>, index: usize) -> Result<Option<(u64, Took)>> {
    let last = run.standing.plan.last(index);
    for round in (0..=last.round).rev() {
        if let Some(found) = took_until(run, At { round, ..last })? {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The steps and cost of the rounds up to this one; `Some(None)` where the weights are not ours.
fn took_until(run: &RunView<'_>, at: At) -> Result<Option<Option<(u64, Took)>>> {
    let index = at.module;
    if let Some((_, it)) = run.standing.training(at)? {
        return Ok(Some(it.imported.is_none().then_some((it.steps, it.took))));
    }
    let holder = run.standing.plan.checkpoint_of(at);
    let key = &run.standing.plan.key(Step::Train(holder), Split::Train).hash;
    let folder = run.standing.dir.training_folder(run.standing.plan.module(holder.module), key);
    let Some(it) = Checkpoints::in_folder(&folder).progress() else { return Ok(None) };
    Ok(Some(Some((it.steps, it.of_module(index)))))
}

fn bar(module: &str, steps: u64, took: &Took) -> Bar {
    let (wait, breakdown) = (took.wait_seconds.unwrap_or(0.0), took.breakdown.unwrap_or_default());
    let rest = (took.seconds - wait - breakdown.seconds()).max(0.0);
    let Breakdown { forward, loss, backward, optimiser, held_out, .. } = breakdown;
    let values = [wait, forward, loss, backward, optimiser, held_out, rest];
    let values = values.map(|it| if it.is_finite() { it.max(0.0) } else { 0.0 });
    let all: f64 = values.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    let of_step = |seconds: f64| 1e3 * seconds / steps as f64;
    let pieces: Vec<Piece> = NAMES
        .iter()
        .zip(values)
        .enumerate()
        .map(|(colour, (name, value))| Piece {
            colour,
            percent: format!("{:.2}", 100.0 * value / all),
            told: format!("{name} {:.2} ms ({:.1} %)", of_step(value), 100.0 * value / all),
        })
        .collect();
    let told: Vec<&str> = pieces.iter().map(|it| it.told.as_str()).collect();
    Bar {
        title: format!("{module}: {:.1} ms a step, {steps} steps", of_step(all)),
        told: told.join(", "),
        pieces,
    }
}

/// The title of a step, such as `train a 2/5`.
fn title(it: &StepStatus) -> String {
    let name = match it.step {
        StepKind::Ingest => it.stage.clone(),
        step => format!("{} {}", step.name(), it.stage),
    };
    match it.in_round {
        Some(InRound { round, rounds }) => format!("{name} {round}/{rounds}"),
        None => name,
    }
}

fn row(it: &StepStatus) -> [String; 7] {
    let (took, dash) = (it.took, || "–".to_string());
    [
        title(it),
        it.state.name().to_string(),
        took.map_or_else(dash, |it| format!("{:.1}", it.seconds)),
        it.wait_share.map_or_else(dash, |it| format!("{:.1} %", 100.0 * it)),
        took.and_then(|it| it.peak_memory).map_or_else(dash, bytes_in_words),
        took.and_then(|it| it.read_bytes).map_or_else(dash, bytes_in_words),
        took.and_then(|it| it.bytes).map_or_else(dash, bytes_in_words),
    ]
}
