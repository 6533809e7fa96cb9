//! `train`: one module on its predecessor's activations, from the last checkpoint on.

use std::path::Path;
use std::time::{Duration, Instant};

use gimlet_store::{Generation, Lease, damage, durable};

use super::epoch_mean::EpochMean;
use super::meter::Meter;
use super::patience::{Patience, without_best};
use super::plan::{At, Step};
use super::status::share;
use super::watch::Looks;
use super::{Run, memory, record};
use crate::loss::{Samples, Sizes};
use crate::media::{self, Ingested};
use crate::module::{self, Module};
use crate::parameters::Parameters;
use crate::pipeline::{Schedule, Split};
use crate::quantity::bytes_in_words;
use crate::random::generator;
use crate::train::checkpoint::{Checkpoints, Progress};
use crate::train::feed::{Batch, Course, feed};
use crate::train::input::{Activations, Input, Recomputed};
use crate::train::log::{Entry, Log};
use crate::train::profile::{Breakdown, Profile};
use crate::train::trainer::{self, Trainer};
use crate::{Error, Kind, Result};

impl Run<'_> {
    /// What a module reads from a split: what is stored below it, through the frozen modules
    /// between.
    pub(super) fn input(&self, at: At, split: Split) -> Result<Box<dyn Input>> {
        let generation = self.standing.generation(self.standing.plan.source(at), split)?;
        let view = &self.pipeline.view;
        let recomputed = self.standing.plan.recomputed(at.module);
        let stored: Box<dyn Input> = match recomputed.start {
            0 => self.seen(&generation, split, at.round)?,
            _ => Box::new(Activations::new(&generation, view.views_of(split))?),
        };
        if recomputed.is_empty() {
            return Ok(stored);
        }
        let between = recomputed.map(|module| self.encoder(At { module, ..at }));
        let between = between.collect::<Result<_>>()?;
        Ok(Box::new(Recomputed::new(stored, between, &self.session.device)?))
    }

    /// What the first module reads of an ingested split; each round has frozen views of its own of the
    /// training split.
    pub(super) fn seen(
        &self,
        generation: &Generation,
        split: Split,
        round: usize,
    ) -> Result<Box<dyn Input>> {
        let before = match split {
            Split::Train => (round * self.pipeline.view.views_of(split)) as u64,
            Split::Test => 0,
        };
        let training = self.normalised_by()?;
        media::of(&self.pipeline.view).input(&Ingested {
            samples: generation,
            training: training.as_ref(),
            split,
            seed: self.pipeline.seed,
            views_before: before,
        })
    }

    /// The ingested training split, where samples are normalised as that has them.
    ///
    /// # Errors
    /// When it is not there.
    pub(super) fn normalised_by(&self) -> Result<Option<Generation>> {
        let is_needed = media::of(&self.pipeline.view).is_normalised_by_training();
        let training = || self.standing.generation(Step::Ingest, Split::Train);
        is_needed.then(training).transpose()
    }

    /// A module as its training left it.
    pub(super) fn encoder(&self, at: At) -> Result<Module> {
        let encoder = self.standing.weights(at)?.under("encoder").on(&self.session.device)?;
        let input = self.stack()?.input(at.module);
        Module::new(&self.pipeline.modules[at.module].layers, input.channels, &encoder)
    }

    /// What module `index` of the stack as it was drawn reads from a split, computed from what was
    /// ingested.
    pub(super) fn untrained_input(&self, index: usize, split: Split) -> Result<Box<dyn Input>> {
        let ingested = self.standing.generation(Step::Ingest, split)?;
        let seen = self.seen(&ingested, split, 0)?;
        let below = (0..index).map(|index| {
            let encoder = self.drawn(index)?.under("encoder").on(&self.session.device)?;
            let layers = &self.pipeline.modules[index].layers;
            Module::new(layers, self.stack()?.input(index).channels, &encoder)
        });
        let below = below.collect::<Result<Vec<_>>>()?;
        Ok(Box::new(Recomputed::new(seen, below, &self.session.device)?))
    }

    /// The parameters that module `index` is drawn with: its training starts from these, and the
    /// untrained stack keeps them.
    pub(super) fn drawn(&self, index: usize) -> Result<Parameters> {
        let (module, input) = (&self.pipeline.modules[index], self.stack()?.input(index));
        let (loss, sizes) = (self.pipeline.loss.as_ref(), self.sizes(index)?);
        let shapes = trainer::shapes(&module.layers, loss, input.channels, sizes);
        Parameters::draw(&shapes, self.pipeline.seed, &module.name)
    }

    /// The newest checkpoint that is whole.
    pub(super) fn load(&self, checkpoints: &Checkpoints) -> Result<Option<(Parameters, Progress)>> {
        checkpoints.load(|error| {
            self.session.progress.warn(&format!("{error}; going on from the one before"));
        })
    }

    /// The course of a training on `input`.
    ///
    /// # Errors
    /// When that does not fill one batch.
    pub(super) fn course(&self, at: At, input: &dyn Input) -> Result<Course> {
        let module = &self.pipeline.modules[at.module];
        let course = Course {
            seed: self.pipeline.seed,
            module: module.name.clone(),
            samples: input.samples(),
            views: input.views(),
            batch: self.pipeline.training.batch,
            epochs: module.epochs / self.standing.plan.rounds() * (at.round + 1),
        };
        course.check()?;
        Ok(course)
    }

    /// Module `index` in training: from `state`, if there is one that was written after so many steps,
    /// else as it is drawn.
    pub(super) fn trainer(
        &self,
        index: usize,
        state: Option<(&Parameters, u64)>,
    ) -> Result<Trainer> {
        let module = &self.pipeline.modules[index];
        let start = match state {
            Some((state, _)) => without_best(state).without("adam"),
            None => self.drawn(index)?,
        };
        let mut trainer = Trainer::new(
            &module.layers,
            self.pipeline.loss.as_ref(),
            self.stack()?.input(index).channels,
            self.sizes(index)?,
            module.learning_rate,
            &start.on(&self.session.device)?,
        )?
        .pooling(self.stack()?.pooling)
        .saving_memory(self.pipeline.training.micro_batch, self.pipeline.training.recompute);
        if let Some((state, steps)) = state {
            trainer.restore(state, steps)?;
        }
        Ok(trainer)
    }

    pub(super) fn train(&self, at: At) -> Result<()> {
        memory::reset_peak();
        let meter = Meter::begin();
        let _lease = begin_in(&self.standing.training_folder(at))?;
        if self.has_weights_again(at)? {
            return Ok(());
        }
        let input = self.training_input(at)?;
        let course = self.course(at, input.as_ref())?;
        let mut patience = self.patience(at)?;
        let resumed = match self.load(&self.standing.checkpoints(at))? {
            Some(checkpoint) => Some(checkpoint),
            None => self.end_of_round_before(at)?,
        };
        let state = resumed.as_ref().map(|(state, progress)| (state, progress.steps));
        let trainer = self.trainer(at.module, state)?;
        let mut trainer = trainer.in_epochs_of(course.steps_per_epoch());
        let mut so_far = Progress::default();
        if let Some((state, progress)) = resumed {
            if let Some(patience) = &mut patience {
                patience.restore(&state, &progress, course.epoch(progress.steps));
            }
            so_far = progress;
        }
        let looks =
            Looks { watch: if patience.is_none() { self.watch(&[at])? } else { None }, patience };
        self.train_steps(at, &mut trainer, input.as_ref(), &course, (so_far, meter), looks)
    }

    /// The state that the round before has ended with; `None` in the first.
    fn end_of_round_before(&self, at: At) -> Result<Option<(Parameters, Progress)>> {
        let Some(round) = at.round.checked_sub(1) else { return Ok(None) };
        let before = At { round, ..at };
        let state = self.standing.weights(before)?;
        let Some((_, record)) = self.standing.training(before)? else { return Ok(None) };
        if let Some(imported) = record.imported {
            let title = self.standing.plan.full_title(Step::Train(at));
            let message = format!(
                "`{title}` cannot go on from weights imported from `{}`: they come without the state \
                 of an optimiser",
                imported.file
            );
            let hint =
                "import into another run with `--run-dir DIR`, or set `schedule.rounds` back";
            return Err(Error::failed(message).hint(hint));
        }
        // Steps are counted from the first round on, and so is what they took.
        let record::Training {
            steps,
            seconds,
            wait_seconds,
            peak_memory,
            breakdown,
            read_bytes,
            ..
        } = record;
        let breakdown = vec![breakdown];
        let spent = Progress {
            steps,
            seconds,
            wait_seconds,
            peak_memory,
            breakdown,
            read_bytes,
            ..Progress::default()
        };
        Ok(Some((state, spent)))
    }

    /// Of a training that was committed and whose weights are broken: whether they have been restored.
    ///
    /// # Errors
    /// When training again cannot end with the same weights.
    pub(super) fn has_weights_again(&self, at: At) -> Result<bool> {
        let Some((_, record)) = self.standing.training(at)? else { return Ok(false) };
        let path = self.standing.weights_file(at);
        if record.read_weights(&path).is_ok() {
            damage::forget(&path)?;
            return Ok(true);
        }
        if let Some(imported) = record.imported {
            let message = format!("`{}` is damaged; it was imported", path.display());
            let again = format!("import `{}` again, or restore the file", imported.file);
            return Err(Error::new(Kind::Damaged, message).hint(again));
        }
        let threads = rayon::current_num_threads();
        let (device, threads_before) = (record.device, record.threads);
        if (device, threads_before) == (self.session.device.name(), threads) {
            return Ok(false);
        }
        let message = format!(
            "`{}` is damaged; it was made with {threads_before} threads on `{device}`, and with \
             {threads} on `{}` would come out different",
            path.display(),
            self.session.device.name()
        );
        let again = format!("--threads {threads_before} --device {device}");
        let hint = format!("run with `{again}`, or restore the file");
        Err(Error::new(Kind::Damaged, message).hint(hint))
    }

    /// The steps from where `trainer` is to the end, and the commit of the weights.
    fn train_steps(
        &self,
        at: At,
        trainer: &mut Trainer,
        input: &dyn Input,
        course: &Course,
        (mut so_far, meter): (Progress, Meter),
        mut looks: Looks<'_>,
    ) -> Result<()> {
        let title = self.standing.plan.full_title(Step::Train(at));
        let checkpoints = self.standing.checkpoints(at);
        // The log of a round begins with those before it, which go when nothing needs their weights.
        let log_of = |at| self.standing.training_folder(at).join("log.jsonl");
        let before = at.round.checked_sub(1).map(|round| log_of(At { round, ..at }));
        let (mut log, entries) = Log::resume(&log_of(at), before.as_deref(), trainer.steps())?;
        let mut epoch = EpochMean::default();
        entries.iter().for_each(|entry| epoch.add(entry));
        let mut doubt = self.doubt(course, trainer.sizes(), &entries);
        let every = Duration::from_secs_f64(self.pipeline.training.checkpoint_seconds);
        let mut saved = Instant::now();
        let recipe = &self.pipeline.loss;
        let labels = self.labels(|| input.keys())?;
        let earlier = so_far.clone();
        let (mut waited_here, mut looked_here) = (0.0, 0.0);
        let note = |so_far: &mut Progress, trainer: &Trainer, held_out| {
            so_far.peak_memory = memory::peak().max(earlier.peak_memory);
            meter.note(&earlier, &[Breakdown { held_out, ..trainer.breakdown() }], so_far);
        };

        let read_memory = self.pipeline.store.read_memory;
        self.warn_of_large_batches(course, input);
        self.session.progress.begin(&title, course.steps(), trainer.steps());
        let ended = std::thread::scope(|scope| -> Result<()> {
            let steps = trainer.steps()..course.steps();
            let mut batches = feed(scope, input, course, steps, read_memory);
            loop {
                let waiting = Instant::now();
                let Some(batch) = batches.next() else { return Ok(()) };
                let batch = batch?;
                let waited = waiting.elapsed().as_secs_f64();
                so_far.wait_seconds += waited;
                waited_here += waited;

                let samples = self.drawn_for(at, trainer.sizes(), &batch, &labels);
                let step = trainer
                    .step(&batch.input, &samples)
                    .map_err(|error| self.diverged(&title, &batch, &checkpoints, &error))?;
                so_far.seconds += waiting.elapsed().as_secs_f64();
                so_far.steps = trainer.steps();
                let mut entry = Entry::of(&batch, &step, so_far.seconds);
                epoch.add(&entry);
                let mut at_end = trainer.steps() == course.steps();
                if looks.are_any() && trainer.steps().is_multiple_of(course.steps_per_epoch()) {
                    let looking = Instant::now();
                    let parameters = trainer
                        .parameters()
                        .map_err(|error| self.diverged(&title, &batch, &checkpoints, &error))?;
                    let found = looks.look(parameters, epoch.of(batch.epoch))?;
                    entry = entry.with_held_out(found.map(|it| (it.loss, it.accuracy)));
                    let looked = looking.elapsed().as_secs_f64();
                    looked_here += looked;
                    so_far.seconds += looked;
                    entry.seconds = so_far.seconds;
                    at_end |= looks.patience.as_ref().is_some_and(Patience::is_over);
                }
                if let Some(found) = doubt.add(&mut entry, step.dead, at_end) {
                    self.warn_of_learning_nothing(at, found, &entry);
                }
                log.push(&entry)?;
                // The loss first: a narrow terminal cuts the end.
                let of = format!("{}/{}", batch.epoch + 1, course.epochs);
                let detail = format!("{}, epoch {of}", epoch.describe(recipe.accuracy_is()));
                self.session.progress.advance(trainer.steps(), &detail);

                let stop = self.session.stop.is_asked();
                if !at_end && (stop || saved.elapsed() >= every) {
                    log.flush()?;
                    note(&mut so_far, trainer, looked_here);
                    let mut state = trainer
                        .state()
                        .map_err(|error| self.diverged(&title, &batch, &checkpoints, &error))?;
                    if let Some(patience) = &looks.patience {
                        patience.add_to(&mut state, &mut so_far);
                    }
                    checkpoints.save(&state, &so_far)?;
                    saved = Instant::now();
                    self.session.check_stop()?;
                }
                if at_end {
                    return Ok(());
                }
                batches.give_back(batch.input);
            }
        });
        log.flush()?;
        ended?;

        // Where rounds may follow, they go on with the optimiser as it is now.
        let parameters = match self.pipeline.schedule {
            Schedule::Rounds(_) => trainer.state(),
            _ => trainer.parameters(),
        };
        let mut parameters = parameters.map_err(|error| {
            Error::failed(format!("`{title}` ended with bad weights: {error}"))
                .hint("lower `training.learning_rate`")
        })?;
        note(&mut so_far, trainer, looked_here);
        let mut mean = epoch.newest();
        let mut stopped = None;
        if let Some(patience) = looks.patience {
            let (kept, best, how) = patience.kept(&title)?;
            (parameters, mean, stopped) = (kept, (best.loss, best.accuracy), Some(how));
        }
        let training = self.ended(&so_far, mean);
        let learns_nothing = doubt.found();
        let training = record::Training { stopped, learns_nothing, ..training };
        self.standing.commit_weights(
            at,
            &self.standing.weights_bytes(at, &parameters)?,
            training,
            self.session.progress,
        )?;
        checkpoints.remove();
        self.tell_profile(at, trainer, course.batch * input.shape()[0], waited_here)?;
        let stopped = stopped.map(|it| format!("{}, ", it.describe(course.epochs)));
        self.session.progress.end(&format!(
            "{} steps, {}, {}waited {:.1} % of {:.0} s for data",
            so_far.steps,
            epoch.describe(recipe.accuracy_is()),
            stopped.unwrap_or_default(),
            100.0 * share(so_far.wait_seconds, so_far.seconds),
            so_far.seconds
        ));
        Ok(())
    }

    /// Tells when not even two batches can be at hand at a time.
    pub(super) fn warn_of_large_batches(&self, course: &Course, input: &dyn Input) {
        let read_memory = self.pipeline.store.read_memory;
        let batch_bytes = (course.batch * input.row_len() * size_of::<f32>()) as u64;
        if batch_bytes > read_memory {
            self.session.progress.warn(&format!(
                "one batch of `{}` takes {}, more than `store.read_memory` ({}): one is read ahead \
                 at a time",
                course.module,
                bytes_in_words(batch_bytes),
                bytes_in_words(read_memory)
            ));
        }
    }

    /// What the loss of a module needs besides the vectors of a batch; `labels` are those of all rows.
    pub(super) fn drawn_for(&self, at: At, sizes: Sizes, batch: &Batch, labels: &[u32]) -> Samples {
        let purpose = format!("{}/negatives", self.standing.plan.module(at.module));
        let mut draws = generator(self.pipeline.seed, &purpose, &[batch.step]);
        Samples {
            drawn: self.pipeline.loss.draw(batch.rows.len(), sizes, &mut draws),
            labels: match labels.is_empty() {
                true => Vec::new(),
                false => batch.rows.iter().map(|row| labels[*row as usize]).collect(),
            },
        }
    }

    /// The record of a training that took so much, its last epoch's mean loss and accuracy being these.
    pub(super) fn ended(
        &self,
        so_far: &Progress,
        (loss, accuracy): (f64, Option<f64>),
    ) -> record::Training {
        record::Training {
            steps: so_far.steps,
            loss: Some(loss),
            accuracy,
            seconds: so_far.seconds,
            wait_seconds: so_far.wait_seconds,
            peak_memory: so_far.peak_memory,
            breakdown: so_far.breakdown.first().copied().unwrap_or_default(),
            read_bytes: so_far.read_bytes,
            threads: rayon::current_num_threads(),
            device: self.session.device.name(),
            ..record::Training::default()
        }
    }

    /// Tells where the time and the memory of a training's steps went, on batches of so many `maps`.
    pub(super) fn tell_profile(
        &self,
        at: At,
        trainer: &Trainer,
        maps: usize,
        waited: f64,
    ) -> Result<()> {
        let layers = &self.pipeline.modules[at.module].layers;
        let operations = module::Cost::of(layers, self.stack()?.input(at.module)).operations;
        let profile = Profile {
            wait: waited,
            operations: (maps as u64 * operations) as f64,
            peak: memory::peak(),
            ..trainer.profile()
        };
        // Each module has its own, though they may train at once.
        let title = match self.pipeline.trains_together() {
            true => self.standing.plan.title(Step::Train(at)),
            false => self.standing.plan.full_title(Step::Train(at)),
        };
        self.session.progress.profile(&title, &profile);
        Ok(())
    }

    /// The error of a step that ended in something that is not a number.
    pub(super) fn diverged(
        &self,
        title: &str,
        batch: &Batch,
        checkpoints: &Checkpoints,
        error: &Error,
    ) -> Error {
        let kept = match checkpoints.exist() {
            true => "the last good checkpoint is kept",
            false => "no checkpoint had been written",
        };
        let message = format!(
            "`{title}` stopped at epoch {}, step {}: {error}; {kept}",
            batch.epoch + 1,
            batch.step
        );
        Error::failed(message).hint(
            "lower `training.learning_rate`, or look at the input with \
                                     `gimlet inspect`",
        )
    }
}

/// Makes the folder of a training, and holds it.
pub(super) fn begin_in(folder: &Path) -> Result<Lease> {
    durable::create_folder(folder)?;
    let lease = Lease::write_to(folder)?;
    durable::remove_dead_temps(folder)?;
    Ok(lease)
}
