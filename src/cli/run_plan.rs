//! What a run is about to do, in one screen: its stages, what is done, bytes and time.

use super::grid::{Grid, paragraph};
use super::{screen, table};
use crate::quantity::{counted, time_in_words};
use crate::stage::forecast::{Certainty, Forecast, StepForecast};

/// Stages that a screen shows; the others are counted.
const MOST_STAGES: usize = 14;

/// The plan of a run: a line for each stage, and what all steps take together. `name` and `dir` say which run it is.
/// With `why`, the reason why its first step runs is beside each stage.
pub fn run_plan(name: &str, dir: &str, forecast: &Forecast, why: bool) -> String {
    let width = screen::width_of_notes();
    let (all, to_do) = (forecast.steps.len(), forecast.steps.iter().filter(|it| it.runs).count());
    if to_do == 0 {
        let said = format!("{name} in {dir}: all {} are done", counted(all, "step"));
        return paragraph(&said, width);
    }
    let mut stages: Vec<Vec<&StepForecast>> = Vec::new();
    for step in &forecast.steps {
        match stages.iter_mut().find(|it| it[0].stage == step.stage) {
            Some(steps) => steps.push(step),
            None => stages.push(vec![step]),
        }
    }
    let rows = stages.iter().take(MOST_STAGES).map(|steps| {
        let mut row = row(steps);
        row.extend(why.then(|| first_reason(steps)));
        row
    });
    let mut header = ["stage", "steps", "done", "bytes", "time"].map(String::from).to_vec();
    header.extend(why.then(|| "why".to_string()));
    let table = Grid::new(header, rows.collect(), vec![2, 3, 4]).fit(width);
    let mut lines = vec![format!("{name} in {dir}"), table];
    if let Some(more) = stages.len().checked_sub(MOST_STAGES).filter(|it| *it > 0) {
        lines.push(format!("and {}", counted(more, "more stage")));
    }
    let room = &forecast.room;
    let free = room.available.map_or_else(String::new, |it| format!(", {} free", table::bytes(it)));
    lines.push(format!(
        "{to_do} of {} to do, about {}, {}{} to write{free}",
        counted(all, "step"),
        time_in_words(forecast.seconds),
        if room.compressed { "at most " } else { "" },
        table::bytes(room.needed),
    ));
    paragraph(&lines.join("\n"), width)
}

/// The line of a stage.
fn row(steps: &[&StepForecast]) -> Vec<String> {
    let mut names: Vec<&str> = Vec::new();
    for step in steps {
        if !names.contains(&step.step.name()) {
            names.push(step.step.name());
        }
    }
    let rounds = steps.iter().filter_map(|it| it.in_round).map(|it| it.rounds).max();
    let rounds = rounds.map_or_else(String::new, |it| format!(", {it} rounds"));
    let done = steps.iter().filter(|it| !it.runs).count();
    // The last round's bytes stay.
    let last = |name: &&str| steps.iter().rfind(|it| it.step.name() == *name);
    let bytes = names.iter().filter_map(last).map(|it| it.bytes).fold(0, u64::saturating_add);
    let certain = steps.iter().all(|it| it.bytes_are == Certainty::Actual || it.bytes == 0);
    let to_do = steps.iter().filter(|it| it.runs);
    let seconds: f64 = to_do.clone().map(|it| it.seconds).sum();
    vec![
        steps[0].stage.clone(),
        names.join(", ") + &rounds,
        format!("{done} of {}", steps.len()),
        format!("{}{}", if certain { "" } else { "~" }, table::bytes(bytes)),
        match to_do.count() {
            0 => "-".to_string(),
            _ => format!("~{}", time_in_words(seconds)),
        },
    ]
}

/// Why the first step of a stage that runs is not done; empty if none runs.
fn first_reason(steps: &[&StepForecast]) -> String {
    let first = steps.iter().find(|it| it.runs);
    first.map_or_else(String::new, |it| it.why.clone())
}
