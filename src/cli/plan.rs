//! `gimlet plan`: shows what a run would do, and what it would cost.

use clap::Args;
use serde_json::json;

use super::arguments::{DeviceArgs, JsonArgs, PipelineArgs};
use super::dataset_text::dtype;
use super::printer::Printer;
use super::{interrupt, table};
use crate::pipeline::{OnBadSample, Pipeline};
use crate::quantity::time_in_words;
use crate::stage::StepKind;
use crate::stage::disk_room::Room;
use crate::stage::forecast::{Certainty, Forecast, StepForecast};
use crate::stage::measure;
use crate::train::input::POOLED;

#[derive(Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,
    #[command(flatten)]
    device: DeviceArgs,

    /// Time a few steps of every module, on random input, instead of guessing
    #[arg(long)]
    measure: bool,

    #[command(flatten)]
    output: JsonArgs,
}

pub fn run(args: PlanArgs, printer: &Printer) -> anyhow::Result<()> {
    let (pipeline, standing) = args.pipeline.look(printer)?;
    let dir = &standing.dir;
    standing.plan.provenance().warnings.iter().for_each(|it| printer.warn(it));
    let pace = match args.measure {
        true => {
            let costs = standing.costs(&pipeline)?;
            let timing = |module: &str| printer.note(&format!("timing {module}"));
            let device = args.device.open(&pipeline)?;
            Some(measure::pace(&costs, &device, interrupt::stop(), timing)?)
        }
        false => None,
    };
    let forecast = Forecast::new(&pipeline, &standing, pace.as_ref())?;
    let fits = forecast.room.check();
    if args.output.json {
        printer.json(&json!({
            "pipeline": pipeline.name, "run_dir": dir.path(), "steps": forecast.steps,
            "total_bytes": forecast.total_bytes, "seconds": forecast.seconds,
            "room": forecast.room, "fits": fits.is_ok(),
            "over_bytes": forecast.room.over_disk().max(forecast.room.over_limit()),
        }))?;
    } else {
        printer.note(&format!("pipeline {} in {}", pipeline.name, dir.path().display()));
        printer.result(&steps(&forecast.steps))?;
        printer.result(&format!("\n{}", summary(&forecast, &pipeline, args.measure)))?;
    }
    standing.check_rows(&pipeline)?;
    Ok(fits?)
}

/// A table with one row per step; rounds of a module with the same state share a row.
fn steps(steps: &[StepForecast]) -> String {
    let mut alike: Vec<Vec<&StepForecast>> = Vec::new();
    for step in steps {
        let is_alike = |it: &StepForecast| {
            (&it.stage, it.step, it.state) == (&step.stage, step.step, step.state)
        };
        match alike.iter_mut().find(|steps| is_alike(steps[0])) {
            Some(steps) => steps.push(step),
            None => alike.push(vec![step]),
        }
    }
    // Keeps all rounds of a module together.
    let place = |stage: &str| steps.iter().position(|it| it.stage == stage);
    alike.sort_by_key(|steps| place(&steps[0].stage));
    let header = ["stage", "step", "state", "rows", "a row", "bytes", "memory", "time", "why"];
    table::sparing(
        &header,
        alike.iter().map(|it| row(it)).collect(),
        &[3, 5, 6, 7],
        &["a row", "memory", "rows"],
    )
}

/// The row for rounds of a step with the same state. Bytes are the last round's. Time is the sum of the
/// forecasts; for finished rounds it is the last round's, which covers them all.
fn row(rounds: &[&StepForecast]) -> Vec<String> {
    let (first, last) = (rounds[0], rounds[rounds.len() - 1]);
    let time = match last.runs {
        true => rounds.iter().map(|it| it.seconds).sum(),
        false => last.seconds,
    };
    vec![
        last.stage.clone(),
        table::in_rounds(last.step, first.in_round, last.in_round),
        last.state.name().to_string(),
        last.rows.map_or_else(dash, |rows| (rows.train + rows.test).to_string()),
        tensor(last),
        match last.bytes {
            0 => dash(),
            bytes => estimate(table::bytes(bytes), last.bytes_are),
        },
        last.memory.map_or_else(dash, |bytes| estimate(table::bytes(bytes), last.memory_is)),
        estimate(time_in_words(time), last.seconds_are),
        first.why.clone(),
    ]
}

fn dash() -> String {
    "-".to_string()
}

/// The tensor of a row, other than its pooled vectors; with several datasets, the last one's.
fn tensor(step: &StepForecast) -> String {
    let last = step.tensors.iter().rfind(|it| it.name != POOLED).or(step.tensors.last());
    last.map_or_else(dash, |it| format!("{} {} {:?}", it.name, dtype(it.dtype), it.shape))
}

/// A number, marked with how certain it is.
fn estimate(number: String, certainty: Certainty) -> String {
    match certainty {
        Certainty::Actual => number,
        Certainty::Measured | Certainty::Estimated => format!("~{number}"),
        Certainty::Most => format!("<{number}"),
    }
}

/// A summary: what is stored between the modules, and what all steps cost together.
fn summary(forecast: &Forecast, pipeline: &Pipeline, measured: bool) -> String {
    let mut lines = Vec::new();
    let keep = pipeline.store.keep_generations;
    for step in &forecast.steps {
        let Some(boundary) = &step.boundary else { continue };
        if step.in_round.is_some_and(|it| it.round < it.rounds) {
            continue;
        }
        let what = match (boundary.stored, boundary.relu) {
            (false, _) => "recomputed",
            (true, true) => "stored as relu(z)",
            (true, false) => "stored",
        };
        lines.push(format!("activations of {}: {what} ({})", step.stage, boundary.why));
    }
    let Room { used, needed, available, max_bytes, compressed, .. } = &forecast.room;
    let runs = forecast.steps.iter().filter(|it| it.runs).count();
    let mut to_write = format!("{} to be written", table::bytes(*needed));
    if *compressed {
        to_write += " before compression";
    }
    lines.push(String::new());
    let ingests = forecast.steps.iter().any(|it| it.step == StepKind::Ingest && it.runs);
    if ingests && pipeline.data.on_bad_sample == OnBadSample::Skip {
        lines.push("there may be fewer rows: broken samples are left out as they are met".into());
    }
    if let Some(rounds) = forecast.steps.iter().find_map(|it| it.in_round).map(|it| it.rounds) {
        lines.push(format!(
            "bytes are those of one round; of {rounds} rounds, the newest {} stay on disk",
            keep.min(rounds)
        ));
    }
    if forecast.steps.iter().any(|it| it.runs) {
        lines.push("~: estimated; <: at most, before compression".to_string());
    }
    lines.push(format!(
        "{runs} of {} steps would run, in {} ({})",
        forecast.steps.len(),
        time_in_words(forecast.seconds),
        if measured { "from steps that were timed" } else { "a guess; --measure times some steps" }
    ));
    lines.push(format!("{to_write}; {} there", table::bytes(*used)));
    let free = available.map_or_else(|| "unknown".to_string(), table::bytes);
    let limit = max_bytes.map_or_else(|| "not set".to_string(), table::bytes);
    lines.push(format!("free on the disk: {free}; store.max_bytes: {limit}"));
    lines.join("\n")
}
