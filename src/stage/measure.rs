//! Times a few steps of every module on random input of the right shape. Writes nothing.

use std::time::Instant;

use candle_core::Tensor;

use super::cost::{Costs, Pace};
use super::encode;
use super::subject::{self, Place, Start, Subject};
use crate::Result;
use crate::device::{self, Device};
use crate::loss::{Drawn, Samples};
use crate::random::generator;
use crate::stop::Stop;
use crate::train::learning::Lesson;

/// Steps that are timed, after one that is not: the first one allocates memory.
const STEPS: u32 = 3;

/// Measures how fast the modules of a pipeline are on `device`. Calls `module` with the name of the one being timed.
///
/// # Errors
/// [`crate::Kind::Interrupted`] when `stop` is set.
pub fn pace(
    costs: &Costs<'_>,
    device: &Device,
    stop: &Stop,
    module: impl Fn(&str),
) -> Result<Pace> {
    let mut pace = Pace { step: Vec::new(), forward: Vec::new() };
    for (index, settings) in costs.pipeline.modules.iter().enumerate() {
        stop.check("nothing was written")?;
        module(&settings.name);
        pace.step.push(training(costs, index, device)?);
        pace.forward.push(forward(costs, index, device)?);
    }
    Ok(pace)
}

fn subject<'a>(costs: &'a Costs<'_>, index: usize, device: &'a Device) -> Box<dyn Subject + 'a> {
    let (pipeline, stack, sizes) = (costs.pipeline, &costs.stack, costs.sizes(index));
    subject::of(Place { pipeline, stack, index, sizes, device, key: None })
}

/// Random rows of the shape that the module reads.
fn rows(costs: &Costs<'_>, index: usize, rows: usize) -> Result<Tensor> {
    let map = costs.stack.input(index);
    let mut draws = generator(costs.pipeline.seed, "measure", &[index as u64]);
    let images = rows * costs.patches;
    let values: Vec<f32> = (0..images * map.len()).map(|_| draws.normal()).collect();
    let shape = (images, map.height, map.width, map.channels);
    Ok(Tensor::from_vec(values, shape, &candle_core::Device::Cpu)?)
}

/// Measures the seconds that a training step takes.
fn training(costs: &Costs<'_>, index: usize, device: &Device) -> Result<f64> {
    let pipeline = costs.pipeline;
    let (batch, sizes) = (pipeline.training.batch, costs.sizes(index));
    // The learning rate is so small that no step can diverge.
    let start = Start { state: None, learning_rate: f64::MIN_POSITIVE, steps_per_epoch: None };
    let mut learning = subject(costs, index, device).learning(start)?;
    let rows = rows(costs, index, batch)?;
    let recipe = &pipeline.loss;
    mean_seconds(|number| {
        let mut draws = generator(pipeline.seed, "measure/negatives", &[number]);
        let drawn = match costs.stack.draws_negatives(index) {
            true => recipe.draw(batch, sizes, &mut draws),
            false => Drawn::default(),
        };
        let samples = Samples { labels: vec![0; batch], drawn };
        let (ids, labels) = ((0..batch as i64).collect(), vec![0; batch]);
        learning.step(&rows, &Lesson { samples, ids, labels, number, seed: number }).map(drop)
    })
}

/// Measures the seconds that one row takes through the frozen module.
fn forward(costs: &Costs<'_>, index: usize, device: &Device) -> Result<f64> {
    let module = subject(costs, index, device).untrained()?;
    let rows = rows(costs, index, encode::BATCH)?;
    let forward = |_| device::home(&module.forward(&device.take(&rows)?)?).map(drop);
    Ok(mean_seconds(forward)? / encode::BATCH as f64)
}

fn mean_seconds(mut step: impl FnMut(u64) -> Result<()>) -> Result<f64> {
    step(0)?;
    let started = Instant::now();
    (1..=STEPS).try_for_each(|number| step(u64::from(number)))?;
    Ok(started.elapsed().as_secs_f64() / f64::from(STEPS))
}
