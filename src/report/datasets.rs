//! The section on datasets: size and content of every generation, how its values are spread, and what a few
//! samples look like in it.

use askama::Template;
use gimlet_store::{Column, Generation};

use super::column_stats::ColumnStats;
use super::histogram::{HistogramFigure, Shares};
use super::page::{Html, Section};
use super::run_view::RunView;
use super::sprite::{Shown, sprite};
use crate::axis::short;
use crate::pipeline::Split;
use crate::quantity::bytes_in_words;
use crate::stage::ingest_summary::IngestSummary;
use crate::stage::{At, Step};
use crate::train::input::{ACTIVATION, POOLED};
use crate::{Kind, Result};

/// A dataset of the run.
struct Entry {
    step: Step,
    stage: String,
    split: Split,
    /// The name, such as `a/train`.
    name: String,
    current: Option<Generation>,
    /// The other generations, newest first, and what each is.
    superseded: Vec<(Generation, String)>,
}

/// A line of the table: one column of a dataset.
#[derive(Default)]
struct Line {
    dataset: String,
    generation: String,
    rows: String,
    column: String,
    shape: String,
    /// The names of its dimensions.
    dims: String,
    dtype: &'static str,
    compression: &'static str,
    stored: String,
    raw: String,
    ratio: String,
    mean: String,
    std: String,
    min: String,
    max: String,
    zeros: String,
    /// Whether the line before belongs to the same dataset.
    follows: bool,
}

/// A generation that was made with other settings.
struct Superseded {
    dataset: String,
    generation: u64,
    rows: u64,
    bytes: String,
    made: String,
    columns: String,
}

/// The drawings for a stage.
struct Stage {
    name: String,
    notes: Vec<String>,
    figures: Html,
}

#[derive(Template)]
#[template(path = "datasets.html")]
struct Body {
    lines: Vec<Line>,
    stages: Vec<Stage>,
    superseded: Vec<Superseded>,
    superseded_bytes: String,
    /// The command that lists what is no longer needed.
    gc: String,
}

/// Builds the section on datasets.
///
/// # Errors
/// When a dataset cannot be read; when a stop was asked for.
pub fn section(run: &RunView<'_>) -> Result<Section> {
    let mut section = Section {
        id: "datasets",
        title: "Datasets",
        lead: "Every generation of every dataset. Mean to zeros are of all values; histograms of rows \
               taken evenly. A channel's map has the patches put back into their grid: what is zero is \
               the page's ground, orange is above and blue below."
            .into(),
        ..Section::default()
    };
    let entries = entries(run)?;
    for entry in entries.iter().filter(|it| it.current.is_none()) {
        section.missing.push(run.missing(format!("the dataset {}", entry.name), entry.step));
    }
    // A step that makes several datasets is reported as missing once.
    section.missing.dedup_by(|a, b| a.how == b.how && tail(&a.what) == tail(&b.what));

    // The test split is not cropped at random.
    let of = |split: Split| {
        let generations = entries.iter().filter(move |it| it.split == split);
        generations.filter_map(|it| it.current.as_ref()).next().map(|it| (split, it))
    };
    let shown = match of(Split::Test).or_else(|| of(Split::Train)) {
        Some((split, generation)) => Shown::choose(split, generation),
        None => Ok(Shown::default()),
    };
    let shown = match shown {
        // The damage is reported with its stage.
        Err(error) if error.kind() == Kind::Damaged => Shown::default(),
        other => other?,
    };
    let mut lines = Vec::new();
    let mut stages: Vec<Stage> = Vec::new();
    for entries in entries.chunk_by(|a, b| a.stage == b.stage && a.step == b.step) {
        run.check_stop()?;
        let made = lines_of(entries).and_then(|it| Ok((it, stage(run, entries, &shown)?)));
        match made {
            Ok((of_stage, stage)) => {
                lines.extend(of_stage);
                stages.extend(stage);
            }
            // The other stages can be shown.
            Err(error) if error.kind() == Kind::Damaged => {
                section.missing.push(run.missing_of(&error));
            }
            Err(error) => return Err(error),
        }
    }
    let superseded: Vec<Superseded> = entries.iter().flat_map(superseded).collect();
    let bytes = entries.iter().flat_map(|it| &it.superseded).map(|it| it.0.bytes());
    let superseded_bytes = bytes_in_words(bytes.fold(0, u64::saturating_add));
    let gc = format!("{} --dry-run", run.command("gc"));
    if !lines.is_empty() || !superseded.is_empty() {
        section.body = Html::render(&Body { lines, stages, superseded, superseded_bytes, gc })?;
    }
    Ok(section)
}

/// The part of a message about something missing that concerns its step.
fn tail(what: &str) -> &str {
    what.split_once(": ").map_or(what, |it| it.1)
}

/// The datasets of the plan, in its order.
fn entries(run: &RunView<'_>) -> Result<Vec<Entry>> {
    let plan = &run.standing.plan;
    let mut all = Vec::new();
    for step in plan.steps().into_iter().filter(|step| plan.is_of_last_round(*step)) {
        let places = run.standing.datasets(step, Split::Train).len();
        for place in 0..places {
            for split in Split::ALL {
                let datasets = run.standing.datasets(step, split);
                let Some(dataset) = datasets.get(place) else { continue };
                let stage = match step {
                    Step::Untrained => format!("untrained/{}", plan.module(place)),
                    _ => plan.stage_name(step),
                };
                let key = plan.key(step, split);
                let current = dataset.find(&key.hash)?.filter(is_whole);
                let mut superseded = Vec::new();
                for generation in dataset.readable()? {
                    let generation = generation?;
                    if current.as_ref().is_none_or(|it| it.number() != generation.number()) {
                        let what = standing(run, step, split, &generation)?;
                        superseded.push((generation, what));
                    }
                }
                let name = format!("{stage}/{}", split.name());
                all.push(Entry { step, stage, split, name, current, superseded });
            }
        }
    }
    // Trained modules come first.
    all.sort_by_key(|it: &Entry| it.step == Step::Untrained);
    Ok(all)
}

fn is_whole(generation: &Generation) -> bool {
    // A generation that cannot be checked is not shown.
    generation.is_whole().unwrap_or(false)
}

/// Says what a generation is that is not the current one.
fn standing(
    run: &RunView<'_>,
    step: Step,
    split: Split,
    generation: &Generation,
) -> Result<String> {
    let (plan, manifest) = (&run.standing.plan, generation.manifest());
    let now = plan.key(step, split);
    if manifest.key == now.hash {
        return Ok(match is_whole(generation) {
            true => "the same again".into(),
            false => "current, but damaged: the next run rebuilds it".into(),
        });
    }
    if let Step::Encode(at) = step {
        let of = |round: &usize| {
            plan.key(Step::Encode(At { round: *round, ..at }), split).hash == manifest.key
        };
        if let Some(round) = (0..plan.rounds()).find(of) {
            return Ok(format!("round {} of {}", round + 1, plan.rounds()));
        }
    }
    let changed = run.standing.differences(step, split, &manifest.settings)?;
    Ok(if changed.is_empty() { "made of another input".into() } else { changed.join("; ") })
}

fn superseded(entry: &Entry) -> impl Iterator<Item = Superseded> + '_ {
    entry.superseded.iter().map(|(it, what)| {
        let columns = it.manifest().schema.columns.iter();
        let columns: Vec<String> =
            columns.map(|it| format!("{} {} {}", it.name, dtype(it), shape(it))).collect();
        Superseded {
            dataset: entry.name.clone(),
            generation: it.number(),
            rows: it.rows(),
            bytes: bytes_in_words(it.bytes()),
            made: what.clone(),
            columns: columns.join(", "),
        }
    })
}

fn dtype(column: &Column) -> &'static str {
    match column.dtype {
        gimlet_store::DType::U8 => "u8",
        gimlet_store::DType::I8 => "int8",
        gimlet_store::DType::F16 => "f16",
        gimlet_store::DType::Bf16 => "bf16",
        gimlet_store::DType::F32 => "f32",
    }
}

/// The table's lines for a stage's datasets.
fn lines_of(entries: &[Entry]) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for entry in entries {
        let Some(generation) = &entry.current else { continue };
        let manifest = generation.manifest();
        for (place, column) in manifest.schema.columns.iter().enumerate() {
            let stored = generation.reader(&[&column.name])?.stored_bytes(&column.name)?;
            let raw = generation.rows().saturating_mul(column.row_bytes() as u64);
            let mut line = Line {
                dataset: entry.name.clone(),
                generation: generation.number().to_string(),
                rows: generation.rows().to_string(),
                column: column.name.clone(),
                shape: shape(column),
                dims: column.dims.join(" × "),
                dtype: dtype(column),
                compression: column.compression.name(),
                stored: bytes_in_words(stored),
                raw: bytes_in_words(raw),
                ratio: format!("{:.2}", stored as f64 / raw.max(1) as f64),
                follows: place > 0,
                ..Line::default()
            };
            if let Some(it) = manifest.statistics.get(&column.name) {
                line.mean = short(it.mean);
                line.std = short(it.std);
                line.min = short(f64::from(it.min));
                line.max = short(f64::from(it.max));
                line.zeros = format!("{:.1} %", 100.0 * it.zero_fraction);
            }
            lines.push(line);
        }
    }
    Ok(lines)
}

/// The shape of a column, such as `36×8×8×16`.
fn shape(column: &Column) -> String {
    let sizes: Vec<String> = column.shape.iter().map(usize::to_string).collect();
    sizes.join("×")
}

/// The drawings for one stage: the spread of its values, and its samples. `None` for the untrained stack, for
/// which the table is enough.
fn stage(run: &RunView<'_>, entries: &[Entry], shown: &Shown) -> Result<Option<Stage>> {
    let Some(first) = entries.first().filter(|it| it.step != Step::Untrained) else {
        return Ok(None);
    };
    let whole = || entries.iter().filter_map(|it| Some((it, it.current.as_ref()?)));
    let mut notes = Vec::new();
    let Some(column) = whole().next().and_then(|(_, it)| drawn_column(it)) else { return Ok(None) };
    if let Step::Encode(at) = first.step {
        let boundary = run.standing.plan.boundary(at.module);
        if column == POOLED {
            notes.push(format!(
                "The activations of {} are not stored ({}): its pooled vectors are shown.",
                first.stage, boundary.why
            ));
        } else if boundary.relu {
            notes.push("Stored as relu(z): the next module reads nothing else.".into());
        }
    }
    for (entry, generation) in whole().filter(|_| first.step == Step::Ingest) {
        notes.extend(account(run, entry.split, generation)?);
    }
    let ends = whole().filter_map(|(_, it)| it.manifest().statistics.get(column));
    let range = ends.map(|it| (it.min, it.max)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    let mut histogram = HistogramFigure {
        title: format!("{}: values of {column}", first.stage),
        x: "value".into(),
        series: vec![],
    };
    let (mut widest, mut dead) = (Vec::new(), Vec::new());
    for (colour, (entry, generation)) in whole().enumerate() {
        let stats = ColumnStats::of(generation, column, range, &|| run.check_stop())?;
        let read = match stats.rows_read == generation.rows() {
            true => format!("{}, all rows", entry.split.name()),
            false => format!("{}, {} rows", entry.split.name(), stats.rows_read),
        };
        let places = stats.histogram.shares().collect();
        histogram.series.push(Shares { name: read, colour, places });
        let (of, none) = (stats.channels.len(), stats.dead().len());
        if none > 0 {
            dead.push(format!("{none} of {of} ({})", entry.split.name()));
        }
        if Some(entry.split) == shown.split || widest.is_empty() {
            widest = stats.widest(stats.channels.len());
        }
    }
    if !dead.is_empty() {
        let dead = dead.join(", ");
        notes.push(format!("Channels that are never above zero, or always the same: {dead}."));
    }
    let mut figures = vec![histogram.figure()?];
    if let Some((_, generation)) = whole().find(|(it, _)| Some(it.split) == shown.split) {
        figures.extend(sprite(run, &first.stage, generation, shown, &widest)?);
    }
    let figures = Html(figures.into_iter().map(|it| it.0).collect());
    Ok(Some(Stage { name: first.stage.clone(), notes, figures }))
}

/// The notes of a split's ingest, one sentence each.
fn account(run: &RunView<'_>, split: Split, generation: &Generation) -> Result<Vec<String>> {
    let noun = run.pipeline.view.settings().noun();
    let Some(IngestSummary { account, .. }) = IngestSummary::of(generation)? else {
        return Ok(vec![]);
    };
    let warnings = account.warnings(noun).into_iter().map(|it| format!("warning: {it}"));
    let all = account.lines(noun).into_iter().chain(warnings);
    Ok(all.map(|it| format!("{}: {it}.", split.name())).collect())
}

/// The column whose values are shown.
fn drawn_column(generation: &Generation) -> Option<&str> {
    let columns = &generation.manifest().schema.columns;
    let named = |name: &str| columns.iter().find(|it| it.name == name);
    let column = named(ACTIVATION).or_else(|| named(POOLED)).or_else(|| columns.first());
    column.map(|it| it.name.as_str())
}
