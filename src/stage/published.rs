//! What a worker has published: the generations of its module that its training wrote on its way, of the training
//! split, and where the schedule has patience of the test split.

use std::cell::Cell;
use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use gimlet_store::gc::{Kind, Policy, Shelf};
use gimlet_store::{Dataset, Generation, Location};

use super::key::Key;
use super::step_key::{publish_key, published};
use super::{Run, held_up, needs};
use crate::Result;
use crate::pipeline::Split;
use crate::schedule::{At, Step};

/// The generations that the training of one module has published.
pub struct Published<'r, 'a> {
    run: &'r Run<'a>,
    at: At,
    split: Split,
    dataset: Dataset,
    /// The key of the training, and that of what `encode` makes once it has ended.
    training: String,
    last: String,
    /// The highest number that was looked at, and when.
    seen: Cell<u64>,
    looked: Cell<Option<Instant>>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Of the generation.
    pub number: u64,
    pub key: String,
    /// Steps that the module had trained.
    pub step: u64,
}

impl<'r, 'a> Published<'r, 'a> {
    /// What the training of a module publishes of a split.
    pub fn of(run: &'r Run<'a>, at: At, split: Split) -> Self {
        let dataset = run.standing.dir.dataset(run.standing.plan.module(at.module), split);
        let training = run.standing.plan.key(Step::Train(at), Split::Train).hash.clone();
        let last = run.standing.plan.key(Step::Encode(at), split).hash.clone();
        Self {
            run,
            at,
            split,
            dataset,
            training,
            last,
            seen: Cell::new(0),
            looked: Cell::new(None),
        }
    }

    /// Where they lie.
    fn folder(&self) -> &Location {
        self.dataset.folder()
    }

    /// Where both splits of them lie.
    pub fn stage_folder(&self) -> &Path {
        let folder = self.folder().path();
        folder.parent().unwrap_or(folder)
    }

    /// The module that publishes them.
    pub fn at(&self) -> At {
        self.at
    }

    /// The split that they are of.
    pub fn split(&self) -> Split {
        self.split
    }

    /// All that are there, newest first. Damaged ones are passed over.
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

    /// The newest that is whole; once the module has been encoded, also what came of that.
    ///
    /// # Errors
    /// As [`Self::all`].
    pub fn newest(&self) -> Result<Option<Publication>> {
        self.newest_up_to(u64::MAX)
    }

    /// Whether there is one of the module after `step` steps, or later.
    ///
    /// # Errors
    /// As [`Self::all`].
    pub fn reaches(&self, step: u64) -> Result<bool> {
        Ok(self.newest()?.is_some_and(|it| it.step >= step))
    }

    /// The newest that is whole of those that the module has published by `step`.
    ///
    /// # Errors
    /// As [`Self::all`].
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

    /// Whether there is a newer one than this generation. Costs no more than a listing as long as the
    /// dataset has none that was not looked at.
    ///
    /// # Errors
    /// As [`Self::all`].
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

    /// The generation of one that is there.
    ///
    /// # Errors
    /// When it has gone, or is damaged.
    pub fn generation(&self, number: u64) -> Result<Generation> {
        Ok(self.dataset.generation(number)?)
    }

    fn publication(&self, generation: &Generation) -> Option<Publication> {
        let manifest = generation.manifest();
        let step = published(&manifest.settings, &self.training)?;
        Some(Publication { number: generation.number(), key: manifest.key.clone(), step })
    }

    /// The key of what the module makes, after `step` steps and as many publications as `before`, with
    /// weights of this hash of the rows of `input`.
    ///
    /// # Errors
    /// When the settings cannot be described.
    pub fn key(&self, step: u64, before: u64, weights: &str, input: &str) -> Result<Key> {
        let boundary = self.run.standing.plan.boundary(self.at.module);
        let training = (self.training.as_str(), step);
        publish_key(
            self.run.pipeline,
            self.at,
            boundary,
            self.split,
            training,
            before,
            [weights, input],
        )
    }

    /// Removes all but the newest `store.keep_generations`, and the attempt with the key `attempt`; waits
    /// as long as somebody reads more than these.
    ///
    /// # Errors
    /// [`crate::Kind::Interrupted`] when it was asked to stop meanwhile; when something cannot be
    /// removed.
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
            held_up::a_moment(&self.run.standing.dir);
        }
        Ok(())
    }

    /// Removes what is not one of the newest `keep` and what nobody reads, and says how many stay.
    ///
    /// # Errors
    /// When something cannot be looked at or removed.
    pub fn retire(&self, keep: usize, attempt: Option<&str>) -> Result<usize> {
        let old: HashSet<String> = self.all()?.into_iter().skip(keep).map(|it| it.key).collect();
        if !old.is_empty() || attempt.is_some() {
            let mut needed = needs::of_all(&self.run.standing.dir)?;
            for generation in self.dataset.readable()? {
                needed.insert(generation?.manifest().key.clone());
            }
            needed.retain(|key| !old.contains(key));
            let policy = Policy { needed, keep: 0, grace: Duration::ZERO };
            let attempt = attempt.map(|key| self.dataset.folder_of(key));
            let shelf = Shelf::of(&self.dataset);
            for leftover in shelf.survey(&policy)? {
                let goes = match leftover.kind {
                    Kind::Record(_) => true,
                    Kind::Attempt => {
                        attempt.as_ref().is_some_and(|it| it.path() == leftover.at.path())
                    }
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
