//! Runs a pipeline file: `cargo run --release --example run_pipeline -- pipelines/quickstart.toml runs/mine`.

use std::path::Path;

use gimlet::pipeline::Pipeline;
use gimlet::stage::progress::Silent;
use gimlet::stage::{Run, RunDir, Session};
use gimlet::stop::Stop;

/// Does every step that is missing; whether there was one.
pub fn run(file: &Path, directory: &Path) -> gimlet::Result<bool> {
    let (pipeline, stop) = (Pipeline::load(file, &[])?, Stop::new());
    Run::open(&pipeline, RunDir::at(directory), Session::new(&stop, &Silent))?.all_steps()
}

#[cfg(not(test))]
fn main() -> gimlet::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut path = |default: &str| arguments.next().unwrap_or_else(|| default.to_owned());
    let (file, directory) = (path("pipelines/quickstart.toml"), path("runs/run_pipeline"));
    let worked = run(Path::new(&file), Path::new(&directory))?;
    println!("{directory}: {}", if worked { "done" } else { "done before, nothing changed" });
    Ok(())
}
