//! Warns of a training that learns nothing (`train/learns_nothing.rs`), and says what to look at.

use super::Run;
use crate::loss::Sizes;
use crate::pipeline::Split;
use crate::schedule::{At, Step};
use crate::train::feed::Course;
use crate::train::learns_nothing::{Doubt, LearnsNothing};
use crate::train::log::Entry;

impl Run<'_> {
    /// Returns the watch over a training whose loss sees vectors of `sizes`; it resumes from the entries in `logged`.
    pub(super) fn doubt(&self, course: &Course, sizes: Sizes, logged: &[Entry]) -> Doubt {
        let chance = self.pipeline.loss.of_a_guess(sizes);
        let mut doubt = Doubt::new(chance, course);
        doubt.resume(logged);
        doubt
    }

    /// Warns that the training of a module learns nothing, as `entry` shows, and says what to look at.
    pub(super) fn warn_of_learning_nothing(&self, at: At, found: LearnsNothing, entry: &Entry) {
        let module = self.standing.plan.module(at.module);
        let title = self.standing.plan.title(Step::Train(at));
        let (what, epoch, loss) = (found.describe(), entry.epoch + 1, entry.loss);
        let reads = self.standing.datasets(self.standing.plan.source(at), Split::Train);
        let look = reads.first().map_or_else(String::new, |it| {
            let folder = it.folder();
            format!("whether what it reads is constant (`gimlet inspect {folder} --stats`), ")
        });
        let rate = self.pipeline.modules[at.module].learning_rate;
        let loss_name = self.pipeline.loss.name();
        let settings = self.pipeline.loss.settings().unwrap_or_default();
        let negatives = match settings["negatives"].as_u64() {
            Some(count) if found == LearnsNothing::Chance => {
                format!(", `loss.{loss_name}.negatives` ({count})")
            }
            _ => String::new(),
        };
        self.session.progress.warn(&format!(
            "`{title}` learns nothing: after epoch {epoch} {what} (the loss is {loss:.3}); look {look}at \
             `training.learning_rate` ({rate:?}){negatives} and the layers of `{module}`"
        ));
    }
}
