//! The report on a run: one page that needs no other file, and data files beside it.
//!
//! ```text
//! runs/quickstart/report/
//!   index.html          all sections; opens from disk
//!   curves.parquet      the logs of all trainings, one row per step; curves.jsonl: the same
//!   health.json         what `gimlet health` prints
//!   map.parquet         the points of the maps
//! ```
//!
//! A section shows what the run has, and says how to get what is missing. The report never changes what a run
//! has committed, and never trains.

mod activation_places;
pub mod channel_maps;
pub mod column_stats;
mod cost;
mod curves;
pub mod curves_file;
pub mod dataset_rows;
mod datasets;
pub mod figure;
pub mod gallery;
pub mod health;
pub mod histogram;
pub mod map;
mod moments;
pub mod nearest;
pub mod neurons;
mod numbers;
mod page;
mod patches;
pub mod picture;
pub mod place;
mod probes;
pub mod raster;
mod run_view;
pub mod samples;
mod shown;
mod similarity;
pub mod sound;
mod sprite;
pub mod training_log;
pub mod tsne;
pub mod twin;
pub mod vectors;

use std::path::PathBuf;
use std::time::Instant;

pub use page::{Html, Section};
pub use run_view::{Missing, Options, RunView, quoted};

use crate::stage::progress::Unit;
use crate::{Kind, Result};

/// Makes one section.
type Make = fn(&RunView<'_>) -> Result<Section>;

/// The sections in the order of the page: the name for progress messages, and the function that makes each.
const SECTIONS: &[(&str, Make)] = &[
    ("curves", curves::section),
    ("probes", probes::section),
    ("health", health::section),
    ("similarity", similarity::section),
    ("neurons", neurons::section),
    ("nearest", nearest::section),
    ("maps", map::section),
    ("datasets", datasets::section),
    ("cost", cost::section),
];

/// Writes the report of a run, and returns its page.
///
/// Where something is damaged or missing, its section says so.
///
/// # Errors
/// [`Kind::Interrupted`] when a stop was asked for; when a file cannot be read or written.
pub fn write(run: &RunView<'_>) -> Result<PathBuf> {
    let folder = run.standing.dir.report();
    folder.create_folder()?;
    let mut sections = Vec::new();
    run.progress.begin("report", Unit::Of("sections"), SECTIONS.len() as u64, 0);
    for (done, (name, make)) in SECTIONS.iter().enumerate() {
        run.check_stop()?;
        let part = format!("{name}, {} of {}", done + 1, SECTIONS.len());
        run.progress.part(&part, Unit::Of("parts"), 0);
        let started = Instant::now();
        let made = make(run);
        tracing::debug!(section = name, seconds = started.elapsed().as_secs_f64(), "made");
        sections.push(match made {
            Ok(section) => section,
            Err(error) if matches!(error.kind(), Kind::Damaged | Kind::NotReady) => {
                run.progress.warn(&format!("{name}: {error}"));
                Section {
                    id: name,
                    title: name,
                    missing: vec![run.missing_of(&error)],
                    ..Section::default()
                }
            }
            Err(error) => return Err(error),
        });
    }
    let page = page::Page {
        name: &run.pipeline.name,
        subtitle: subtitle(run),
        made: made(),
        sections: &sections,
        style: page::STYLE,
        script: page::SCRIPT,
    };
    let at = folder.join("index.html");
    at.replace(Html::render(&page)?.0.as_bytes())?;
    let missing = sections.iter().map(|it| it.missing.len()).sum::<usize>();
    run.progress.end(&match missing {
        0 => "all sections".to_string(),
        1 => "one thing is missing: the page says how to get it".to_string(),
        _ => format!("{missing} things are missing: the page says how to get them"),
    });
    Ok(at.path().to_path_buf())
}

/// One line that says what was run.
fn subtitle(run: &RunView<'_>) -> String {
    let modules: Vec<&str> = run.modules().collect();
    format!(
        "{} · modules {} · schedule {} · loss {} · seed {} · in {} · gimlet {}",
        run.pipeline.file.display(),
        modules.join(", "),
        run.pipeline.schedule.name(),
        run.pipeline.loss.name(),
        run.pipeline.seed,
        run.standing.dir.path().display(),
        env!("CARGO_PKG_VERSION"),
    )
}

/// Now, in seconds since 1970; 0 if the clock is earlier. The page shows it in the time zone of its reader.
fn made() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |it| it.as_secs())
}
