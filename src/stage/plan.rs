//! The steps of a pipeline in their order, and the key of each.

use std::ops::Range;
use std::path::PathBuf;

use gimlet_store::{Dataset, Generation, damage, files};
use serde::Serialize;

use super::boundary::{self, Boundary};
use super::cost::{Costs, recomputed};
use super::key::Key;
use super::labels::check_labels;
use super::provenance::{Look, Provenance};
use super::record;
use super::run_dir::{INGEST, RunDir, UNTRAINED};
use super::step_key::{Reads, encode_key, ingest_key, probe_key, train_key, untrained_key};
use crate::pipeline::{Pipeline, Schedule, Split};
use crate::source::known_files::{Unwatched, Watch};
use crate::{Error, Kind, Result, media};

/// One step of a run; modules are counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    Ingest,
    /// Encode through the stack as it was drawn.
    Untrained,
    Train(At),
    Encode(At),
    /// Of what the last round has made.
    Probe(usize),
}

/// A module in a round, both from 0. Where the schedule has no rounds there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct At {
    pub module: usize,
    pub round: usize,
}

/// A round of several, from 1, as people and scripts are told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct InRound {
    pub round: usize,
    pub rounds: usize,
}

/// The keys of all steps, and what becomes of the activations between them.
#[derive(Debug, Clone)]
pub struct Plan {
    names: Vec<String>,
    /// What the samples of both splits are made of.
    provenance: Provenance,
    is_async: bool,
    boundaries: Vec<Boundary>,
    /// Of each boundary, whether it is stored.
    stored: Vec<bool>,
    /// Whether the modules train in one piece of work, and are encoded in one.
    together: bool,
    ingest: [Key; 2],
    untrained: [Key; 2],
    /// The older rounds whose rows are replayed in a round, at most.
    replayed: usize,
    /// Of each round and module.
    train: Vec<Vec<Key>>,
    encode: Vec<Vec<[Key; 2]>>,
    probe: Vec<Key>,
}

/// `make` for the train and the test split.
fn for_splits<T>(mut make: impl FnMut(Split) -> Result<T>) -> Result<[T; 2]> {
    Ok([make(Split::Train)?, make(Split::Test)?])
}

impl Plan {
    /// The plan of `pipeline`, as [`Self::watched`] makes it.
    ///
    /// # Errors
    /// As [`Self::watched`].
    pub fn new(pipeline: &Pipeline, dir: &RunDir) -> Result<Self> {
        Self::watched(pipeline, dir, Look::Whole, &Unwatched)
    }

    /// The plan of `pipeline`, whose source is read as far as its content is not known; `watch` hears of it.
    ///
    /// A source that is gone after it was ingested is no error where one ingest of both splits was made of what
    /// the pipeline names: that stands for it.
    ///
    /// # Errors
    /// When the source cannot be opened; where a boundary is `auto`, also when the images do not say
    /// how large they are, or do not fit the pipeline.
    pub fn watched(
        pipeline: &Pipeline,
        dir: &RunDir,
        look: Look,
        watch: &dyn Watch,
    ) -> Result<Self> {
        let key = |split, source| Ok(ingest_key(pipeline, split, source)?.settings);
        let provenance = Provenance::of(pipeline, dir, look, watch, &key)?;
        check_labels(pipeline, &provenance)?;
        Self::of_samples(pipeline, provenance, |key| {
            let ingested = dir.dataset(INGEST, Split::Train).find(key)?;
            media::of(&pipeline.view).size(pipeline, ingested.as_ref())
        })
    }

    /// The plan of a `pipeline` whose samples are gone, so that nothing is known of them: what it files, it files apart
    /// from what is made of samples. `None` where the view leaves open how large they are.
    ///
    /// # Errors
    /// When samples as the view has them do not fit the pipeline.
    pub fn without_samples(pipeline: &Pipeline) -> Result<Option<Self>> {
        let size = pipeline.view.settings().size(&pipeline.data.source);
        let Some(size) = size else { return Ok(None) };
        Self::of_samples(pipeline, Provenance::of_nothing(), |_| Ok(size)).map(Some)
    }

    /// The plan of `pipeline` for such samples; `size` says how large they are, that are ingested under a key.
    fn of_samples(
        pipeline: &Pipeline,
        provenance: Provenance,
        size: impl Fn(&str) -> Result<(usize, usize)>,
    ) -> Result<Self> {
        let samples = provenance.counts;
        let ingest = for_splits(|split| {
            ingest_key(pipeline, split, provenance.identities[split as usize].value.clone())
        })?;
        let boundaries =
            boundary::resolve(pipeline, || Costs::new(pipeline, samples, size(&ingest[0].hash)?))?;

        let untrained = for_splits(|split| untrained_key(pipeline, split, &ingest))?;
        let together = pipeline.trains_together();
        let replayed = match pipeline.replay() > 0.0 {
            true => pipeline.store.keep_generations.saturating_sub(1),
            false => 0,
        };
        let (mut train, mut encode) = (Vec::<Vec<Key>>::new(), Vec::<Vec<[Key; 2]>>::new());
        for round in 0..pipeline.rounds() {
            let (mut trained, mut encoded) = (Vec::<Key>::new(), Vec::<[Key; 2]>::new());
            for (module, boundary) in boundaries.iter().enumerate() {
                let input = if module == 0 { &ingest } else { &encoded[module - 1] };
                let at = At { module, round };
                let samples = if together { &ingest } else { input };
                // The first module reads samples, of which there are no generations.
                let older = (module > 0).then(|| older_rounds(round, replayed));
                let older = older.into_iter().flatten().map(|it| &encode[it][module - 1][0]);
                let reads = Reads {
                    rows: &samples[Split::Train as usize],
                    older: older.collect(),
                    before: round.checked_sub(1).map(|before| &train[before][module]),
                    held_out: &input[Split::Test as usize],
                    test_samples: &ingest[Split::Test as usize],
                };
                let key = train_key(pipeline, at, &reads)?;
                encoded.push(for_splits(|split| {
                    encode_key(pipeline, at, boundary, split, [&key, &input[split as usize]])
                })?);
                trained.push(key);
            }
            train.push(trained);
            encode.push(encoded);
        }
        let encoded = encode[encode.len() - 1].iter();
        let probe = encoded.map(|encoded| probe_key(pipeline, encoded, &untrained));
        let probe = probe.collect::<Result<_>>()?;
        let names = pipeline.modules.iter().map(|module| module.name.clone()).collect();
        let stored = boundaries.iter().map(|it| it.stored).collect();
        Ok(Self {
            names,
            provenance,
            is_async: matches!(pipeline.schedule, Schedule::Async(_)),
            boundaries,
            stored,
            together,
            ingest,
            untrained,
            replayed,
            train,
            encode,
            probe,
        })
    }

    /// What the steps of `pipeline`, whose plan this is, cost.
    ///
    /// # Errors
    /// When the images do not say how large they are, or do not fit the pipeline.
    pub fn costs<'a>(&self, pipeline: &'a Pipeline, dir: &RunDir) -> Result<Costs<'a>> {
        let ingested = |split| dir.dataset(INGEST, split).find(&self.key(Step::Ingest, split).hash);
        let [train, test] = [ingested(Split::Train)?, ingested(Split::Test)?];
        let image = media::of(&pipeline.view).size(pipeline, train.as_ref())?;
        let mut samples = self.provenance.counts;
        for (samples, ingested) in samples.iter_mut().zip([train, test]) {
            // Broken samples are known now.
            *samples = ingested.map_or(*samples, |it| it.rows());
        }
        Costs::new(pipeline, samples, image)
    }

    /// What the samples of both splits are made of.
    pub fn provenance(&self) -> &Provenance {
        &self.provenance
    }

    /// What becomes of the activations of a module.
    pub fn boundary(&self, module: usize) -> &Boundary {
        &self.boundaries[module]
    }

    /// Of every module, whether its activations are stored.
    pub fn stored(&self) -> &[bool] {
        &self.stored
    }

    /// The modules that run frozen in front of this one, because what they give is not stored.
    pub fn recomputed(&self, module: usize) -> Range<usize> {
        recomputed(&self.stored, module)
    }

    /// Rounds in which every module trains.
    pub fn rounds(&self) -> usize {
        self.train.len()
    }

    /// The module in the older rounds whose input is replayed in this one, newest first. The first module
    /// reads samples, of which there are no generations.
    pub fn replayed(&self, at: At) -> impl Iterator<Item = At> + use<> {
        let count = if at.module == 0 { 0 } else { self.replayed };
        older_rounds(at.round, count).map(move |round| At { round, ..at })
    }

    /// A module in the last round.
    pub fn last(&self, module: usize) -> At {
        At { module, round: self.rounds() - 1 }
    }

    /// The step that writes the rows that a module, or the first of the frozen ones in front of it,
    /// reads in a round.
    pub fn source(&self, at: At) -> Step {
        match self.recomputed(at.module).start {
            0 => Step::Ingest,
            first => Step::Encode(At { module: first - 1, ..at }),
        }
    }

    /// The steps whose output a step reads.
    pub fn inputs(&self, step: Step) -> Vec<Step> {
        let of_module = |at: At| {
            let frozen = self.recomputed(at.module).map(|module| Step::Train(At { module, ..at }));
            [self.source(at)].into_iter().chain(frozen).collect::<Vec<_>>()
        };
        match step {
            Step::Ingest => vec![],
            Step::Untrained => vec![Step::Ingest],
            Step::Train(_) if self.together => vec![Step::Ingest],
            // What its predecessor has written comes and goes.
            Step::Train(_) if self.is_async => vec![Step::Ingest],
            Step::Train(at) => {
                let before = at.round.checked_sub(1).map(|round| Step::Train(At { round, ..at }));
                let replayed = self.replayed(at).flat_map(of_module);
                of_module(at).into_iter().chain(replayed).chain(before).collect()
            }
            Step::Encode(at) => [of_module(at), vec![Step::Train(at)]].concat(),
            Step::Probe(module) => vec![Step::Untrained, Step::Encode(self.last(module))],
        }
    }

    /// The steps that are done in one piece of work with this one, itself among them: where modules train
    /// at once, the trainings of all, and their encodings; else it alone.
    pub fn together(&self, step: Step) -> Vec<Step> {
        let of_all = |step: fn(At) -> Step| {
            (0..self.names.len()).map(|module| step(self.last(module))).collect()
        };
        match step {
            Step::Train(_) if self.together => of_all(Step::Train),
            Step::Encode(_) if self.together => of_all(Step::Encode),
            _ => vec![step],
        }
    }

    /// Whether everything is done that is done in one piece with `step`.
    ///
    /// # Errors
    /// As [`Self::is_done`].
    pub fn are_done_together(&self, step: Step, dir: &RunDir) -> Result<bool> {
        for step in self.together(step) {
            if !self.is_done(step, dir)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The module in whose folder a training keeps its checkpoint: its own, or the first of those that
    /// train at once.
    pub fn checkpoint_of(&self, at: At) -> At {
        if self.together { self.last(0) } else { at }
    }

    /// Every step, in the order that [`super::Run`] takes them.
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = vec![Step::Ingest, Step::Untrained];
        for round in 0..self.rounds() {
            for module in 0..self.names.len() {
                let at = At { module, round };
                steps.extend([Step::Train(at), Step::Encode(at)]);
                steps.extend((at == self.last(module)).then_some(Step::Probe(module)));
            }
        }
        if self.together {
            steps.sort_by_key(|step| match step {
                Step::Ingest | Step::Untrained => 0,
                Step::Train(_) => 1,
                Step::Encode(_) => 2,
                Step::Probe(_) => 3,
            });
        }
        steps
    }

    /// The name of a module.
    pub fn module(&self, index: usize) -> &str {
        &self.names[index]
    }

    /// The stage a step belongs to: the module's name, or `ingest`, or `untrained`.
    pub fn stage_name(&self, step: Step) -> String {
        match step {
            Step::Ingest => INGEST.to_string(),
            Step::Untrained => UNTRAINED.to_string(),
            Step::Train(At { module, .. }) | Step::Encode(At { module, .. }) => {
                self.names[module].clone()
            }
            Step::Probe(module) => self.names[module].clone(),
        }
    }

    /// What the step does to its stage.
    pub fn step_name(&self, step: Step) -> &'static str {
        match step {
            Step::Ingest => "ingest",
            Step::Untrained | Step::Encode(_) => "encode",
            Step::Train(_) => "train",
            Step::Probe(_) => "probe",
        }
    }

    /// The step as it is called in messages and on the command line: `train a`.
    pub fn title(&self, step: Step) -> String {
        match step {
            Step::Ingest => INGEST.to_string(),
            _ => format!("{} {}", self.step_name(step), self.stage_name(step)),
        }
    }

    /// The same with its round, where there are several: `train a, round 2`; or with all that is done in
    /// one piece with it: `train a, b`.
    pub fn full_title(&self, step: Step) -> String {
        match (self.in_round(step), step) {
            (Some(InRound { round, .. }), _) => format!("{}, round {round}", self.title(step)),
            (None, Step::Train(_) | Step::Encode(_)) if self.together => {
                format!("{} {}", self.step_name(step), self.names.join(", "))
            }
            _ => self.title(step),
        }
    }

    /// The round of a step, where there are several.
    pub fn in_round(&self, step: Step) -> Option<InRound> {
        let (Step::Train(at) | Step::Encode(at)) = step else { return None };
        let rounds = self.rounds();
        (rounds > 1).then_some(InRound { round: at.round + 1, rounds })
    }

    /// The lock of a step: one a stage and round, so that the steps of other pipelines, which have
    /// other keys, do not wait for it; of what is done in one piece that of the first.
    pub fn lock_name(&self, step: Step) -> String {
        let step = self.together(step)[0];
        let key = match step {
            Step::Encode(at) => self.key(Step::Train(at), Split::Train),
            Step::Probe(module) => self.key(Step::Train(self.last(module)), Split::Train),
            Step::Ingest | Step::Untrained | Step::Train(_) => self.key(step, Split::Train),
        };
        format!("{}-{}", self.stage_name(step), &key.hash[..16])
    }

    /// The keys of what a step writes: one a split for datasets, else one.
    pub fn keys(&self, step: Step) -> Vec<&Key> {
        match step {
            Step::Ingest => self.ingest.iter().collect(),
            Step::Untrained => self.untrained.iter().collect(),
            Step::Encode(at) => self.encode[at.round][at.module].iter().collect(),
            Step::Train(at) => vec![&self.train[at.round][at.module]],
            Step::Probe(module) => vec![&self.probe[module]],
        }
    }

    /// The key of one split of a step that writes datasets.
    pub fn key(&self, step: Step, split: Split) -> &Key {
        let keys = self.keys(step);
        keys.get(split as usize).copied().unwrap_or(keys[0])
    }

    /// The datasets that a step writes for a split: one, or for the untrained stack one a module.
    pub fn datasets(&self, step: Step, split: Split, dir: &RunDir) -> Vec<Dataset> {
        match step {
            Step::Ingest => vec![dir.dataset(INGEST, split)],
            Step::Encode(at) => vec![dir.dataset(&self.names[at.module], split)],
            Step::Untrained => {
                self.names.iter().map(|module| dir.untrained(module, split)).collect()
            }
            Step::Train(_) | Step::Probe(_) => vec![],
        }
    }

    /// The generations that a step has committed for a split with its present key; those that are
    /// not there are left out.
    ///
    /// # Errors
    /// When a manifest cannot be read for another reason than damage.
    pub fn generations(&self, step: Step, split: Split, dir: &RunDir) -> Result<Vec<Generation>> {
        let key = self.key(step, split);
        let mut found = Vec::new();
        for dataset in self.datasets(step, split, dir) {
            found.extend(dataset.find(&key.hash)?);
        }
        Ok(found)
    }

    /// The one dataset that `ingest` or the encoding of a module has committed.
    ///
    /// # Errors
    /// [`Kind::NotReady`] when it has not.
    pub fn generation(&self, step: Step, split: Split, dir: &RunDir) -> Result<Generation> {
        self.generations(step, split, dir)?.into_iter().next().ok_or_else(|| {
            let (title, command) = (self.full_title(step), self.title(step));
            let message = format!("the {} split of `{title}` is not there", split.name());
            Error::new(Kind::NotReady, message).hint(format!("run `gimlet {command}` first"))
        })
    }

    /// The training of a module with its present key, and its number.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn training(&self, at: At, dir: &RunDir) -> Result<Option<(u64, record::Training)>> {
        record::find(&dir.trainings(&self.names[at.module]), &self.train[at.round][at.module].hash)
    }

    /// The probe of a module with its present key, and its number.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn probe(&self, module: usize, dir: &RunDir) -> Result<Option<(u64, record::Probe)>> {
        record::find(&dir.probes(&self.names[module]), &self.probe[module].hash)
    }

    /// Whether everything that a step writes is committed under its present key, and whole.
    ///
    /// # Errors
    /// When a record or manifest cannot be read for another reason than damage.
    pub fn is_done(&self, step: Step, dir: &RunDir) -> Result<bool> {
        match step {
            Step::Train(at) => {
                Ok(self.training(at, dir)?.is_some() && self.broken(step, dir)?.is_empty())
            }
            Step::Probe(module) => Ok(self.probe(module, dir)?.is_some()),
            Step::Ingest | Step::Untrained | Step::Encode(_) => {
                for split in Split::ALL {
                    if !self.is_split_done(step, split, dir)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
        }
    }

    /// Whether everything that a step writes for a split is committed under its present key, and
    /// whole.
    ///
    /// # Errors
    /// When a manifest cannot be read for another reason than damage.
    pub fn is_split_done(&self, step: Step, split: Split, dir: &RunDir) -> Result<bool> {
        let found = self.generations(step, split, dir)?;
        let all = found.len() == self.datasets(step, split, dir).len();
        for generation in found.iter().filter(|_| all) {
            if !generation.is_whole()? {
                return Ok(false);
            }
        }
        Ok(all)
    }

    /// The files that a step has committed under its present key, and that have to be made anew:
    /// they are missing, have another size, or were noted as damaged.
    ///
    /// # Errors
    /// When a record or manifest cannot be read for another reason than damage.
    pub fn broken(&self, step: Step, dir: &RunDir) -> Result<Vec<PathBuf>> {
        if let Step::Train(at) = step {
            let Some((_, record)) = self.training(at, dir)? else { return Ok(vec![]) };
            let path = dir.weights(self.module(at.module), &record.key);
            let size = files::size(&path).map_err(|error| Error::io("look at", &path, error))?;
            let whole = size == Some(record.bytes) && !damage::is_noted(&path)?;
            return Ok(if whole { vec![] } else { vec![path] });
        }
        let mut broken = Vec::new();
        for split in Split::ALL {
            for generation in self.generations(step, split, dir)? {
                broken.extend(generation.broken_parts()?);
            }
        }
        Ok(broken)
    }
}

/// The last `count` rounds before `round`, newest first.
fn older_rounds(round: usize, count: usize) -> impl Iterator<Item = usize> {
    (round.saturating_sub(count)..round).rev()
}
