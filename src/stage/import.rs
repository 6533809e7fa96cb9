//! Imports weights from elsewhere as the results of a run's trainings.

use std::path::PathBuf;

use gimlet_store::Shard;

use super::key::differences;
use super::plan::Plan;
use super::train::begin_in;
use super::{Outcome, Run, Standing, lock, record};
use crate::exchange::stack::{self, Taken};
use crate::parameters::Parameters;
use crate::pipeline::{Source, Split, json_of};
use crate::schedule::{At, Step};
use crate::train::took::Took;
use crate::{Error, Result, media};

impl Run<'_> {
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
    pub fn import(&self, files: &[PathBuf]) -> Result<Vec<Outcome>> {
        let modules = 0..self.pipeline.modules.len();
        let described = modules.clone().map(|it| self.described(it)).collect::<Result<Vec<_>>>()?;
        let taken = stack::read(files, &described)?;
        self.tell_of_files(&taken)?;

        let mut held = Vec::new();
        let mut files = Vec::new();
        for (index, taken) in modules.zip(&taken) {
            let at = self.standing.plan.last(index);
            let step = Step::Train(at);
            if self.standing.plan.together(step)[0] == step {
                held.push(lock::acquire(&self.standing, step, Shard::WHOLE)?);
            }
            let bytes = self.standing.weights_bytes(at, &taken.parameters)?;
            self.check_untrained(at, &bytes)?;
            files.push(bytes);
        }
        let mut outcomes = Vec::new();
        for (index, (bytes, taken)) in files.iter().zip(&taken).enumerate() {
            let name = taken.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let imported = record::Imported { file: name, blake3: taken.blake3.clone() };
            outcomes.push(self.commit_import(self.standing.plan.last(index), bytes, imported)?);
        }
        Ok(outcomes)
    }

    /// Fails when the module already has other weights, or its training has begun.
    fn check_untrained(&self, at: At, bytes: &[u8]) -> Result<()> {
        let title = self.standing.plan.title(Step::Train(at));
        let why = match self.standing.training(at)? {
            Some((_, record)) if record.blake3 == blake3::hash(bytes).to_hex().as_str() => {
                return Ok(());
            }
            Some((_, record)) => match record.imported {
                Some(imported) => format!("has other weights, imported from `{}`", imported.file),
                None => "has ended, with other weights".to_string(),
            },
            None if self.standing.checkpoints(at).exist() => "has begun".to_string(),
            None => return Ok(()),
        };
        let message = format!("`{title}` {why}: importing would put others in their place");
        Err(Error::failed(message).hint("import into another run with `--run-dir DIR`"))
    }

    fn commit_import(&self, at: At, bytes: &[u8], imported: record::Imported) -> Result<Outcome> {
        if self.standing.is_done(Step::Train(at))? {
            return Ok(Outcome::Unchanged);
        }
        let folder = self.standing.training_folder(at);
        let _lease = begin_in(&folder)?;
        // An import waits for no data and reads none.
        let took = Took { wait_seconds: Some(0.0), ..Took::default() };
        let training = record::Training { took, imported: Some(imported), ..Default::default() };
        self.standing.commit_weights(at, bytes, training, self.session.progress)?;
        Ok(Outcome::Done)
    }

    /// Adopts weights that were imported before the data existed: commits them under the keys that contain the data.
    ///
    /// # Errors
    /// When a record cannot be read, or weights cannot be written.
    pub(super) fn adopt_imports(&self) -> Result<()> {
        let Source::Files(_) = &self.pipeline.data.source else { return Ok(()) };
        let Ok(Some(plan)) = Plan::without_samples(self.pipeline) else { return Ok(()) };
        let before = Standing { plan, dir: self.standing.dir.clone() };
        for module in 0..self.pipeline.modules.len() {
            let at = self.standing.plan.last(module);
            if self.standing.training(at)?.is_some() || self.standing.checkpoints(at).exist() {
                continue;
            }
            let Some((_, record)) = before.training(at)? else { continue };
            let Some(imported) = record.imported.clone() else { continue };
            let title = self.standing.plan.title(Step::Train(at));
            let path = before.weights_file(at);
            let read = record.read_weights(&path);
            let parameters =
                match read.and_then(|it| Parameters::from_safetensors(&it, path.path())) {
                    Ok((parameters, _)) => parameters,
                    Err(error) => {
                        self.session
                            .progress
                            .warn(&format!("{error}; import `{}` again", imported.file));
                        continue;
                    }
                };
            // A process that holds the lock trains weights of its own.
            let Ok(_lock) = lock::acquire(&self.standing, Step::Train(at), Shard::WHOLE) else {
                continue;
            };
            let bytes = self.standing.weights_bytes(at, &parameters)?;
            self.session
                .progress
                .note(&format!("{title:22} takes what was imported from `{}`", imported.file));
            self.commit_import(at, &bytes, imported)?;
        }
        Ok(())
    }

    /// Tells of files whose values were converted, and warns of files that were made with another view.
    fn tell_of_files(&self, taken: &[Taken]) -> Result<()> {
        let ours = json_of(&self.pipeline.view)?;
        // Modules of one stack come from one file.
        let mut taken: Vec<&Taken> = taken.iter().collect();
        taken.dedup_by_key(|it| &it.file);
        for taken in taken {
            let path = taken.file.display();
            if !taken.converted.is_empty() {
                let converted = taken.converted.join(" and ");
                self.session.progress.note(&format!("`{path}`: {converted} was converted to F32"));
            }
            let Some(theirs) = taken.about.as_ref().and_then(|about| about.get("view")) else {
                continue;
            };
            let mut ours = ours.clone();
            if media::of(&self.pipeline.view).is_normalised_by_training() {
                // Without an ingested training split, our normalisation is not known yet.
                let training = self.standing.generations(Step::Ingest, Split::Train)?;
                ours["normalise"] = match training.first() {
                    Some(training) => json_of(&media::normalise_of(training)?)?,
                    None => theirs["normalise"].clone(),
                };
            }
            let changed = differences(theirs, &ours);
            if !changed.is_empty() {
                let changed = changed.join("; ");
                self.session
                    .progress
                    .warn(&format!("`{path}` was made with another view: {changed}"));
            }
        }
        Ok(())
    }
}
