//! Whether each module improves on its predecessor: accuracies of a linear classifier and of nearest neighbours
//! on every module, trained and untrained, and the classes that the last module confuses.

use super::figure::{Chart, Line, Matrix};
use super::numbers::{Numbers, percent};
use super::page::{Html, Section};
use super::run_view::RunView;
use crate::Result;
use crate::pipeline::Split;
use crate::probe::{confusion, knn};
use crate::stage::Step;
use crate::stage::columns::each_once;
use crate::stage::labels::labels_of;
use crate::stage::origin::Origin;
use crate::stage::record::ProbeResult;
use crate::stage::verdict;

/// The most classes that a readable matrix has. If there are more, the most confused pairs are listed instead.
const MOST_SHOWN: usize = 30;

/// The results of the probes for one label.
struct Label {
    /// The name of the label; empty for the first.
    name: String,
    /// The share of the largest class of the test split, where it is known.
    chance: Option<f64>,
    found: Vec<ProbeRow>,
}

/// Picks the accuracy of one of the probes.
type Value = fn(&ProbeRow) -> Option<f64>;

/// The accuracies of one module.
#[derive(Clone)]
struct ProbeRow {
    module: String,
    index: usize,
    origin: Origin,
    linear: Option<f64>,
    knn: Option<f64>,
}

/// Builds the section on probes.
///
/// # Errors
/// When something cannot be read.
pub fn section(run: &RunView<'_>) -> Result<Section> {
    let mut section = Section {
        id: "probes",
        title: "Does each module improve on its predecessor?",
        lead: format!(
            "Accuracy on the test split of a linear classifier, and of the {} nearest neighbours by cosine \
             similarity (Wu et al. 2018, temperature {}), on each sample's mean pooled vector. Both \
             learn from the training split, first view. Dashed: the same modules as they were drawn.",
            knn::NEIGHBOURS,
            knn::TEMPERATURE
        ),
        ..Section::default()
    };
    let mut probes = Vec::new();
    for (index, module) in run.modules().enumerate() {
        match run.standing.probe(index)? {
            Some((_, record)) => probes.extend(record.results),
            None => {
                let what = format!("what probes read of module {module}");
                section.missing.push(run.missing(what, Step::Probe(index)));
            }
        }
    }
    if probes.is_empty() {
        return Ok(section);
    }
    let labels = labels(run, &probes)?;
    let mut charts = Vec::new();
    for label in &labels {
        if label.found.iter().any(|it| it.linear.or(it.knn).is_some()) {
            charts.push(chart(run, label)?);
        }
    }
    if charts.is_empty() {
        let note = "The samples have no labels: there is nothing that a probe could read.";
        let notes = vec![note.to_string()];
        section.body = Numbers { notes, ..Numbers::default() }.html()?;
        return Ok(section);
    }
    section.body = Html(table(&probes, &labels, charts)?.0 + &confused(run, &probes)?.0);
    Ok(section)
}

/// The results of the probes, label by label.
fn labels(run: &RunView<'_>, probes: &[ProbeResult]) -> Result<Vec<Label>> {
    let known = run.ingested(Split::Test)?.map(|it| labels_of(run.pipeline, &it)).transpose()?;
    let judged = |name: &str| {
        let of = |probe: &ProbeResult| {
            let (linear, knn) = match name.is_empty() {
                true => (probe.accuracy, probe.knn),
                false => probe.judged(name).map(|it| (it.accuracy, it.knn))?,
            };
            let (module, index, origin) = (probe.module.clone(), probe.index, probe.origin);
            Some(ProbeRow { module, index, origin, linear, knn })
        };
        probes.iter().filter_map(of).collect::<Vec<ProbeRow>>()
    };
    let further = probes.iter().flat_map(|it| &it.further).map(|it| it.label.as_str());
    let names = each_once(std::iter::once("").chain(further));
    let labels = names.into_iter().map(|name| {
        let values = known.as_ref().and_then(|known| match name.is_empty() {
            true => Some(&known.first),
            false => known.further.iter().find(|it| it.0 == name).map(|it| &it.1),
        });
        let values: Option<Vec<i64>> = values.map(|it| it.iter().copied().flatten().collect());
        let values = values.filter(|it| !it.is_empty());
        Label {
            chance: values.as_deref().map(largest_share),
            found: judged(name),
            name: name.to_string(),
        }
    });
    Ok(labels.collect())
}

/// The share of the largest class.
fn largest_share(labels: &[i64]) -> f64 {
    let mut sorted = labels.to_vec();
    sorted.sort_unstable();
    let largest = sorted.chunk_by(|one, next| one == next).map(<[i64]>::len).max();
    largest.unwrap_or(0) as f64 / labels.len().max(1) as f64
}

fn chart(run: &RunView<'_>, label: &Label) -> Result<Html> {
    let line = |name: &str, colour, origin, value: Value| {
        let found = label.found.iter().filter(|it| it.origin == origin);
        let points = found.filter_map(|it| Some((it.index as f64, value(it)?)));
        let kind = if origin == Origin::Trained { "" } else { ", untrained" };
        Line {
            name: format!("{name}{kind}"),
            colour,
            dashed: origin == Origin::Untrained,
            dots: true,
            points: points.collect(),
        }
    };
    let lines = [
        line("linear", 0, Origin::Trained, |it| it.linear),
        line("linear", 0, Origin::Untrained, |it| it.linear),
        line("k-NN", 1, Origin::Trained, |it| it.knn),
        line("k-NN", 1, Origin::Untrained, |it| it.knn),
    ];
    let of = if label.name.is_empty() { String::new() } else { format!(": {}", label.name) };
    let chart = Chart {
        title: format!("Accuracy after each module{of}"),
        x: "module".to_string(),
        y: "accuracy".to_string(),
        places: run.modules().map(String::from).collect(),
        percent: true,
        lines: lines.into_iter().filter(|it| !it.points.is_empty()).collect(),
        marks: vec![],
        levels: label.chance.iter().map(|it| (*it, "always the largest class".into())).collect(),
    };
    chart.figure()
}

/// The table of all numbers, with the verdict on them.
fn table(probes: &[ProbeResult], labels: &[Label], charts: Vec<Html>) -> Result<Html> {
    let mut header = vec!["module".to_string(), "kind".to_string()];
    for label in labels {
        let of = if label.name.is_empty() { String::new() } else { format!("{}: ", label.name) };
        header.extend([format!("{of}linear"), format!("{of}k-NN")]);
    }
    let first = labels.first().map(|it| it.found.as_slice()).unwrap_or_default();
    let rows = first.iter().map(|found| {
        let mut row = vec![found.module.clone(), found.origin.name().to_string()];
        for label in labels {
            let same = |it: &&ProbeRow| (it.index, it.origin) == (found.index, found.origin);
            let of = label.found.iter().find(same);
            row.push(percent(of.and_then(|it| it.linear)));
            row.push(percent(of.and_then(|it| it.knn)));
        }
        row
    });
    let rows = rows.collect();
    let probes: Vec<&ProbeResult> = probes.iter().collect();
    let notes = labels.iter().flat_map(|label| {
        let of = if label.name.is_empty() { String::new() } else { format!(", {}", label.name) };
        let verdicts = verdict::of_label(&probes, &label.name).into_iter();
        verdicts.map(move |it| format!("Verdict of {}{of}: {}.", it.probes, it.said))
    });
    Numbers { charts, header, rows, notes: notes.collect() }.html()
}

/// The classes that the last module's linear probe confuses.
fn confused(run: &RunView<'_>, probes: &[ProbeResult]) -> Result<Html> {
    let trained = probes.iter().filter(|it| it.origin == Origin::Trained && it.accuracy.is_some());
    let Some(last) = trained.max_by_key(|it| it.index) else { return Ok(Html::default()) };
    let test = run.ingested(Split::Test)?;
    let names = test.and_then(|it| it.manifest().schema.label_names.clone()).unwrap_or_default();
    let name = |class: usize| names.get(class).cloned().unwrap_or_else(|| class.to_string());
    let title = format!("What the linear probe takes for what after module {}", last.module);
    let (counts, pairs) = match (&last.confusion, &last.confused) {
        (Some(counts), _) => (Some(counts.clone()), confusion::pairs_of(counts)),
        (None, Some(pairs)) => (None, pairs.clone()),
        (None, None) => return Ok(Html::default()),
    };
    if let Some(counts) = counts.filter(|it| it.len() <= MOST_SHOWN) {
        return Ok(matrix(title, &counts, name).figure());
    }
    let rows = confusion::most_confused(pairs, confusion::PAIRS)
        .into_iter()
        .map(|(class, taken, count)| vec![name(class), name(taken), count.to_string()]);
    let header = ["class", "taken for", "test rows"].map(String::from).to_vec();
    let numbers = Numbers { header, rows: rows.collect(), ..Numbers::default() };
    Ok(Html(format!("<h3>{}: most confused pairs</h3>{}", Html::escape(&title), numbers.html()?)))
}

fn matrix(title: String, counts: &[Vec<u64>], name: impl Fn(usize) -> String) -> Matrix {
    let names: Vec<String> = (0..counts.len()).map(name).collect();
    let cells = counts.iter().map(|row| {
        let all = row.iter().sum::<u64>().max(1);
        let cell = |count: &u64| {
            let share = *count as f64 / all as f64;
            (*count > 0).then(|| (share, count.to_string()))
        };
        row.iter().map(cell).collect()
    });
    Matrix {
        title: format!("{title}: test rows; as dark as their share of the class"),
        axes: ["class".to_string(), "taken for".to_string()],
        rows: names.clone(),
        columns: names,
        cells: cells.collect(),
    }
}
