//! `async`: trains one module in its own process, on the newest generation of its predecessor.
//!
//! Workers communicate only through the store. A worker **publishes**: it writes what its module makes of the training
//! split as a generation of the module's dataset, first with the drawn weights, then after every `sync_every` epochs
//! and at its end. It trains on the newest generation that its predecessor has published and takes up a newer one
//! between two batches.

use std::time::Instant;

use gimlet_store::Generation;

use super::cost::published_splits;
use super::encode::Generating;
use super::lessons::Lessons;
use super::looks::Looks;
use super::meter::Meter;
use super::patience::Patience;
use super::predecessor_wait::{PredecessorWait, a_moment};
use super::progress::STEPS;
use super::published::{Publication, Published};
use super::train::begin_in;
use super::training_loop::{Pause, Supply, TrainingLoop};
use super::{Run, damaged, encode, frozen, held_out_look, looks, memory, module_input, train};
use crate::pipeline::Split;
use crate::schedule::{At, Publishing, Step};
use crate::train::input::{Activations, Input};
use crate::train::took::Took;
use crate::{Error, Result};

/// Name of the key of the unfinished generation in a checkpoint.
const PUBLISHING: &str = "publishing";

/// What a worker trains on until it takes up the next generation.
struct Taken {
    /// The number and key of the generation; for samples, 0 and the key of `ingest`.
    number: u64,
    key: String,
    /// The step at which it was taken up.
    since: u64,
    input: Box<dyn Input>,
    test: Option<OfTest>,
}

/// The matching test split, where patience uses it. The generation stays on disk while its input is open.
struct OfTest {
    generation: Generation,
    input: Box<dyn Input>,
}

struct Worker<'r, 'a> {
    run: &'r Run<'a>,
    at: At,
    schedule: Publishing,
    training: TrainingLoop<'r, 'a>,
    /// What this module publishes, one per split; empty for the last module.
    publishes: Vec<Published<'r, 'a>>,
    /// What its predecessor publishes; `None` for the first module.
    reads: Option<Published<'r, 'a>>,
    waits: PredecessorWait<'r, 'a>,
}

/// Steps that a module has trained, according to its last checkpoint.
pub fn steps_trained(run: &Run<'_>, module: usize) -> u64 {
    run.standing.checkpoints(At { module, round: 0 }).progress().map_or(0, |it| it.steps)
}

/// Trains a module to its last epoch, on what its predecessor publishes.
pub(super) fn work(run: &Run<'_>, at: At, schedule: Publishing) -> Result<()> {
    memory::reset_peak();
    let meter = Meter::begin(run.standing.dir.store());
    let _lease = begin_in(&run.standing.training_folder(at))?;
    if let Some((_, record)) = run.standing.training(at)? {
        // The weights depend on when other workers wrote, so they cannot be made again.
        record.read_weights(&run.standing.weights_file(at)).map_err(|error| {
            error.hint("restore the file, or begin a new run with `--run-dir DIR`")
        })?;
        return Ok(run.standing.weights_file(at).forget_damage()?);
    }
    let mut worker = Worker::begin(run, at, schedule, meter)?;
    worker.train()?;
    worker.finish()
}

impl<'r, 'a> Worker<'r, 'a> {
    fn begin(run: &'r Run<'a>, at: At, schedule: Publishing, meter: Meter) -> Result<Self> {
        let index = at.module;
        let ingested = run.standing.generation(Step::Ingest, Split::Train)?;
        // The samples have as many rows as generations.
        let drawn = module_input::of_samples(run, &ingested, Split::Train, 0)?;
        let course = train::course(run, at, drawn.as_ref())?;
        let lessons = Lessons::of(run.pipeline, [index].into_iter(), || drawn.keys())?;
        let looks = match index {
            0 => looks::of_training(run, &[at], &course)?,
            // With patience, the watch comes with every generation. Without it, the test split is encoded only at the
            // end.
            _ => Looks { watch: None, patience: Patience::of(run.pipeline, 0) },
        };
        let training = TrainingLoop::begin(run, &[at], course, lessons, looks, meter)?;
        let splits = published_splits(run.pipeline).iter();
        let publishes = splits.map(|split| Published::of(run, at, *split));
        let below = |module| At { module, ..at };
        Ok(Self {
            publishes: if index + 1 < run.pipeline.modules.len() {
                publishes.collect()
            } else {
                vec![]
            },
            reads: index.checked_sub(1).map(|it| Published::of(run, below(it), Split::Train)),
            waits: PredecessorWait::new(run, below(index.saturating_sub(1))),
            run,
            at,
            schedule,
            training,
        })
    }

    /// Trains and publishes in turn, to the last epoch.
    fn train(&mut self) -> Result<()> {
        let mut taken = None;
        loop {
            let step = self.training.steps();
            let is_over = self.training.is_over();
            if (is_over || step.is_multiple_of(self.sync_steps())) && !self.is_published(step)? {
                let now = match taken.take() {
                    Some(now) if is_over => now,
                    old => self.take(old)?,
                };
                if let Err(error) = self.publish(step, &now) {
                    self.replace_damaged(&now, error)?;
                    continue;
                }
                taken = Some(now);
            }
            if is_over {
                return Ok(());
            }
            let now = self.take(taken.take())?;
            if let Err(error) = self.turn_to(&now) {
                self.replace_damaged(&now, error)?;
                continue;
            }
            match self.train_on(&now, self.next_stop(step))? {
                Pause::There | Pause::Turns => taken = Some(now),
                Pause::Unreadable(error) => self.replace(&now, error)?,
            }
        }
    }

    /// Steps between two publications.
    fn sync_steps(&self) -> u64 {
        self.training.course.steps_per_epoch() * self.schedule.sync_every as u64
    }

    /// The next step after `step` that it publishes at.
    fn next_stop(&self, step: u64) -> u64 {
        let next = (step / self.sync_steps() + 1).saturating_mul(self.sync_steps());
        next.min(self.training.course.steps())
    }

    /// How many generations come before the one of `step`: each has its own frozen views.
    fn number_of(&self, step: u64) -> u64 {
        step.div_ceil(self.sync_steps())
    }

    fn is_published(&self, step: u64) -> Result<bool> {
        for publishes in &self.publishes {
            if !publishes.reaches(step)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes what to train on next: the newest generation of the predecessor, or `old` if that is the newest. Waits for
    /// the first generation and, where the schedule says so, for a newer one than `old`.
    fn take(&mut self, mut old: Option<Taken>) -> Result<Taken> {
        let since = self.training.steps();
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
                (Some(newest), _) => match self.open(reads, &newest) {
                    Ok((input, test)) => {
                        let Publication { number, key, .. } = newest;
                        break Some(Taken { number, key, since, input, test });
                    }
                    // It was removed between two looks, or is damaged: take the next one.
                    Err(error) if self.waits.is_over()? => return Err(error),
                    Err(_) => {}
                },
                (None, Some(_)) => break old.take(),
                (None, None) => self.waits.for_the_first()?,
            }
            self.run.session.check_stop()?;
            a_moment(&self.run.standing.dir);
        };
        let waited = started.elapsed().as_secs_f64();
        self.training.so_far.took.seconds += waited;
        self.training.so_far.took.waited(waited);
        taken.ok_or_else(|| Error::failed("there is nothing to train on"))
    }

    /// Whether `max_staleness` epochs were trained on it, so that a newer one is wanted.
    fn is_stale(&self, taken: &Taken) -> bool {
        self.training.steps() - taken.since >= self.stale_after()
    }

    /// Steps on one generation after which a newer one is wanted.
    fn stale_after(&self) -> u64 {
        self.training.course.steps_per_epoch() * self.schedule.max_staleness as u64
    }

    /// Opens the samples that the first module trains on.
    fn samples(&self) -> Result<Taken> {
        let run = self.run;
        let ingested = run.standing.generation(Step::Ingest, Split::Train)?;
        Ok(Taken {
            number: 0,
            key: ingested.manifest().key.clone(),
            since: self.training.steps(),
            input: module_input::of_samples(run, &ingested, Split::Train, 0)?,
            test: match run.pipeline.schedule.patience() {
                Some(_) => {
                    let generation = run.standing.generation(Step::Ingest, Split::Test)?;
                    let input = module_input::of_samples(run, &generation, Split::Test, 0)?;
                    Some(OfTest { generation, input })
                }
                None => None,
            },
        })
    }

    /// Opens a generation to train on, and the matching test split where patience uses it.
    fn open(
        &self,
        reads: &Published<'_, '_>,
        newest: &Publication,
    ) -> Result<(Box<dyn Input>, Option<OfTest>)> {
        let (number, views) = (newest.number, self.training.course.views);
        let activations = |number| -> Result<Box<dyn Input>> {
            Ok(Box::new(Activations::new(&reads.dataset.generation(number)?, views)?))
        };
        let test = match self.run.pipeline.schedule.patience() {
            Some(_) => {
                let of_test = Published::of(self.run, reads.at, Split::Test);
                let found = of_test.newest_up_to(newest.step)?;
                let gone = || Error::failed("there is no test split to go by");
                let generation = of_test.dataset.generation(found.ok_or_else(gone)?.number)?;
                let input = Box::new(Activations::new(&generation, 1)?);
                Some(OfTest { generation, input })
            }
            None => None,
        };
        let newest = activations(number)?;
        let mut older = Vec::new();
        if self.run.pipeline.schedule.replay() > 0.0 {
            let kept = self.run.pipeline.store.keep_generations - 1;
            let before = reads.all()?.into_iter().map(|it| it.number).filter(|it| *it < number);
            // A generation that is removed meanwhile, or is damaged, is not replayed.
            older.extend(
                before
                    .take(kept)
                    .filter(|it| is_whole(reads, *it))
                    .filter_map(|it| activations(it).ok()),
            );
        }
        Ok((module_input::mixed(self.run, self.at.module, newest, older)?, test))
    }

    /// Calls [`Self::replace`] if the error comes from damage in the predecessor's generations; otherwise fails with it.
    fn replace_damaged(&mut self, taken: &Taken, error: Error) -> Result<()> {
        let folder = self.reads.as_ref().map(Published::stage_folder);
        match error.damage().zip(folder) {
            Some((damage, folder)) if damage.file.starts_with(folder) => self.replace(taken, error),
            _ => Err(error),
        }
    }

    /// Waits until another generation can replace one that cannot be read any more.
    fn replace(&mut self, taken: &Taken, error: Error) -> Result<()> {
        // With a note beside it, it is no longer whole, and so not the newest.
        let error = damaged::note(error, &self.run.standing, &self.run.session);
        let Some(reads) = &self.reads else { return Err(error) };
        // The damaged one may be an older generation, whose rows were replayed.
        let of_older = is_whole(reads, taken.number);
        let other = loop {
            match reads.newest()?.filter(|newest| newest.number != taken.number || of_older) {
                Some(other) => break other.number,
                None if self.waits.is_over()? => return Err(error),
                None => {}
            }
            self.run.session.check_stop()?;
            a_moment(&self.run.standing.dir);
        };
        self.run.session.progress.warn(&format!("{error}; going on with generation {other}"));
        Ok(())
    }

    /// From now on, looks at the test split of this generation.
    fn turn_to(&mut self, taken: &Taken) -> Result<()> {
        if let (Some(_), Some(test)) = (&self.reads, &taken.test) {
            let test = &test.generation;
            let input = || -> Result<Box<dyn Input>> { Ok(Box::new(Activations::new(test, 1)?)) };
            self.training
                .looks
                .turn_to(&taken.key, held_out_look::watch(self.run, &[self.at], input)?);
        }
        Ok(())
    }

    /// Trains up to step `until`, or until there is something newer to train on.
    fn train_on(&mut self, taken: &Taken, until: u64) -> Result<Pause> {
        let stale_after = self.stale_after();
        let Self { training, reads, waits, .. } = self;
        let turns = |steps: u64| {
            let Some(reads) = &*reads else { return Ok(false) };
            let is_stale = steps - taken.since >= stale_after;
            Ok(reads.is_newer_than(taken.number)? || is_stale && !waits.is_over_now()?)
        };
        let generation = (taken.number > 0).then_some(taken.number);
        training.train_on(&Supply { input: taken.input.as_ref(), generation, turns: &turns }, until)
    }

    /// Publishes: writes what the module makes of its input after `step` steps.
    fn publish(&mut self, step: u64, taken: &Taken) -> Result<()> {
        let (started, run, index) = (Instant::now(), self.run, self.at.module);
        let parameters = self.training.parameters(0)?;
        let bytes = run.standing.weights_bytes(self.at, &parameters)?;
        let weights = blake3::hash(&bytes).to_hex().to_string();
        let module = frozen::with(run, index, &parameters)?;
        let before = self.number_of(step);
        let frozen = match self.reads {
            Some(_) => None,
            None => {
                let ingested = run.standing.generation(Step::Ingest, Split::Train)?;
                Some(module_input::of_samples(run, &ingested, Split::Train, before as usize)?)
            }
        };
        for publishes in &self.publishes {
            if publishes.reaches(step)? {
                continue;
            }
            let split = publishes.split;
            let beginning = Instant::now();
            let (rows, input) = match (split, &taken.test) {
                (Split::Test, Some(test)) => (&test.generation.manifest().key, &test.input),
                _ => (&taken.key, frozen.as_ref().unwrap_or(&taken.input)),
            };
            let views = before * run.pipeline.view.views_of(split) as u64;
            let key = publishes.key(step, views, &weights, rows)?;
            let attempt = self.training.so_far.part::<String>(PUBLISHING);
            publishes.make_room(attempt.as_deref().filter(|it| *it != key.hash))?;
            self.training.so_far.took.waited(beginning.elapsed().as_secs_f64());
            // The checkpoint holds these very weights, so that an interrupted attempt can be continued.
            self.training.so_far.set_part(PUBLISHING, Some(&key.hash))?;
            self.training.save()?;

            let title = format!("publish {}", run.standing.plan.module(index));
            let generating = Generating { index, split, key: &key, title, before: Took::default() };
            encode::encode_split(run, generating, input.as_ref(), module.as_ref())?;
            self.training.so_far.set_part(PUBLISHING, None::<&String>)?;
        }
        self.training.so_far.took.seconds += started.elapsed().as_secs_f64();
        Ok(())
    }

    fn finish(self) -> Result<()> {
        // Publishing showed its own progress in between.
        let title = self.run.standing.plan.title(Step::Train(self.at));
        let steps = self.training.steps();
        self.run.session.progress.begin(&title, STEPS, steps, steps);
        self.training.finish()
    }
}

/// Whether generation `number` is there and whole.
fn is_whole(reads: &Published<'_, '_>, number: u64) -> bool {
    reads.dataset.generation(number).is_ok_and(|it| it.is_whole().unwrap_or(false))
}
