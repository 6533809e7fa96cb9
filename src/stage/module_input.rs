//! What a module reads. What it trains on also has rows of older generations and noise, where the pipeline says so; what
//! it encodes and what is probed has neither.

use gimlet_store::Generation;

use super::{Run, frozen};
use crate::Result;
use crate::media::{self, Ingested};
use crate::pipeline::Split;
use crate::schedule::{At, Step};
use crate::train::input::{Activations, Input, Recomputed};
use crate::train::noise::Noisy;
use crate::train::replay::Replayed;

/// Opens what a module reads from a split: the rows stored below it, passed through the frozen modules between.
pub(super) fn open(run: &Run<'_>, at: At, split: Split) -> Result<Box<dyn Input>> {
    let generation = run.standing.generation(run.standing.plan.source(at), split)?;
    let view = &run.pipeline.view;
    let recomputed = run.standing.plan.recomputed(at.module);
    let stored: Box<dyn Input> = match recomputed.start {
        0 => of_samples(run, &generation, split, at.round)?,
        _ => Box::new(Activations::new(&generation, view.views_of(split))?),
    };
    if recomputed.is_empty() {
        return Ok(stored);
    }
    let between = recomputed.map(|module| frozen::trained(run, At { module, ..at }));
    let between = between.collect::<Result<_>>()?;
    Ok(Box::new(Recomputed::new(stored, between, &run.session.device)?))
}

/// Opens what the first module reads from an ingested split. Each round has its own frozen views of the training
/// split.
pub(super) fn of_samples(
    run: &Run<'_>,
    generation: &Generation,
    split: Split,
    round: usize,
) -> Result<Box<dyn Input>> {
    let before = match split {
        Split::Train => (round * run.pipeline.view.views_of(split)) as u64,
        Split::Test => 0,
    };
    let training = normalised_by(run)?;
    media::of(&run.pipeline.view).input(&Ingested {
        samples: generation,
        training: training.as_ref(),
        source: &run.pipeline.data.source,
        split,
        seed: run.pipeline.seed,
        views_before: before,
    })
}

/// Opens the ingested training split, where samples are normalised by its statistics; otherwise `None`.
///
/// # Errors
/// When it is not there.
pub(super) fn normalised_by(run: &Run<'_>) -> Result<Option<Generation>> {
    let is_needed = media::of(&run.pipeline.view).is_normalised_by_training();
    let training = || run.standing.generation(Step::Ingest, Split::Train);
    is_needed.then(training).transpose()
}

/// Opens what module `index` of the untrained stack reads from a split, computed from the ingested samples.
pub(super) fn untrained(run: &Run<'_>, index: usize, split: Split) -> Result<Box<dyn Input>> {
    let ingested = run.standing.generation(Step::Ingest, split)?;
    let samples = of_samples(run, &ingested, split, 0)?;
    let below =
        (0..index).map(|index| frozen::untrained(run, index)).collect::<Result<Vec<_>>>()?;
    Ok(Box::new(Recomputed::new(samples, below, &run.session.device)?))
}

/// Opens the training split as a module trains on it. The first module reads samples, which have no generations and
/// get no noise.
pub(super) fn of_training(run: &Run<'_>, at: At) -> Result<Box<dyn Input>> {
    let newest = open(run, at, Split::Train)?;
    let older = run.standing.plan.replayed(at).map(|older| open(run, older, Split::Train));
    mixed(run, at.module, newest, older.collect::<Result<_>>()?)
}

/// Mixes rows of `older` generations into `newest`, and adds noise to all rows.
pub(super) fn mixed(
    run: &Run<'_>,
    module: usize,
    newest: Box<dyn Input>,
    older: Vec<Box<dyn Input>>,
) -> Result<Box<dyn Input>> {
    let (seed, name) = (run.pipeline.seed, run.standing.plan.module(module));
    let mut input = newest;
    if !older.is_empty() {
        let share = run.pipeline.schedule.replay();
        input = Box::new(Replayed::new(input, older, share, seed, name)?);
    }
    let noise = run.pipeline.training.input_noise;
    if module > 0 && noise > 0.0 {
        input = Box::new(Noisy::new(input, noise, seed, name));
    }
    Ok(input)
}
