//! What the user is told about a training: that it learns nothing, that its batches are large, where its time went.

use super::{Run, memory};
use crate::Result;
use crate::loss::{Recipe, Sizes};
use crate::pipeline::Split;
use crate::quantity::bytes_in_words;
use crate::schedule::{At, Step};
use crate::train::feed::Course;
use crate::train::input::Input;
use crate::train::learns_nothing::{Doubt, LearnsNothing};
use crate::train::log::Entry;
use crate::train::profile::Profile;

/// Returns the watch over a training whose loss sees vectors of `sizes`; it resumes from the entries in `logged`.
pub(super) fn doubt(loss: &dyn Recipe, course: &Course, sizes: Sizes, logged: &[Entry]) -> Doubt {
    let mut doubt = Doubt::new(loss.of_a_guess(sizes), course);
    doubt.resume(logged);
    doubt
}

/// Warns that the training of a module learns nothing, as `entry` shows, and says what to look at.
pub(super) fn warn_of_learning_nothing(run: &Run<'_>, at: At, found: LearnsNothing, entry: &Entry) {
    let module = run.standing.plan.module(at.module);
    let title = run.standing.plan.title(Step::Train(at));
    let (what, epoch, loss) = (found.describe(), entry.epoch + 1, entry.loss);
    let reads = run.standing.datasets(run.standing.plan.source(at), Split::Train);
    let look = reads.first().map_or_else(String::new, |it| {
        let folder = it.folder();
        format!("whether what it reads is constant (`gimlet inspect {folder} --stats`), ")
    });
    let rate = run.pipeline.modules[at.module].learning_rate;
    let recipe = run.pipeline.loss_of(at.module);
    let (loss_name, settings) = (recipe.name(), recipe.settings().unwrap_or_default());
    let negatives = match settings["negatives"].as_u64() {
        Some(count) if found == LearnsNothing::Chance => {
            format!(", `loss.{loss_name}.negatives` ({count})")
        }
        _ => String::new(),
    };
    run.session.progress.warn(&format!(
        "`{title}` learns nothing: after epoch {epoch} {what} (the loss is {loss:.3}); look {look}at \
         `training.learning_rate` ({rate:?}){negatives} and the layers of `{module}`"
    ));
}

/// Warns when `store.read_memory` does not hold one batch, so that only one is read ahead.
pub(super) fn warn_of_large_batches(run: &Run<'_>, course: &Course, input: &dyn Input) {
    let read_memory = run.pipeline.store.read_memory;
    let batch_bytes = (course.batch * input.row_len() * size_of::<f32>()) as u64;
    if batch_bytes > read_memory {
        run.session.progress.warn(&format!(
            "one batch of `{}` takes {}, more than `store.read_memory` ({}): one is read ahead \
             at a time",
            course.module,
            bytes_in_words(batch_bytes),
            bytes_in_words(read_memory)
        ));
    }
}

/// Reports where the time and the memory of a training's steps went, on batches of `maps` maps.
pub(super) fn tell_profile(
    run: &Run<'_>,
    at: At,
    profile: Profile,
    maps: usize,
    waited: f64,
) -> Result<()> {
    let operations = run.stack()?.cost(at.module).operations;
    let profile = Profile {
        wait: waited,
        operations: (maps as u64 * operations) as f64,
        peak: memory::peak(),
        ..profile
    };
    // Each module has its own profile, even where modules train at once.
    let title = match run.pipeline.schedule.is_in_one_pass() {
        true => run.standing.plan.title(Step::Train(at)),
        false => run.standing.plan.full_title(Step::Train(at)),
    };
    run.session.progress.profile(&title, &profile);
    Ok(())
}
