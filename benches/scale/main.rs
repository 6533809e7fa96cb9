//! What planning and the store's metadata take at sizes that no disk here holds, and the arithmetic of such
//! runs:
//!
//! ```text
//! cargo bench --profile dev --bench scale -- --write docs/scale.md
//! ```
//!
//! It makes runs with thousands of parts in a folder of its own, and removes them: a hundred thousand files, few
//! bytes.

mod arithmetic;
#[path = "../../store/benches/store/machine.rs"]
mod machine;
#[path = "../../store/benches/store/place.rs"]
mod place;
mod planned;
mod written;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use planned::{Planned, Result};

const HELP: &str = "\
usage: cargo bench --bench scale -- [options]

  --parts N       write so many real parts of 500 rows (default: 4000)
  --planned N     parts of the largest dataset of the larger of the planned runs (default: 8000)
  --write FILE    put the tables into FILE, between the lines that mark their place
";

fn main() -> Result<()> {
    let (mut parts, mut most, mut write) = (4000usize, 8_000u64, None);
    let mut arguments = std::env::args().skip(1).filter(|it| it != "--bench");
    while let Some(argument) = arguments.next() {
        let value = arguments.next();
        match (argument.as_str(), value) {
            ("--parts", Some(value)) => parts = value.parse()?,
            ("--planned", Some(value)) => most = value.parse()?,
            ("--write", Some(value)) => {
                write = Some(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(value));
            }
            _ => {
                print!("{HELP}");
                return Ok(());
            }
        }
    }
    let arithmetic = arithmetic::tables()?;
    let simulation = simulation(parts, most)?;
    println!("{arithmetic}\n{simulation}");
    if let Some(path) = write {
        let marks =
            |name: &str| [format!("<!-- {name}: begin -->"), format!("<!-- {name}: end -->")];
        for (name, tables) in [("arithmetic", &arithmetic), ("simulation", &simulation)] {
            let [begin, end] = marks(name);
            place::fill(&path, [&begin, &end], tables)?;
        }
    }
    Ok(())
}

fn simulation(parts: usize, most: u64) -> Result<String> {
    let folder = tempfile::tempdir()?;
    let mut out = format!("{}\n\n", machine::describe(folder.path()));
    writeln!(out, "| run | rows, parts in all datasets | longest manifest | command | seconds |")?;
    writeln!(out, "|---|--:|--:|---|--:|")?;
    let rows = most * 8192;
    let large = [format!("data.textures.train={rows}"), "store.rows_per_part=8192".to_owned()];
    let small = ["store.rows_per_part=256".to_owned()];
    for (name, set) in [("ImageNet", &small[..]), ("LAION-size", &large[..])] {
        let root = folder.path().join(name);
        std::fs::create_dir(&root)?;
        let run = planned::make(&root, arithmetic::network(0), set)?;
        run.leave_attempt("c", 5000)?;
        for command in [&["status"][..], &["plan"], &["gc", "--dry-run"]] {
            let seconds = time(&run, command, set)?;
            let (all, parts) = (run.rows, run.parts);
            let manifest = run.longest_manifest / 1000;
            let command = command.join(" ");
            writeln!(
                out,
                "| {name} | {all}, {parts} | {manifest} kB | {command} | {seconds:.2} |"
            )?;
        }
        std::fs::remove_dir_all(&root)?;
    }
    writeln!(out, "\n| {parts} real parts of 500 rows | seconds | |\n|---|--:|---|")?;
    for (what, seconds, more) in written::measure(&folder.path().join("written"), parts, 500)? {
        writeln!(out, "| {what} | {seconds:.3} | {more} |")?;
    }
    Ok(out)
}

/// Seconds of a command, the least of three.
fn time(run: &Planned, command: &[&str], set: &[String]) -> Result<f64> {
    let mut least = f64::INFINITY;
    for _ in 0..3 {
        let started = Instant::now();
        let done = gimlet(&run.file, run.dir.path(), command, set).status()?;
        least = least.min(started.elapsed().as_secs_f64());
        if !done.success() {
            return Err(format!("gimlet {command:?}: {done}").into());
        }
    }
    Ok(least)
}

fn gimlet(file: &Path, dir: &Path, command: &[&str], set: &[String]) -> Command {
    let mut gimlet = Command::new(env!("CARGO_BIN_EXE_gimlet"));
    gimlet.arg(command[0]).arg(file).args(&command[1..]).arg("--run-dir").arg(dir);
    gimlet.args(set.iter().flat_map(|it| ["--set", it]));
    gimlet.stdout(Stdio::null()).stderr(Stdio::null());
    gimlet
}
