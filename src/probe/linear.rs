//! The linear probe: softmax regression on frozen vectors, trained by Adam.
//!
//! The vectors are standardised by the training rows' mean and standard deviation. A linear classifier can undo
//! that: it changes what is reached in a number of steps, not what can be reached. So modules whose outputs
//! differ in scale are judged alike.

use candle_core::{DType, Tensor};

use crate::device::Device;
use crate::parameters::{ParameterShape, Parameters};
use crate::pipeline::Probe as Settings;
use crate::random::generator;
use crate::train::adam::Adam;
use crate::{Error, Result};

/// The most classes. A label that is not a class, such as a user id, would take memory for all numbers below
/// it.
const MAX_CLASSES: usize = 1 << 16;

/// Labelled vectors.
pub struct Rows {
    /// The vectors, `[rows, features]`.
    pub vectors: Vec<f32>,
    /// Classes from 0, `[rows]`.
    pub labels: Vec<u32>,
}

impl Rows {
    /// Keeps the rows of `vectors`, `[rows, features]`, that have a label; `None` if none has one.
    ///
    /// # Errors
    /// When a label is not a class number.
    pub fn labelled(
        vectors: &[f32],
        features: usize,
        labels: &[Option<i64>],
    ) -> Result<Option<Self>> {
        let mut rows = Rows { vectors: Vec::new(), labels: Vec::new() };
        let all = vectors.chunks_exact(features.max(1)).zip(labels).enumerate();
        for (row, (vector, label)) in all {
            let Some(label) = label else { continue };
            let class = u32::try_from(*label).map_err(|_| {
                Error::failed(format!("row {row} has the label {label}, which is no class"))
                    .hint("ingest into another run with `--run-dir DIR`: it numbers the classes")
            })?;
            rows.vectors.extend_from_slice(vector);
            rows.labels.push(class);
        }
        Ok((!rows.labels.is_empty()).then_some(rows))
    }

    /// The number of values per vector.
    pub fn features(&self) -> usize {
        self.vectors.len() / self.labels.len().max(1)
    }
}

/// The share of `rows` whose class was found correctly.
pub fn share_found(found: &[u32], rows: &Rows) -> f64 {
    let right = found.iter().zip(&rows.labels).filter(|(found, label)| found == label).count();
    right as f64 / rows.labels.len().max(1) as f64
}

/// Trains a linear classifier on `train` and returns the share of `test` that it classifies correctly.
///
/// This is the [`share_found`] of [`predictions`].
///
/// # Errors
/// The errors of [`predictions`].
pub fn accuracy(train: &Rows, test: &Rows, settings: &Settings, seed: u64) -> Result<f64> {
    Ok(share_found(&predictions(train, test, settings, seed, || Ok(()))?, test))
}

/// Trains a linear classifier on `train` and returns the class that it finds for each row of `test`.
///
/// Classes that occur only in `test` are never found. The result is a function of the rows, the settings, the
/// seed and the number of threads.
///
/// # Errors
/// When either has no rows, they differ in features, or a label is too high; the error of `stop`, which is
/// called before every step.
pub fn predictions(
    train: &Rows,
    test: &Rows,
    settings: &Settings,
    seed: u64,
    stop: impl Fn() -> Result<()>,
) -> Result<Vec<u32>> {
    if train.labels.is_empty() || test.labels.is_empty() || train.features() != test.features() {
        return Err(Error::failed("a probe needs rows in both splits, of the same features"));
    }
    let features = train.features();
    let classes = train.labels.iter().max().map_or(1, |label| *label as usize + 1);
    if classes > MAX_CLASSES {
        let message =
            format!("label {} is beyond the {MAX_CLASSES} classes of a probe", classes - 1);
        return Err(Error::failed(message).hint("labels are the numbers of classes, from 0"));
    }
    let scale = Standard::of(train);
    let train_x = scale.apply(train)?;
    let labels = Tensor::from_slice(&train.labels, train.labels.len(), &candle_core::Device::Cpu)?;

    let shape = |name: &str, dims| ParameterShape::drawn(name, dims, features);
    let shapes = [shape("weight", vec![features, classes]), shape("bias", vec![classes])];
    let (parameters, variables) = Parameters::draw(&shapes, seed, "probe")?.trainable()?;
    let [weight, bias] = [parameters.get(&shapes[0])?, parameters.get(&shapes[1])?];
    let mut adam = Adam::new(variables, settings.learning_rate, &Device::Cpu)?;
    for epoch in 0..settings.epochs as u64 {
        let order = generator(seed, "probe/order", &[epoch]).permutation(train.labels.len());
        for rows in order.chunks(settings.batch) {
            stop()?;
            let rows = Tensor::from_slice(rows, rows.len(), &candle_core::Device::Cpu)?;
            let logits = train_x.index_select(&rows, 0)?.matmul(&weight)?.broadcast_add(&bias)?;
            let labels = labels.index_select(&rows, 0)?;
            let loss = candle_nn::loss::cross_entropy(&logits, &labels)?;
            adam.step(&loss.backward()?)?;
        }
    }

    let (weight, bias) = (weight.detach(), bias.detach());
    let logits = scale.apply(test)?.matmul(&weight)?.broadcast_add(&bias)?;
    Ok(logits.argmax(1)?.to_dtype(DType::U32)?.to_vec1::<u32>()?)
}

/// The number of steps that a classifier takes to learn from `train`.
pub fn steps(train: &Rows, settings: &Settings) -> u64 {
    settings.epochs as u64 * train.labels.len().div_ceil(settings.batch) as u64
}

/// Mean and standard deviation of every feature.
struct Standard {
    mean: Vec<f64>,
    inverse: Vec<f64>,
}

impl Standard {
    fn of(rows: &Rows) -> Self {
        let (features, count) = (rows.features(), rows.labels.len() as f64);
        let mut mean = vec![0.0; features];
        let mut inverse = vec![0.0; features];
        for row in rows.vectors.chunks_exact(features) {
            mean.iter_mut().zip(row).for_each(|(mean, x)| *mean += f64::from(*x) / count);
        }
        for row in rows.vectors.chunks_exact(features) {
            for ((sum, mean), x) in inverse.iter_mut().zip(&mean).zip(row) {
                *sum += (f64::from(*x) - mean).powi(2) / count;
            }
        }
        // A constant feature carries no information: it becomes 0, and nothing is divided by 0.
        inverse.iter_mut().for_each(|v| *v = if *v > 1e-24 { v.sqrt().recip() } else { 0.0 });
        Self { mean, inverse }
    }

    fn apply(&self, rows: &Rows) -> Result<Tensor> {
        let features = self.mean.len();
        let mut out = Vec::with_capacity(rows.vectors.len());
        for row in rows.vectors.chunks_exact(features) {
            let scaled = row.iter().zip(self.mean.iter().zip(&self.inverse));
            out.extend(
                scaled.map(|(x, (mean, inverse))| ((f64::from(*x) - mean) * inverse) as f32),
            );
        }
        Ok(Tensor::from_vec(out, (rows.labels.len(), features), &candle_core::Device::Cpu)?)
    }
}
