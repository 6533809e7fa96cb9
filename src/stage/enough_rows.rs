//! Checks, before any work, that there are enough rows for the trainings of a run.

use super::Standing;
use super::patience::check_test_rows;
use crate::pipeline::{Pipeline, Split};
use crate::schedule::Step;
use crate::train::feed::check_batch;
use crate::{Result, media};

impl Standing {
    /// Fails when a training that is not done would have too few rows, or input that does not fit the pipeline.
    ///
    /// Before they are ingested, broken samples count as whole, so a training may still be refused later.
    ///
    /// # Errors
    /// [`Kind::Failed`](crate::Kind::Failed) when a split does not fill one batch, or no recording a window; those of
    /// [`Standing::costs`].
    pub fn check_rows(&self, pipeline: &Pipeline) -> Result<()> {
        let wanted = self.wanted_with_done()?;
        if wanted.iter().all(|(step, done)| *done || !matches!(step, Step::Train(_))) {
            return Ok(());
        }
        let costs = self.costs(pipeline)?;
        let rows = |split| usize::try_from(costs.rows(Step::Ingest, split)).unwrap_or(usize::MAX);
        check_batch(rows(Split::Train), pipeline.training.batch)?;
        if pipeline.schedule.patience().is_some() {
            let rows = rows(Split::Test).saturating_mul(pipeline.view.views_of(Split::Test));
            check_test_rows(rows, pipeline.training.batch)?;
        }
        // The search for the longest recording, in `costs`, has checked the training split.
        if !self.is_split_done(Step::Ingest, Split::Test)? {
            media::of(&pipeline.view).check_split(pipeline, Split::Test)?;
        }
        Ok(())
    }
}
