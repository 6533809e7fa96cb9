//! Damaged files: a warning tells of them, and a note lets the step that made a file make it again.

use super::run_dir::WEIGHTS;
use super::{Session, Standing, record};
use crate::pipeline::Split;
use crate::schedule::Step;
use crate::{Error, Result};

/// Warns of damaged output of a step: files that are made again, and records that are passed over.
///
/// # Errors
/// When something cannot be read.
pub(super) fn warn(step: Step, standing: &Standing, session: &Session<'_>) -> Result<()> {
    let Standing { plan, dir } = standing;
    for path in standing.broken(step)? {
        session.progress.warn(&format!("`{path}` is damaged: it is rebuilt"));
    }
    let mut unreadable = match step {
        Step::Train(it) => {
            dir.trainings(plan.module(it.module)).unreadable::<record::Training>()?
        }
        Step::Probe(it) => dir.probes(plan.module(it)).unreadable::<record::Probe>()?,
        Step::Ingest | Step::Untrained | Step::Encode(_) => vec![],
    };
    for split in Split::ALL {
        for dataset in standing.datasets(step, split) {
            unreadable.extend(dataset.unreadable()?);
        }
    }
    for error in unreadable {
        let warning = format!("{error}; it is passed over, and `gimlet gc` removes it");
        session.progress.warn(&warning);
    }
    Ok(())
}

/// Leaves a note next to a file that `error` says is damaged. The step that made the file then no longer counts as
/// done, and the next run makes the file again.
pub(super) fn note(error: Error, standing: &Standing, session: &Session<'_>) -> Error {
    let Some(damage) = error.damage() else { return error };
    let name = damage.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !(name == WEIGHTS || name.ends_with(".parquet"))
        || !damage.file.starts_with(standing.dir.path())
    {
        return error;
    }
    match standing.dir.store().note(damage) {
        Ok(()) => error.hint("the next `gimlet run` rebuilds the file from its inputs"),
        Err(unwritten) => {
            session.progress.warn(&format!("{unwritten}"));
            error.hint("restore the file, or see that its folder can be written and run again")
        }
    }
}
