//! `train` of all modules at once: each batch goes forward once, every module training on the maps that
//! the one before it has just made, before that one's update. No gradient goes from one to another.

use std::time::{Duration, Instant};

use super::epoch_mean::EpochMean;
use super::meter::Meter;
use super::plan::{At, Step};
use super::status::share;
use super::train::begin_in;
use super::watch::Watch;
use super::{Run, memory, record};
use crate::parameters::Parameters;
use crate::pipeline::Split;
use crate::train::checkpoint::Progress;
use crate::train::feed::{Batch, Course, feed};
use crate::train::input::Input;
use crate::train::learns_nothing::Doubt;
use crate::train::log::{Entry, Log};
use crate::train::profile::Breakdown;
use crate::train::trainer::{self, Trainer};
use crate::{Error, Result};

/// A module in training beside others.
struct Learner<'a> {
    at: At,
    name: &'a str,
    trainer: Trainer,
    log: Log,
    epoch: EpochMean,
    doubt: Doubt,
    /// Seconds that this attempt has looked at the test split.
    looked: f64,
}

impl Run<'_> {
    pub(super) fn train_together(&self) -> Result<()> {
        memory::reset_peak();
        let meter = Meter::begin();
        let all: Vec<At> = (0..self.pipeline.modules.len())
            .map(|module| self.standing.plan.last(module))
            .collect();
        let folders = all.iter().map(|at| begin_in(&self.standing.training_folder(*at)));
        let _leases = folders.collect::<Result<Vec<_>>>()?;
        if self.have_weights_again(&all)? {
            return Ok(());
        }
        let input = self.input(all[0], Split::Train)?;
        // The order of the first module's samples is that of all.
        let course = self.course(all[0], input.as_ref())?;
        let checkpoint = self.load(&self.standing.checkpoints(all[0]))?;
        let mut learners = Vec::with_capacity(all.len());
        for &at in &all {
            let name = self.standing.plan.module(at.module);
            let state = checkpoint.as_ref().map(|(all, progress)| (all.under(name), progress));
            let state = state.as_ref().map(|(state, progress)| (state, progress.steps));
            let trainer = self.trainer(at.module, state)?;
            let trainer = trainer.in_epochs_of(course.steps_per_epoch());
            let path = self.standing.training_folder(at).join("log.jsonl");
            let (log, entries) = Log::resume(&path, None, trainer.steps())?;
            let mut epoch = EpochMean::default();
            entries.iter().for_each(|entry| epoch.add(entry));
            let doubt = self.doubt(&course, trainer.sizes(), &entries);
            learners.push(Learner { at, name, trainer, log, epoch, doubt, looked: 0.0 });
        }
        let mut so_far = checkpoint.map(|(_, progress)| progress).unwrap_or_default();
        so_far.shares.resize(learners.len(), 0.0);
        let watch = self.watch(&all)?;
        let so_far = (so_far, meter);
        self.train_all_steps(&mut learners, input.as_ref(), &course, so_far, watch.as_ref())
    }

    /// Of trainings that were committed: whether those whose weights were broken have them again, and all
    /// are there.
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

    /// The steps from where the trainers are to the end, and the commit of all weights.
    fn train_all_steps(
        &self,
        learners: &mut [Learner<'_>],
        input: &dyn Input,
        course: &Course,
        (mut so_far, meter): (Progress, Meter),
        watch: Option<&Watch<'_>>,
    ) -> Result<()> {
        let title = self.standing.plan.full_title(Step::Train(learners[0].at));
        let checkpoints = self.standing.checkpoints(learners[0].at);
        let steps = learners[0].trainer.steps()..course.steps();
        let every = Duration::from_secs_f64(self.pipeline.training.checkpoint_seconds);
        let mut saved = Instant::now();
        let labels = self.labels(|| input.keys())?;
        let earlier = so_far.clone();
        let mut waited_here = 0.0;
        self.warn_of_large_batches(course, input);
        self.session.progress.begin(&title, course.steps(), steps.start);
        let ended = std::thread::scope(|scope| -> Result<()> {
            let read_memory = self.pipeline.store.read_memory;
            let mut batches = feed(scope, input, course, steps, read_memory);
            loop {
                let waiting = Instant::now();
                let Some(batch) = batches.next() else { return Ok(()) };
                let batch = batch?;
                let waited = waiting.elapsed().as_secs_f64();
                waited_here += waited;
                so_far.wait_seconds += waited;
                so_far.shares[0] += waited;
                let learnt = self.learn(learners, &batch, &labels, &mut so_far.shares);
                let learnt =
                    learnt.map_err(|error| self.diverged(&title, &batch, &checkpoints, &error))?;
                so_far.steps = batch.step + 1;
                let mut found = Vec::new();
                if let Some(watch) = watch
                    && so_far.steps.is_multiple_of(course.steps_per_epoch())
                {
                    let parameters = learners.iter().map(parameters).collect::<Result<Vec<_>>>();
                    let parameters = parameters
                        .map_err(|error| self.diverged(&title, &batch, &checkpoints, &error))?;
                    found = watch.look(&parameters)?;
                    let shares = so_far.shares.iter_mut();
                    for ((learner, found), share) in learners.iter_mut().zip(&found).zip(shares) {
                        learner.looked += found.seconds;
                        *share += found.seconds;
                    }
                }
                so_far.seconds += waiting.elapsed().as_secs_f64();
                // The last is saved, too: some may be committed when the process ends, and others not.
                let at_end = so_far.steps == course.steps();
                let mut found = found.into_iter().map(|it| (it.loss, it.accuracy));
                for (learner, step) in learners.iter_mut().zip(learnt) {
                    let entry = Entry::of(&batch, &step, so_far.seconds);
                    let mut entry = entry.with_held_out(found.next());
                    if let Some(found) = learner.doubt.add(&mut entry, step.dead, at_end) {
                        self.warn_of_learning_nothing(learner.at, found, &entry);
                    }
                    learner.log.push(&entry)?;
                    learner.epoch.add(&entry);
                }
                let of = format!("{}/{}", batch.epoch + 1, course.epochs);
                let detail = format!("{}, epoch {of}", losses(learners));
                self.session.progress.advance(so_far.steps, &detail);

                let stop = self.session.stop.is_asked();
                if stop || at_end || saved.elapsed() >= every {
                    so_far.peak_memory = memory::peak().max(earlier.peak_memory);
                    meter.note(&earlier, &breakdown(learners), &mut so_far);
                    let state = state(learners)
                        .map_err(|error| self.diverged(&title, &batch, &checkpoints, &error))?;
                    learners.iter_mut().try_for_each(|it| it.log.flush())?;
                    checkpoints.save(&state, &so_far)?;
                    saved = Instant::now();
                }
                if !at_end {
                    self.session.check_stop()?;
                }
                batches.give_back(batch.input);
            }
        });
        learners.iter_mut().try_for_each(|it| it.log.flush())?;
        ended?;

        let last_epoch = course.epochs.saturating_sub(1) as u64;
        for (index, learner) in learners.iter().enumerate() {
            let own = Progress {
                seconds: so_far.shares[index],
                // The others wait for no data.
                wait_seconds: if index == 0 { so_far.wait_seconds } else { 0.0 },
                read_bytes: if index == 0 { so_far.read_bytes } else { 0 },
                breakdown: so_far.breakdown.get(index).copied().into_iter().collect(),
                ..so_far.clone()
            };
            let bytes = self.standing.weights_bytes(learner.at, &learner.trainer.parameters()?)?;
            let training = record::Training {
                learns_nothing: learner.doubt.found(),
                ..self.ended(&own, learner.epoch.of(last_epoch))
            };
            self.standing.commit_weights(learner.at, &bytes, training, self.session.progress)?;
        }
        checkpoints.remove();
        let maps = course.batch * input.shape()[0];
        for (index, learner) in learners.iter().enumerate() {
            let waited = if index == 0 { waited_here } else { 0.0 };
            self.tell_profile(learner.at, &learner.trainer, maps, waited)?;
        }
        self.session.progress.end(&format!(
            "{} steps, {}, waited {:.1} % of {:.0} s for data",
            so_far.steps,
            losses(learners),
            100.0 * share(so_far.wait_seconds, so_far.seconds),
            so_far.seconds
        ));
        Ok(())
    }

    /// One step of every module, in order; adds the seconds of each to `shares`.
    fn learn(
        &self,
        learners: &mut [Learner<'_>],
        batch: &Batch,
        labels: &[u32],
        shares: &mut [f64],
    ) -> Result<Vec<trainer::Step>> {
        let mut steps = Vec::with_capacity(learners.len());
        let mut input = batch.input.clone();
        let last = learners.len() - 1;
        for (index, learner) in learners.iter_mut().enumerate() {
            let started = Instant::now();
            let trainer = &mut learner.trainer;
            let samples = self.drawn_for(learner.at, trainer.sizes(), batch, labels);
            let step = match index == last {
                true => trainer.step(&input, &samples),
                false => trainer.step_and_maps(&input, &samples).map(|(step, maps)| {
                    input = maps;
                    step
                }),
            };
            steps.push(step.map_err(|error| of_module(learner.name, &error))?);
            shares[index] += started.elapsed().as_secs_f64();
        }
        Ok(steps)
    }
}

/// Where the time of this attempt's steps went, of each.
fn breakdown(learners: &[Learner<'_>]) -> Vec<Breakdown> {
    let breakdown = |it: &Learner<'_>| Breakdown { held_out: it.looked, ..it.trainer.breakdown() };
    learners.iter().map(breakdown).collect()
}

/// The parameters of a module as they are now.
fn parameters(learner: &Learner<'_>) -> Result<Parameters> {
    learner.trainer.parameters().map_err(|error| of_module(learner.name, &error))
}

/// The state of all modules after the same step, what belongs to each under its name.
fn state(learners: &[Learner<'_>]) -> Result<Parameters> {
    let mut all = Parameters::default();
    for learner in learners {
        let state = learner.trainer.state().map_err(|error| of_module(learner.name, &error))?;
        all.extend(learner.name, state);
    }
    Ok(all)
}

/// The error of one of the modules, saying which.
fn of_module(name: &str, error: &Error) -> Error {
    Error::failed(format!("in `{name}`, {error}"))
}

/// The mean loss of every module over the newest epoch.
fn losses(learners: &[Learner<'_>]) -> String {
    let each = learners.iter().map(|it| format!("{} {:.3}", it.name, it.epoch.newest().0));
    format!("loss {}", each.collect::<Vec<_>>().join(", "))
}
