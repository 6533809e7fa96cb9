//! The training loop: it takes the steps of one module, or of several that train on the same batches.
//!
//! The loop takes batches from a [`Supply`] and has every [`Learner`] take a step on them. After each step it writes a
//! line to the log. After each epoch it looks at the test split, and patience decides whether to go on. Every
//! `checkpoint_seconds` it writes a checkpoint. `train.rs` and `worker.rs` set it up, say what it trains on and for how
//! long, and have it commit the weights.

use std::time::{Duration, Instant};

use super::epoch_mean::EpochMean;
use super::held_out::HeldOut;
use super::lessons::Lessons;
use super::looks::Looks;
use super::meter::Meter;
use super::patience::Patience;
use super::progress::STEPS;
use super::subject::Start;
use super::{Run, record, resume, training_notes};
use crate::parameters::Parameters;
use crate::schedule::{At, Step};
use crate::train::checkpoint::{Checkpoints, Progress};
use crate::train::feed::{Batch, Course, feed};
use crate::train::input::Input;
use crate::train::learning::Learning;
use crate::train::learns_nothing::{Doubt, LearnsNothing};
use crate::train::log::{Entry, Log};
use crate::train::profile::Breakdown;
use crate::train::took::{Took, sum};
use crate::train::trainer;
use crate::{Error, Result};

/// A module in training.
struct Learner<'r> {
    at: At,
    name: &'r str,
    trainer: Box<dyn Learning>,
    log: Log,
    epoch: EpochMean,
    doubt: Doubt,
    /// Seconds that this attempt has spent looking at the test split.
    looked: f64,
    /// What all attempts took for this module.
    took: Took,
    /// Where the time of earlier attempts went.
    before: Breakdown,
}

/// The input of a training.
pub(super) struct Supply<'s> {
    pub input: &'s dyn Input,
    /// The number of the generation, where it changes as modules train.
    pub generation: Option<u64>,
    /// Says, after a number of steps, whether to take up another input.
    pub turns: &'s dyn Fn(u64) -> Result<bool>,
}

/// Why a training has paused.
pub(super) enum Pause {
    /// It has reached the given step, or its end.
    There,
    /// It is to take up another input.
    Turns,
    /// Its input cannot be read any more.
    Unreadable(Error),
}

/// A training that goes on from its last checkpoint.
pub(super) struct TrainingLoop<'r, 'a> {
    run: &'r Run<'a>,
    title: String,
    pub course: Course,
    learners: Vec<Learner<'r>>,
    pub looks: Looks<'r>,
    lessons: Lessons,
    checkpoints: Checkpoints,
    saved: Instant,
    pub so_far: Progress,
    /// What earlier attempts took.
    earlier: Took,
    meter: Meter,
    /// Seconds that this attempt has waited for batches.
    waited: f64,
    /// Maps per batch, known once it has begun to read.
    maps: Option<usize>,
}

impl<'r, 'a> TrainingLoop<'r, 'a> {
    /// Begins the training of `modules`, which read the same batches, of rows with these `lessons`.
    ///
    /// # Errors
    /// When a checkpoint or a log cannot be read.
    pub fn begin(
        run: &'r Run<'a>,
        modules: &[At],
        course: Course,
        lessons: Lessons,
        mut looks: Looks<'r>,
        meter: Meter,
    ) -> Result<Self> {
        let plan = &run.standing.plan;
        let checkpoints = run.standing.checkpoints(modules[0]);
        let (state, so_far) = resume::state(run, modules[0], &checkpoints)?.unzip();
        let so_far = so_far.unwrap_or_default();
        if let (Some(patience), Some(state)) = (&mut looks.patience, &state) {
            patience.restore(state, &so_far, course.epoch(so_far.steps));
        }
        let log_of = |at| run.standing.training_folder(at).join("log.jsonl");
        let mut learners = Vec::with_capacity(modules.len());
        for (index, &at) in modules.iter().enumerate() {
            let name = plan.module(at.module);
            let several = modules.len() > 1;
            let own = state.as_ref().map(|it| if several { it.under(name) } else { it.clone() });
            let trainer = run.subject(at.module)?.learning(Start {
                state: own.as_ref().map(|it| (it, so_far.steps)),
                learning_rate: run.pipeline.modules[at.module].learning_rate,
                steps_per_epoch: Some(course.steps_per_epoch()),
            })?;
            // The log of a round begins with the lines of earlier rounds, because their logs are deleted together with
            // their weights.
            let before = run.pipeline.schedule.before(at).map(log_of);
            let (log, entries) = Log::resume(&log_of(at), before.as_ref(), trainer.steps())?;
            let mut epoch = EpochMean::default();
            entries.iter().for_each(|entry| epoch.add(entry));
            let (loss, sizes) = (run.pipeline.loss_of(at.module), trainer.sizes());
            let doubt = training_notes::doubt(loss, &course, sizes, &entries);
            let took = so_far.of_module(index);
            let before = took.breakdown.unwrap_or_default();
            let looked = 0.0;
            learners.push(Learner { at, name, trainer, log, epoch, doubt, looked, took, before });
        }
        Ok(Self {
            run,
            title: plan.full_title(Step::Train(modules[0])),
            course,
            learners,
            looks,
            lessons,
            checkpoints,
            saved: Instant::now(),
            earlier: so_far.took,
            so_far,
            meter,
            waited: 0.0,
            maps: None,
        })
    }

    /// Steps taken so far.
    pub fn steps(&self) -> u64 {
        self.so_far.steps
    }

    /// Whether the training has ended: no step is to follow.
    pub fn is_over(&self) -> bool {
        let patience = self.looks.patience.as_ref();
        self.steps() == self.course.steps() || patience.is_some_and(Patience::is_over)
    }

    /// Trains on what `supply` gives, up to step `until` at most.
    ///
    /// # Errors
    /// When a loss is not a number; [`crate::Kind::Interrupted`] when a stop was asked for, after a checkpoint.
    pub fn train_on(&mut self, supply: &Supply<'_>, until: u64) -> Result<Pause> {
        if self.maps.is_none() {
            training_notes::warn_of_large_batches(self.run, &self.course, supply.input);
        }
        self.maps = Some(self.course.batch * supply.input.layout().shape[0]);
        let (all, done) = (self.course.steps(), self.steps());
        self.run.session.progress.begin(&self.title, STEPS, all, done);
        let paused = self.take_steps(supply, until);
        if matches!(paused, Err(_) | Ok(Pause::Unreadable(_))) {
            self.flush()?;
        }
        paused
    }

    fn take_steps(&mut self, supply: &Supply<'_>, until: u64) -> Result<Pause> {
        let (session, settings) = (&self.run.session, &self.run.pipeline.training);
        let every = Duration::from_secs_f64(settings.checkpoint_seconds);
        let read_memory = self.run.pipeline.store.read_memory;
        let course = self.course.clone();
        std::thread::scope(|scope| {
            let mut batches = feed(scope, supply.input, &course, self.steps()..until, read_memory);
            loop {
                let waiting = Instant::now();
                let batch = match batches.next() {
                    None => return Ok(Pause::There),
                    Some(Err(error)) => return Ok(Pause::Unreadable(error)),
                    Some(Ok(batch)) => batch,
                };
                let waited = waiting.elapsed().as_secs_f64();
                self.waited += waited;
                self.so_far.took.waited(waited);
                self.learners[0].took.seconds += waited;
                let learnt = self.learn(&batch)?;
                self.so_far.steps = batch.step + 1;
                let mut entries = self.entries(&batch, supply.generation, &learnt);
                let found = self.look(&batch)?;
                self.so_far.took.seconds += waiting.elapsed().as_secs_f64();
                let at_end = self.is_over();
                for (place, entry) in entries.iter_mut().enumerate() {
                    self.write_down(place, entry, found.get(place), learnt[place].dead, at_end)?;
                }
                self.tell(&batch, supply.generation);

                let is_due = session.stop.is_asked() || self.saved.elapsed() >= every;
                if is_due && !at_end {
                    self.save()?;
                    let (title, step, all) = (&self.title, self.steps(), self.course.steps());
                    session.stop.check(&format!(
                        "what was done is kept: `{title}` up to step {step} of {all}"
                    ))?;
                }
                if at_end || self.steps() == until {
                    // If the process ends while it commits several modules, the next one needs this state for the
                    // others.
                    if at_end && self.learners.len() > 1 {
                        self.save()?;
                    }
                    return Ok(Pause::There);
                }
                batches.give_back(batch.input);
                if (supply.turns)(self.steps())? {
                    return Ok(Pause::Turns);
                }
            }
        })
    }

    /// Takes a step with every module. Each reads the maps that its predecessor made before its own step.
    fn learn(&mut self, batch: &Batch) -> Result<Vec<trainer::Step>> {
        let mut learnt = Vec::with_capacity(self.learners.len());
        let mut input = batch.input.clone();
        for index in 0..self.learners.len() {
            let started = Instant::now();
            let is_last = index + 1 == self.learners.len();
            let Learner { at, trainer, .. } = &mut self.learners[index];
            let (module, turn) = ((at.module, trainer.sizes()), ("negatives", batch.step));
            let lesson = self.lessons.lesson(self.run, module, &batch.rows, turn)?;
            let step = match is_last {
                true => trainer.step(&input, &lesson),
                false => trainer.step_and_maps(&input, &lesson).map(|(step, maps)| {
                    input = maps;
                    step
                }),
            };
            learnt.push(step.map_err(|error| self.diverged(index, batch.step, &error))?);
            self.learners[index].took.seconds += started.elapsed().as_secs_f64();
        }
        Ok(learnt)
    }

    /// Computes each module's held-out loss on the test split, after the last step of an epoch; otherwise returns
    /// nothing.
    fn look(&mut self, batch: &Batch) -> Result<Vec<HeldOut>> {
        if self.looks.watch.is_none() || !self.steps().is_multiple_of(self.course.steps_per_epoch())
        {
            return Ok(Vec::new());
        }
        let whole = self.looks.patience.as_ref().is_some_and(|it| it.keeps_optimiser);
        let each = self.each(batch.step, |it| if whole { it.state() } else { it.parameters() })?;
        let mean = self.learners[0].epoch.of(batch.epoch);
        let own = self.learners.iter().map(|it| it.trainer.judge()).collect();
        let found = self.looks.look(each, own, mean)?;
        for (learner, found) in self.learners.iter_mut().zip(&found) {
            learner.looked += found.seconds;
            learner.took.seconds += found.seconds;
        }
        Ok(found)
    }

    /// Makes a line of the log for every module.
    fn entries(
        &mut self,
        batch: &Batch,
        generation: Option<u64>,
        learnt: &[trainer::Step],
    ) -> Vec<Entry> {
        let counted = self.looks.patience.is_some() && self.run.standing.plan.rounds() > 1;
        let of_step = |(learner, step): (&mut Learner<'_>, &trainer::Step)| {
            let entry = Entry {
                step: batch.step,
                epoch: batch.epoch,
                round: counted.then_some(learner.at.round),
                loss: step.loss,
                accuracy: step.accuracy,
                generation,
                ..Entry::default()
            };
            learner.epoch.add(&entry);
            entry
        };
        self.learners.iter_mut().zip(learnt).map(of_step).collect()
    }

    /// Logs a step of a module, and warns where it has shown that the module learns nothing.
    fn write_down(
        &mut self,
        place: usize,
        entry: &mut Entry,
        found: Option<&HeldOut>,
        dead: Option<LearnsNothing>,
        at_end: bool,
    ) -> Result<()> {
        let learner = &mut self.learners[place];
        if let Some(found) = found {
            entry.held_out = Some(found.loss as f32);
            entry.held_out_accuracy = found.accuracy.map(|it| it as f32);
        }
        entry.seconds = self.so_far.took.seconds;
        if let Some(found) = learner.doubt.add(entry, dead, at_end) {
            training_notes::warn_of_learning_nothing(self.run, learner.at, found, entry);
        }
        learner.log.push(entry)
    }

    /// Shows how far it has come. The loss comes first: a narrow terminal cuts the end.
    fn tell(&self, batch: &Batch, generation: Option<u64>) {
        let on = generation.map_or_else(String::new, |it| format!(", on generation {it}"));
        let (epoch, epochs) = (batch.epoch + 1, self.course.epochs);
        let detail = format!("{}, epoch {epoch}/{epochs}{on}", self.means());
        self.run.session.progress.advance(self.steps(), &detail);
    }

    /// The mean losses of the newest epoch so far, in words.
    fn means(&self) -> String {
        if let [learner] = self.learners.as_slice() {
            let loss = self.run.pipeline.loss_of(learner.at.module);
            return learner.epoch.describe(loss.accuracy_is());
        }
        let each = self.learners.iter();
        let each = each.map(|it| format!("{} {:.3}", it.name, it.epoch.newest().0));
        format!("loss {}", each.collect::<Vec<_>>().join(", "))
    }

    /// Collects `of` for every module after `step`; its error means that a number is not finite.
    fn each(
        &self,
        step: u64,
        of: impl Fn(&dyn Learning) -> Result<Parameters>,
    ) -> Result<Vec<Parameters>> {
        let of = |(index, it): (usize, &Learner<'_>)| {
            of(it.trainer.as_ref()).map_err(|error| self.diverged(index, step, &error))
        };
        self.learners.iter().enumerate().map(of).collect()
    }

    /// Makes the error of a module whose `step` failed: it gave something that is not a number, or a module in PyTorch
    /// did what it must not, and says what to do.
    fn diverged(&self, index: usize, step: u64, error: &Error) -> Error {
        let place = match self.learners.as_slice() {
            [_] => String::new(),
            several => format!("in `{}`, ", several[index].name),
        };
        let kept = match self.checkpoints.exist() {
            true => "the last good checkpoint is kept",
            false => "no checkpoint had been written",
        };
        let (title, epoch) = (&self.title, self.course.epoch(step) + 1);
        let stopped = format!("`{title}` stopped at epoch {epoch}, step {step}");
        match error.hint_text() {
            // It may have many lines.
            Some(hint) => Error::failed(format!("{stopped}, {kept}: {place}{error}")).hint(hint),
            None => Error::failed(format!("{stopped}: {place}{error}; {kept}"))
                .hint("lower `training.learning_rate`, or look at the input with `gimlet inspect`"),
        }
    }

    fn flush(&mut self) -> Result<()> {
        self.learners.iter_mut().try_for_each(|it| it.log.flush())
    }

    /// Notes what the training has taken so far.
    fn note(&mut self) {
        let (here, took) = (self.meter.took(), &mut self.so_far.took);
        took.peak_memory = here.peak_memory.max(self.earlier.peak_memory);
        took.read_bytes = sum(self.earlier.read_bytes, here.read_bytes);
        for (place, learner) in self.learners.iter_mut().enumerate() {
            let here = Breakdown { held_out: learner.looked, ..learner.trainer.breakdown() };
            learner.took.breakdown = Some(learner.before + here);
            // Only the first module reads and waits for data.
            let is_first = place == 0;
            learner.took.wait_seconds = if is_first { took.wait_seconds } else { Some(0.0) };
            learner.took.read_bytes = if is_first { took.read_bytes } else { Some(0) };
        }
        match self.learners.as_slice() {
            [learner] => took.breakdown = learner.took.breakdown,
            several => self.so_far.modules = several.iter().map(|it| it.took).collect(),
        }
    }

    /// Writes a checkpoint: everything that is needed to go on from here. Each of several modules has its state under
    /// its name.
    ///
    /// # Errors
    /// When a parameter is not a number, or a file cannot be written.
    pub fn save(&mut self) -> Result<()> {
        self.flush()?;
        self.note();
        let mut states = self.each(self.steps().saturating_sub(1), |it| it.state())?;
        let mut state = Parameters::default();
        if let [_] = self.learners.as_slice() {
            state = states.remove(0);
        } else {
            self.learners.iter().zip(states).for_each(|(it, own)| state.extend(it.name, own));
        }
        if let Some(patience) = &self.looks.patience {
            patience.add_to(&mut state, &mut self.so_far)?;
        }
        self.checkpoints.save(&state, &self.so_far)?;
        self.saved = Instant::now();
        Ok(())
    }

    /// The present parameters of module `place`; at the end, those to keep.
    ///
    /// # Errors
    /// When a parameter is not a number, or the held-out loss that patience uses never was one.
    pub fn parameters(&self, place: usize) -> Result<Parameters> {
        if self.is_over()
            && let Some(patience) = &self.looks.patience
        {
            return patience.kept(&self.title).map(|(parameters, ..)| parameters.clone());
        }
        let trainer = &self.learners[place].trainer;
        // Later trainings may go on from these parameters, and need the optimiser as it is now.
        let parameters = match self.run.pipeline.schedule.is_gone_on_from() {
            true => trainer.state(),
            false => trainer.parameters(),
        };
        parameters.map_err(|error| {
            if !self.is_over() {
                return self.diverged(place, self.steps().saturating_sub(1), &error);
            }
            Error::failed(format!("`{}` ended with bad weights: {error}", self.title))
                .hint(error.hint_text().unwrap_or("lower `training.learning_rate`"))
        })
    }

    /// Commits the weights of all modules, and reports the end of the training.
    ///
    /// # Errors
    /// When there are no weights to keep, or they cannot be written.
    pub fn finish(mut self) -> Result<()> {
        self.flush()?;
        self.note();
        let run = self.run;
        let patience = self.looks.patience.as_ref();
        let kept = patience.map(|it| it.kept(&self.title)).transpose()?;
        let stopped = kept.map(|(_, _, how)| how);
        for (place, learner) in self.learners.iter().enumerate() {
            let (loss, accuracy) =
                kept.map_or(learner.epoch.newest(), |(_, best, _)| (best.loss, best.accuracy));
            let bytes = run.standing.weights_bytes(learner.at, &self.parameters(place)?)?;
            let training = record::Training {
                steps: self.steps(),
                loss: Some(loss),
                accuracy,
                took: self.so_far.of_module(place),
                threads: rayon::current_num_threads(),
                device: run.session.device.name(),
                stopped,
                learns_nothing: learner.doubt.found(),
                ..record::Training::default()
            };
            run.standing.commit_weights(learner.at, &bytes, training, run.session.progress)?;
        }
        self.checkpoints.remove();
        for (place, learner) in self.learners.iter().enumerate() {
            // The other modules wait for no data.
            let waited = if place == 0 { self.waited } else { 0.0 };
            let maps = self.maps.unwrap_or(0);
            training_notes::tell_profile(run, learner.at, learner.trainer.profile(), maps, waited)?;
        }
        let stopped = stopped.map(|it| format!("{}, ", it.describe(self.course.epochs)));
        run.session.progress.end(&format!(
            "{} steps, {}, {}waited {:.1} % of {:.0} s for data",
            self.steps(),
            self.means(),
            stopped.unwrap_or_default(),
            100.0 * self.so_far.took.wait_share().unwrap_or(0.0),
            self.so_far.took.seconds
        ));
        Ok(())
    }
}
