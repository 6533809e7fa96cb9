//! Losses against their definitions, written out in f64, and their slopes against differences.

use candle_core::{Device, Tensor, Var};
use gimlet::device::DeviceName;
use gimlet::loss::{Samples, Settings, Sizes, clapp, supervised, vicreg};
use gimlet::parameters::Parameters;
use gimlet::pipeline::Layer;
use gimlet::random::generator;
use gimlet::train::trainer::{self, Trainer};
use proptest::prelude::*;

/// A batch of pooled vectors `[batch, grid, grid, channels]` and a loss's parameters, in f64.
#[derive(Clone)]
struct Case {
    batch: usize,
    sizes: Sizes,
    z: Vec<f64>,
    parameters: Vec<Vec<f64>>,
    samples: Samples,
}

impl Case {
    /// Drawn from `seed`; what depends on the sign of something is unlikely to be near 0.
    fn draw(settings: &Settings, batch: usize, sizes: Sizes, seed: u64) -> Self {
        let mut draws = generator(seed, "test", &[]);
        let mut normal = |n: usize| (0..n).map(|_| 0.6 * f64::from(draws.normal())).collect();
        let z = normal(batch * sizes.positions() * sizes.channels);
        let shapes = settings.recipe().shapes(sizes);
        let parameters = shapes.iter().map(|it| normal(it.dims.iter().product())).collect();
        let mut draws = generator(seed, "samples", &[]);
        let drawn = settings.recipe().draw(batch, sizes, &mut draws);
        let labels = (0..batch).map(|_| draws.below(sizes.classes.max(1) as u32)).collect();
        Self { batch, sizes, z, parameters, samples: Samples { labels, drawn } }
    }

    fn vector(&self, b: usize, y: usize, x: usize) -> &[f64] {
        let Sizes { channels, rows, columns, .. } = self.sizes;
        &self.z[((b * rows + y) * columns + x) * channels..][..channels]
    }

    /// The vectors of rows from `first` to `first + rows` of all samples, in order.
    fn rows(&self, first: usize, rows: usize) -> Vec<Vec<f64>> {
        let columns = self.sizes.columns;
        let places = (0..self.batch).flat_map(|b| (first..first + rows).map(move |y| (b, y)));
        places.flat_map(|(b, y)| (0..columns).map(move |x| self.vector(b, y, x).to_vec())).collect()
    }

    /// The loss and its gradient for z, as the library has them.
    fn computed(&self, settings: &Settings, device: DeviceName) -> (f64, Vec<f32>) {
        let f32s = |values: &[f64]| values.iter().map(|it| *it as f32).collect::<Vec<f32>>();
        let shapes = settings.recipe().shapes(self.sizes);
        let named = shapes.iter().zip(&self.parameters).map(|(shape, values)| {
            let dims = shape.dims.as_slice();
            (shape.name.clone(), Tensor::from_vec(f32s(values), dims, &Device::Cpu).unwrap())
        });
        let parameters = Parameters::from_tensors(named).on(&device.open().unwrap()).unwrap();
        let loss = settings.recipe().build(self.sizes, &parameters).unwrap();
        let Sizes { channels, rows, columns, .. } = self.sizes;
        let shape = (self.batch, rows, columns, channels);
        let z = Tensor::from_vec(f32s(&self.z), shape, &Device::Cpu).unwrap();
        let z = Var::from_tensor(&z).unwrap();
        let outcome = loss.forward(&z, &z, &self.samples).unwrap();
        let gradient = outcome.loss.backward().unwrap().get(&z).unwrap().flatten_all().unwrap();
        (f64::from(outcome.loss.to_scalar::<f32>().unwrap()), gradient.to_vec1().unwrap())
    }

    /// Compares both with `naive`, the gradient along one direction.
    fn check(
        &self,
        settings: &Settings,
        device: DeviceName,
        naive: impl Fn(&Self) -> f64,
    ) -> Result<(), TestCaseError> {
        let (found, gradient) = self.computed(settings, device);
        let expected = naive(self);
        let off = (found - expected).abs();
        prop_assert!(off <= 2e-5 * expected.abs().max(1.0), "{} is not {}", found, expected);
        let mut draws = generator(1, "direction", &[]);
        let direction: Vec<f64> = self.z.iter().map(|_| f64::from(draws.normal())).collect();
        let along = |step: f64| {
            let z = self.z.iter().zip(&direction).map(|(z, d)| z + step * d).collect();
            naive(&Self { z, ..self.clone() })
        };
        let slope: f64 = gradient.iter().zip(&direction).map(|(g, d)| f64::from(*g) * d).sum();
        let expected = (along(1e-6) - along(-1e-6)) / 2e-6;
        let scale = gradient.iter().map(|it| f64::from(it.abs())).sum::<f64>().max(0.1);
        prop_assert!((slope - expected).abs() <= 1e-3 * scale, "slope {}, not {}", slope, expected);
        Ok(())
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// A row times `[channels, columns]`.
fn project(row: &[f64], matrix: &[f64]) -> Vec<f64> {
    let columns = matrix.len() / row.len();
    let column = |c| row.iter().enumerate().map(|(r, it)| it * matrix[r * columns + c]).sum();
    (0..columns).map(column).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn device(kernels: bool) -> DeviceName {
    if kernels { DeviceName::Cpu } else { DeviceName::Candle }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn clapp_is_a_hinge_for_the_patch_that_is_there_and_one_for_another(
        batch in 1..4usize, rows in 3..6usize, columns in 1..6usize, channels in 1..9usize, skip in 0..2usize,
        negatives in 1..4usize, seed: u64, kernels: bool,
    ) {
        let steps = (rows - 1 - skip).min(2);
        let settings = Settings::Clapp(clapp::Settings { prediction_steps: steps, negatives, skip });
        let sizes = Sizes::grid(channels, [rows, columns]);
        let case = Case::draw(&settings, batch, sizes, seed);
        case.check(&settings, device(kernels), |case| {
            let of_step = |k: usize| {
                let below = k + 1 + skip;
                let contexts = case.rows(0, rows - below);
                let targets = case.rows(below, rows - below);
                let targets: Vec<_> =
                    targets.iter().map(|it| project(it, &case.parameters[k])).collect();
                let positions = contexts.iter().enumerate().map(|(position, context)| {
                    let wrong = &case.samples.drawn.negatives[k][position * negatives..][..negatives];
                    let wrong: Vec<f64> = wrong
                        .iter()
                        .map(|it| (1.0 + dot(context, &targets[*it as usize])).max(0.0))
                        .collect();
                    (1.0 - dot(context, &targets[position])).max(0.0) + mean(&wrong)
                });
                mean(&positions.collect::<Vec<_>>())
            };
            mean(&(0..steps).map(of_step).collect::<Vec<_>>())
        })?;
    }

    #[test]
    fn vicreg_weighs_invariance_variance_and_covariance(
        batch in 1..4usize, rows in 3..6usize, columns in 1..6usize, channels in 1..9usize, skip in 0..2usize,
        weights in prop::array::uniform3(0.0..10.0f64), seed: u64, kernels: bool,
    ) {
        let steps = (rows - 1 - skip).min(2);
        let [invariance, variance, covariance] = weights;
        let settings = vicreg::Settings { prediction_steps: steps, skip, invariance, variance, covariance };
        let settings = Settings::VicReg(settings);
        let sizes = Sizes::grid(channels, [rows, columns]);
        let case = Case::draw(&settings, batch, sizes, seed);
        // (variance term, covariance term)
        let terms = |rows: &[Vec<f64>]| {
            let means: Vec<f64> = (0..channels)
                .map(|c| mean(&rows.iter().map(|row| row[c]).collect::<Vec<_>>()))
                .collect();
            let covariance = |i: usize, j: usize| {
                let products = rows.iter().map(|row| (row[i] - means[i]) * (row[j] - means[j]));
                products.sum::<f64>() / (rows.len() - 1) as f64
            };
            let spread = |c| (1.0 - (covariance(c, c) + 1e-4).sqrt()).max(0.0);
            let pairs = (0..channels).flat_map(|i| (0..channels).map(move |j| (i, j)));
            let shared = pairs.filter(|(i, j)| i != j).map(|(i, j)| covariance(i, j).powi(2));
            let spreads: Vec<f64> = (0..channels).map(spread).collect();
            (mean(&spreads), shared.sum::<f64>() / channels as f64)
        };
        case.check(&settings, device(kernels), |case| {
            let of_step = |k: usize| {
                let below = k + 1 + skip;
                let predictions: Vec<_> = case
                    .rows(0, rows - below)
                    .iter()
                    .map(|it| project(it, &case.parameters[k]))
                    .collect();
                let targets = case.rows(below, rows - below);
                let pairs = predictions.iter().flatten().zip(targets.iter().flatten());
                let squares: Vec<f64> = pairs.map(|(p, t)| (p - t).powi(2)).collect();
                let (of_p, of_t) = (terms(&predictions), terms(&targets));
                invariance * mean(&squares)
                    + variance * (of_p.0 + of_t.0)
                    + covariance * (of_p.1 + of_t.1)
            };
            mean(&(0..steps).map(of_step).collect::<Vec<_>>())
        })?;
    }

    #[test]
    fn supervised_is_cross_entropy_on_the_mean_over_the_grid(
        batch in 1..5usize, rows in 1..5usize, columns in 1..5usize, channels in 1..9usize, classes in 1..6usize,
        seed: u64, kernels: bool,
    ) {
        let settings = Settings::Supervised(supervised::Settings::default());
        let sizes = Sizes { classes, ..Sizes::grid(channels, [rows, columns]) };
        let case = Case::draw(&settings, batch, sizes, seed);
        case.check(&settings, device(kernels), |case| {
            let of_sample = |b: usize| {
                let vectors = (0..sizes.positions()).map(|at| case.vector(b, at / columns, at % columns));
                let vectors: Vec<&[f64]> = vectors.collect();
                let means: Vec<f64> = (0..channels)
                    .map(|c| mean(&vectors.iter().map(|it| it[c]).collect::<Vec<_>>()))
                    .collect();
                let logits = project(&means, &case.parameters[0]);
                let logits: Vec<f64> =
                    logits.iter().zip(&case.parameters[1]).map(|(l, b)| l + b).collect();
                let all: f64 = logits.iter().map(|it| it.exp()).sum();
                all.ln() - logits[case.samples.labels[b] as usize]
            };
            mean(&(0..batch).map(of_sample).collect::<Vec<_>>())
        })?;
    }
}

#[test]
fn a_loss_is_known_by_the_name_of_its_file_and_reads_back_as_it_was_written() {
    for name in Settings::NAMES {
        let settings: Settings = serde_json::from_value((*name).into()).unwrap();
        assert_eq!(settings.name(), *name);
        let written = serde_json::to_value(&settings).unwrap();
        assert!(written.get(name).is_some(), "{written}");
        assert_eq!(serde_json::from_value::<Settings>(written).unwrap(), settings);
    }
}

#[test]
fn vectors_that_say_nothing_have_the_loss_of_a_guess() {
    let sizes = Sizes { classes: 4, ..Sizes::grid(3, [7, 7]) };
    for name in Settings::NAMES {
        let settings: Settings = serde_json::from_value((*name).into()).unwrap();
        let mut case = Case::draw(&settings, 2, sizes, 1);
        case.z.fill(0.0);
        case.parameters.iter_mut().for_each(|it| it.fill(0.0));
        let (found, _) = case.computed(&settings, DeviceName::Cpu);
        if let Some(guess) = settings.recipe().of_a_guess(sizes) {
            assert!((found - guess).abs() < 1e-6, "{name}: {found}, not {guess}");
        }
    }
}

#[test]
fn steps_on_one_batch_lower_every_loss() {
    const BATCH: usize = 8;
    let layers = [Layer::Conv { channels: 8, kernel: 3, stride: 1, padding: 1 }, Layer::Relu];
    let sizes = Sizes { classes: 4, ..Sizes::grid(8, [7, 7]) };
    let mut draws = generator(1, "input", &[]);
    let values: Vec<f32> = (0..BATCH * 49 * 16).map(|_| draws.normal()).collect();
    let input = Tensor::from_vec(values, (BATCH * 49, 4, 4, 1), &Device::Cpu).unwrap();
    for name in Settings::NAMES {
        let settings: Settings = serde_json::from_value((*name).into()).unwrap();
        let shapes = trainer::shapes(&layers, &settings, 1, sizes);
        let drawn = Parameters::draw(&shapes, 1, name).unwrap();
        let mut trainer = Trainer::new(&layers, &settings, 1, sizes, 1e-2, &drawn).unwrap();
        let samples = Case::draw(&settings, BATCH, sizes, 1).samples;
        let steps: Vec<f64> =
            (0..80).map(|_| trainer.step(&input, &samples).unwrap().loss).collect();
        assert!(steps[79] < 0.97 * steps[0], "{name}: {steps:?}");
    }
}
