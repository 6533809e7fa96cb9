//! Whether there are rows enough for what a run still has to train, asked before any work.

use super::Standing;
use super::patience::check_test_rows;
use crate::pipeline::{Pipeline, Split};
use crate::schedule::Step;
use crate::train::feed::check_batch;
use crate::{Result, media};

impl Standing {
    /// Fails when a training that is not done would be refused for want of rows, or because its input does not fit the
    /// pipeline. Samples that turn out to be broken are taken for whole before they are ingested, so that a training
    /// may be refused later all the same.
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
        // Those of the training split are known with its longest recording.
        if !self.is_split_done(Step::Ingest, Split::Test)? {
            media::of(&pipeline.view).check_split(pipeline, Split::Test)?;
        }
        Ok(())
    }
}
