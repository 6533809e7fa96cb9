//! Weights from elsewhere as what the trainings of a run have ended with.

use std::path::PathBuf;

use gimlet_store::{Lease, durable};

use gimlet_store::Shard;

use super::key::{differences, json_of};
use super::plan::{At, Step};
use super::{Outcome, Run, lock, record};
use crate::exchange::stack::{self, Taken};
use crate::pipeline::View;
use crate::{Error, Result};

impl Run<'_> {
    /// Commits the weights in `files` - one of the whole stack, or one for each module, in order - as
    /// those of the modules' trainings: all of them, or none. Says, of each module, whether that was
    /// done now or before, from a file with the same weights.
    ///
    /// # Errors
    /// [`crate::Kind::NotReady`] before images were ingested, since shapes come from them; when a file does
    /// not fit, or a module was trained or imported before with other weights.
    pub fn import(&self, files: &[PathBuf]) -> Result<Vec<Outcome>> {
        let modules = 0..self.pipeline.modules.len();
        let described = modules.clone().map(|it| self.described(it)).collect::<Result<Vec<_>>>()?;
        let taken = stack::read(files, &described)?;
        self.warn_of_another_view(&taken)?;

        let mut held = Vec::new();
        let mut files = Vec::new();
        for (index, taken) in modules.zip(&taken) {
            let at = self.plan.last(index);
            let step = Step::Train(at);
            if self.plan.together(step)[0] == step {
                held.push(lock::acquire(&self.dir, &self.plan, step, Shard::WHOLE)?);
            }
            let bytes = self.weights_bytes(at, &taken.parameters)?;
            self.check_untrained(at, &bytes)?;
            files.push(bytes);
        }
        let mut outcomes = Vec::new();
        for (index, (bytes, taken)) in files.iter().zip(&taken).enumerate() {
            outcomes.push(self.commit_import(self.plan.last(index), bytes, taken)?);
        }
        Ok(outcomes)
    }

    /// Fails when the module has weights of its own, or has begun to make some.
    fn check_untrained(&self, at: At, bytes: &[u8]) -> Result<()> {
        let title = self.plan.title(Step::Train(at));
        let why = match self.plan.training(at, &self.dir)? {
            Some((_, record)) if record.blake3 == blake3::hash(bytes).to_hex().as_str() => {
                return Ok(());
            }
            Some((_, record)) => match record.imported {
                Some(imported) => format!("has other weights, imported from `{}`", imported.file),
                None => "has ended, with other weights".to_string(),
            },
            None if self.checkpoints(at).exist() => "has begun".to_string(),
            None => return Ok(()),
        };
        let message = format!("`{title}` {why}: importing would put others in their place");
        Err(Error::failed(message).hint("import into another run with `--run-dir DIR`"))
    }

    fn commit_import(&self, at: At, bytes: &[u8], taken: &Taken) -> Result<Outcome> {
        if self.plan.is_done(Step::Train(at), &self.dir)? {
            return Ok(Outcome::Unchanged);
        }
        let folder = self.training_folder(at);
        durable::create_folder(&folder)?;
        let _lease = Lease::write_to(&folder)?;
        durable::remove_dead_temps(&folder)?;
        let name = taken.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let imported = record::Imported { file: name, blake3: taken.blake3.clone() };
        let training = record::Training { imported: Some(imported), ..record::Training::default() };
        self.commit_weights(at, bytes, training)?;
        Ok(Outcome::Done)
    }

    /// Tells when a file says that it was made for images that were seen in another way.
    fn warn_of_another_view(&self, taken: &[Taken]) -> Result<()> {
        let mut ours = json_of(&self.pipeline.view)?;
        if let View::Sound(view) = &self.pipeline.view {
            ours["normalise"] = json_of(&self.normalise(view)?)?;
        }
        // Modules of one stack come from one file.
        let mut taken: Vec<&Taken> = taken.iter().collect();
        taken.dedup_by_key(|it| &it.file);
        for taken in taken {
            let Some(theirs) = taken.about.as_ref().and_then(|about| about.get("view")) else {
                continue;
            };
            let changed = differences(theirs, &ours);
            if !changed.is_empty() {
                let (path, changed) = (taken.file.display(), changed.join("; "));
                self.progress.warn(&format!("`{path}` was made with another view: {changed}"));
            }
        }
        Ok(())
    }
}
