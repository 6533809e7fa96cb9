//! `async`: one module, trained in a process of its own on whatever its predecessor has written last.
//!
//! Workers know of each other through the store alone. A worker **publishes**: it writes what its module
//! makes of the training split as a generation of the module's dataset, first as it was drawn, then after
//! every `sync_every` epochs and at its end. It trains on the newest generation that its predecessor has
//! published and takes up a newer one between two batches.

use std::time::{Duration, Instant};

use super::encode::{Generating, Spent};
use super::epoch_mean::EpochMean;
use super::held_up::HeldUp;
use super::meter::Meter;
use super::plan::{At, Step};
use super::published::{Publication, Published};
use super::status::share;
use super::train::begin_in;
use super::watch::Watch;
use super::{Run, damaged, memory, record};
use crate::module::Module;
use crate::pipeline::{Async, Split};
use crate::train::checkpoint::Progress;
use crate::train::feed::{Course, feed};
use crate::train::input::{Activations, Input};
use crate::train::learns_nothing::Doubt;
use crate::train::log::{Entry, Log};
use crate::train::profile::Breakdown;
use crate::train::trainer::Trainer;
use crate::{Error, Result};

/// What a worker trains on, from one generation to the next.
struct Taken {
    /// The number of the generation, and its key; of samples 0, and that of their ingest.
    number: u64,
    key: String,
    /// The step it was taken up at.
    since: u64,
    input: Box<dyn Input>,
}

/// Why a worker has stopped training on a generation.
enum Why {
    /// It has come to the step it was to train up to.
    There,
    /// There is a newer one.
    Newer,
    /// It has trained on it for `max_staleness` epochs.
    Stale,
    /// It cannot be read any more.
    Unreadable(Error),
}

struct Worker<'r, 'a> {
    run: &'r Run<'a>,
    at: At,
    schedule: &'r Async,
    course: Course,
    trainer: Trainer,
    so_far: Progress,
    log: Log,
    epoch: EpochMean,
    doubt: Doubt,
    labels: Vec<u32>,
    saved: Instant,
    /// What attempts before this one have used.
    earlier: Progress,
    meter: Meter,
    /// Of the first module.
    watch: Option<Watch<'r>>,
    /// Seconds that this attempt has looked at the test split.
    looked: f64,
    /// What this module publishes, unless it is the last.
    publishes: Option<Published<'r, 'a>>,
    /// What its predecessor publishes; `None` of the first.
    reads: Option<Published<'r, 'a>>,
    waits: HeldUp<'r, 'a>,
}

impl Run<'_> {
    /// Steps that a module has trained, as far as its last checkpoint tells.
    pub fn steps_trained(&self, module: usize) -> u64 {
        self.standing.checkpoints(At { module, round: 0 }).progress().map_or(0, |it| it.steps)
    }

    /// Trains a module to its last epoch, on what its predecessor publishes.
    pub(super) fn work(&self, at: At, schedule: &Async) -> Result<()> {
        memory::reset_peak();
        let meter = Meter::begin();
        let _lease = begin_in(&self.standing.training_folder(at))?;
        if let Some((_, record)) = self.standing.training(at)? {
            // What it ends with depends on when others wrote: it cannot be made again.
            record.read_weights(&self.standing.weights_file(at)).map_err(|error| {
                error.hint("restore the file, or begin a new run with `--run-dir DIR`")
            })?;
            return Ok(gimlet_store::damage::forget(&self.standing.weights_file(at))?);
        }
        let mut worker = Worker::begin(self, at, schedule, meter)?;
        worker.train()?;
        worker.finish()
    }
}

impl<'r, 'a> Worker<'r, 'a> {
    fn begin(run: &'r Run<'a>, at: At, schedule: &'r Async, meter: Meter) -> Result<Self> {
        let index = at.module;
        let ingested = run.standing.generation(Step::Ingest, Split::Train)?;
        // As many rows as generations have.
        let drawn = run.seen(&ingested, Split::Train, 0)?;
        let course = run.course(at, drawn.as_ref())?;
        let labels = run.labels(|| drawn.keys())?;
        let resumed = run.load(&run.standing.checkpoints(at))?;
        let state = resumed.as_ref().map(|(state, progress)| (state, progress.steps));
        let trainer = run.trainer(index, state)?.in_epochs_of(course.steps_per_epoch());
        let so_far = resumed.map(|(_, progress)| progress).unwrap_or_default();
        let (log, entries) = Log::resume(
            &run.standing.training_folder(at).join("log.jsonl"),
            None,
            trainer.steps(),
        )?;
        let mut epoch = EpochMean::default();
        entries.iter().for_each(|entry| epoch.add(entry));
        let doubt = run.doubt(&course, trainer.sizes(), &entries);
        let of = |module| Published::of(run, At { module, ..at });
        Ok(Self {
            publishes: (index + 1 < run.pipeline.modules.len()).then(|| of(index)),
            reads: index.checked_sub(1).map(of),
            waits: HeldUp::new(run, At { module: index.saturating_sub(1), ..at }),
            // What the others read of the test split is encoded only at the end.
            watch: if index == 0 { run.watch(&[at])? } else { None },
            looked: 0.0,
            meter,
            earlier: so_far.clone(),
            saved: Instant::now(),
            run,
            at,
            schedule,
            course,
            trainer,
            so_far,
            log,
            epoch,
            doubt,
            labels,
        })
    }

    /// Trains and publishes in turn, to the last epoch.
    fn train(&mut self) -> Result<()> {
        let mut taken = None;
        let title = self.run.standing.plan.title(Step::Train(self.at));
        loop {
            let step = self.trainer.steps();
            if self.publishes_at(step) && !self.is_published(step)? {
                let now = self.take(taken.take())?;
                match self.publish(step, &now) {
                    Ok(()) => taken = Some(now),
                    Err(error) if self.is_of_input(&error) => {
                        self.replace(&now, error)?;
                        continue;
                    }
                    Err(error) => return Err(error),
                }
            }
            if step == self.course.steps() {
                return Ok(());
            }
            let now = self.take(taken.take())?;
            let until = self.next_stop(step);
            self.run.session.progress.begin(&title, self.course.steps(), step);
            let why = self.train_on(&now, until)?;
            match why {
                Why::There | Why::Stale => taken = Some(now),
                Why::Newer => {}
                Why::Unreadable(error) => self.replace(&now, error)?,
            }
        }
    }

    /// Steps between two publications.
    fn sync_steps(&self) -> u64 {
        self.course.steps_per_epoch() * self.schedule.sync_every as u64
    }

    fn publishes_at(&self, step: u64) -> bool {
        step.is_multiple_of(self.sync_steps()) || step == self.course.steps()
    }

    /// The next step after `step` that it publishes at.
    fn next_stop(&self, step: u64) -> u64 {
        let next = (step / self.sync_steps() + 1).saturating_mul(self.sync_steps());
        next.min(self.course.steps())
    }

    /// How many generations come before the one of `step`: each has frozen views of its own.
    fn number_of(&self, step: u64) -> u64 {
        step.div_ceil(self.sync_steps())
    }

    fn is_published(&self, step: u64) -> Result<bool> {
        let Some(publishes) = &self.publishes else { return Ok(true) };
        Ok(publishes.newest()?.is_some_and(|it| it.step >= step))
    }

    /// What to train on next: the newest generation of the predecessor, or `old` if it is that. Waits for
    /// the first, and where the schedule says so for a newer one than `old`.
    fn take(&mut self, mut old: Option<Taken>) -> Result<Taken> {
        let since = self.trainer.steps();
        let Some(reads) = &self.reads else {
            return match old {
                Some(old) => Ok(old),
                None => self.samples(),
            };
        };
        let started = Instant::now();
        let taken = loop {
            let newest = reads.newest()?;
            match (newest, &old) {
                (Some(newest), Some(held)) if newest.number <= held.number => {
                    if !self.is_stale(held) || self.waits.is_over()? {
                        break old.take();
                    }
                }
                (Some(newest), _) => match self.open(reads, newest.number) {
                    Ok(input) => {
                        let Publication { number, key, .. } = newest;
                        break Some(Taken { number, key, since, input });
                    }
                    // It went between two looks, or is damaged: the next one will do.
                    Err(error) if self.waits.is_over()? => return Err(error),
                    Err(_) => {}
                },
                (None, Some(_)) => break old.take(),
                (None, None) => self.waits.for_the_first()?,
            }
            self.run.session.check_stop()?;
            self.waits.a_moment();
        };
        let waited = started.elapsed().as_secs_f64();
        self.so_far.seconds += waited;
        self.so_far.wait_seconds += waited;
        taken.ok_or_else(|| Error::failed("there is nothing to train on"))
    }

    /// Whether so many epochs were trained on it that a newer one is wanted.
    fn is_stale(&self, taken: &Taken) -> bool {
        let trained = self.trainer.steps() - taken.since;
        trained >= self.course.steps_per_epoch() * self.schedule.max_staleness as u64
    }

    /// What the first module trains on.
    fn samples(&self) -> Result<Taken> {
        let run = self.run;
        let ingested = run.standing.generation(Step::Ingest, Split::Train)?;
        Ok(Taken {
            number: 0,
            key: ingested.manifest().key.clone(),
            since: self.trainer.steps(),
            input: run.seen(&ingested, Split::Train, 0)?,
        })
    }

    fn open(&self, reads: &Published<'_, '_>, number: u64) -> Result<Box<dyn Input>> {
        let activations = |number| -> Result<Box<dyn Input>> {
            Ok(Box::new(Activations::new(&reads.generation(number)?, self.course.views)?))
        };
        let newest = activations(number)?;
        let mut older = Vec::new();
        if self.schedule.replay > 0.0 {
            let kept = self.run.pipeline.store.keep_generations - 1;
            let before = reads.all()?.into_iter().map(|it| it.number).filter(|it| *it < number);
            // One that goes just now, or is damaged, is none to replay.
            let whole =
                |it: &u64| reads.generation(*it).is_ok_and(|it| it.is_whole().unwrap_or(false));
            older.extend(before.take(kept).filter(whole).filter_map(|it| activations(it).ok()));
        }
        self.run.disturbed(self.at.module, newest, older)
    }

    /// Whether what it reads is at fault.
    fn is_of_input(&self, error: &Error) -> bool {
        let of = |reads: &Published<'_, '_>| {
            error.damage().is_some_and(|damage| damage.file.starts_with(reads.folder()))
        };
        self.reads.as_ref().is_some_and(of)
    }

    /// Waits until something stands in for a generation that cannot be read any more.
    fn replace(&mut self, taken: &Taken, error: Error) -> Result<()> {
        // With a note beside it, it is not whole any more, and so not the newest.
        let error = damaged::note(error, &self.run.standing, &self.run.session);
        let Some(reads) = &self.reads else { return Err(error) };
        // It may as well be an older one, of which rows were replayed.
        let of_older =
            reads.generation(taken.number).is_ok_and(|it| it.is_whole().unwrap_or(false));
        let other = loop {
            match reads.newest()?.filter(|newest| newest.number != taken.number || of_older) {
                Some(other) => break other.number,
                None if self.waits.is_over()? => return Err(error),
                None => {}
            }
            self.run.session.check_stop()?;
            self.waits.a_moment();
        };
        self.run.session.progress.warn(&format!("{error}; going on with generation {other}"));
        Ok(())
    }

    /// Trains up to step `until`, or until there is something newer to train on.
    fn train_on(&mut self, taken: &Taken, until: u64) -> Result<Why> {
        let run = self.run;
        let title = run.standing.plan.title(Step::Train(self.at));
        let recipe = &run.pipeline.loss;
        let every = Duration::from_secs_f64(run.pipeline.training.checkpoint_seconds);
        let generation = (taken.number > 0).then_some(taken.number);
        let course = self.course.clone();
        let checkpoints = run.standing.checkpoints(self.at);
        std::thread::scope(|scope| -> Result<Why> {
            let steps = self.trainer.steps()..until;
            let memory = run.pipeline.store.read_memory;
            let mut batches = feed(scope, taken.input.as_ref(), &course, steps, memory);
            loop {
                let waiting = Instant::now();
                let batch = match batches.next() {
                    None => return Ok(Why::There),
                    Some(Err(error)) => return Ok(Why::Unreadable(error)),
                    Some(Ok(batch)) => batch,
                };
                self.so_far.wait_seconds += waiting.elapsed().as_secs_f64();
                let samples = run.drawn_for(self.at, self.trainer.sizes(), &batch, &self.labels);
                let step = self
                    .trainer
                    .step(&batch.input, &samples)
                    .map_err(|error| run.diverged(&title, &batch, &checkpoints, &error))?;
                self.so_far.seconds += waiting.elapsed().as_secs_f64();
                self.so_far.steps = self.trainer.steps();
                let of_step = Entry::of(&batch, &step, self.so_far.seconds);
                let mut entry = Entry { generation, ..of_step };
                if self.trainer.steps().is_multiple_of(course.steps_per_epoch())
                    && let Some(watch) = &self.watch
                {
                    let looking = Instant::now();
                    let parameters = self
                        .trainer
                        .parameters()
                        .map_err(|error| run.diverged(&title, &batch, &checkpoints, &error))?;
                    let found = watch.look(&[parameters])?.pop();
                    entry = entry.with_held_out(found.map(|it| (it.loss, it.accuracy)));
                    let looked = looking.elapsed().as_secs_f64();
                    self.looked += looked;
                    self.so_far.seconds += looked;
                    entry.seconds = self.so_far.seconds;
                }
                let at_end = self.trainer.steps() == course.steps();
                if let Some(found) = self.doubt.add(&mut entry, step.dead, at_end) {
                    run.warn_of_learning_nothing(self.at, found, &entry);
                }
                self.log.push(&entry)?;
                self.epoch.add(&entry);
                let on = generation.map_or(String::new(), |it| format!(", on generation {it}"));
                let of = format!("{}/{}", batch.epoch + 1, course.epochs);
                let said = self.epoch.describe(recipe.accuracy_is());
                let detail = format!("{said}, epoch {of}{on}");
                run.session.progress.advance(self.trainer.steps(), &detail);
                batches.give_back(batch.input);

                if run.session.stop.is_asked() || self.saved.elapsed() >= every {
                    self.checkpoint(None)?;
                    run.session.check_stop()?;
                }
                if self.trainer.steps() == until {
                    return Ok(Why::There);
                }
                let Some(reads) = &self.reads else { continue };
                if reads.is_newer_than(taken.number)? {
                    return Ok(Why::Newer);
                }
                if self.is_stale(taken) && !self.waits.is_over_now()? {
                    return Ok(Why::Stale);
                }
            }
        })
    }

    /// Notes what it has taken so far.
    fn note(&mut self) {
        self.so_far.peak_memory = memory::peak().max(self.earlier.peak_memory);
        let breakdown = Breakdown { held_out: self.looked, ..self.trainer.breakdown() };
        self.meter.note(&self.earlier, &[breakdown], &mut self.so_far);
    }

    fn checkpoint(&mut self, publishing: Option<String>) -> Result<()> {
        self.log.flush()?;
        self.note();
        self.so_far.publishing = publishing;
        let state = self.trainer.state()?;
        self.run.standing.checkpoints(self.at).save(&state, &self.so_far)?;
        self.saved = Instant::now();
        Ok(())
    }

    /// Writes what the module, as it is after `step` steps, makes of what it trains on.
    fn publish(&mut self, step: u64, taken: &Taken) -> Result<()> {
        let Some(publishes) = &self.publishes else { return Ok(()) };
        let (started, run, index) = (Instant::now(), self.run, self.at.module);
        let parameters = self.trainer.parameters()?;
        let bytes = run.standing.weights_bytes(self.at, &parameters)?;
        let weights = blake3::hash(&bytes).to_hex().to_string();
        let before = self.number_of(step);
        let views = self.course.views as u64;
        let key = publishes.key(step, before * views, &weights, &taken.key)?;
        publishes.make_room(self.so_far.publishing.as_deref().filter(|it| *it != key.hash))?;
        self.so_far.wait_seconds += started.elapsed().as_secs_f64();
        // So that what is written can be gone on with: it is of these very weights.
        self.checkpoint(Some(key.hash.clone()))?;

        let frozen = match self.reads {
            Some(_) => None,
            None => {
                let ingested = run.standing.generation(Step::Ingest, Split::Train)?;
                Some(run.seen(&ingested, Split::Train, before as usize)?)
            }
        };
        let input = frozen.as_ref().unwrap_or(&taken.input);
        let channels = run.stack()?.input(index).channels;
        let encoder = parameters.under("encoder");
        let module = Module::new(&run.pipeline.modules[index].layers, channels, &encoder)?;
        let title = format!("publish {}", run.standing.plan.module(index));
        let (split, before) = (Split::Train, Spent::nothing());
        let generating = Generating { index, split, key: &key, title, before };
        run.encode_split(generating, input.as_ref(), &module)?;
        self.so_far.publishing = None;
        self.so_far.seconds += started.elapsed().as_secs_f64();
        Ok(())
    }

    fn finish(mut self) -> Result<()> {
        self.log.flush()?;
        let run = self.run;
        let title = run.standing.plan.title(Step::Train(self.at));
        let parameters = self.trainer.parameters().map_err(|error| {
            Error::failed(format!("`{title}` ended with bad weights: {error}"))
                .hint("lower `training.learning_rate`")
        })?;
        let last = self.course.epochs.saturating_sub(1) as u64;
        self.note();
        let training = record::Training {
            learns_nothing: self.doubt.found(),
            ..run.ended(&self.so_far, self.epoch.of(last))
        };
        run.standing.commit_weights(
            self.at,
            &run.standing.weights_bytes(self.at, &parameters)?,
            training,
            run.session.progress,
        )?;
        self.run.standing.checkpoints(self.at).remove();
        run.session.progress.begin(&title, self.so_far.steps, self.so_far.steps);
        run.session.progress.end(&format!(
            "{} steps, {}, waited {:.1} % of {:.0} s",
            self.so_far.steps,
            self.epoch.describe(run.pipeline.loss.accuracy_is()),
            100.0 * share(self.so_far.wait_seconds, self.so_far.seconds),
            self.so_far.seconds
        ));
        Ok(())
    }
}
