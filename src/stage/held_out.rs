//! A module's own loss on the test split: trained, untrained, or during training.

use std::sync::Arc;
use std::time::Instant;

use candle_core::{Device, Tensor};
use gimlet_store::Generation;

use super::lessons::Lessons;
use super::origin::Origin;
use super::probe::Counted;
use super::progress::Unit;
use super::{Run, module_input};
use crate::loss::{Loss, Sizes};
use crate::pipeline::Split;
use crate::train::input::{Input, Look, POOLED};
use crate::train::learning::Judge;
use crate::{Error, Result};

/// The purpose of the draws for the loss of a batch. They follow from the seed and the number of the batch.
const NEGATIVES: &str = "held-out negatives";

/// The mean loss and accuracy of a module over whole batches of the test split, which was encoded as `test`.
/// Negatives are drawn from the seed.
pub(super) fn held_out_loss(
    run: &Run<'_>,
    index: usize,
    origin: Origin,
    sizes: Sizes,
    test: &Generation,
) -> Result<HeldOut> {
    let subject = run.subject(index)?;
    let parameters = match origin {
        Origin::Trained => run.standing.weights(run.standing.plan.last(index))?,
        Origin::Untrained => subject.drawn()?,
    };
    if let Some(loss) = subject.loss_of_pooled(&parameters)? {
        return loss_of_pooled(run, index, sizes, loss.as_ref(), test);
    }
    let input = match origin {
        Origin::Trained => module_input::open(run, run.standing.plan.last(index), Split::Test)?,
        Origin::Untrained => module_input::untrained(run, index, Split::Test)?,
    };
    let lessons = Lessons::of(run.pipeline, [index].into_iter(), || input.keys())?;
    let judged = Judged { index, sizes, judge: subject.judge(&parameters)? };
    let batch = run.pipeline.training.batch;
    let batches = held_out_batches(batch, input.rows() as u64, usize::MAX);
    let counted =
        Counted::begin(run, "held-out loss", Unit::Of("batches"), batches.len() as u64, 1);
    let begun = || counted.next();
    let mut found = losses_through(run, &[judged], input.as_ref(), &lessons, &batches, &begun)?;
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
    let lessons = Lessons::of(run.pipeline, [index].into_iter(), || Ok(reader.keys()?))?;
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
        let lesson = lessons.lesson(run, (index, sizes), &rows, (NEGATIVES, number))?;
        let outcome = loss.forward(&pooled, &pooled, &lesson.samples)?;
        let found = f64::from(outcome.loss.to_scalar::<f32>()?);
        sum.add(found, outcome.accuracy, started.elapsed().as_secs_f64());
    }
    Ok(sum.mean())
}

/// Computes the loss of each module in `stack` over `batches`. The first module reads `input`, every other one the
/// outputs of the one before it. `begun` is called before each batch; its error ends the work.
pub(super) fn losses_through(
    run: &Run<'_>,
    stack: &[Judged],
    input: &dyn Input,
    lessons: &Lessons,
    batches: &[(u64, Vec<u64>)],
    begun: &dyn Fn() -> Result<()>,
) -> Result<Vec<HeldOut>> {
    let mut sums: Vec<Sum> = stack.iter().map(|_| Sum::default()).collect();
    for (number, rows) in batches {
        begun()?;
        let mut started = Instant::now();
        let mut x = run.session.device.take(&input.tensor(rows, Look::Frozen, None)?)?;
        let mut sums = sums.iter_mut();
        for (place, judged) in stack.iter().enumerate() {
            let Judged { index, sizes, judge } = judged;
            let is_last = place + 1 == stack.len();
            let lesson = lessons.lesson(run, (*index, *sizes), rows, (NEGATIVES, *number))?;
            let found = judge.judge(&x, &lesson, !is_last)?;
            if let Some(sum) = sums.next() {
                sum.add(found.loss, found.accuracy, started.elapsed().as_secs_f64());
            }
            if let Some(maps) = found.maps {
                x = run.session.device.take(&maps)?;
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

/// A module that is evaluated.
pub(super) struct Judged {
    /// Its place in the stack.
    pub index: usize,
    /// The sizes that its loss sees.
    pub sizes: Sizes,
    pub judge: Arc<dyn Judge>,
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
    fn add(&mut self, loss: f64, accuracy: Option<f64>, seconds: f64) {
        self.loss += loss;
        self.accuracy = accuracy.map(|it| self.accuracy.unwrap_or(0.0) + it);
        self.batches += 1;
        self.seconds += seconds;
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
