//! The tables that commands print.

use comfy_table::{CellAlignment, Table, presets};

use crate::stage::InRound;
use crate::stage::comparison::{Line, Mean};
use crate::stage::findings::Row;
use crate::stage::record::ProbeResult;
use crate::stage::status::StepStatus;
use crate::sweep::Summary;
use crate::train::profile::Profile;

/// A table without borders, its columns two spaces apart; `right` are aligned to the right.
pub fn plain(header: &[&str], rows: Vec<Vec<String>>, right: &[usize]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    for index in 0..header.len() {
        if let Some(column) = table.column_mut(index) {
            column.set_padding((0, 2));
            if right.contains(&index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    let text = table.to_string();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// `1234567` -> `1.2 MB`.
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

/// Where the time and the memory of a training's steps went.
pub fn profile(title: &str, profile: &Profile) -> String {
    let steps = profile.steps.max(1) as f64;
    let parts = [profile.wait, profile.forward, profile.loss, profile.backward, profile.optimiser];
    let total: f64 = parts.iter().sum();
    let time = |name: &str, seconds: f64| {
        let share = 100.0 * seconds / total.max(f64::MIN_POSITIVE);
        vec![name.into(), format!("{:.3}", 1e3 * seconds / steps), format!("{share:.1} %")]
    };
    let mut rows = vec![time("wait for data", profile.wait), time("forward", profile.forward)];
    let layers = || profile.layers.iter().enumerate();
    rows.extend(layers().map(|(index, it)| time(&format!("  layer {index}"), it[0])));
    rows.push(time("loss", profile.loss));
    rows.push(time("backward", profile.backward));
    rows.extend(layers().map(|(index, it)| time(&format!("  layer {index}"), it[1])));
    rows.push(time("optimiser", profile.optimiser));
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
    let rate = profile.operations * steps / profile.forward.max(f64::MIN_POSITIVE) / 1e9;
    let steps = profile.steps;
    format!("{title}: {steps} steps, forward at {rate:.0} GFLOP/s\n\n{time}\n\n{memory}")
}

/// A step with its rounds, if it has some: `train`, `train 2/5`, `train 2-4/5`.
pub fn in_rounds(step: &str, first: Option<InRound>, last: Option<InRound>) -> String {
    match first.zip(last) {
        None => step.to_owned(),
        Some((first, last)) if first == last => format!("{step} {}/{}", first.round, first.rounds),
        Some((first, last)) => format!("{step} {}-{}/{}", first.round, last.round, last.rounds),
    }
}

/// Where every step stands, and beside it where its job does, if there are some.
pub fn status(stages: &[StepStatus], jobs: Option<&[String]>) -> String {
    let rows = stages.iter().enumerate().map(|(place, it)| {
        let mut row = vec![
            it.stage.clone(),
            in_rounds(&it.step, it.in_round, it.in_round),
            it.state.name().to_string(),
            optional(it.generation, |number| number.to_string()),
            optional(it.rows, |rows| rows.to_string()),
            optional(it.bytes, bytes),
            optional(it.seconds, |seconds| format!("{seconds:.0}")),
            optional(it.wait_share, waited),
            it.why.clone(),
        ];
        row.extend(jobs.map(|jobs| jobs.get(place).cloned().unwrap_or_default()));
        row
    });
    let mut header =
        vec!["stage", "step", "state", "generation", "rows", "bytes", "seconds", "waited", "why"];
    header.extend(jobs.map(|_| "job"));
    plain(&header, rows.collect(), &[3, 4, 5, 6, 7])
}

/// What the probes found, and what the modules cost: one row a module and kind.
pub fn report(rows: &[Row]) -> String {
    let further = further(rows.iter().flat_map(|row| &row.probe.further).map(|it| &it.label));
    let rows = rows.iter().map(|row| {
        let probe = &row.probe;
        let mut cells =
            vec![probe.module.clone(), probe.kind.clone(), optional(probe.accuracy, percent)];
        cells.extend(further.iter().map(|label| {
            let judged = probe.further.iter().find(|judged| judged.label == *label);
            optional(judged.and_then(|it| it.accuracy), percent)
        }));
        cells.extend([
            format!("{:.3}", probe.loss),
            optional(probe.chance_loss, |loss| format!("{loss:.3}")),
            optional(row.seconds, |seconds| format!("{seconds:.0}")),
            optional(row.wait_share, waited),
            optional(row.peak_memory, bytes),
            bytes(row.bytes),
        ]);
        cells
    });
    let mut header = vec!["module", "kind", "accuracy"];
    header.extend(further.iter().map(String::as_str));
    header.extend(["loss", "chance", "seconds", "waited", "peak memory", "written"]);
    let right: Vec<usize> = (2..header.len()).collect();
    plain(&header, rows.collect(), &right)
        + "\n\n"
        + WHAT_COLUMNS_ARE
        + "\nwaited: of training, for data."
}

/// The further labels of a table, each once.
fn further<'a>(labels: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    labels.for_each(|label| {
        if !names.contains(label) {
            names.push(label.clone());
        }
    });
    names
}

const WHAT_COLUMNS_ARE: &str = "accuracy: linear probe on the test split; loss: on the test split, of \
     a guess: chance.\nseconds, memory: train and encode; the untrained stack is encoded in one pass, \
     counted in each row.";

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// Variants beside each other, for a terminal.
pub fn comparison(lines: &[Line]) -> String {
    let (header, rows) = comparison_cells(lines);
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let right: Vec<usize> = (3..header.len()).collect();
    plain(&header, rows, &right) + "\n\n" + WHAT_COLUMNS_ARE + ACROSS_SEEDS
}

/// The same as Markdown.
pub fn comparison_markdown(lines: &[Line]) -> String {
    let (header, rows) = comparison_cells(lines);
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(header).add_rows(rows);
    format!("{table}\n\n{WHAT_COLUMNS_ARE}{ACROSS_SEEDS}\n")
}

const ACROSS_SEEDS: &str = "\nover seeds: accuracy and loss as mean and standard deviation, the mean of \
     seconds and bytes, the highest memory.";

fn comparison_cells(lines: &[Line]) -> (Vec<String>, Vec<Vec<String>>) {
    let further = further(lines.iter().flat_map(|line| &line.further).map(|(label, _)| label));
    let rows = lines.iter().map(|line| {
        let mut cells = vec![line.variant.clone(), line.module.clone(), line.kind.clone()];
        cells.push(percents(line.accuracy));
        cells.extend(further.iter().map(|label| {
            let of_label = line.further.iter().find(|(name, _)| name == label);
            percents(of_label.and_then(|(_, accuracy)| *accuracy))
        }));
        cells.extend([
            spread(line.loss, |loss| format!("{loss:.3}")),
            optional(line.chance_loss, |loss| format!("{loss:.3}")),
            optional(line.seconds, |seconds| format!("{seconds:.0}")),
            optional(line.peak_memory, bytes),
            bytes(line.bytes),
        ]);
        cells
    });
    let mut header: Vec<String> = ["variant", "module", "kind", "accuracy"].map(Into::into).into();
    header.extend(further.iter().cloned());
    header.extend(["loss", "chance", "seconds", "peak memory", "written"].map(String::from));
    (header, rows.collect())
}

fn spread(mean: Mean, show: impl Fn(f64) -> String) -> String {
    match mean.deviation {
        Some(deviation) => format!("{} ± {}", show(mean.mean), show(deviation)),
        None => show(mean.mean),
    }
}

fn percents(accuracy: Option<Mean>) -> String {
    optional(accuracy, |it| spread(it, |share| format!("{:.2}", 100.0 * share)) + " %")
}

/// The variants of a sweep beside each other, for a terminal.
pub fn sweep(summaries: &[Summary], baseline: &str) -> String {
    let (header, rows) = sweep_cells(summaries);
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let right: Vec<usize> = (1..header.len()).collect();
    plain(&header, rows, &right) + "\n\n" + &what_sweeps_show(baseline)
}

/// The same as Markdown.
pub fn sweep_markdown(summaries: &[Summary], baseline: &str) -> String {
    let (header, rows) = sweep_cells(summaries);
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(header).add_rows(rows);
    format!("{table}\n\n{}\n", what_sweeps_show(baseline))
}

fn what_sweeps_show(baseline: &str) -> String {
    format!(
        "accuracy, loss: of the last module, on the test split, as mean and standard deviation over seeds;\n\
         difference: in points of accuracy from `{baseline}`, under the same seeds.\n\
         seconds, written: training and encoding of all modules, as if the variant had shared none; memory: \
         the highest."
    )
}

fn sweep_cells(summaries: &[Summary]) -> (Vec<String>, Vec<Vec<String>>) {
    let further = further(summaries.iter().flat_map(|it| &it.further).map(|it| &it.label));
    let rows = summaries.iter().map(|it| {
        let mut cells = vec![
            it.variant.clone(),
            it.modules.to_string(),
            it.seeds.len().to_string(),
            percents(it.accuracy),
        ];
        cells.extend(further.iter().map(|label| {
            let of_label = it.further.iter().find(|further| further.label == *label);
            percents(of_label.and_then(|it| it.accuracy))
        }));
        cells.extend([
            optional(it.difference, points),
            spread(it.loss, |loss| format!("{loss:.3}")),
            optional(it.seconds, |seconds| format!("{seconds:.0}")),
            optional(it.peak_memory, bytes),
            bytes(it.bytes),
        ]);
        cells
    });
    let mut header: Vec<String> =
        ["variant", "modules", "seeds", "accuracy"].map(Into::into).into();
    header.extend(further.iter().cloned());
    header.extend(["difference", "loss", "seconds", "peak memory", "written"].map(String::from));
    (header, rows.collect())
}

/// `+1.20 ± 0.35`.
fn points(difference: Mean) -> String {
    let mean = format!("{:+.2}", 100.0 * difference.mean);
    match difference.deviation {
        Some(deviation) => format!("{mean} ± {:.2}", 100.0 * deviation),
        None => mean,
    }
}

/// Whether every trained module beats its untrained twin and its predecessor.
pub fn verdict(rows: &[Row]) -> String {
    let of = |kind: &str| -> Vec<&ProbeResult> {
        rows.iter().map(|row| &row.probe).filter(|probe| probe.kind == kind).collect()
    };
    let (trained, untrained) = (of("trained"), of("untrained"));
    let mut behind = Vec::new();
    for (index, (module, twin)) in trained.iter().zip(&untrained).enumerate() {
        if module.accuracy <= twin.accuracy {
            behind.push(format!("`{}` does not beat its untrained twin", module.module));
        }
        if index > 0 && module.accuracy <= trained[index - 1].accuracy {
            let before = &trained[index - 1].module;
            behind.push(format!("`{}` does not beat `{before}`", module.module));
        }
    }
    if trained.iter().any(|probe| probe.accuracy.is_none()) {
        return "no labels: accuracies cannot be compared".to_string();
    }
    match behind.is_empty() {
        true => "every module beats its untrained twin and its predecessor".to_string(),
        false => behind.join("; "),
    }
}
