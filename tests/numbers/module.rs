//! The ways to run a module give the same: tiles or candle's own operations, everything kept or
//! computed again, a batch whole or in pieces.

use std::sync::Arc;

use crate::own_layer::GainedMean;
use candle_core::{Device, Tensor, Var};
use gimlet::device::DeviceName;
use gimlet::layer::{Basic, Bottleneck, Conv, Conv1d, Gru, Layer, Relu};
use gimlet::loss::{Recipe, Sizes, infonce, infonce1d};
use gimlet::module::{Keep, Module, shapes};
use gimlet::parameters::Parameters;
use gimlet::pipeline::Pooling;
use gimlet::random::generator;
use gimlet::train::trainer::{self, Trainer};

const GRID: usize = 4;
const BATCH: usize = 6;

/// Every kind of layer, and one of our own, in orders that keep different things.
fn stacks() -> Vec<Vec<Arc<dyn Layer>>> {
    let conv = |kernel, stride| Conv { channels: 12, kernel, stride, padding: kernel / 2 }.shared();
    let basic = |channels, stride| Basic { channels, stride }.shared();
    let own = || GainedMean { side: 2 }.shared();
    let bottleneck = |planes, stride| Bottleneck { planes, stride }.shared();
    vec![
        vec![conv(5, 1), basic(12, 1), bottleneck(4, 2), bottleneck(4, 1)],
        vec![conv(3, 2), Relu.shared(), conv(1, 1), conv(3, 1), Relu.shared()],
        vec![Relu.shared(), conv(3, 1), Relu.shared(), basic(20, 2), Relu.shared()],
        vec![basic(3, 1), Relu.shared(), Relu.shared(), bottleneck(2, 2)],
        vec![conv(3, 1), own(), basic(12, 1), own(), Relu.shared()],
        vec![own(), conv(3, 1), Relu.shared(), own()],
    ]
}

fn input() -> Tensor {
    let mut draws = generator(1, "input", &[]);
    let maps = BATCH * GRID * GRID;
    let values: Vec<f32> = (0..maps * 7 * 7 * 3).map(|_| draws.normal()).collect();
    Tensor::from_vec(values, (maps, 7, 7, 3), &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn assert_close(what: &str, found: &Tensor, expected: &Tensor) {
    assert_eq!(found.dims(), expected.dims(), "{what}");
    let (found, expected) = (values(found), values(expected));
    let scale = expected.iter().fold(1e-3f32, |max, value| max.max(value.abs()));
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found - expected).abs() <= 2e-5 * scale, "{what}: {found}, not {expected}");
    }
}

#[test]
fn tiles_give_what_candles_own_operations_give() {
    for layers in stacks() {
        let drawn = Parameters::draw(&shapes(&layers, 3), 1, "module").unwrap();
        let (parameters, variables) = drawn.trainable().unwrap();
        let module = Module::new(&layers, 3, &parameters).unwrap();
        let x = input();
        let graph = module.graph(&x).unwrap();
        assert_close(&format!("{layers:?}"), &module.forward(&x).unwrap(), &graph);

        let pooled = graph.mean((1, 2)).unwrap();
        let found = module.pooled(&x, Keep::Activations).unwrap();
        assert_close(&format!("{layers:?} pooled"), &found, &pooled);
        let mut draws = generator(1, "gradient", &[]);
        let weights: Vec<f32> = (0..pooled.elem_count()).map(|_| draws.normal()).collect();
        let d_pooled = Tensor::from_vec(weights, pooled.shape(), &Device::Cpu).unwrap();
        let expected = pooled.mul(&d_pooled).unwrap().sum_all().unwrap().backward().unwrap();
        let found = module.gradients(&x, &d_pooled, Keep::Activations).unwrap();
        assert_eq!(found.len(), variables.len(), "{layers:?}");
        for (parameter, found) in found {
            let named =
                |(_, variable): &&(String, Var)| variable.as_tensor().id() == parameter.id();
            let (name, _) = variables.iter().find(named).unwrap();
            let what = format!("{layers:?}, gradient of {name}");
            assert_close(&what, &found, expected.get(&parameter).unwrap());
        }
    }
}

#[test]
fn a_row_does_not_depend_on_the_rows_around_it() {
    for layers in stacks() {
        let drawn = Parameters::draw(&shapes(&layers, 3), 1, "module").unwrap();
        let module = Module::new(&layers, 3, &drawn).unwrap();
        let all = module.forward(&input()).unwrap();
        for (first, count) in [(0, 1), (5, 40), (95, 1)] {
            let some = module.forward(&input().narrow(0, first, count).unwrap()).unwrap();
            let expected = all.narrow(0, first, count).unwrap();
            assert!(values(&some) == values(&expected), "{layers:?}: {count} from {first}");
        }
    }
}

/// Of the parameters after three steps of Adam, each of 1e-3 at most.
fn assert_near(what: &str, found: &Parameters, expected: &Parameters) {
    for ((name, found), (_, expected)) in found.iter().zip(expected.iter()) {
        let off = found.sub(expected).unwrap().abs().unwrap().max_all().unwrap();
        let off = off.to_scalar::<f32>().unwrap();
        assert!(off <= 1e-4, "{what}: {name} off by {off}");
    }
}

/// The parameters after three steps.
fn trained(layers: &[Arc<dyn Layer>], micro_batch: Option<usize>, recompute: bool) -> Parameters {
    trained_on(DeviceName::Cpu, layers, micro_batch, recompute)
}

fn trained_on(
    device: DeviceName,
    layers: &[Arc<dyn Layer>],
    micro_batch: Option<usize>,
    recompute: bool,
) -> Parameters {
    let settings = infonce::Settings { prediction_steps: 2, negatives: 5, skip: 0, context: None };
    let output = layers.iter().fold(3, |channels, layer| layer.out_channels(channels));
    let sizes = Sizes::grid(output, [GRID; 2]);
    let initial = trainer::shapes(layers, &settings, 3, sizes);
    let initial = Parameters::draw(&initial, 1, "module").unwrap();
    let initial = initial.on(&device.open().unwrap()).unwrap();
    let trainer = Trainer::new(layers, &settings, 3, sizes, 1e-3, &initial).unwrap();
    let mut trainer = trainer.saving_memory(micro_batch, recompute);
    let mut draws = generator(1, "negatives", &[]);
    for _ in 0..3 {
        let drawn = settings.draw(BATCH, sizes, &mut draws);
        trainer.step(&input(), &drawn.into()).unwrap();
    }
    trainer.parameters().unwrap()
}

#[test]
fn recomputing_changes_no_bit() {
    for layers in stacks() {
        let kept = trained(&layers, None, false);
        for ((name, kept), (_, again)) in kept.iter().zip(trained(&layers, None, true).iter()) {
            assert!(values(kept) == values(again), "{layers:?}: {name}");
        }
    }
}

#[test]
fn pieces_of_a_batch_have_the_loss_of_the_whole() {
    for layers in stacks() {
        let whole = trained(&layers, None, false);
        for (micro_batch, recompute) in [(1, false), (4, false), (4, true), (100, false)] {
            let pieces = trained(&layers, Some(micro_batch), recompute);
            assert_near(&format!("{layers:?} by {micro_batch}"), &pieces, &whole);
        }
    }
}

#[test]
fn candles_own_operations_train_as_our_kernels_do() {
    for layers in stacks() {
        let ours = trained(&layers, None, false);
        for (micro_batch, recompute) in [(None, false), (None, true), (Some(4), false)] {
            let theirs = trained_on(DeviceName::Candle, &layers, micro_batch, recompute);
            assert_near(&format!("{layers:?}"), &theirs, &ours);
        }
    }
}

/// A module in training, and what it reads.
struct Case {
    layers: Vec<Arc<dyn Layer>>,
    loss: Box<dyn Recipe>,
    sizes: Sizes,
    pooling: Pooling,
    input: Tensor,
}

impl Case {
    fn trainer(&self, device: DeviceName, micro_batch: Option<usize>, recompute: bool) -> Trainer {
        let shapes = trainer::shapes(&self.layers, self.loss.as_ref(), 3, self.sizes);
        let initial = Parameters::draw(&shapes, 1, "module").unwrap();
        let initial = initial.on(&device.open().unwrap()).unwrap();
        Trainer::new(&self.layers, self.loss.as_ref(), 3, self.sizes, 1e-3, &initial)
            .unwrap()
            .pooling(self.pooling)
            .saving_memory(micro_batch, recompute)
    }

    /// What goes out of the module as `trainer` has it.
    fn forward(&self, device: DeviceName, trainer: &Trainer) -> Tensor {
        let encoder = trainer.parameters().unwrap().under("encoder");
        let encoder = encoder.on(&device.open().unwrap()).unwrap();
        Module::new(&self.layers, 3, &encoder).unwrap().forward(&self.input).unwrap()
    }
}

/// Images through every kind of layer; sound, with a GRU and of nothing but one.
fn cases() -> Vec<Case> {
    let images = stacks().into_iter().map(|layers| {
        let output = layers.iter().fold(3, |channels, layer| layer.out_channels(channels));
        let settings =
            infonce::Settings { prediction_steps: 2, negatives: 5, skip: 0, context: None };
        Case {
            layers,
            loss: Box::new(settings),
            sizes: Sizes::grid(output, [GRID; 2]),
            pooling: Pooling::Patches { grid: [GRID; 2] },
            input: input(),
        }
    });
    let conv = || Conv1d { channels: 5, kernel: 4, stride: 3, padding: 1 }.shared();
    let gru = || Gru { channels: 6, bptt: true }.shared();
    let sound = [
        (vec![conv(), Relu.shared()], 5, 5, 13),
        (vec![conv(), gru()], 5, 6, 13),
        (vec![gru()], 3, 6, 40),
    ];
    let sound = sound.into_iter().map(|(layers, channels, context, rows)| {
        let settings = infonce1d::Settings {
            prediction_steps: 2,
            negatives: 3,
            subsample: 10,
            ..infonce1d::Settings::default()
        };
        let mut draws = generator(1, "sound", &[]);
        let values: Vec<f32> = (0..BATCH * 40 * 3).map(|_| draws.normal()).collect();
        Case {
            layers,
            loss: Box::new(settings),
            sizes: Sizes { channels, context, rows, columns: 1, classes: 0 },
            pooling: Pooling::Steps { frames: 8 },
            input: Tensor::from_vec(values, (BATCH, 1, 40, 3), &Device::Cpu).unwrap(),
        }
    });
    images.chain(sound).collect()
}

#[test]
fn a_step_that_hands_out_maps_is_the_same_step_and_they_are_the_modules_before_it() {
    for case in cases() {
        for device in [DeviceName::Cpu, DeviceName::Candle] {
            // candle's operations take their time.
            let step = if device == DeviceName::Cpu { 1 } else { 3 };
            let settings = [(None, false), (None, true), (Some(4), false), (Some(4), true)];
            for (micro_batch, recompute) in settings.into_iter().step_by(step) {
                let what = format!("{:?} on {device}, {micro_batch:?}, {recompute}", case.layers);
                let mut plain = case.trainer(device, micro_batch, recompute);
                let mut handing = case.trainer(device, micro_batch, recompute);
                let mut draws = generator(1, "negatives", &[]);
                for _ in 0..2 {
                    let drawn = case.loss.draw(BATCH, case.sizes, &mut draws).into();
                    let expected = case.forward(device, &handing);
                    let (step, maps) = handing.step_and_maps(&case.input, &drawn).unwrap();
                    assert_eq!(step, plain.step(&case.input, &drawn).unwrap(), "{what}");
                    match device {
                        DeviceName::Cpu => {
                            assert_eq!(maps.dims(), expected.dims(), "{what}");
                            assert!(values(&maps) == values(&expected), "{what}");
                        }
                        // candle's products may depend on the batch.
                        _ => assert_close(&what, &maps, &expected),
                    }
                    assert!(!maps.track_op(), "{what}: a graph goes with them");
                }
                let (plain, handing) = (plain.parameters().unwrap(), handing.parameters().unwrap());
                for ((name, plain), (_, handing)) in plain.iter().zip(handing.iter()) {
                    assert!(values(plain) == values(handing), "{what}: {name}");
                }
            }
        }
    }
}
