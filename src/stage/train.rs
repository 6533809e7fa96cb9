//! `train`: trains one module on its predecessor's activations, or all modules on the same batches, from the last
//! checkpoint on. No gradient goes from one module to another.

use gimlet_store::{Lease, Location};

use super::lessons::Lessons;
use super::meter::Meter;
use super::training_loop::{Pause, Supply, TrainingLoop};
use super::{Run, looks, memory, module_input};
use crate::schedule::At;
use crate::train::feed::{Course, check_batch};
use crate::train::input::{Input, Layout};
use crate::{Error, Kind, Result};

/// The course of a training on `input`.
///
/// # Errors
/// When `input` does not fill one batch.
pub(super) fn course(run: &Run<'_>, at: At, input: &dyn Input) -> Result<Course> {
    let module = &run.pipeline.modules[at.module];
    let Layout { samples, views, .. } = input.layout();
    let course = Course {
        seed: run.pipeline.seed,
        module: module.name.clone(),
        samples,
        views,
        batch: run.pipeline.training.batch,
        epochs: run.pipeline.epochs_per_round(at.module),
    };
    check_batch(samples, course.batch)?;
    // A training that this one goes on from may have ended early.
    let before = run.pipeline.schedule.before(at).map(|it| run.standing.training(it));
    let steps = before.transpose()?.flatten().map_or(0, |(_, record)| record.steps);
    Ok(Course { epochs: course.epochs + course.epoch(steps) as usize, ..course })
}

/// Trains a module, or all that train in one piece with it, to the last epoch.
pub(super) fn train(run: &Run<'_>, at: At) -> Result<()> {
    memory::reset_peak();
    let meter = Meter::begin(run.standing.dir.store());
    let all = run.standing.plan.trained_with(at);
    let folders = all.iter().map(|at| begin_in(&run.standing.training_folder(*at)));
    let _leases = folders.collect::<Result<Vec<_>>>()?;
    if have_weights_again(run, &all)? {
        return Ok(());
    }
    // All modules take the samples in the order of the first.
    let input = module_input::of_training(run, all[0])?;
    let course = course(run, all[0], input.as_ref())?;
    let modules = all.iter().map(|it| it.module);
    let lessons = Lessons::of(run.pipeline, modules, || input.keys())?;
    let looks = looks::of_training(run, &all, &course)?;
    let until = course.steps();
    let mut training = TrainingLoop::begin(run, &all, course, lessons, looks, meter)?;
    let input = input.as_ref();
    let supply = Supply { input, generation: None, turns: &|_| Ok(false) };
    match training.train_on(&supply, until)? {
        Pause::Unreadable(error) => Err(error),
        Pause::There | Pause::Turns => training.finish(),
    }
}

/// Whether all trainings of `all` are committed and have whole weights.
///
/// # Errors
/// When some were imported and others are not there, or training again cannot end with the same
/// weights.
fn have_weights_again(run: &Run<'_>, all: &[At]) -> Result<bool> {
    let (mut missing, mut imported) = (None, None);
    for at in all {
        if !has_weights_again(run, *at)? {
            missing = missing.or(Some(*at));
        } else if let Some((_, record)) = run.standing.training(*at)?
            && record.imported.is_some()
        {
            imported = imported.or(Some(*at));
        }
    }
    if let (Some(missing), Some(imported)) = (missing, imported) {
        let [missing, imported] = [missing, imported].map(|it| run.standing.plan.module(it.module));
        let message = format!(
            "the weights of `{imported}` were imported, and `{missing}` has none: they train at once"
        );
        return Err(Error::failed(message).hint("run `gimlet import` again, or in another run"));
    }
    Ok(missing.is_none())
}

/// Whether a training is committed and its weights are whole. Then it forgets that they were damaged.
///
/// # Errors
/// When they are damaged and training again cannot end with the same weights.
fn has_weights_again(run: &Run<'_>, at: At) -> Result<bool> {
    let Some((_, record)) = run.standing.training(at)? else { return Ok(false) };
    let path = run.standing.weights_file(at);
    if record.read_weights(&path).is_ok() {
        path.forget_damage()?;
        return Ok(true);
    }
    if let Some(imported) = record.imported {
        let message = format!("`{path}` is damaged; it was imported");
        let again = format!("import `{}` again, or restore the file", imported.file);
        return Err(Error::new(Kind::Damaged, message).hint(again));
    }
    let threads = rayon::current_num_threads();
    let (device, threads_before) = (record.device, record.threads);
    if (device, threads_before) == (run.session.device.name(), threads) {
        return Ok(false);
    }
    let message = format!(
        "`{}` is damaged; it was made with {threads_before} threads on `{device}`, and with \
         {threads} on `{}` would come out different",
        path,
        run.session.device.name()
    );
    let again = format!("--threads {threads_before} --device {device}");
    let hint = format!("run with `{again}`, or restore the file");
    Err(Error::new(Kind::Damaged, message).hint(hint))
}

/// Makes the folder of a training, and takes its lease.
pub(super) fn begin_in(folder: &Location) -> Result<Lease> {
    folder.create_folder()?;
    let lease = Lease::write_to(folder)?;
    folder.remove_dead_temps()?;
    Ok(lease)
}
