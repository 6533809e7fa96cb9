//! A module's own loss on the test split: trained, untrained, or during training.

use std::time::Instant;

use candle_core::{Device, Tensor};
use gimlet_store::Generation;

use super::origin::Origin;
use super::probe::Counted;
use super::progress::Unit;
use super::{Run, frozen, labels, module_input, trainee};
use crate::device;
use crate::loss::{Loss, Outcome, Samples, Sizes};
use crate::module::{Keep, Module, Readout};
use crate::parameters::Parameters;
use crate::pipeline::Split;
use crate::random::generator;
use crate::train::input::{Input, Look, POOLED};
use crate::train::trainer::{forward, pieces};
use crate::{Error, Result};

/// The mean loss and accuracy of a module over whole batches of the test split, which was encoded as `test`.
/// Negatives are drawn from the seed.
pub(super) fn held_out_loss(
    run: &Run<'_>,
    index: usize,
    origin: Origin,
    sizes: Sizes,
    test: &Generation,
) -> Result<HeldOut> {
    let parameters = match origin {
        Origin::Trained => run.standing.weights(run.standing.plan.last(index))?,
        Origin::Untrained => trainee::drawn(run, index)?,
    };
    let loss = run.pipeline.loss.build(sizes, &parameters.under("loss"))?;
    if run.stack()?.pooling.stores_what_the_loss_sees() {
        return loss_of_pooled(run, index, sizes, loss.as_ref(), test);
    }
    let input = match origin {
        Origin::Trained => module_input::open(run, run.standing.plan.last(index), Split::Test)?,
        Origin::Untrained => module_input::untrained(run, index, Split::Test)?,
    };
    let labels = labels::of_rows(run.pipeline, || input.keys())?;
    let judged = judged(run, index, sizes, loss, &parameters)?;
    let batch = run.pipeline.training.batch;
    let batches = held_out_batches(batch, input.rows() as u64, usize::MAX);
    let counted =
        Counted::begin(run, "held-out loss", Unit::Of("batches"), batches.len() as u64, 1);
    let begun = || counted.next();
    let mut found = losses_through(run, &[judged], input.as_ref(), &labels, &batches, &begun)?;
    found.pop().ok_or_else(|| Error::failed("no module was judged"))
}

/// Computes the loss from the stored pooled vectors.
fn loss_of_pooled(
    run: &Run<'_>,
    index: usize,
    sizes: Sizes,
    loss: &dyn Loss,
    generation: &Generation,
) -> Result<HeldOut> {
    let reader = generation.reader(&[POOLED])?;
    let labels = labels::of_rows(run.pipeline, || Ok(reader.keys()?))?;
    let mut sum = Sum::default();
    let batches = held_out_batches(run.pipeline.training.batch, reader.rows(), usize::MAX);
    let counted =
        Counted::begin(run, "held-out loss", Unit::Of("batches"), batches.len() as u64, 1);
    for (number, rows) in batches {
        counted.next()?;
        let started = Instant::now();
        let mut values = vec![0.0; rows.len() * sizes.positions() * sizes.channels];
        reader.read_f32(POOLED, &rows, &mut values)?;
        let shape = (rows.len(), sizes.rows, sizes.columns, sizes.channels);
        let pooled = Tensor::from_vec(values, shape, &Device::Cpu)?;
        let seen = [pooled.clone(), pooled];
        let outcome = outcome(run, index, sizes, loss, (number, &rows), &labels, seen)?;
        sum.add(&outcome, started.elapsed().as_secs_f64())?;
    }
    Ok(sum.mean())
}

/// Prepares a module for evaluation, with its encoder on the session's device.
pub(super) fn judged(
    run: &Run<'_>,
    index: usize,
    sizes: Sizes,
    loss: Box<dyn Loss>,
    parameters: &Parameters,
) -> Result<Judged> {
    let readout = Readout::of(run.stack()?.pooling);
    let module = frozen::with(run, index, parameters)?.reading(readout);
    Ok(Judged { index, sizes, loss, module })
}

/// Computes the loss of each module in `stack` over `batches`. The first module reads `input`, every other one the
/// outputs of the one before it. `begun` is called before each batch; its error ends the work.
pub(super) fn losses_through(
    run: &Run<'_>,
    stack: &[Judged],
    input: &dyn Input,
    labels: &[u32],
    batches: &[(u64, Vec<u64>)],
    begun: &dyn Fn() -> Result<()>,
) -> Result<Vec<HeldOut>> {
    let mut sums: Vec<Sum> = stack.iter().map(|_| Sum::default()).collect();
    let micro_batch = run.pipeline.training.micro_batch;
    for (number, rows) in batches {
        begun()?;
        let mut started = Instant::now();
        let mut x = run.session.device.take(&input.tensor(rows, Look::Frozen, None)?)?;
        let mut sums = sums.iter_mut();
        for (place, judged) in stack.iter().enumerate() {
            let Judged { index, sizes, loss, module } = judged;
            let is_last = place + 1 == stack.len();
            // As many samples at a time as in training.
            let maps_of_sample = x.dim(0)? / rows.len().max(1);
            let pieces = pieces(&x, micro_batch.map(|samples| samples * maps_of_sample))?;
            let (pooled, maps) = forward(module, &pieces, Keep::Nothing, !is_last)?;
            let shape = (rows.len(), sizes.rows, sizes.columns, sizes.channels);
            let pooled = pooled.reshape(shape)?;
            let context = module.context_of(&pooled)?;
            if let Some(maps) = maps {
                x = module.handed_on(&context, maps)?;
            }
            let seen = [device::home(&pooled.detach())?, device::home(&context.detach())?];
            let outcome =
                outcome(run, *index, *sizes, loss.as_ref(), (*number, rows), labels, seen)?;
            if let Some(sum) = sums.next() {
                sum.add(&outcome, started.elapsed().as_secs_f64())?;
            }
            started = Instant::now();
        }
    }
    Ok(sums.into_iter().map(Sum::mean).collect())
}

/// Numbers and rows of at most `most` whole batches of `batch` rows, evenly spaced over `rows` rows.
pub(super) fn held_out_batches(batch: usize, rows: u64, most: usize) -> Vec<(u64, Vec<u64>)> {
    let rows: Vec<u64> = (0..rows).collect();
    let batch = batch.min(rows.len()).max(1);
    let spacing = (rows.len() / batch).div_ceil(most.max(1)).max(1);
    let batches = rows.chunks_exact(batch).enumerate().step_by(spacing);
    batches.map(|(number, rows)| (number as u64, rows.to_vec())).collect()
}

/// Computes the loss of a batch from its pooled vectors and their context. Negatives are drawn from
/// the seed and the number of the batch.
fn outcome(
    run: &Run<'_>,
    index: usize,
    sizes: Sizes,
    loss: &dyn Loss,
    (number, rows): (u64, &[u64]),
    labels: &[u32],
    [pooled, context]: [Tensor; 2],
) -> Result<Outcome> {
    let purpose = format!("{}/held-out negatives", run.standing.plan.module(index));
    let mut draws = generator(run.pipeline.seed, &purpose, &[number]);
    let drawn = run.pipeline.loss.draw(rows.len(), sizes, &mut draws);
    let labels = rows.iter().filter_map(|row| labels.get(*row as usize).copied());
    let samples = Samples { labels: labels.collect(), drawn };
    loss.forward(&pooled, &context, &samples)
}

/// A module and its loss, ready for evaluation on a device.
pub(super) struct Judged {
    index: usize,
    sizes: Sizes,
    loss: Box<dyn Loss>,
    module: Module,
}

/// Mean loss of a module on rows of the test split.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct HeldOut {
    pub loss: f64,
    /// The share of predictions that were right; `None` if the loss predicts nothing that is right or wrong.
    pub accuracy: Option<f64>,
    /// Seconds that the evaluation took.
    pub seconds: f64,
}

/// Adds up the losses of batches.
#[derive(Default)]
struct Sum {
    batches: u64,
    loss: f64,
    accuracy: Option<f64>,
    seconds: f64,
}

impl Sum {
    fn add(&mut self, outcome: &Outcome, seconds: f64) -> Result<()> {
        self.loss += f64::from(outcome.loss.to_scalar::<f32>()?);
        self.accuracy = outcome.accuracy.map(|it| self.accuracy.unwrap_or(0.0) + it);
        self.batches += 1;
        self.seconds += seconds;
        Ok(())
    }

    fn mean(self) -> HeldOut {
        let batches = self.batches as f64;
        HeldOut {
            loss: self.loss / batches,
            accuracy: self.accuracy.map(|sum| sum / batches),
            seconds: self.seconds,
        }
    }
}
