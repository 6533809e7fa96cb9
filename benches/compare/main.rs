//! A training step of ours beside PyTorch's, on the same layers, weights, batch and negatives:
//!
//! ```text
//! cargo bench --bench compare -- --write docs/benchmarks.md
//! ```
//!
//! `docs/benchmarks.md` says how it measures. It needs Python and the packages of
//! `requirements.txt`, which it installs into a folder in `target`; `GIMLET_PYTHON` names another.

mod arguments;
mod case;
#[path = "../../store/benches/store/machine.rs"]
mod machine;
mod matmul;
mod ours;
#[path = "../../store/benches/store/place.rs"]
mod place;
mod python;
mod report;
mod side;
mod staged;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use arguments::Arguments;
use case::Case;
use python::Python;
use report::{Report, Row};
use side::{Side, Step};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Seconds of counted steps in a turn of a side, if that is more than one step.
const TURN: f64 = 0.5;

/// How long others rest before a step: threads that wait by spinning go to sleep.
const REST: Duration = Duration::from_millis(250);

fn main() -> Result<()> {
    let Some(arguments) = Arguments::parse()? else { return Ok(()) };
    if let Some((name, path)) = &arguments.worker {
        rayon::ThreadPoolBuilder::new().num_threads(arguments.threads).build_global()?;
        let case = case::all().into_iter().find(|case| case.name == *name).ok_or("no such case")?;
        return ours::answer(&case, path);
    }
    let folder = tempfile::tempdir()?;
    let python = Python::find()?;
    let mut report = Report::new(&arguments, machine::describe(folder.path()), &python)?;
    report.peak = matmul::best_rate(arguments.threads);
    for case in case::all().iter().filter(|case| arguments.wants(case.name)) {
        eprintln!("{}", case.name);
        report.add(compare(case, &arguments, &python, folder.path())?);
    }
    if arguments.wants("staged") {
        report.staged = Some(staged::compare(&arguments, &python, folder.path())?);
    }
    println!("{report}");
    match &arguments.write {
        Some(path) => report.write_into(path),
        None => Ok(()),
    }
}

/// All sides, in turns.
fn compare(case: &Case, arguments: &Arguments, python: &Python, folder: &Path) -> Result<Row> {
    let path = folder.join("case.safetensors");
    case.write(&path)?;
    let ours = |threads: usize| {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--threads", &threads.to_string(), "--worker", case.name]).arg(&path);
        Side::start(&mut command)
    };
    let mut sides = vec![ours(arguments.threads)?, ours(1)?];
    sides.push(Side::start(&mut python.side(&path, "best", arguments.threads)?)?);
    sides.push(Side::start(&mut python.side(&path, "plain", arguments.threads)?)?);
    let first = sides.iter_mut().map(Side::step).collect::<Result<Vec<Step>>>()?;
    let losses: Vec<f64> = first.iter().map(|step| step.loss).collect();
    for loss in &losses {
        // The same loss from the same weights; later ones differ by rounding, step upon step.
        if (loss / losses[0] - 1.0).abs() > 1e-5 {
            let message = format!("{}: the sides compute different losses: {losses:?}", case.name);
            return Err(message.into());
        }
    }
    // Short steps are taken several at a time.
    let second = sides.iter_mut().map(Side::step).collect::<Result<Vec<Step>>>()?;
    let slowest = second.iter().map(|step| step.seconds).fold(0.0, f64::max);
    let count = ((TURN / slowest) as usize).max(1);
    let mut turns: Vec<Vec<Step>> = vec![Vec::new(); sides.len()];
    for _ in 0..arguments.rounds {
        for (side, turns) in sides.iter_mut().zip(&mut turns) {
            std::thread::sleep(REST);
            turns.push(side.turn(count)?);
        }
    }
    Ok(Row::new(case, turns, losses[0]))
}
