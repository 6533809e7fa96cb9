//! `train`: trains one module on its predecessor's activations, or all modules on the same batches, from the last
//! checkpoint on. No gradient goes from one module to another.

use gimlet_store::{Generation, Lease, Location};

use super::meter::Meter;
use super::patience::without_best;
use super::trainer::Trainee;
use super::training_loop::{Pause, Supply, TrainingLoop};
use super::{Run, memory, record};
use crate::loss::{Samples, Sizes};
use crate::media::{self, Ingested};
use crate::module::{self, Module};
use crate::parameters::Parameters;
use crate::pipeline::Split;
use crate::quantity::bytes_in_words;
use crate::random::generator;
use crate::schedule::{At, Step};
use crate::train::checkpoint::{Checkpoints, Progress};
use crate::train::feed::{Batch, Course};
use crate::train::input::{Activations, Input, Recomputed};
use crate::train::profile::Profile;
use crate::train::took::Took;
use crate::train::trainer::Trainer;
use crate::{Error, Kind, Result};

impl Run<'_> {
    /// Opens what a module reads from a split: the rows stored below it, passed through the frozen modules between.
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

    /// Opens what the first module reads from an ingested split. Each round has its own frozen views of the training
    /// split.
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

    /// Opens the ingested training split, where samples are normalised by its statistics; otherwise `None`.
    ///
    /// # Errors
    /// When it is not there.
    pub(super) fn normalised_by(&self) -> Result<Option<Generation>> {
        let is_needed = media::of(&self.pipeline.view).is_normalised_by_training();
        let training = || self.standing.generation(Step::Ingest, Split::Train);
        is_needed.then(training).transpose()
    }

    /// Builds a module with its trained weights.
    pub(super) fn encoder(&self, at: At) -> Result<Module> {
        let encoder = self.standing.weights(at)?.under("encoder").on(&self.session.device)?;
        let input = self.stack()?.input(at.module);
        Module::new(&self.pipeline.modules[at.module].layers, input.channels, &encoder)
    }

    /// Opens what module `index` of the untrained stack reads from a split, computed from the ingested samples.
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

    /// Draws the parameters of module `index`: its training starts from these, and the untrained stack keeps them.
    pub(super) fn drawn(&self, index: usize) -> Result<Parameters> {
        self.trainee(index)?.drawn()
    }

    fn trainee(&self, index: usize) -> Result<Trainee<'_>> {
        let (pipeline, stack, sizes) = (self.pipeline, self.stack()?, self.sizes(index)?);
        Ok(Trainee { pipeline, stack, index, sizes })
    }

    /// Loads the newest checkpoint that is whole.
    pub(super) fn load(&self, checkpoints: &Checkpoints) -> Result<Option<(Parameters, Progress)>> {
        checkpoints.load(|error| {
            self.session.progress.warn(&format!("{error}; going on from the one before"));
        })
    }

    /// The course of a training on `input`.
    ///
    /// # Errors
    /// When `input` does not fill one batch.
    pub(super) fn course(&self, at: At, input: &dyn Input) -> Result<Course> {
        let module = &self.pipeline.modules[at.module];
        let course = Course {
            seed: self.pipeline.seed,
            module: module.name.clone(),
            samples: input.samples(),
            views: input.views(),
            batch: self.pipeline.training.batch,
            epochs: self.pipeline.epochs_per_round(at.module),
        };
        course.check()?;
        // A training that this one goes on from may have ended early.
        let before = self.pipeline.schedule.before(at).map(|it| self.standing.training(it));
        let steps = before.transpose()?.flatten().map_or(0, |(_, record)| record.steps);
        Ok(Course { epochs: course.epochs + course.epoch(steps) as usize, ..course })
    }

    /// Makes the trainer of module `index`. It starts from `state`, which was written after the given number of steps;
    /// without one, from the drawn parameters.
    pub(super) fn trainer(
        &self,
        index: usize,
        state: Option<(&Parameters, u64)>,
    ) -> Result<Trainer> {
        let trainee = self.trainee(index)?;
        let start = match state {
            Some((state, _)) => without_best(state).without("adam"),
            None => trainee.drawn()?,
        };
        let learning_rate = self.pipeline.modules[index].learning_rate;
        let mut trainer = trainee.trainer(&start.on(&self.session.device)?, learning_rate)?;
        if let Some((state, steps)) = state {
            trainer.restore(state, steps)?;
        }
        Ok(trainer)
    }

    /// Trains a module, or all that train in one piece with it, to the last epoch.
    pub(super) fn train(&self, at: At) -> Result<()> {
        memory::reset_peak();
        let meter = Meter::begin(self.standing.dir.store());
        let all = self.standing.plan.trained_with(at);
        let folders = all.iter().map(|at| begin_in(&self.standing.training_folder(*at)));
        let _leases = folders.collect::<Result<Vec<_>>>()?;
        if self.have_weights_again(&all)? {
            return Ok(());
        }
        // All modules take the samples in the order of the first.
        let input = self.training_input(all[0])?;
        let course = self.course(all[0], input.as_ref())?;
        let labels = self.labels(|| input.keys())?;
        let looks = self.looks(&all, &course)?;
        let until = course.steps();
        let mut training = TrainingLoop::begin(self, &all, course, labels, looks, meter)?;
        let input = input.as_ref();
        let supply = Supply { input, generation: None, turns: &|_| Ok(false) };
        match training.train_on(&supply, until)? {
            Pause::Unreadable(error) => Err(error),
            Pause::There | Pause::Turns => training.finish(),
        }
    }

    /// The final state of the training that this one goes on from; `None` where it starts from drawn parameters.
    pub(super) fn end_of_training_before(&self, at: At) -> Result<Option<(Parameters, Progress)>> {
        let Some(before) = self.pipeline.schedule.before(at) else { return Ok(None) };
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
        let record::Training { steps, took, .. } = record;
        let took = Took { bytes: None, ..took };
        Ok(Some((state, Progress { steps, took, ..Progress::default() })))
    }

    /// Whether all trainings of `all` are committed and have whole weights.
    ///
    /// # Errors
    /// When some were imported and others are not there, or training again cannot end with the same
    /// weights.
    fn have_weights_again(&self, all: &[At]) -> Result<bool> {
        let (mut missing, mut imported) = (None, None);
        for at in all {
            if !self.has_weights_again(*at)? {
                missing = missing.or(Some(*at));
            } else if let Some((_, record)) = self.standing.training(*at)?
                && record.imported.is_some()
            {
                imported = imported.or(Some(*at));
            }
        }
        if let (Some(missing), Some(imported)) = (missing, imported) {
            let [missing, imported] =
                [missing, imported].map(|it| self.standing.plan.module(it.module));
            let message = format!(
                "the weights of `{imported}` were imported, and `{missing}` has none: they train at once"
            );
            return Err(Error::failed(message).hint("run `gimlet import` again, or in another run"));
        }
        Ok(missing.is_none())
    }

    /// Whether a training is committed and its weights are whole. Then it forgets that they were damaged.
    ///
    /// # Errors
    /// When they are damaged and training again cannot end with the same weights.
    pub(super) fn has_weights_again(&self, at: At) -> Result<bool> {
        let Some((_, record)) = self.standing.training(at)? else { return Ok(false) };
        let path = self.standing.weights_file(at);
        if record.read_weights(&path).is_ok() {
            path.forget_damage()?;
            return Ok(true);
        }
        if let Some(imported) = record.imported {
            let message = format!("`{path}` is damaged; it was imported");
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
            path,
            self.session.device.name()
        );
        let again = format!("--threads {threads_before} --device {device}");
        let hint = format!("run with `{again}`, or restore the file");
        Err(Error::new(Kind::Damaged, message).hint(hint))
    }

    /// Warns when `store.read_memory` does not hold one batch, so that only one is read ahead.
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

    /// Draws what the loss of a module needs other than the vectors of a batch. `labels` are those of all rows.
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

    /// The record of a training with its steps and what they took, and the mean loss and accuracy of its last epoch.
    pub(super) fn ended(
        &self,
        (steps, took): (u64, Took),
        (loss, accuracy): (f64, Option<f64>),
    ) -> record::Training {
        record::Training {
            steps,
            loss: Some(loss),
            accuracy,
            took,
            threads: rayon::current_num_threads(),
            device: self.session.device.name(),
            ..record::Training::default()
        }
    }

    /// Reports where the time and the memory of a training's steps went, on batches of `maps` maps.
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
        // Each module has its own profile, even where modules train at once.
        let title = match self.pipeline.schedule.is_in_one_pass() {
            true => self.standing.plan.title(Step::Train(at)),
            false => self.standing.plan.full_title(Step::Train(at)),
        };
        self.session.progress.profile(&title, &profile);
        Ok(())
    }
}

/// Makes the folder of a training, and takes its lease.
pub(super) fn begin_in(folder: &Location) -> Result<Lease> {
    folder.create_folder()?;
    let lease = Lease::write_to(folder)?;
    folder.remove_dead_temps()?;
    Ok(lease)
}
