//! Imports weights from elsewhere as the results of a run's trainings.

use std::path::PathBuf;

use gimlet_store::Shard;

use super::key::differences;
use super::plan::Plan;
use super::progress::Unit;
use super::train::begin_in;
use super::{Outcome, Run, Standing, export, lock, record};
use crate::exchange::stack::{self, Taken};
use crate::parameters::Parameters;
use crate::pipeline::{Source, Split, json_of};
use crate::schedule::{At, Step};
use crate::train::took::Took;
use crate::{Error, Result, media};

/// Commits the weights in `files` as the results of the modules' trainings: all of them, or none.
///
/// `files` is one file for the whole stack, or one per module, in order. Returns for each module whether its
/// weights were committed now, or earlier from a file with the same weights.
///
/// The weights are stored under the keys of the trainings, which contain the data that the pipeline names. The data
/// need not be ingested. If they do not even exist, the weights are adopted once they do.
///
/// # Errors
/// [`crate::Kind::NotReady`] when the loss reads labels and nothing was ingested, since only the data tell the
/// classes; when a file does not fit, or a module was trained or imported before with other weights.
pub fn import(run: &Run<'_>, files: &[PathBuf]) -> Result<Vec<Outcome>> {
    let modules = 0..run.pipeline.modules.len();
    let described =
        modules.clone().map(|it| export::described(run, it)).collect::<Result<Vec<_>>>()?;
    let taken = stack::read(files, &described)?;
    tell_of_files(run, &taken)?;

    let mut held = Vec::new();
    let mut files = Vec::new();
    for (index, taken) in modules.zip(&taken) {
        let at = run.standing.plan.last(index);
        let step = Step::Train(at);
        if run.standing.plan.together(step)[0] == step {
            held.push(lock::acquire(&run.standing, step, Shard::WHOLE)?);
        }
        let bytes = run.standing.weights_bytes(at, &taken.parameters)?;
        check_untrained(&run.standing, at, &bytes)?;
        files.push(bytes);
    }
    let mut outcomes = Vec::new();
    run.session.progress.begin("import", Unit::Of("modules"), files.len() as u64, 0);
    for (index, (bytes, taken)) in files.iter().zip(&taken).enumerate() {
        let name = taken.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let imported = record::Imported { file: name, blake3: taken.blake3.clone() };
        outcomes.push(commit_import(run, run.standing.plan.last(index), bytes, imported)?);
        run.session.progress.advance(outcomes.len() as u64, "");
    }
    run.session.progress.end("");
    Ok(outcomes)
}

/// Fails when the module already has other weights, or its training has begun.
fn check_untrained(standing: &Standing, at: At, bytes: &[u8]) -> Result<()> {
    let title = standing.plan.title(Step::Train(at));
    let why = match standing.training(at)? {
        Some((_, record)) if record.blake3 == blake3::hash(bytes).to_hex().as_str() => {
            return Ok(());
        }
        Some((_, record)) => match record.imported {
            Some(imported) => format!("has other weights, imported from `{}`", imported.file),
            None => "has ended, with other weights".to_string(),
        },
        None if standing.checkpoints(at).exist() => "has begun".to_string(),
        None => return Ok(()),
    };
    let message = format!("`{title}` {why}: importing would put others in their place");
    Err(Error::failed(message).hint("import into another run with `--run-dir DIR`"))
}

fn commit_import(
    run: &Run<'_>,
    at: At,
    bytes: &[u8],
    imported: record::Imported,
) -> Result<Outcome> {
    if run.standing.is_done(Step::Train(at))? {
        return Ok(Outcome::Unchanged);
    }
    let folder = run.standing.training_folder(at);
    let _lease = begin_in(&folder)?;
    // An import waits for no data and reads none.
    let took = Took { wait_seconds: Some(0.0), ..Took::default() };
    let training = record::Training { took, imported: Some(imported), ..Default::default() };
    run.standing.commit_weights(at, bytes, training, run.session.progress)?;
    Ok(Outcome::Done)
}

/// Adopts weights that were imported before the data existed: commits them under the keys that contain the data.
///
/// # Errors
/// When a record cannot be read, or weights cannot be written.
pub(super) fn adopt(run: &Run<'_>) -> Result<()> {
    let Source::Files(_) = &run.pipeline.data.source else { return Ok(()) };
    let Ok(Some(plan)) = Plan::without_samples(run.pipeline) else { return Ok(()) };
    let before = Standing { plan, dir: run.standing.dir.clone() };
    for module in 0..run.pipeline.modules.len() {
        let at = run.standing.plan.last(module);
        if run.standing.training(at)?.is_some() || run.standing.checkpoints(at).exist() {
            continue;
        }
        let Some((_, record)) = before.training(at)? else { continue };
        let Some(imported) = record.imported.clone() else { continue };
        let title = run.standing.plan.title(Step::Train(at));
        let path = before.weights_file(at);
        let read = record.read_weights(&path);
        let parameters = match read.and_then(|it| Parameters::from_safetensors(&it, path.path())) {
            Ok((parameters, _)) => parameters,
            Err(error) => {
                run.session.progress.warn(&format!("{error}; import `{}` again", imported.file));
                continue;
            }
        };
        // A process that holds the lock trains weights of its own.
        let Ok(_lock) = lock::acquire(&run.standing, Step::Train(at), Shard::WHOLE) else {
            continue;
        };
        let bytes = run.standing.weights_bytes(at, &parameters)?;
        run.session
            .progress
            .note(&format!("{title:22} takes what was imported from `{}`", imported.file));
        commit_import(run, at, &bytes, imported)?;
    }
    Ok(())
}

/// Tells of files whose values were converted, and warns of files that were made with another view.
fn tell_of_files(run: &Run<'_>, taken: &[Taken]) -> Result<()> {
    let ours = json_of(&run.pipeline.view)?;
    // Modules of one stack come from one file.
    let mut taken: Vec<&Taken> = taken.iter().collect();
    taken.dedup_by_key(|it| &it.file);
    for taken in taken {
        let path = taken.file.display();
        if !taken.converted.is_empty() {
            let converted = taken.converted.join(" and ");
            run.session.progress.note(&format!("`{path}`: {converted} was converted to F32"));
        }
        let Some(theirs) = taken.about.as_ref().and_then(|about| about.get("view")) else {
            continue;
        };
        let mut ours = ours.clone();
        if media::of(&run.pipeline.view).is_normalised_by_training() {
            // Without an ingested training split, our normalisation is not known yet.
            let training = run.standing.generations(Step::Ingest, Split::Train)?;
            ours["normalise"] = match training.first() {
                Some(training) => json_of(&media::normalise_of(training)?)?,
                None => theirs["normalise"].clone(),
            };
        }
        let changed = differences(theirs, &ours);
        if !changed.is_empty() {
            let changed = changed.join("; ");
            run.session.progress.warn(&format!("`{path}` was made with another view: {changed}"));
        }
    }
    Ok(())
}
