//! Where a run stands: compares its plan with its directory, and so knows what is there, missing or damaged.

use gimlet_store::{Dataset, Generation, Location};

use super::cost::Costs;
use super::labels::check_labels;
use super::plan::Plan;
use super::provenance::{Look, Provenance};
use super::record;
use super::run_dir::{INGEST, RunDir};
use super::step_key::ingest_key;
use crate::pipeline::{PerSplit, Pipeline, Split};
use crate::schedule::{At, Step};
use crate::source::known_files::{Unwatched, Watch};
use crate::{Error, Kind, Result, media};

/// A plan and the directory that its steps write to.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The steps and their keys.
    pub plan: Plan,
    /// The directory that they write to.
    pub dir: RunDir,
}

impl Standing {
    /// Finds where `pipeline` stands in `dir`. Reads the whole source as far as its content is not known, without
    /// showing progress.
    ///
    /// # Errors
    /// Those of [`Self::watched`].
    pub fn new(pipeline: &Pipeline, dir: RunDir) -> Result<Self> {
        Self::watched(pipeline, dir, Look::Whole, &Unwatched)
    }

    /// Finds where `pipeline` stands in `dir`. From then on its store caches at most `store.cache_bytes`. The source is
    /// read as far as its content is not known; `watch` is told of the progress.
    ///
    /// A source that is gone after `ingest` is no error where one ingest of both splits was made with the same
    /// settings: that ingest stands for it.
    ///
    /// # Errors
    /// When the source cannot be opened; where a boundary is `auto`, also when the images do not say
    /// how large they are, or do not fit the pipeline.
    pub fn watched(
        pipeline: &Pipeline,
        dir: RunDir,
        look: Look,
        watch: &dyn Watch,
    ) -> Result<Self> {
        dir.store().keep_at_most(pipeline.store.cache_bytes);
        let key = |split, source| Ok(ingest_key(pipeline, split, source)?.settings);
        let provenance = Provenance::of(pipeline, &dir, look, watch, &key)?;
        check_labels(pipeline, &provenance)?;
        let plan = Plan::of_samples(pipeline, provenance, |key| {
            let ingested = dir.dataset(INGEST, Split::Train).find(key)?;
            media::of(&pipeline.view).size(pipeline, ingested.as_ref())
        })?;
        Ok(Self { plan, dir })
    }

    /// Whether everything that a step writes is committed under its present key, and whole.
    ///
    /// # Errors
    /// When a record or manifest cannot be read for another reason than damage.
    pub fn is_done(&self, step: Step) -> Result<bool> {
        match step {
            Step::Train(at) => Ok(self.training(at)?.is_some() && self.broken(step)?.is_empty()),
            Step::Probe(module) => Ok(self.probe(module)?.is_some()),
            Step::Ingest | Step::Untrained | Step::Encode(_) => {
                for split in Split::ALL {
                    if !self.is_split_done(step, split)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
        }
    }

    /// Whether everything that a step writes for a split is committed under its present key, and whole.
    ///
    /// # Errors
    /// When a manifest cannot be read for another reason than damage.
    pub fn is_split_done(&self, step: Step, split: Split) -> Result<bool> {
        let found = self.generations(step, split)?;
        let all = found.len() == self.datasets(step, split).len();
        for generation in found.iter().filter(|_| all) {
            if !generation.is_whole()? {
                return Ok(false);
            }
        }
        Ok(all)
    }

    /// Whether `step` is done, and all steps that are done in one piece with it.
    ///
    /// # Errors
    /// Those of [`Self::is_done`].
    pub fn are_done_together(&self, step: Step) -> Result<bool> {
        for step in self.plan.together(step) {
            if !self.is_done(step)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The files that a step has committed under its present key and that have to be made again: they are missing, have
    /// another size, or were noted as damaged.
    ///
    /// # Errors
    /// When a record or manifest cannot be read for another reason than damage.
    pub fn broken(&self, step: Step) -> Result<Vec<Location>> {
        if let Step::Train(at) = step {
            let Some((_, record)) = self.training(at)? else { return Ok(vec![]) };
            let path = self.weights_file(at);
            let size = path.size().map_err(|error| Error::io("look at", path.path(), error))?;
            let whole = size == record.took.bytes && !path.is_noted_as_damaged()?;
            return Ok(if whole { vec![] } else { vec![path] });
        }
        let mut broken = Vec::new();
        for split in Split::ALL {
            for generation in self.generations(step, split)? {
                broken.extend(generation.broken_parts()?);
            }
        }
        Ok(broken)
    }

    /// The datasets that a step writes for a split: one, or for the untrained stack one per module.
    pub fn datasets(&self, step: Step, split: Split) -> Vec<Dataset> {
        match step {
            Step::Ingest => vec![self.dir.dataset(INGEST, split)],
            Step::Encode(at) => vec![self.dir.dataset(self.plan.module(at.module), split)],
            Step::Untrained => {
                self.plan.names().iter().map(|module| self.dir.untrained(module, split)).collect()
            }
            Step::Train(_) | Step::Probe(_) => vec![],
        }
    }

    /// The generations that a step has committed for a split under its present key. Missing ones are left out.
    ///
    /// # Errors
    /// When a manifest cannot be read for another reason than damage.
    pub fn generations(&self, step: Step, split: Split) -> Result<Vec<Generation>> {
        let key = self.plan.key(step, split);
        let mut found = Vec::new();
        for dataset in self.datasets(step, split) {
            found.extend(dataset.find(&key.hash)?);
        }
        Ok(found)
    }

    /// The one generation that `ingest` or the encoding of a module has committed for a split.
    ///
    /// # Errors
    /// [`Kind::NotReady`] when there is none.
    pub fn generation(&self, step: Step, split: Split) -> Result<Generation> {
        self.generations(step, split)?.into_iter().next().ok_or_else(|| {
            let (title, command) = (self.plan.full_title(step), self.plan.title(step));
            let message = format!("the {} split of `{title}` is not there", split.name());
            Error::new(Kind::NotReady, message).hint(format!("run `gimlet {command}` first"))
        })
    }

    /// The record of a module's training under its present key, and its number.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn training(&self, at: At) -> Result<Option<(u64, record::Training)>> {
        let key = &self.plan.key(Step::Train(at), Split::Train).hash;
        record::newest(&self.dir.trainings(self.plan.module(at.module)), |it| it == key)
    }

    /// The record of a module's probe under its present key, and its number.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn probe(&self, module: usize) -> Result<Option<(u64, record::Probe)>> {
        let key = &self.plan.key(Step::Probe(module), Split::Test).hash;
        record::newest(&self.dir.probes(self.plan.module(module)), |it| it == key)
    }

    /// Removes what a process has left that was killed right after it had committed the output of `step`.
    ///
    /// # Errors
    /// When a folder cannot be listed.
    pub fn remove_leftovers(&self, step: Step) -> Result<()> {
        for step in self.plan.together(step) {
            let records = match step {
                Step::Ingest => Some(self.dir.sources()),
                Step::Train(at) => {
                    self.checkpoints(at).remove();
                    Some(self.dir.trainings(self.plan.module(at.module)))
                }
                Step::Probe(module) => Some(self.dir.probes(self.plan.module(module))),
                Step::Untrained | Step::Encode(_) => None,
            };
            let records = records.into_iter().map(|it| it.folder().clone());
            let datasets = Split::ALL.into_iter().flat_map(|split| self.datasets(step, split));
            let folders = records.chain(datasets.map(|it| it.folder().clone()));
            for folder in folders {
                folder.remove_dead_temps()?;
            }
        }
        Ok(())
    }

    /// Fails unless the steps whose output `step` reads are done.
    ///
    /// # Errors
    /// [`Kind::NotReady`] when one is not, [`Kind::Damaged`] when what it wrote is damaged.
    pub fn check_inputs(&self, step: Step) -> Result<()> {
        let all = self.plan.together(step).into_iter();
        let title = self.plan.full_title(step);
        for input in all.flat_map(|step| self.plan.inputs(step)) {
            let command = self.plan.title(input);
            if let Some(first) = self.broken(input)?.first() {
                let message = format!("`{title}` needs `{first}`, which is damaged");
                let hint = format!("run `gimlet {command}` or `gimlet run`, which rebuild it");
                return Err(Error::new(Kind::Damaged, message).hint(hint));
            }
            if !self.is_done(input)? {
                let input = self.plan.full_title(input);
                let message = format!(
                    "`{title}` needs what `{input}` writes, which is not there for these settings"
                );
                let hint =
                    format!("run `gimlet {command}` first, or `gimlet run` for all in order");
                return Err(Error::new(Kind::NotReady, message).hint(hint));
            }
        }
        Ok(())
    }

    /// Computes what the steps of `pipeline` cost; the plan must be that of `pipeline`.
    ///
    /// # Errors
    /// When the images do not say how large they are, or do not fit the pipeline.
    pub fn costs<'a>(&self, pipeline: &'a Pipeline) -> Result<Costs<'a>> {
        let ingested = |split| Ok(self.generations(Step::Ingest, split)?.pop());
        let ingested = PerSplit::try_from_fn(ingested)?;
        let sample = media::of(&pipeline.view).size(pipeline, ingested.train.as_ref())?;
        let mut samples = self.plan.provenance().counts;
        for (split, ingested) in ingested {
            // After `ingest`, broken samples are known and do not count.
            samples[split] = ingested.map_or(samples[split], |it| it.rows());
        }
        Costs::new(pipeline, samples, sample)
    }
}
