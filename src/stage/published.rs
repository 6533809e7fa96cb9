//! What a worker has published: the generations of the training split that its module's training wrote on its way.
//! Where the schedule has patience, also those of the test split.

use std::cell::Cell;
use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use gimlet_store::gc::{Kind, Policy, Shelf};
use gimlet_store::{Dataset, Generation};

use super::key::Key;
use super::step_key::{publish_key, published};
use super::{Run, pins, predecessor_wait};
use crate::Result;
use crate::pipeline::Split;
use crate::schedule::{At, Step};

/// The generations that the training of one module has published.
pub struct Published<'r, 'a> {
    run: &'r Run<'a>,
    /// The module that publishes.
    pub at: At,
    /// The split of the generations.
    pub split: Split,
    pub dataset: Dataset,
    /// The key of the training, and the key of the `encode` that follows it.
    training: String,
    last: String,
    /// The highest generation number that was looked at, and when.
    seen: Cell<u64>,
    looked: Cell<Option<Instant>>,
}

/// One published generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// The number of the generation.
    pub number: u64,
    pub key: String,
    /// Steps that the module had trained when it was written.
    pub step: u64,
}

impl<'r, 'a> Published<'r, 'a> {
    /// What the training of a module publishes for a split.
    pub fn of(run: &'r Run<'a>, at: At, split: Split) -> Self {
        let dataset = run.standing.dir.dataset(run.standing.plan.module(at.module), split);
        let training = run.standing.plan.key(Step::Train(at), Split::Train).hash.clone();
        let last = run.standing.plan.key(Step::Encode(at), split).hash.clone();
        let (seen, looked) = (Cell::default(), Cell::default());
        Self { run, at, split, dataset, training, last, seen, looked }
    }

    /// The folder of both splits.
    pub fn stage_folder(&self) -> &Path {
        let folder = self.dataset.folder().path();
        folder.parent().unwrap_or(folder)
    }

    /// All published generations, newest first. Damaged ones are passed over.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn all(&self) -> Result<Vec<Publication>> {
        let mut all = Vec::new();
        for generation in self.dataset.readable()? {
            all.extend(self.publication(&generation?));
        }
        Ok(all)
    }

    /// The newest publication that is whole; after `encode`, its generation counts too.
    ///
    /// # Errors
    /// Those of [`Self::all`].
    pub fn newest(&self) -> Result<Option<Publication>> {
        self.newest_up_to(u64::MAX)
    }

    /// Whether the module has published after `step` steps, or later.
    ///
    /// # Errors
    /// Those of [`Self::all`].
    pub fn reaches(&self, step: u64) -> Result<bool> {
        Ok(self.newest()?.is_some_and(|it| it.step >= step))
    }

    /// The newest whole publication of the module up to step `step`.
    ///
    /// # Errors
    /// Those of [`Self::all`].
    pub fn newest_up_to(&self, step: u64) -> Result<Option<Publication>> {
        for generation in self.dataset.readable()? {
            let generation = generation?;
            let manifest = generation.manifest();
            let last = (manifest.key == self.last).then(|| Publication {
                number: generation.number(),
                key: manifest.key.clone(),
                step: u64::MAX,
            });
            if let Some(found) = self.publication(&generation).or(last)
                && found.step <= step
                && generation.is_whole()?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Whether there is a newer publication than generation `number`. Costs no more than a listing, unless the dataset
    /// has a generation that was not looked at yet.
    ///
    /// # Errors
    /// Those of [`Self::all`].
    pub fn is_newer_than(&self, number: u64) -> Result<bool> {
        // On object storage a listing takes as long as a short step.
        let trusted_for = self.dataset.folder().properties().trusted_for;
        if self.looked.get().is_some_and(|it| it.elapsed() < trusted_for) {
            return Ok(false);
        }
        self.looked.set(Some(Instant::now()));
        let newest = self.dataset.generations()?.first().copied().unwrap_or(0);
        if newest <= number.max(self.seen.get()) {
            return Ok(false);
        }
        self.seen.set(newest);
        Ok(self.newest()?.is_some_and(|it| it.number > number))
    }

    fn publication(&self, generation: &Generation) -> Option<Publication> {
        let manifest = generation.manifest();
        let step = published(&manifest.settings, &self.training)?;
        Some(Publication { number: generation.number(), key: manifest.key.clone(), step })
    }

    /// The key of a publication after `step` steps. `weights` and `input` are the hashes of the weights and of the rows
    /// they encode; `before` counts the frozen views of a sample that earlier generations have stored.
    ///
    /// # Errors
    /// When the settings cannot be described.
    pub fn key(&self, step: u64, before: u64, weights: &str, input: &str) -> Result<Key> {
        let Self { run, at, split, training, .. } = self;
        let boundary = run.standing.plan.boundary(at.module);
        let training = (training.as_str(), step);
        publish_key(run.pipeline, *at, boundary, *split, training, before, [weights, input])
    }

    /// Removes all generations except the newest `store.keep_generations`, and the attempt with the key `attempt`.
    /// Waits as long as readers hold more generations than that.
    ///
    /// # Errors
    /// [`crate::Kind::Interrupted`] when it was asked to stop meanwhile; when something cannot be removed.
    pub fn make_room(&self, attempt: Option<&str>) -> Result<()> {
        let keep = self.run.pipeline.store.keep_generations;
        let mut told = false;
        while self.retire(keep, attempt)? > keep {
            if !std::mem::replace(&mut told, true) {
                let name = self.run.standing.plan.module(self.at.module);
                self.run.session.progress.note(&format!(
                    "`{name}` waits: its {keep} older generations (`store.keep_generations`) are still \
                     being read"
                ));
            }
            self.run.session.check_stop()?;
            predecessor_wait::a_moment(&self.run.standing.dir);
        }
        Ok(())
    }

    /// Removes the generations that are not among the newest `keep` and that no process reads. Removes the attempt with
    /// the key `attempt`, too. Returns how many generations stay.
    ///
    /// # Errors
    /// When something cannot be looked at or removed.
    pub fn retire(&self, keep: usize, attempt: Option<&str>) -> Result<usize> {
        let old: HashSet<String> = self.all()?.into_iter().skip(keep).map(|it| it.key).collect();
        if !old.is_empty() || attempt.is_some() {
            let mut needed = pins::of_all(&self.run.standing.dir)?;
            for generation in self.dataset.readable()? {
                needed.insert(generation?.manifest().key.clone());
            }
            needed.retain(|key| !old.contains(key));
            let policy = Policy { needed, keep: 0, grace: Duration::ZERO };
            let attempt = attempt.map(|key| self.dataset.folder_of(key));
            let shelf = Shelf::of(&self.dataset);
            for leftover in shelf.survey(&policy)? {
                let is_ours = attempt.as_ref().is_some_and(|it| it.path() == leftover.at.path());
                let goes = match leftover.kind {
                    Kind::Record(_) => true,
                    Kind::Attempt => is_ours,
                    Kind::Temporary => false,
                };
                if goes && leftover.stays.is_none() {
                    shelf.remove(&leftover, &policy)?;
                }
            }
        }
        Ok(self.all()?.len())
    }
}
