//! The weights of a module: where they lie, and how they are committed.

use std::path::Path;

use gimlet_store::Location;
use serde_json::json;

use super::progress::Progress;
use super::run_dir::WEIGHTS;
use super::{Standing, record};
use crate::error::DIFFERS;
use crate::parameters::Parameters;
use crate::pipeline::Split;
use crate::schedule::{At, Step};
use crate::train::checkpoint::Checkpoints;
use crate::train::took::Took;
use crate::{Error, Kind, Result};

impl Standing {
    /// The weights that the training of a module ended with.
    ///
    /// # Errors
    /// [`Kind::NotReady`] when it has not ended; when they are damaged.
    pub fn weights(&self, at: At) -> Result<Parameters> {
        let title = self.plan.title(Step::Train(at));
        let Some((_, record)) = self.training(at)? else {
            let message = format!("`{title}` has not ended for these settings");
            return Err(Error::new(Kind::NotReady, message).hint(format!("run `gimlet {title}`")));
        };
        let path = self.weights_file(at);
        Ok(Parameters::from_safetensors(&record.read_weights(&path)?, path.path())?.0)
    }

    /// The file of the weights of a training, whether it exists yet or not.
    pub fn weights_file(&self, at: At) -> Location {
        self.training_folder(at).join(WEIGHTS)
    }

    /// The folder of a training.
    pub fn training_folder(&self, at: At) -> Location {
        let key = &self.plan.key(Step::Train(at), Split::Train).hash;
        self.dir.training_folder(self.plan.module(at.module), key)
    }

    /// The checkpoints of a training: its own, or the common ones of all modules that train at once.
    pub fn checkpoints(&self, at: At) -> Checkpoints {
        Checkpoints::in_folder(&self.training_folder(self.plan.checkpoint_of(at)))
    }

    /// The content of a module's file of weights: the same bytes for the same parameters.
    pub(super) fn weights_bytes(&self, at: At, parameters: &Parameters) -> Result<Vec<u8>> {
        let key = &self.plan.key(Step::Train(at), Split::Train).hash;
        let about = json!({ "module": self.plan.module(at.module), "key": key, "layout": "hwio" });
        parameters.to_safetensors(&about)
    }

    /// Commits the weights that the training of a module ended with. `training` is its record, in which the key and the
    /// file are filled in here. If the training was committed before, it restores the file.
    ///
    /// # Errors
    /// [`Kind::Damaged`] when the committed training had other weights.
    pub(super) fn commit_weights(
        &self,
        at: At,
        bytes: &[u8],
        training: record::Training,
        progress: &dyn Progress,
    ) -> Result<()> {
        let key = self.plan.key(Step::Train(at), Split::Train);
        let blake3 = blake3::hash(bytes).to_hex().to_string();
        let path = self.weights_file(at);
        let committed = self.training(at)?;
        if committed.as_ref().is_some_and(|(_, record)| record.blake3 != blake3) {
            let title = self.plan.full_title(Step::Train(at));
            let message =
                format!("`{title}` was done again, and has not ended with what `{path}` was");
            return Err(Error::new(Kind::Damaged, message).hint(DIFFERS));
        }
        if committed.is_some() {
            path.replace(bytes)?;
            return Ok(path.forget_damage()?);
        }
        // A process that was taken for dead may have ended this training too: then its weights stay.
        let (bytes, blake3) = match path.create(bytes)? {
            true => (bytes.len() as u64, blake3),
            false => self.weights_that_are_there(at, bytes, blake3, progress)?,
        };
        let record = record::Training {
            key: key.hash.clone(),
            settings: key.settings.clone(),
            weights: Path::new(&path.folder().name()).join(path.name()),
            took: Took { bytes: Some(bytes), ..training.took },
            blake3,
            ..training
        };
        let records = self.dir.trainings(self.plan.module(at.module));
        loop {
            // The number must come from a listing before the search for the key, as in a dataset.
            let number = records.next()?;
            if self.training(at)?.is_some() || records.try_commit(number, &record)? {
                return Ok(());
            }
        }
    }

    /// The size and hash of the weights that another process has written for the same training. If its file cannot be
    /// read as weights, ours replaces it.
    fn weights_that_are_there(
        &self,
        at: At,
        ours: &[u8],
        hash: String,
        progress: &dyn Progress,
    ) -> Result<(u64, String)> {
        let path = self.weights_file(at);
        let theirs = path.read().map_err(|error| Error::io("read", path.path(), error))?;
        let their_hash = blake3::hash(&theirs).to_hex().to_string();
        if their_hash == hash {
            return Ok((ours.len() as u64, hash));
        }
        if Parameters::from_safetensors(&theirs, path.path()).is_err() {
            path.replace(ours)?;
            return Ok((ours.len() as u64, hash));
        }
        progress.warn(&format!(
            "another process has ended `{}` before, with other weights: they stay",
            self.plan.full_title(Step::Train(at))
        ));
        Ok((theirs.len() as u64, their_hash))
    }
}
