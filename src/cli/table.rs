//! The tables that commands print.

use super::grid::{Grid, paragraph};
use super::screen;
use crate::stage::columns::{ACCURACY, COLUMNS, Column, LOSS, Values, each_once};
use crate::stage::comparison::Line;
use crate::stage::findings::Row;
use crate::stage::mean::Mean;
use crate::stage::status::StepStatus;
use crate::stage::verdict;
use crate::stage::{InRound, StepKind};
use crate::sweep::Summary;
use crate::train::profile::{Breakdown, Profile};

/// A table that fits stdout. Columns in `numbers` are aligned to the right.
pub fn plain(header: &[&str], rows: Vec<Vec<String>>, numbers: &[usize]) -> String {
    grid(header, rows, numbers).fit(screen::width())
}

/// A table that fits stdout, of which columns are left out where it is too wide: first the first of `spare`.
pub fn sparing(
    header: &[&str],
    rows: Vec<Vec<String>>,
    numbers: &[usize],
    spare: &[&str],
) -> String {
    grid(header, rows, numbers).sparing(spare).fit(screen::width())
}

fn grid(header: &[&str], rows: Vec<Vec<String>>, numbers: &[usize]) -> Grid {
    Grid::new(header.iter().map(ToString::to_string).collect(), rows, numbers.to_vec())
}

/// Bytes in words: `1234567` -> `1.2 MB`.
pub fn bytes(count: u64) -> String {
    crate::quantity::bytes_in_words(count)
}

fn optional<T>(value: Option<T>, show: impl Fn(T) -> String) -> String {
    value.map_or_else(|| "-".to_string(), show)
}

/// The share of a training that was spent waiting for data.
fn waited(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// The time and memory of a training's steps, part by part.
pub fn profile(title: &str, profile: &Profile) -> String {
    let Breakdown { steps: count, forward, loss, backward, optimiser, .. } = profile.breakdown;
    let steps = count.max(1) as f64;
    let total: f64 = [profile.wait, forward, loss, backward, optimiser].iter().sum();
    let time = |name: &str, seconds: f64| {
        let share = 100.0 * seconds / total.max(f64::MIN_POSITIVE);
        vec![name.into(), format!("{:.3}", 1e3 * seconds / steps), format!("{share:.1} %")]
    };
    let mut rows = vec![time("wait for data", profile.wait), time("forward", forward)];
    let layers = || profile.layers.iter().enumerate();
    rows.extend(layers().map(|(index, it)| time(&format!("  layer {index}"), it[0])));
    rows.push(time("loss", loss));
    rows.push(time("backward", backward));
    rows.extend(layers().map(|(index, it)| time(&format!("  layer {index}"), it[1])));
    rows.push(time("optimiser", optimiser));
    rows.push(time("step", total));
    let time = plain(&["time", "ms a step", "share"], rows, &[1, 2]);

    let memory = |name: &str, count: u64| vec![name.into(), bytes(count)];
    let mut rows = vec![
        memory("parameters", profile.parameters),
        memory("moments of the optimiser", profile.moments),
    ];
    if let Some(module) = &profile.module {
        rows.extend([
            memory("weights as products read them", module.packed),
            memory("gradients, a sum for each thread", module.gradients),
            memory("activations kept for the backward pass", module.kept),
            memory("what threads work in", module.scratch),
        ]);
    }
    rows.push(memory("one batch of input", profile.batch));
    rows.extend(profile.peak.map(|peak| memory("peak of the process", peak)));
    let memory = plain(&["memory", "bytes"], rows, &[1]);
    let rate = profile.operations * steps / forward.max(f64::MIN_POSITIVE) / 1e9;
    format!("{title}: {count} steps, forward at {rate:.0} GFLOP/s\n\n{time}\n\n{memory}")
}

/// A step with its rounds, if any: `train`, `train 2/5`, `train 2-4/5`.
pub fn in_rounds(step: StepKind, first: Option<InRound>, last: Option<InRound>) -> String {
    let step = step.name();
    match first.zip(last) {
        None => step.to_owned(),
        Some((first, last)) if first == last => format!("{step} {}/{}", first.round, first.rounds),
        Some((first, last)) => format!("{step} {}-{}/{}", first.round, last.round, last.rounds),
    }
}

/// The state of every step and, if there are any, of the jobs.
pub fn status(stages: &[StepStatus], jobs: Option<&[String]>) -> String {
    let rows = stages.iter().enumerate().map(|(place, it)| {
        let mut row = vec![
            it.stage.clone(),
            in_rounds(it.step, it.in_round, it.in_round),
            it.state.name().to_string(),
            optional(it.generation, |number| number.to_string()),
            optional(it.rows, |rows| rows.to_string()),
            optional(it.took.and_then(|it| it.bytes), bytes),
            optional(it.took, |it| format!("{:.0}", it.seconds)),
            optional(it.wait_share, waited),
            it.why.clone(),
        ];
        row.extend(jobs.map(|jobs| jobs.get(place).cloned().unwrap_or_default()));
        row
    });
    let mut header =
        vec!["stage", "step", "state", "generation", "rows", "bytes", "seconds", "waited", "why"];
    header.extend(jobs.map(|_| "job"));
    let spare = ["waited", "generation", "seconds", "rows"];
    sparing(&header, rows.collect(), &[3, 4, 5, 6, 7], &spare)
}

/// The results of the probes and the cost of the modules: one row per module and kind.
pub fn report(rows: &[Row]) -> String {
    let entries = rows.iter().map(|row| {
        let probe = &row.probe;
        let further = probe.further.iter().map(|it| {
            let accuracy = it.accuracy.map(|mean| Mean { mean, deviation: None });
            (it.label.as_str(), accuracy)
        });
        Entry {
            lead: vec![probe.module.clone(), probe.origin.name().to_string()],
            values: Values::of_row(row),
            further: further.collect(),
        }
    });
    let table = Cells::of(&["module", "kind"], |_| true, &entries.collect::<Vec<_>>());
    table.plain(2) + &legend(&[WHAT_COLUMNS_ARE, "waited: of training, for data."])
}

const WHAT_COLUMNS_ARE: &str = "accuracy: linear probe on the test split; k-NN: nearest neighbours, there too; loss: on \
     the test split, of a guess: chance.\nseconds, memory: train and encode; the untrained stack is encoded in one \
     pass, counted in each row.";

/// What is said below a table, wrapped to the width of stdout.
fn legend(lines: &[&str]) -> String {
    format!("\n\n{}", paragraph(&lines.join("\n"), screen::width()))
}

/// A row in a table of probe results.
struct Entry<'a> {
    /// The cells before the columns.
    lead: Vec<String>,
    values: Values,
    /// The accuracy on further labels.
    further: Vec<(&'a str, Option<Mean>)>,
}

/// The cells of a table.
struct Cells {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Cells {
    /// The table of `entries`, with the columns that `has` selects. `lead` has the headings of the first cells.
    fn of(lead: &[&str], has: impl Fn(&Column) -> bool, entries: &[Entry<'_>]) -> Self {
        let labels = each_once(entries.iter().flat_map(|it| &it.further).map(|(label, _)| *label));
        let mut header: Vec<String> = lead.iter().map(ToString::to_string).collect();
        for column in COLUMNS.iter().filter(|it| has(it)) {
            header.push(column.heading.to_string());
            if column.name == ACCURACY.name {
                header.extend(labels.iter().map(ToString::to_string));
            }
        }
        let row = |entry: &Entry<'_>| {
            let mut cells = entry.lead.clone();
            for (column, value) in entry.values.iter().filter(|(it, _)| has(it)) {
                cells.push(column.shown(value));
                if column.name == ACCURACY.name {
                    cells.extend(labels.iter().map(|label| {
                        let found = entry.further.iter().find(|(name, _)| name == label);
                        column.shown(found.and_then(|(_, accuracy)| *accuracy))
                    }));
                }
            }
            cells
        };
        Self { header, rows: entries.iter().map(row).collect() }
    }

    /// The table for stdout; numbers begin at column `first`.
    fn plain(self, first: usize) -> String {
        let numbers = (first..self.header.len()).collect();
        let grid = Grid::new(self.header, self.rows, numbers);
        grid.sparing(&["waited", "chance", "memory", "written", "seconds"]).fit(screen::width())
    }

    fn markdown(self) -> String {
        Grid::new(self.header, self.rows, vec![]).markdown()
    }
}

/// Compares variants, for stdout.
pub fn comparison(lines: &[Line]) -> String {
    comparison_cells(lines).plain(3) + &legend(&[WHAT_COLUMNS_ARE, ACROSS_SEEDS])
}

/// Compares variants, as Markdown.
pub fn comparison_markdown(lines: &[Line]) -> String {
    format!("{}\n\n{WHAT_COLUMNS_ARE}\n{ACROSS_SEEDS}\n", comparison_cells(lines).markdown())
}

const ACROSS_SEEDS: &str = "over seeds: accuracy and loss as mean and standard deviation, the mean of \
     seconds and bytes, the highest memory.";

fn comparison_cells(lines: &[Line]) -> Cells {
    let entries = lines.iter().map(|line| Entry {
        lead: vec![line.variant.clone(), line.module.clone(), line.origin.name().to_string()],
        values: line.values.clone(),
        further: line.further.iter().map(|(label, mean)| (label.as_str(), *mean)).collect(),
    });
    let entries: Vec<Entry<'_>> = entries.collect();
    Cells::of(&["variant", "module", "kind"], Column::is_over_seeds, &entries)
}

/// Compares the variants of a sweep, for stdout.
pub fn sweep(summaries: &[Summary], baseline: &str) -> String {
    sweep_cells(summaries).plain(1) + &legend(&[&what_sweeps_show(baseline)])
}

/// Compares the variants of a sweep, as Markdown.
pub fn sweep_markdown(summaries: &[Summary], baseline: &str) -> String {
    format!("{}\n\n{}\n", sweep_cells(summaries).markdown(), what_sweeps_show(baseline))
}

fn what_sweeps_show(baseline: &str) -> String {
    format!(
        "accuracy, k-NN, loss: of the last module, on the test split, as mean and standard deviation over seeds;\n\
         difference: in points of accuracy from `{baseline}`, under the same seeds.\n\
         seconds, written: training and encoding of all modules, as if the variant had shared none; memory: \
         the highest."
    )
}

fn sweep_cells(summaries: &[Summary]) -> Cells {
    let entries = summaries.iter().map(|it| Entry {
        lead: vec![it.variant.clone(), it.modules.to_string(), it.seeds.len().to_string()],
        values: it.values.clone(),
        further: it.further.iter().map(|it| (it.label.as_str(), it.accuracy)).collect(),
    });
    let entries: Vec<Entry<'_>> = entries.collect();
    let mut table = Cells::of(&["variant", "modules", "seeds"], |it| it.in_sweeps, &entries);
    // After all accuracies: a further label may have the name of a column, so search from the right.
    let place = table.header.iter().rposition(|it| it == LOSS.heading).unwrap_or(0);
    table.header.insert(place, "difference".to_string());
    for (row, it) in table.rows.iter_mut().zip(summaries) {
        row.insert(place, optional(it.difference, points));
    }
    table
}

/// A difference in percentage points: `+1.20 ± 0.35`.
fn points(difference: Mean) -> String {
    let mean = format!("{:+.2}", 100.0 * difference.mean);
    match difference.deviation {
        Some(deviation) => format!("{mean} ± {:.2}", 100.0 * deviation),
        None => mean,
    }
}

/// Says whether every trained module beats its untrained twin and its predecessor.
pub fn verdict(rows: &[Row]) -> String {
    let probes: Vec<_> = rows.iter().map(|row| &row.probe).collect();
    let verdicts = verdict::of_label(&probes, "").into_iter();
    let mut said: Vec<String> = verdicts.map(|it| format!("{}: {}", it.probes, it.said)).collect();
    if said.is_empty() {
        said.push("no labels: accuracies cannot be compared".to_string());
    }
    paragraph(&said.join("\n"), screen::width())
}
