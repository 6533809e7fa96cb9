//! What modules read of rows beside the activations: labels, ids, and what is drawn for their loss.

use gimlet_store::Keys;

use super::{Run, labels};
use crate::Result;
use crate::loss::{Drawn, Samples, Sizes};
use crate::pipeline::Pipeline;
use crate::random::generator;
use crate::train::learning::Lesson;

/// Stands for the label of a sample that has none, for a module that computes its loss itself.
const NO_LABEL: i64 = -1;

/// What modules read of all rows of a split.
pub(super) struct Lessons {
    /// The class of each row, where a loss of this crate reads labels.
    classes: Vec<u32>,
    /// Ids and labels of all rows, where a module computes its loss itself.
    ids: Vec<i64>,
    labels: Vec<i64>,
}

impl Lessons {
    /// What `modules` read of the rows with the given `keys`, which are called only where one of them reads them.
    ///
    /// # Errors
    /// When a row has no label and a loss of this crate reads it.
    pub fn of(
        pipeline: &Pipeline,
        modules: impl Iterator<Item = usize> + Clone,
        keys: impl FnOnce() -> Result<Keys>,
    ) -> Result<Self> {
        let own = modules.clone().any(|it| pipeline.modules[it].python().is_some());
        let reads_classes = modules.clone().any(|it| pipeline.loss_of(it).reads_labels());
        if !own && !reads_classes {
            return Ok(Self { classes: vec![], ids: vec![], labels: vec![] });
        }
        let keys = keys()?;
        let (mut ids, mut own_labels) = (vec![], vec![]);
        if own {
            ids.clone_from(&keys.ids);
            own_labels = keys.labels.iter().map(|it| it.unwrap_or(NO_LABEL)).collect();
        }
        let classes = match reads_classes {
            true => labels::of_rows(pipeline, || Ok(keys))?,
            false => vec![],
        };
        Ok(Self { classes, ids, labels: own_labels })
    }

    /// What module `index`, whose loss sees vectors of `sizes`, reads of `rows`. Random draws follow from the seed of
    /// the pipeline, the module, `purpose` and `number`, the number of the step or batch.
    ///
    /// # Errors
    /// When the shapes of the modules are not known.
    pub fn lesson(
        &self,
        run: &Run<'_>,
        (index, sizes): (usize, Sizes),
        rows: &[u64],
        (purpose, number): (&str, u64),
    ) -> Result<Lesson> {
        let (seed, name) = (run.pipeline.seed, run.standing.plan.module(index));
        let mut draws = generator(seed, &format!("{name}/{purpose}"), &[number]);
        let mut lesson = Lesson { number, ..Lesson::default() };
        let drawn = match run.stack()?.draws_negatives(index) {
            true => run.pipeline.loss.draw(rows.len(), sizes, &mut draws),
            false => Drawn::default(),
        };
        let of_row =
            |all: &[i64]| rows.iter().filter_map(|it| all.get(*it as usize).copied()).collect();
        lesson.samples = Samples {
            labels: rows.iter().filter_map(|it| self.classes.get(*it as usize).copied()).collect(),
            drawn,
        };
        (lesson.ids, lesson.labels) = (of_row(&self.ids), of_row(&self.labels));
        if run.pipeline.modules[index].python().is_some() {
            lesson.seed = generator(seed, &format!("{name}/{purpose}/own"), &[number]).next_u64();
        }
        Ok(lesson)
    }
}
