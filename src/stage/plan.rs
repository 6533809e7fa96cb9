//! The steps of a pipeline in their order, and the key of each.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;

use super::boundary::{self, Boundary};
use super::cost::{Costs, recomputed};
use super::key::Key;
use super::provenance::Provenance;
use super::run_dir::{INGEST, UNTRAINED};
use super::step_key::{Reads, encode_key, ingest_key, probe_key, train_key, untrained_key};
use super::subject;
use crate::Result;
use crate::pipeline::{PerSplit, Pipeline, SampleSize, Split};
use crate::schedule::{At, InRound, Manner, Schedule, Step};

/// The keys of all steps, and for each boundary whether activations are stored or recomputed.
#[derive(Debug, Clone)]
pub struct Plan {
    names: Vec<String>,
    /// What keys hold of what each module computes.
    modules: Vec<Value>,
    /// The provenance of the samples of both splits.
    provenance: Provenance,
    schedule: Arc<dyn Schedule>,
    /// The number of older generations that are kept for replay.
    kept: usize,
    boundaries: Vec<Boundary>,
    /// For each boundary, whether it is stored.
    stored: Vec<bool>,
    ingest: PerSplit<Key>,
    untrained: PerSplit<Key>,
    /// One key per round and module.
    train: Vec<Vec<Key>>,
    encode: Vec<Vec<PerSplit<Key>>>,
    probe: Vec<Key>,
}

impl Plan {
    /// The plan of a `pipeline` whose samples are gone, so that nothing is known of them. Its keys differ from those of
    /// any samples, so its files are kept apart. `None` where the view leaves open how large samples are.
    ///
    /// # Errors
    /// When samples of the view's size do not fit the pipeline.
    pub fn without_samples(pipeline: &Pipeline) -> Result<Option<Self>> {
        let size = pipeline.view.settings().size(&pipeline.data.source);
        let Some(size) = size else { return Ok(None) };
        Self::of_samples(pipeline, Provenance::of_nothing(), |_| Ok(size)).map(Some)
    }

    /// The plan of `pipeline` for samples of this provenance. `size` returns how large the samples are that are
    /// ingested under a key.
    pub(super) fn of_samples(
        pipeline: &Pipeline,
        provenance: Provenance,
        size: impl Fn(&str) -> Result<SampleSize>,
    ) -> Result<Self> {
        let samples = provenance.counts;
        // The first to be asked: without a Python for the modules in PyTorch, nothing is begun.
        let modules: Vec<Value> =
            pipeline.modules.iter().map(subject::key_of).collect::<Result<_>>()?;
        let ingest = PerSplit::try_from_fn(|split| {
            ingest_key(pipeline, split, provenance.identities[split].value.clone())
        })?;
        let boundaries = boundary::resolve(pipeline, || {
            Costs::new(pipeline, samples, size(&ingest.train.hash)?)
        })?;

        let untrained =
            PerSplit::try_from_fn(|split| untrained_key(pipeline, &modules, split, &ingest))?;
        let schedule = &pipeline.schedule;
        let kept = pipeline.store.keep_generations.saturating_sub(1);
        let (mut train, mut encode) = (Vec::<Vec<Key>>::new(), Vec::<Vec<PerSplit<Key>>>::new());
        for round in 0..schedule.rounds() {
            let (mut trained, mut encoded) = (Vec::<Key>::new(), Vec::<PerSplit<Key>>::new());
            for (module, boundary) in boundaries.iter().enumerate() {
                let input = if module == 0 { &ingest } else { &encoded[module - 1] };
                let at = At { module, round };
                let samples = if schedule.is_in_one_pass() { &ingest } else { input };
                // The first module reads samples, which have no generations.
                let older = (module > 0).then(|| schedule.replayed(round, kept));
                let older = older.into_iter().flatten().map(|it| &encode[it][module - 1].train);
                let reads = Reads {
                    rows: &samples.train,
                    older: older.collect(),
                    before: schedule.before(at).map(|before| &train[before.round][before.module]),
                    held_out: &input.test,
                    test_samples: &ingest.test,
                };
                let key = train_key(pipeline, &modules, at, &reads)?;
                encoded.push(PerSplit::try_from_fn(|split| {
                    encode_key(pipeline, at, boundary, split, [&key, &input[split]])
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
            modules,
            provenance,
            schedule: schedule.clone(),
            kept,
            boundaries,
            stored,
            ingest,
            untrained,
            train,
            encode,
            probe,
        })
    }

    /// What keys hold of what a module computes.
    pub(super) fn module_key(&self, index: usize) -> &Value {
        &self.modules[index]
    }

    /// The provenance of the samples of both splits.
    pub fn provenance(&self) -> &Provenance {
        &self.provenance
    }

    /// Whether the activations of a module are stored or recomputed, and why.
    pub fn boundary(&self, module: usize) -> &Boundary {
        &self.boundaries[module]
    }

    /// For every module, whether its activations are stored.
    pub fn stored(&self) -> &[bool] {
        &self.stored
    }

    /// The modules that run frozen in front of this one, because their activations are not stored.
    pub fn recomputed(&self, module: usize) -> Range<usize> {
        recomputed(&self.stored, module)
    }

    /// Rounds in which every module trains.
    pub fn rounds(&self) -> usize {
        self.train.len()
    }

    /// The older rounds of a module whose input is replayed in this round, newest first. The first module reads
    /// samples, which have no generations.
    pub fn replayed(&self, at: At) -> impl Iterator<Item = At> + use<> {
        let older = (at.module > 0).then(|| self.schedule.replayed(at.round, self.kept));
        older.into_iter().flatten().map(move |round| At { round, ..at })
    }

    /// The place of a module in the last round.
    pub fn last(&self, module: usize) -> At {
        At { module, round: self.rounds() - 1 }
    }

    /// The step that writes the stored rows for a module in a round. If frozen modules run in front of it, these rows
    /// are the input of the first of them.
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
            Step::Train(at) => match self.schedule.manner() {
                Manner::InTurn => {
                    let before = self.schedule.before(at).map(Step::Train);
                    let replayed = self.replayed(at).flat_map(of_module);
                    of_module(at).into_iter().chain(replayed).chain(before).collect()
                }
                // The generations of a worker's predecessor come and go.
                Manner::InOnePass | Manner::InWorkers(_) => vec![Step::Ingest],
            },
            Step::Encode(at) => [of_module(at), vec![Step::Train(at)]].concat(),
            Step::Probe(module) => vec![Step::Untrained, Step::Encode(self.last(module))],
        }
    }

    /// The steps that are done in one piece of work with this one, itself included. Where modules train at once: the
    /// trainings of all modules, or their encodings. Otherwise: the step alone.
    pub fn together(&self, step: Step) -> Vec<Step> {
        self.schedule.together(step, self.names.len())
    }

    /// The modules that train in one piece of work with this one, itself included, in order.
    pub fn trained_with(&self, at: At) -> Vec<At> {
        let all = self.together(Step::Train(at)).into_iter();
        all.filter_map(|it| if let Step::Train(at) = it { Some(at) } else { None }).collect()
    }

    /// The module in whose folder a training keeps its checkpoint: its own module, or the first of those that train at
    /// once.
    pub fn checkpoint_of(&self, at: At) -> At {
        if self.schedule.is_in_one_pass() { At { module: 0, ..at } } else { at }
    }

    /// Every step, in the order that [`super::Run`] takes them.
    pub fn steps(&self) -> Vec<Step> {
        self.schedule.steps(self.names.len())
    }

    /// The names of the modules, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The name of a module.
    pub fn module(&self, index: usize) -> &str {
        &self.names[index]
    }

    /// The stage that a step belongs to: the module's name, or `ingest`, or `untrained`.
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

    /// The name of a step in messages and on the command line: `train a`.
    pub fn title(&self, step: Step) -> String {
        match step {
            Step::Ingest => INGEST.to_string(),
            _ => format!("{} {}", step.kind().name(), self.stage_name(step)),
        }
    }

    /// The name of a step with its round, where there are several: `train a, round 2`. Where modules train at once, it
    /// names all of them: `train a, b`.
    pub fn full_title(&self, step: Step) -> String {
        match (self.in_round(step), step) {
            (Some(InRound { round, .. }), _) => format!("{}, round {round}", self.title(step)),
            (None, Step::Train(_) | Step::Encode(_)) if self.schedule.is_in_one_pass() => {
                format!("{} {}", step.kind().name(), self.names.join(", "))
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

    /// Name of the lock file for a step. It contains the training key, so runs with other settings do not block each
    /// other. Steps that are done in one piece share the lock of the first.
    pub fn lock_name(&self, step: Step) -> String {
        let step = self.together(step)[0];
        let key = match step {
            Step::Encode(at) => self.key(Step::Train(at), Split::Train),
            Step::Probe(module) => self.key(Step::Train(self.last(module)), Split::Train),
            Step::Ingest | Step::Untrained | Step::Train(_) => self.key(step, Split::Train),
        };
        format!("{}-{}", self.stage_name(step), &key.hash[..16])
    }

    /// The keys of what a step writes: one per split for datasets, otherwise one.
    pub fn keys(&self, step: Step) -> Vec<&Key> {
        match step {
            Step::Ingest | Step::Untrained | Step::Encode(_) => {
                Split::ALL.map(|split| self.key(step, split)).to_vec()
            }
            Step::Train(_) | Step::Probe(_) => vec![self.key(step, Split::Train)],
        }
    }

    /// The key of one split of a step. A step that writes no datasets has the same key for both.
    pub fn key(&self, step: Step, split: Split) -> &Key {
        match step {
            Step::Ingest => &self.ingest[split],
            Step::Untrained => &self.untrained[split],
            Step::Encode(at) => &self.encode[at.round][at.module][split],
            Step::Train(at) => &self.train[at.round][at.module],
            Step::Probe(module) => &self.probe[module],
        }
    }

    /// The keys of all steps of the last round, and of the steps outside rounds.
    pub fn last_keys(&self) -> HashSet<String> {
        self.hashes(self.steps().into_iter().filter(|step| self.is_of_last_round(*step)))
    }

    /// The keys of all steps.
    pub fn all_keys(&self) -> HashSet<String> {
        self.hashes(self.steps().into_iter())
    }

    /// The keys of `steps`.
    pub(super) fn hashes(&self, steps: impl Iterator<Item = Step>) -> HashSet<String> {
        steps.flat_map(|step| self.keys(step)).map(|key| key.hash.clone()).collect()
    }

    /// Whether a step belongs to the last round, or to no round.
    pub fn is_of_last_round(&self, step: Step) -> bool {
        match step {
            Step::Train(at) | Step::Encode(at) => at == self.last(at.module),
            Step::Ingest | Step::Untrained | Step::Probe(_) => true,
        }
    }
}
