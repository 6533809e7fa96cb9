//! What was learned, to look at: one page that needs nothing else, and files beside it.
//!
//! ```text
//! runs/quickstart/report/
//!   index.html          all sections; opens from disk
//!   curves.parquet      the logs of all trainings, a row a step; curves.jsonl: the same
//! ```
//!
//! A section reads of a run what is there and says how to get what is not. Nothing here trains, or changes
//! what a run has committed.

mod cost;
mod curves;
pub mod curves_file;
pub mod figure;
mod page;
mod seen;
pub mod training_log;

use std::path::PathBuf;

use gimlet_store::durable;

pub use page::{Html, Section};
pub use seen::{Missing, Options, Seen};

use crate::{Kind, Result};

/// Makes one section.
type Make = fn(&Seen<'_>) -> Result<Section>;

/// The sections, in the order of the page: their names while they are made, and what makes them.
const SECTIONS: &[(&str, Make)] = &[("curves", curves::section), ("cost", cost::section)];

/// Writes the report of a run, and returns its page.
///
/// A section that meets something damaged or missing says so in its place.
///
/// # Errors
/// [`Kind::Interrupted`] when it was asked to stop; when a file cannot be read or written.
pub fn write(seen: &Seen<'_>) -> Result<PathBuf> {
    let folder = seen.dir.report();
    durable::create_folder(&folder)?;
    let mut sections = Vec::new();
    seen.progress.begin("report", SECTIONS.len() as u64, 0);
    for (done, (name, make)) in SECTIONS.iter().enumerate() {
        seen.check_stop()?;
        seen.progress.advance(done as u64, name);
        sections.push(match make(seen) {
            Ok(section) => section,
            Err(error) if matches!(error.kind(), Kind::Damaged | Kind::NotReady) => {
                seen.progress.warn(&format!("{name}: {error}"));
                Section { title: name, missing: vec![Missing::of(&error)], ..Section::default() }
            }
            Err(error) => return Err(error),
        });
    }
    let page = page::Page {
        name: &seen.pipeline.name,
        subtitle: seen.dir.path().display().to_string(),
        sections: &sections,
        style: page::STYLE,
        script: page::SCRIPT,
    };
    let path = folder.join("index.html");
    durable::replace(&path, Html::render(&page)?.0.as_bytes())?;
    let missing = sections.iter().map(|it| it.missing.len()).sum::<usize>();
    seen.progress.end(&match missing {
        0 => "all sections".to_string(),
        1 => "one thing is missing: the page says how to get it".to_string(),
        _ => format!("{missing} things are missing: the page says how to get them"),
    });
    Ok(path)
}
