//! Writes the generated pages of `docs/reference`.

mod commands;
mod environment;
mod facts;
mod json;
mod pages;
mod paragraphs;
mod schema;
mod shape;

use std::path::PathBuf;

use clap::{Args, Command};

use super::exit_code;
use super::printer::Printer;
use crate::pipeline::{self, Environment};
use crate::{Error, sweep};

pub use commands::help;
pub use facts::Document;
pub use pages::{about, text};
pub use schema::schema;

#[derive(Args)]
pub struct ReferenceArgs {
    /// The folder that the pages are written to
    folder: PathBuf,
}

/// Writes all pages to a folder, which is made where there is none.
pub fn run(args: ReferenceArgs, program: Command, printer: &Printer) -> anyhow::Result<()> {
    let of_pipeline = pipeline::reference(&Environment::default());
    let of_sweep = sweep::reference();
    let pages = [
        ("pipeline.md", pages::page("Pipeline files", pipeline::ABOUT, &of_pipeline, true)),
        ("sweep.md", pages::page("Sweep files", sweep::ABOUT, &of_sweep, false)),
        ("pipeline.schema.json", pretty(&pipeline_schema())?),
        ("sweep.schema.json", pretty(&sweep_schema())?),
        ("commands.md", commands::page(program)),
        ("exit-codes.md", exit_code::page(pages::GENERATED)),
        ("environment.md", environment::page()),
        ("json.md", json::page()?),
    ];
    let folder = args.folder;
    let cannot = |path: &std::path::Path, error| {
        Error::failed(format!("could not write `{}`: {error}", path.display()))
    };
    std::fs::create_dir_all(&folder).map_err(|error| cannot(&folder, error))?;
    for (name, text) in pages {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|error| cannot(&path, error))?;
        printer.note(&format!("wrote {}", path.display()));
    }
    Ok(())
}

/// The schema of pipeline files.
pub fn pipeline_schema() -> serde_json::Value {
    schema("Pipeline file", pipeline::ABOUT, &pipeline::reference(&Environment::default()))
}

/// The schema of sweep files.
pub fn sweep_schema() -> serde_json::Value {
    schema("Sweep file", sweep::ABOUT, &sweep::reference())
}

fn pretty(schema: &serde_json::Value) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(schema)? + "\n")
}
