//! Learning curves: loss and accuracy of every module while it trained.

use askama::Template;

use super::curves_file::{self, Format};
use super::figure::{Chart, Line};
use super::page::{Html, Section};
use super::run_view::{Missing, RunView};
use super::training_log::{self, Curve, Point, Timeline};
use crate::Result;
use crate::pipeline::Split;

/// The most points in a line of training: each is the mean of the steps it stands for.
const POINTS: usize = 100;

/// The most dots on a line: more would run into each other.
const DOTS: usize = 40;

/// The most marks in a chart. If there are more, marks are left out at regular intervals.
const MARKS: usize = 40;

#[derive(Template)]
#[template(path = "curves.html")]
struct Body<'a> {
    modules: &'a Html,
    /// The charts over the whole run.
    run: &'a Html,
    /// How the trainings are placed in time.
    clock: &'a str,
}

/// Builds the section on learning curves, and writes its numbers to files beside the page.
///
/// # Errors
/// When a log cannot be read, or a file cannot be written.
pub fn section(run: &RunView<'_>) -> Result<Section> {
    let (curves, mut missing) = training_log::read(run)?;
    missing.extend(without_held_out(run, &curves)?);
    let (id, title) = ("curves", "Learning curves");
    if curves.is_empty() {
        return Ok(Section { id, title, missing, ..Section::default() });
    }
    let in_rounds = run.standing.plan.rounds() > 1;
    let files = [("curves.parquet", Format::Parquet), ("curves.jsonl", Format::JsonLines)];
    for (name, format) in files {
        let bytes = curves_file::bytes(&curves, in_rounds, format)?;
        run.standing.dir.report().join(name).replace(&bytes)?;
    }
    let accuracy = run.pipeline.loss.accuracy_is();
    let measures = [LOSS, Measure { name: accuracy, ..HITS }];
    let at_once = run.pipeline.schedule.is_at_once();
    let timeline = Timeline::of(&curves, at_once);
    let of_modules = curves.iter().flat_map(|curve| measures.map(|it| of_module(curve, it)));
    let of_run = measures.map(|it| over_seconds(&curves, &timeline, it, in_rounds));
    let body = Body {
        modules: &figures(run, of_modules)?,
        run: &figures(run, of_run)?,
        clock: match at_once {
            true => "All modules train at once: each from the second that it began in.",
            false if in_rounds => {
                "Module after module, round by round; what lies between trainings is left out."
            }
            false => "Module after module; what lies between trainings is left out.",
        },
    };
    Ok(Section {
        id,
        title,
        lead: format!(
            "Loss and {accuracy} of each module: of its batches while it trained (each point a mean of \
             neighbouring steps), and after every epoch on rows of the test split (`training.held_out`), \
             which have no part in training. Dotted: a guess."
        ),
        body: Html::render(&body)?,
        missing,
    })
}

/// The charts that have a line, side by side.
fn figures(run: &RunView<'_>, charts: impl IntoIterator<Item = Chart>) -> Result<Html> {
    let figure = |chart: Chart| run.check_stop().and_then(|()| chart.figure());
    let figures = charts.into_iter().filter(|it| !it.lines.is_empty()).map(figure);
    Ok(Html::grid(figures.collect::<Result<Vec<_>>>()?))
}

/// One of the quantities of a log.
#[derive(Clone, Copy)]
struct Measure {
    name: &'static str,
    percent: bool,
    training: fn(&Point) -> Option<f64>,
    held_out: fn(&Point) -> Option<f64>,
    chance: fn(&Curve) -> Option<f64>,
    /// The value that the probe found.
    probed: fn(&Curve) -> Option<f64>,
}

const LOSS: Measure = Measure {
    name: "loss",
    percent: false,
    training: |it| Some(it.entry.loss),
    held_out: |it| it.entry.held_out.map(f64::from),
    chance: |it| it.chance_loss,
    probed: |it| it.probed_loss,
};

const HITS: Measure = Measure {
    name: "accuracy",
    percent: true,
    training: |it| it.entry.accuracy,
    held_out: |it| it.entry.held_out_accuracy.map(f64::from),
    chance: |it| it.chance_accuracy,
    probed: |_| None,
};

/// Two lines of a curve, on training batches and on held-out rows. `x` has the place of each point.
fn lines(curve: &Curve, measure: Measure, x: &[f64]) -> [Vec<(f64, f64)>; 2] {
    let of = |value: fn(&Point) -> Option<f64>| -> Vec<(f64, f64)> {
        let values = curve.points.iter().zip(x);
        let values = values.filter_map(|(point, x)| Some((*x, value(point)?)));
        values.filter(|(x, y)| x.is_finite() && y.is_finite()).collect()
    };
    let training = of(measure.training);
    let mut held_out = of(measure.held_out);
    // The probe has measured the same quantity, but only at the end.
    if held_out.is_empty()
        && curve.is_whole
        && let (Some(loss), Some(x)) = ((measure.probed)(curve), x.last())
    {
        held_out.push((*x, loss));
    }
    [means(&training), held_out]
}

/// Reduces a line to at most [`POINTS`] points: each is the mean of a group of steps, at the group's end. Group
/// sizes differ by one at most.
fn means(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let count = points.len().min(POINTS);
    let mean = |place: usize| {
        let piece = &points[place * points.len() / count..(place + 1) * points.len() / count];
        let sum: f64 = piece.iter().map(|it| it.1).sum();
        piece.last().map(|end| (end.0, sum / piece.len() as f64))
    };
    (0..count).filter_map(mean).collect()
}

fn level(curve: &Curve, measure: Measure) -> Option<(f64, String)> {
    (measure.chance)(curve).map(|chance| (chance, "a guess".to_string()))
}

fn of_module(curve: &Curve, measure: Measure) -> Chart {
    let steps: Vec<f64> = curve.points.iter().map(|it| (it.entry.step + 1) as f64).collect();
    let [training, held_out] = lines(curve, measure, &steps);
    let so_far = if curve.is_whole { "" } else { ", so far" };
    let held_out_is = if curve.has_held_out() { "held-out" } else { "held-out, by the probe" };
    let mut lines = Vec::new();
    if !training.is_empty() {
        let name = "training".to_string();
        lines.push(Line { name, points: training, ..Line::default() });
    }
    if !held_out.is_empty() {
        let (name, dots) = (held_out_is.to_string(), held_out.len() <= DOTS);
        lines.push(Line { name, colour: 1, dots, points: held_out, ..Line::default() });
    }
    Chart {
        title: format!("{}: {}{so_far}", curve.module, measure.name),
        x: "steps".to_string(),
        y: measure.name.to_string(),
        percent: measure.percent,
        levels: level(curve, measure).filter(|_| !lines.is_empty()).into_iter().collect(),
        lines,
        marks: marks(curve, &steps),
        ..Chart::default()
    }
}

/// The places where a round begins, or where training switches to another generation.
fn marks(curve: &Curve, x: &[f64]) -> Vec<(f64, String)> {
    let mut marks = Vec::new();
    for (pair, x) in curve.points.windows(2).zip(x) {
        let [before, after] = pair else { continue };
        if before.round != after.round {
            marks.push((*x, "a round begins".to_string()));
        } else if before.entry.generation != after.entry.generation {
            marks.push((*x, "a newer generation is taken up".to_string()));
        }
    }
    let each = marks.len().div_ceil(MARKS).max(1);
    marks.into_iter().step_by(each).collect()
}

/// A chart of all modules over the seconds of their trainings.
fn over_seconds(curves: &[Curve], timeline: &Timeline, measure: Measure, in_rounds: bool) -> Chart {
    let (mut all, mut levels, mut marks_of_all) = (Vec::new(), Vec::new(), Vec::new());
    for (curve, shifts) in curves.iter().zip(&timeline.shifts) {
        let seconds = curve.points.iter().zip(shifts).map(|(it, shift)| it.entry.seconds + shift);
        let seconds: Vec<f64> = seconds.collect();
        let [training, held_out] = lines(curve, measure, &seconds);
        if training.is_empty() && held_out.is_empty() {
            continue;
        }
        let line = |name: String, points: Vec<(f64, f64)>| Line {
            dots: points.len() == 1,
            name,
            colour: curve.index,
            points,
            ..Line::default()
        };
        all.push(line(curve.module.clone(), training));
        if !held_out.is_empty() {
            let held_out = line(format!("{}, held-out", curve.module), held_out);
            all.push(Line { dashed: true, ..held_out });
        }
        levels.extend(level(curve, measure));
        if !in_rounds {
            marks_of_all.extend(marks(curve, &seconds));
        }
    }
    levels.dedup();
    let begins = if in_rounds { "the next training begins" } else { "the next module begins" };
    let each = timeline.begins.len().div_ceil(MARKS).max(1);
    let begins = timeline.begins.iter().step_by(each).map(|at| (*at, begins.to_string()));
    let mut marks: Vec<(f64, String)> = begins.chain(marks_of_all).collect();
    // Sorted, so that equal names can be merged.
    marks.sort_by(|a, b| a.1.cmp(&b.1));
    Chart {
        title: format!("all modules: {}", measure.name),
        x: "seconds of training".to_string(),
        y: measure.name.to_string(),
        percent: measure.percent,
        lines: all,
        marks,
        levels,
        ..Chart::default()
    }
}

/// The modules whose logs have no held-out rows, and why.
fn without_held_out(run: &RunView<'_>, curves: &[Curve]) -> Result<Option<Missing>> {
    // Before the first epoch has ended there is nothing to say.
    let had_an_epoch =
        |it: &&Curve| it.is_whole || it.points.last().is_some_and(|it| it.entry.epoch > 0);
    let without = curves.iter().filter(had_an_epoch).filter(|it| !it.has_held_out());
    let names: Vec<&str> = without.map(|it| it.module.as_str()).collect();
    if names.is_empty() {
        return Ok(None);
    }
    let what = format!(
        "held-out loss and accuracy after every epoch of {}: the dot is what the probe found in the end",
        names.join(", ")
    );
    let batch = run.pipeline.training.batch as u64;
    let how = if run.samples(Split::Test)? < batch {
        format!("the test split does not fill one batch of {batch}: lower `training.batch`")
    } else if run.pipeline.training.held_out == 0 {
        format!("train again: `{} --set training.held_out=256`", run.command_again("run"))
    } else if let Some(why) = run.pipeline.schedule.unwatched() {
        why.to_string()
    } else {
        format!(
            "they were trained with `training.held_out = 0`: train again in a run beside this one, `{}`",
            run.command_again("run")
        )
    };
    Ok(Some(Missing { what, how }))
}
