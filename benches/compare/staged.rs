//! The whole job: three modules trained, one after the other. Ours from stored activations, encoding
//! and reading included; the published way with PyTorch as it comes, computing at every step anew what
//! the modules below give.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::Result;
use crate::arguments::{Arguments, repository};
use crate::case::{self, Case};
use crate::python::Python;
use crate::side::Side;

/// What `paper.toml` says, and steps of an epoch.
const EPOCHS: usize = 5;
const STEPS: usize = 8;

/// Steps of PyTorch that are measured for each module, after one that is not.
const MEASURED: usize = 3;

/// Seconds for a batch of all three modules: for each module ours and the published way; ours has
/// its share of encoding.
pub struct Staged {
    pub modules: Vec<(f64, f64)>,
    pub encoding: f64,
}

impl Staged {
    pub fn ours(&self) -> f64 {
        self.encoding + self.modules.iter().map(|(ours, _)| ours).sum::<f64>()
    }

    pub fn published(&self) -> f64 {
        self.modules.iter().map(|(_, published)| published).sum()
    }
}

/// Each module in turn, ours and then the published way.
pub fn compare(arguments: &Arguments, python: &Python, folder: &Path) -> Result<Staged> {
    let run_dir = folder.join("run");
    gimlet(arguments, &["ingest"], &run_dir)?;
    let mut staged = Staged { modules: Vec::new(), encoding: 0.0 };
    let batches = (EPOCHS * STEPS) as f64;
    let cases = case::all();
    let vision: Vec<&Case> =
        cases.iter().filter(|it| it.name.starts_with("paper, vision")).collect();
    for (case, name) in vision.iter().zip(["a", "b", "c"]) {
        eprintln!("staged: {name}");
        let ours = gimlet(arguments, &["train", name], &run_dir)? / batches;
        // What the last module makes is nobody's input.
        if name != "c" {
            staged.encoding += gimlet(arguments, &["encode", name], &run_dir)? / batches;
        }
        let path = folder.join("case.safetensors");
        case.write(&path)?;
        let mut side = Side::start(&mut python.side(&path, "published", arguments.threads)?)?;
        side.step()?;
        let steps = (0..MEASURED).map(|_| side.step()).collect::<Result<Vec<_>>>()?;
        let mut seconds: Vec<f64> = steps.iter().map(|step| step.seconds).collect();
        seconds.sort_by(f64::total_cmp);
        staged.modules.push((ours, seconds[MEASURED / 2]));
    }
    Ok(staged)
}

/// Seconds of a command, from its start to its end.
fn gimlet(arguments: &Arguments, command: &[&str], run_dir: &Path) -> Result<f64> {
    let pipeline = repository().join("benches/compare/paper.toml");
    let mut gimlet = Command::new(env!("CARGO_BIN_EXE_gimlet"));
    gimlet.args(["--quiet", "--threads", &arguments.threads.to_string(), command[0]]);
    gimlet.arg(pipeline).args(&command[1..]).arg("--run-dir").arg(run_dir);
    let started = Instant::now();
    let status = gimlet.stdin(Stdio::null()).status()?;
    if !status.success() {
        return Err(format!("gimlet {command:?} failed").into());
    }
    Ok(started.elapsed().as_secs_f64())
}
