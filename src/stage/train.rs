//! `train`: one module on its predecessor's activations, from the last checkpoint on.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use gimlet_store::{Generation, Lease, damage, durable};

use super::plan::{At, Step};
use super::status::share;
use super::{Run, memory, record};
use crate::loss::Samples;
use crate::module::{self, Module};
use crate::parameters::Parameters;
use crate::pipeline::{Map, Pooling, Schedule, Split, View, bytes_in_words};
use crate::random::generator;
use crate::train::checkpoint::{Checkpoints, Progress};
use crate::train::feed::{Course, feed};
use crate::train::input::{Activations, Images, Input, Recomputed};
use crate::train::log::{Entry, Log};
use crate::train::profile::Profile;
use crate::train::recordings::Recordings;
use crate::train::trainer::{self, Trainer};
use crate::{Error, Kind, Result};

impl Run<'_> {
    /// What a module reads from a split: what is stored below it, through the frozen modules
    /// between.
    pub(super) fn input(&self, at: At, split: Split) -> Result<Box<dyn Input>> {
        let generation = self.plan.generation(self.plan.source(at), split, &self.dir)?;
        let view = &self.pipeline.view;
        let recomputed = self.plan.recomputed(at.module);
        let stored: Box<dyn Input> = match recomputed.start {
            0 => self.seen(&generation, split, at.round)?,
            _ => Box::new(Activations::new(&generation, view.views_of(split))?),
        };
        if recomputed.is_empty() {
            return Ok(stored);
        }
        let between = recomputed.map(|module| self.encoder(At { module, ..at }));
        let between = between.collect::<Result<_>>()?;
        Ok(Box::new(Recomputed::new(stored, between, &self.device)?))
    }

    /// What the first module reads of an ingested split; each round has frozen views of its own of the
    /// training split.
    fn seen(&self, generation: &Generation, split: Split, round: usize) -> Result<Box<dyn Input>> {
        let seed = self.pipeline.seed;
        let before = match split {
            Split::Train => (round * self.pipeline.view.views_of(split)) as u64,
            Split::Test => 0,
        };
        Ok(match &self.pipeline.view {
            View::Images(view) => {
                Box::new(Images::new(generation, view, split, seed)?.views_after(before))
            }
            View::Sound(view) => {
                let normalise = self.normalise(view)?;
                let seen = Recordings::new(generation, view, normalise, split, seed)?;
                Box::new(seen.views_after(before))
            }
        })
    }

    /// A module as its training left it.
    pub(super) fn encoder(&self, at: At) -> Result<Module> {
        let encoder = self.weights(at)?.under("encoder").on(&self.device)?;
        let maps = self.maps(at.module)?;
        Module::new(&self.pipeline.modules[at.module].layers, maps.0.channels, &encoder)
    }

    /// What module `index` of the stack as it was drawn reads from a split, computed from what was
    /// ingested.
    pub(super) fn untrained_input(&self, index: usize, split: Split) -> Result<Box<dyn Input>> {
        let ingested = self.plan.generation(Step::Ingest, split, &self.dir)?;
        let seen = self.seen(&ingested, split, 0)?;
        let below = (0..index).map(|index| {
            let encoder = self.drawn(index)?.under("encoder").on(&self.device)?;
            let layers = &self.pipeline.modules[index].layers;
            Module::new(layers, self.maps(index)?.0.channels, &encoder)
        });
        let below = below.collect::<Result<Vec<_>>>()?;
        Ok(Box::new(Recomputed::new(seen, below, &self.device)?))
    }

    /// The maps that module `index` reads and writes, for the images that were ingested.
    pub(super) fn maps(&self, index: usize) -> Result<(Map, Map)> {
        self.pipeline
            .shapes(self.image()?)?
            .get(index)
            .copied()
            .ok_or_else(|| Error::failed(format!("there is no module {index}")))
    }

    /// How the maps of a sample become the vectors that losses and probes see.
    pub(super) fn pooling(&self) -> Result<Pooling> {
        Ok(Pooling::of(&self.pipeline.view, self.image()?))
    }

    /// Height and width of the images that were ingested; of sound, 1 and its samples.
    pub(super) fn image(&self) -> Result<(usize, usize)> {
        let ingested = self.plan.generation(Step::Ingest, Split::Train, &self.dir)?;
        let shape = ingested.manifest().schema.columns.first().map(|it| it.shape.clone());
        match shape.as_deref() {
            Some([height, width, _]) => Ok((*height, *width)),
            Some([samples]) => Ok((1, *samples)),
            other => Err(Error::failed(format!("samples of shape {other:?}"))),
        }
    }

    /// The parameters that module `index` is drawn with: its training starts from these, and the
    /// untrained stack keeps them.
    pub(super) fn drawn(&self, index: usize) -> Result<Parameters> {
        let (module, (input, _)) = (&self.pipeline.modules[index], self.maps(index)?);
        let (loss, sizes) = (&self.pipeline.loss, self.sizes(index)?);
        let shapes = trainer::shapes(&module.layers, loss, input.channels, sizes);
        Parameters::draw(&shapes, self.pipeline.seed, &module.name)
    }

    /// Removes what a process has left that was killed after it had committed its weights.
    pub(super) fn forget_checkpoints(&self, at: At) {
        Checkpoints::in_folder(&self.training_folder(at)).remove();
    }

    pub(super) fn train(&self, at: At) -> Result<()> {
        memory::reset_peak();
        let index = at.module;
        let folder = self.training_folder(at);
        durable::create_folder(&folder)?;
        let _lease = Lease::write_to(&folder)?;
        durable::remove_dead_temps(&folder)?;
        if self.has_weights_again(at)? {
            return Ok(());
        }
        let module = &self.pipeline.modules[index];
        let input = self.input(at, Split::Train)?;
        let course = Course {
            seed: self.pipeline.seed,
            module: module.name.clone(),
            samples: input.samples(),
            views: input.views(),
            batch: self.pipeline.training.batch,
            epochs: module.epochs / self.plan.rounds() * (at.round + 1),
        };
        if course.steps_per_epoch() == 0 {
            let (samples, batch) = (course.samples, course.batch);
            let message = format!("{samples} training samples do not fill one batch of {batch}");
            return Err(Error::failed(message).hint("lower `training.batch`, or use more samples"));
        }

        let checkpoints = Checkpoints::in_folder(&folder);
        let checkpoint = checkpoints.load(|error| {
            self.progress.warn(&format!("{error}; going on from the one before"));
        })?;
        let resumed = match checkpoint {
            Some(checkpoint) => Some(checkpoint),
            None => self.end_of_round_before(at)?,
        };
        let drawn = match &resumed {
            Some((state, _)) => state.without("adam"),
            None => self.drawn(index)?,
        };
        let mut trainer = Trainer::new(
            &module.layers,
            &self.pipeline.loss,
            self.maps(index)?.0.channels,
            self.sizes(index)?,
            module.learning_rate,
            &drawn.on(&self.device)?,
        )?
        .pooling(self.pooling()?)
        .saving_memory(self.pipeline.training.micro_batch, self.pipeline.training.recompute);
        let mut so_far = Progress::default();
        if let Some((state, progress)) = resumed {
            trainer.restore(&state, progress.steps)?;
            so_far = progress;
        }
        self.train_steps(at, &mut trainer, input.as_ref(), &course, so_far, &folder)
    }

    /// The state that the round before has ended with; `None` in the first.
    fn end_of_round_before(&self, at: At) -> Result<Option<(Parameters, Progress)>> {
        let Some(round) = at.round.checked_sub(1) else { return Ok(None) };
        let before = At { round, ..at };
        let state = self.weights(before)?;
        let Some((_, record)) = self.plan.training(before, &self.dir)? else { return Ok(None) };
        if let Some(imported) = record.imported {
            let title = self.plan.full_title(Step::Train(at));
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
        let record::Training { steps, seconds, wait_seconds, peak_memory, .. } = record;
        Ok(Some((state, Progress { steps, seconds, wait_seconds, peak_memory })))
    }

    /// Of a training that was committed and whose weights are broken: whether they have been restored.
    ///
    /// # Errors
    /// When training again cannot end with the same weights.
    fn has_weights_again(&self, at: At) -> Result<bool> {
        let Some((_, record)) = self.plan.training(at, &self.dir)? else { return Ok(false) };
        let path = self.weights_file(at);
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
        let before = (record.device, record.threads.unwrap_or(threads));
        if before == (self.device.name(), threads) {
            return Ok(false);
        }
        let (device, threads_before) = before;
        let message = format!(
            "`{}` is damaged; it was made with {threads_before} threads on `{device}`, and with \
             {threads} on `{}` would come out different",
            path.display(),
            self.device.name()
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
        mut so_far: Progress,
        folder: &Path,
    ) -> Result<()> {
        let title = self.plan.full_title(Step::Train(at));
        let checkpoints = Checkpoints::in_folder(folder);
        // The log of a round begins with those before it, which go when nothing needs their weights.
        let log_of = |at| self.training_folder(at).join("log.jsonl");
        let before = at.round.checked_sub(1).map(|round| log_of(At { round, ..at }));
        let (mut log, entries) = Log::resume(&log_of(at), before.as_deref(), trainer.steps())?;
        let last_epoch = course.epochs.saturating_sub(1) as u64;
        let mut epoch = EpochMean::default();
        entries.iter().for_each(|entry| epoch.add(entry));
        let every = Duration::from_secs_f64(self.pipeline.training.checkpoint_seconds);
        let mut saved = Instant::now();
        let recipe = self.pipeline.loss.recipe();
        let labels = self.labels(|| input.keys())?;
        let earlier_peak = so_far.peak_memory;
        let mut waited_here = 0.0;
        let peak = || memory::peak().max(earlier_peak);

        let read_memory = self.pipeline.store.read_memory;
        let batch_bytes = (course.batch * input.row_len() * size_of::<f32>()) as u64;
        if batch_bytes > read_memory {
            self.progress.warn(&format!(
                "one batch of `{}` takes {}, more than `store.read_memory` ({}): one is read ahead \
                 at a time",
                course.module,
                bytes_in_words(batch_bytes),
                bytes_in_words(read_memory)
            ));
        }
        self.progress.begin(&title, course.steps(), trainer.steps());
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

                let purpose = format!("{}/negatives", course.module);
                let mut draws = generator(course.seed, &purpose, &[batch.step]);
                let samples = Samples {
                    drawn: recipe.draw(course.batch, trainer.sizes(), &mut draws),
                    labels: match labels.is_empty() {
                        true => Vec::new(),
                        false => batch.rows.iter().map(|row| labels[*row as usize]).collect(),
                    },
                };
                let step = trainer
                    .step(&batch.input, &samples)
                    .map_err(|error| self.diverged(&title, &batch, &checkpoints, &error))?;
                so_far.seconds += waiting.elapsed().as_secs_f64();
                so_far.steps = trainer.steps();
                let entry = Entry {
                    step: batch.step,
                    epoch: batch.epoch,
                    loss: step.loss,
                    accuracy: step.accuracy,
                    seconds: so_far.seconds,
                };
                log.push(&entry)?;
                epoch.add(&entry);
                // The loss first: a narrow terminal cuts the end.
                let of = format!("{}/{}", batch.epoch + 1, course.epochs);
                let detail = format!("{}, epoch {of}", epoch.describe(recipe.accuracy_is()));
                self.progress.advance(trainer.steps(), &detail);

                let stop = self.stop.load(Ordering::Relaxed);
                let at_end = trainer.steps() == course.steps();
                if !at_end && (stop || saved.elapsed() >= every) {
                    log.flush()?;
                    so_far.peak_memory = peak();
                    let state = trainer
                        .state()
                        .map_err(|error| self.diverged(&title, &batch, &checkpoints, &error))?;
                    checkpoints.save(&state, &so_far)?;
                    saved = Instant::now();
                    self.check_stop()?;
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
        let parameters = parameters.map_err(|error| {
            Error::failed(format!("`{title}` ended with bad weights: {error}"))
                .hint("lower `training.learning_rate`")
        })?;
        let mean = epoch.of(last_epoch);
        let training = record::Training {
            steps: so_far.steps,
            loss: Some(mean.0),
            accuracy: mean.1,
            seconds: so_far.seconds,
            wait_seconds: so_far.wait_seconds,
            peak_memory: peak(),
            threads: Some(rayon::current_num_threads()),
            device: self.device.name(),
            ..record::Training::default()
        };
        self.commit_weights(at, &self.weights_bytes(at, &parameters)?, training)?;
        checkpoints.remove();
        let operations =
            module::Cost::of(&self.pipeline.modules[at.module].layers, self.maps(at.module)?.0);
        let patches = (course.batch * input.shape()[0]) as f64;
        self.progress.profile(
            &title,
            &Profile {
                wait: waited_here,
                operations: patches * operations.operations as f64,
                peak: memory::peak(),
                ..trainer.profile()
            },
        );
        self.progress.end(&format!(
            "{} steps, {}, waited {:.1} % of {:.0} s for data",
            so_far.steps,
            epoch.describe(recipe.accuracy_is()),
            100.0 * share(so_far.wait_seconds, so_far.seconds),
            so_far.seconds
        ));
        Ok(())
    }

    /// The error of a step that ended in something that is not a number.
    fn diverged(
        &self,
        title: &str,
        batch: &crate::train::feed::Batch,
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

/// Mean loss and accuracy over the entries of the newest epoch.
#[derive(Default)]
struct EpochMean {
    epoch: u64,
    entries: u64,
    loss: f64,
    /// Where the loss has one.
    accuracy: Option<f64>,
}

impl EpochMean {
    fn add(&mut self, entry: &Entry) {
        if entry.epoch != self.epoch {
            *self = Self { epoch: entry.epoch, ..Self::default() };
        }
        self.entries += 1;
        self.loss += entry.loss;
        self.accuracy = entry.accuracy.map(|it| self.accuracy.unwrap_or(0.0) + it);
    }

    fn of(&self, epoch: u64) -> (f64, Option<f64>) {
        debug_assert_eq!(self.epoch, epoch);
        let entries = self.entries.max(1) as f64;
        (self.loss / entries, self.accuracy.map(|sum| sum / entries))
    }

    /// `accuracy_is` says what the accuracy is.
    fn describe(&self, accuracy_is: &str) -> String {
        let (loss, accuracy) = self.of(self.epoch);
        match accuracy {
            Some(accuracy) => format!("loss {loss:.3}, {accuracy_is} {:.1} %", 100.0 * accuracy),
            None => format!("loss {loss:.3}"),
        }
    }
}
