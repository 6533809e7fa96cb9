//! Where a training resumes: at its newest checkpoint, or at the end of the training that it goes on from.

use super::{Run, record};
use crate::parameters::Parameters;
use crate::schedule::{At, Step};
use crate::train::checkpoint::{Checkpoints, Progress};
use crate::train::took::Took;
use crate::{Error, Result};

/// The state of the newest whole checkpoint, or else the final state of the training that this one goes on from; `None`
/// where it starts from drawn parameters.
pub(super) fn state(
    run: &Run<'_>,
    at: At,
    checkpoints: &Checkpoints,
) -> Result<Option<(Parameters, Progress)>> {
    let warn = |error: &Error| {
        run.session.progress.warn(&format!("{error}; going on from the one before"));
    };
    if let Some(checkpoint) = checkpoints.load(warn)? {
        return Ok(Some(checkpoint));
    }
    let Some(before) = run.pipeline.schedule.before(at) else { return Ok(None) };
    let state = run.standing.weights(before)?;
    let Some((_, record)) = run.standing.training(before)? else { return Ok(None) };
    if let Some(imported) = record.imported {
        let title = run.standing.plan.full_title(Step::Train(at));
        let message = format!(
            "`{title}` cannot go on from weights imported from `{}`: they come without the state \
             of an optimiser",
            imported.file
        );
        let hint = "import into another run with `--run-dir DIR`, or set `schedule.rounds` back";
        return Err(Error::failed(message).hint(hint));
    }
    // Steps are counted from the first round on, and so is what they took.
    let record::Training { steps, took, .. } = record;
    let took = Took { bytes: None, ..took };
    Ok(Some((state, Progress { steps, took, ..Progress::default() })))
}
