//! The tables that commands print.

use comfy_table::{CellAlignment, Table, presets};

use crate::Result;
use crate::pipeline::Split;
use crate::stage::record::ProbeResult;
use crate::stage::status::StepStatus;
use crate::stage::{Plan, RunDir, Step};
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
    crate::pipeline::bytes_in_words(count)
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

/// Where every step stands.
pub fn status(stages: &[StepStatus]) -> String {
    let rows = stages.iter().map(|it| {
        vec![
            it.stage.clone(),
            it.step.clone(),
            it.state.name().to_string(),
            optional(it.generation, |number| number.to_string()),
            optional(it.rows, |rows| rows.to_string()),
            optional(it.bytes, bytes),
            optional(it.seconds, |seconds| format!("{seconds:.0}")),
            optional(it.wait_share, waited),
            it.why.clone(),
        ]
    });
    let header =
        ["stage", "step", "state", "generation", "rows", "bytes", "seconds", "waited", "why"];
    plain(&header, rows.collect(), &[3, 4, 5, 6, 7])
}

/// What the probes found, and what the modules cost.
pub struct Report {
    rows: Vec<Row>,
}

struct Row {
    probe: ProbeResult,
    seconds: Option<f64>,
    wait_share: Option<f64>,
    peak_memory: Option<u64>,
    bytes: u64,
}

impl Report {
    /// All probes of a run that are there for its present settings.
    ///
    /// `stages` is the status of the run, which knows what the steps cost.
    pub fn collect(plan: &Plan, dir: &RunDir, stages: &[StepStatus]) -> Result<Self> {
        let mut rows = Vec::new();
        for step in plan.steps() {
            let Step::Probe(index) = step else { continue };
            let Some((_, record)) = plan.probe(index, dir)? else { continue };
            for probe in record.results {
                let trained = probe.kind == "trained";
                let stage = if trained { plan.module(index) } else { "untrained" };
                let steps = stages.iter().filter(|it| it.stage == stage && it.step != "probe");
                let (mut seconds, mut peak_memory, mut bytes) = (None, None, 0);
                let mut wait_share = None;
                for it in steps {
                    wait_share = it.wait_share.or(wait_share);
                    seconds = it.seconds.map(|s| s + seconds.unwrap_or(0.0)).or(seconds);
                    peak_memory = it.peak_memory.max(peak_memory);
                    bytes += it.bytes.unwrap_or(0);
                }
                if !trained {
                    bytes = untrained_bytes(plan, dir, index)?;
                }
                rows.push(Row { probe, seconds, wait_share, peak_memory, bytes });
            }
        }
        Ok(Self { rows })
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The probes alone.
    pub fn probes(&self) -> Vec<&ProbeResult> {
        self.rows.iter().map(|row| &row.probe).collect()
    }

    /// One row a module and kind.
    pub fn table(&self) -> String {
        let rows = self.rows.iter().map(|row| {
            let probe = &row.probe;
            vec![
                probe.module.clone(),
                probe.kind.clone(),
                optional(probe.accuracy, |accuracy| format!("{:.2} %", 100.0 * accuracy)),
                format!("{:.3}", probe.loss),
                format!("{:.3}", probe.chance_loss),
                optional(row.seconds, |seconds| format!("{seconds:.0}")),
                optional(row.wait_share, waited),
                optional(row.peak_memory, bytes),
                bytes(row.bytes),
            ]
        });
        let header = [
            "module",
            "kind",
            "accuracy",
            "loss",
            "chance",
            "seconds",
            "waited",
            "peak memory",
            "written",
        ];
        let right = [2, 3, 4, 5, 6, 7, 8];
        plain(&header, rows.collect(), &right)
            + "\n\naccuracy: linear probe on the test split; loss: on the test split, of a guess: \
               chance.\nseconds, memory: train and encode; the untrained stack is encoded in one \
               pass, counted in each row.\nwaited: of training, for data."
    }

    /// Whether every trained module beats its untrained twin and its predecessor.
    pub fn verdict(&self) -> String {
        let of = |kind: &str| -> Vec<&ProbeResult> {
            self.probes().into_iter().filter(|probe| probe.kind == kind).collect()
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
}

/// Bytes of the pooled vectors of one untrained module.
fn untrained_bytes(plan: &Plan, dir: &RunDir, index: usize) -> Result<u64> {
    let mut bytes = 0;
    for split in Split::ALL {
        let generations = plan.generations(Step::Untrained, split, dir)?;
        bytes += generations.get(index).map_or(0, gimlet_store::Generation::bytes);
    }
    Ok(bytes)
}
