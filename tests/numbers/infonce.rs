//! InfoNCE against its definition, written out.

use candle_core::{Device, Tensor, Var};
use gimlet::device::DeviceName;
use gimlet::loss::infonce::Settings;
use gimlet::loss::{Recipe, Sizes};
use gimlet::parameters::Parameters;
use gimlet::random::generator;
use proptest::prelude::*;

/// The loss by its definition, in f64, from `z` `[batch, rows, columns, channels]` and predictors
/// `[channels, channels]`.
fn naive(
    settings: &Settings,
    z: &[f64],
    predictors: &[Vec<f64>],
    negatives: &[Vec<u32>],
    batch: usize,
    sizes: Sizes,
) -> f64 {
    let Sizes { channels, rows: grid_rows, columns, .. } = sizes;
    let vector = |b: usize, y: usize, x: usize| {
        let start = ((b * grid_rows + y) * columns + x) * channels;
        &z[start..start + channels]
    };
    let mut total = 0.0;
    for (k, (w, negatives)) in predictors.iter().zip(negatives).enumerate() {
        let below = k + 1 + settings.skip;
        let rows = grid_rows - below;
        let place =
            |index: usize| (index / columns / rows, index / columns % rows, index % columns);
        let projected = |index: usize| -> Vec<f64> {
            let (b, y, x) = place(index);
            let target = vector(b, y + below, x);
            (0..channels)
                .map(|o| (0..channels).map(|i| target[i] * w[i * channels + o]).sum())
                .collect()
        };
        let positions = batch * rows * columns;
        let mut sum = 0.0;
        for position in 0..positions {
            let (b, y, x) = place(position);
            let context = vector(b, y, x);
            let score = |index: usize| -> f64 {
                projected(index).iter().zip(context).map(|(t, c)| t * c).sum()
            };
            let positive = score(position);
            let all: f64 = negatives[position * settings.negatives..][..settings.negatives]
                .iter()
                .map(|n| score(*n as usize).exp())
                .sum();
            sum -= (positive.exp() / (positive.exp() + all)).ln();
        }
        total += sum / positions as f64;
    }
    total / predictors.len() as f64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_loss_and_its_slope_are_those_of_the_definition(
        batch in 1..4usize, rows in 3..7usize, columns in 1..6usize, channels in 1..12usize, skip in 0..2usize,
        count in 1..8usize, seed: u64, kernels: bool,
    ) {
        let steps = (rows - 1 - skip).min(3);
        let settings = Settings { prediction_steps: steps, negatives: count, skip, context: None };
        let sizes = Sizes::grid(channels, [rows, columns]);
        let mut draws = generator(seed, "test", &[]);
        let mut normal = |n: usize| -> Vec<f32> { (0..n).map(|_| 0.5 * draws.normal()).collect() };
        let z = normal(batch * sizes.positions() * channels);
        let predictors: Vec<Vec<f32>> = (0..steps).map(|_| normal(channels * channels)).collect();
        let direction = normal(z.len());
        let negatives = settings.draw(batch, sizes, &mut generator(seed, "negatives", &[])).negatives;

        let wide = |v: &[f32]| v.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
        let wide_predictors: Vec<Vec<f64>> = predictors.iter().map(|w| wide(w)).collect();
        let at = |step: f64| {
            let z: Vec<f64> = wide(&z).iter().zip(&direction).map(|(z, d)| z + step * f64::from(*d)).collect();
            naive(&settings, &z, &wide_predictors, &negatives, batch, sizes)
        };

        let named = predictors.iter().enumerate().map(|(k, w)| {
            let w = Tensor::from_slice(w, (channels, channels), &Device::Cpu).unwrap();
            (format!("predictor.{k}"), w)
        });
        let device = if kernels { DeviceName::Cpu } else { DeviceName::Candle }.open().unwrap();
        let predictors = Parameters::from_tensors(named).on(&device).unwrap();
        let loss = settings.build(sizes, &predictors).unwrap();
        let tensor = Tensor::from_slice(&z, (batch, rows, columns, channels), &Device::Cpu).unwrap();
        let variable = Var::from_tensor(&tensor).unwrap();
        let outcome = loss.forward(&variable, &variable, &negatives.clone().into()).unwrap();
        let found = f64::from(outcome.loss.to_scalar::<f32>().unwrap());
        let expected = at(0.0);
        prop_assert!((found - expected).abs() <= 1e-5 * expected.max(1.0), "{} is not {}", found, expected);

        let gradients = outcome.loss.backward().unwrap();
        let gradient = gradients.get(&variable).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let slope: f64 = gradient.iter().zip(&direction).map(|(g, d)| f64::from(g * d)).sum();
        let expected = (at(1e-4) - at(-1e-4)) / 2e-4;
        prop_assert!((slope - expected).abs() <= 1e-3 * expected.abs().max(0.1), "slope {} is not {}", slope, expected);
    }
}

#[test]
fn vectors_that_say_nothing_score_as_chance() {
    let settings = Settings { prediction_steps: 2, negatives: 16, skip: 1, context: None };
    let sizes = Sizes::grid(3, [5, 5]);
    let drawn = settings.draw(2, sizes, &mut generator(0, "negatives", &[]));
    let zero =
        |shape: &[usize]| Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu).unwrap();
    let named = (0..2).map(|k| (format!("predictor.{k}"), zero(&[3, 3])));
    let loss = settings.build(sizes, &Parameters::from_tensors(named)).unwrap();
    let z = zero(&[2, 5, 5, 3]);
    let outcome = loss.forward(&z, &z, &drawn.into()).unwrap();
    let found = f64::from(outcome.loss.to_scalar::<f32>().unwrap());
    assert!((found - settings.of_a_guess(sizes).unwrap()).abs() < 1e-6, "{found}");
    assert_eq!(outcome.accuracy, Some(0.0), "a tie is not a hit");
}
