//! What both sides train: layers, weights, a batch and its negatives, in a safetensors file.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use gimlet::layer::{Basic, Bottleneck, Conv, ConvSpec, Layer, Map, Work, borrowed};
use gimlet::loss::{Recipe, Sizes, infonce};
use gimlet::module::Cost;
use gimlet::parameters::Parameters;
use gimlet::random::{Draws, generator};
use gimlet::train::trainer;
use serde_json::{Value, json};

use crate::Result;

/// Patches along a side of the grid.
pub const GRID: usize = 7;
/// Images of a batch, as in the published figures; windows of speech.
pub const BATCH: usize = 16;
pub const WINDOWS: usize = 8;
pub const LEARNING_RATE: f64 = 2e-4;

/// The layers of a module.
pub type Layers = Vec<Arc<dyn Layer>>;

/// A module that is trained.
pub struct Case {
    pub name: &'static str,
    pub what: What,
    /// The modules below it, which the published way computes anew, and the side of their patches.
    pub below: Vec<Layers>,
    pub patch: usize,
}

pub enum What {
    /// A module of residual blocks on patches whose maps are of this size, with InfoNCE.
    Vision(Layers, Map),
    /// A 1d convolution with ReLU on windows of so many steps. The loss of speech is not there yet:
    /// the mean square of the means over time stands for it.
    Speech(Conv1d, usize),
}

#[derive(Clone, Copy)]
pub struct Conv1d {
    pub channels: usize,
    pub out_channels: usize,
    pub kernel: usize,
    pub stride: usize,
    pub padding: usize,
}

pub fn settings() -> infonce::Settings {
    infonce::Settings { prediction_steps: 5, negatives: 16, skip: 1, context: None }
}

/// The paper's three vision modules.
pub fn paper() -> Vec<Layers> {
    let blocks = |planes, stride, count| {
        let stride = move |index| if index == 0 { stride } else { 1 };
        (0..count).map(move |index| Bottleneck { planes, stride: stride(index) }.shared())
    };
    let mut first = vec![Conv { channels: 64, kernel: 5, stride: 1, padding: 2 }.shared()];
    first.extend(blocks(64, 1, 3));
    vec![first, blocks(128, 2, 4).collect(), blocks(256, 2, 6).collect()]
}

/// The modules of `pipelines/cifar10.toml`.
fn cifar10() -> Vec<Layers> {
    vec![
        vec![
            Conv { channels: 32, kernel: 3, stride: 1, padding: 1 }.shared(),
            Basic { channels: 32, stride: 1 }.shared(),
        ],
        vec![Basic { channels: 64, stride: 2 }.shared()],
        vec![Basic { channels: 128, stride: 2 }.shared()],
    ]
}

/// All that is compared.
pub fn all() -> Vec<Case> {
    let map = |side, channels| Map { height: side, width: side, channels };
    let stack = |names: [&'static str; 3], layers: Vec<Layers>, maps: [Map; 3], patch| {
        let modules: Vec<_> = layers.clone().into_iter().zip(maps).zip(names).collect();
        let case = move |(index, ((own, map), name)): (usize, ((Layers, Map), &'static str))| {
            Case { name, what: What::Vision(own, map), below: layers[..index].to_vec(), patch }
        };
        modules.into_iter().enumerate().map(case).collect::<Vec<_>>()
    };
    let names = ["paper, vision 0", "paper, vision 1", "paper, vision 2"];
    let mut cases = stack(names, paper(), [map(16, 1), map(16, 256), map(8, 512)], 16);
    let names = ["CIFAR-10, a", "CIFAR-10, b", "CIFAR-10, c"];
    cases.extend(stack(names, cifar10(), [map(8, 3), map(8, 32), map(4, 64)], 8));
    let conv = |channels, kernel, stride, padding| Conv1d {
        channels,
        out_channels: 512,
        kernel,
        stride,
        padding,
    };
    let speech = [
        ("paper, speech 0", conv(1, 10, 5, 2), 20_480),
        ("paper, speech 1", conv(512, 8, 4, 2), 4_095),
        ("paper, speech 2", conv(512, 4, 2, 2), 1_023),
        ("paper, speech 3", conv(512, 4, 2, 2), 512),
        ("paper, speech 4", conv(512, 4, 2, 1), 257),
    ];
    cases.extend(speech.map(|(name, conv, steps)| Case {
        name,
        what: What::Speech(conv, steps),
        below: Vec::new(),
        patch: 0,
    }));
    cases
}

fn normal(shape: &[usize], draws: &mut Draws) -> Result<Tensor> {
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| draws.normal()).collect();
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}

fn uniform(shape: &[usize], fan_in: usize, draws: &mut Draws) -> Result<Tensor> {
    let bound = 1.0 / (fan_in as f32).sqrt();
    let values = (0..shape.iter().product()).map(|_| draws.between(-bound, bound));
    Ok(Tensor::from_vec(values.collect::<Vec<f32>>(), shape, &Device::Cpu)?)
}

impl Case {
    /// Samples of a batch.
    pub fn batch(&self) -> usize {
        match self.what {
            What::Vision(..) => BATCH,
            What::Speech(..) => WINDOWS,
        }
    }

    /// Floating-point operations of a step's products: forward, and as many for each of the gradients
    /// of weights and inputs; but none for the gradient of the batch, which is data. Products with the
    /// zeros of a padding count.
    pub fn operations(&self) -> f64 {
        match &self.what {
            What::Vision(layers, map) => {
                let maps = (BATCH * GRID * GRID) as f64;
                let forward = Cost::of(layers, *map).operations as f64;
                let data = reading(&*layers[0], *map);
                let settings = settings();
                let positions: usize = (1..=settings.prediction_steps)
                    .map(|k| BATCH * GRID * (GRID - k - settings.skip))
                    .sum();
                let channels = self.pooled();
                maps * (3.0 * forward - data) + 6.0 * (positions * channels * channels) as f64
            }
            What::Speech(conv, steps) => {
                let out = (steps + 2 * conv.padding - conv.kernel) / conv.stride + 1;
                let taps = conv.kernel * conv.channels * conv.out_channels;
                (2 * 2 * taps * out * WINDOWS) as f64
            }
        }
    }

    /// Channels of the pooled vectors.
    pub fn pooled(&self) -> usize {
        match &self.what {
            What::Vision(layers, map) => {
                layers.iter().fold(map.channels, |channels, layer| layer.out_channels(channels))
            }
            What::Speech(conv, _) => conv.out_channels,
        }
    }

    /// What the loss is computed on.
    pub fn sizes(&self) -> Sizes {
        Sizes::grid(self.pooled(), [GRID; 2])
    }

    /// Writes the case for both sides.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut tensors: HashMap<String, Tensor> = HashMap::new();
        let draws = &mut generator(1, self.name, &[]);
        let layers = match &self.what {
            What::Vision(layers, map) => {
                let shapes = trainer::shapes(layers, &settings(), map.channels, self.sizes());
                let drawn = Parameters::draw(&shapes, 1, self.name)?;
                tensors.extend(drawn.iter().map(|(name, it)| (name.to_string(), it.clone())));
                let maps = BATCH * GRID * GRID;
                let input = normal(&[maps, map.height, map.width, map.channels], draws)?;
                // Of images, the channels that the first module reads.
                let pixels = if self.patch == 16 { 1 } else { 3 };
                if self.below.is_empty() {
                    tensors.insert("images".into(), input.clone());
                } else {
                    let images = normal(&[maps, self.patch, self.patch, pixels], draws)?;
                    tensors.insert("images".into(), images);
                }
                tensors.insert("input".into(), input);
                let mut channels = pixels;
                for (index, below) in self.below.iter().enumerate() {
                    let shapes = gimlet::module::shapes(below, channels);
                    let drawn = Parameters::draw(&shapes, 1, "below")?;
                    let named =
                        |(name, it): (&str, &Tensor)| (format!("below.{index}.{name}"), it.clone());
                    tensors.extend(drawn.iter().map(named));
                    channels = Case { what: What::Vision(below.clone(), *map), ..Case::nothing() }
                        .pooled();
                }
                let negatives = settings().draw(BATCH, self.sizes(), draws).negatives;
                for (k, negatives) in negatives.iter().enumerate() {
                    let shape = (negatives.len() / settings().negatives, settings().negatives);
                    let table = Tensor::from_slice(negatives, shape, &Device::Cpu)?;
                    tensors.insert(format!("negatives.{k}"), table);
                }
                json!(borrowed(layers))
            }
            What::Speech(conv, steps) => {
                let fan_in = conv.kernel * conv.channels;
                let weight = [conv.kernel, conv.channels, conv.out_channels];
                tensors.insert("encoder.0.weight".into(), uniform(&weight, fan_in, draws)?);
                tensors
                    .insert("encoder.0.bias".into(), uniform(&[conv.out_channels], fan_in, draws)?);
                tensors.insert("input".into(), normal(&[WINDOWS, *steps, conv.channels], draws)?);
                json!([{ "conv1d": { "stride": conv.stride, "padding": conv.padding } }])
            }
        };
        let about: Value = json!({
            "name": self.name, "layers": layers, "below": self.below.iter().map(|it| borrowed(it)).collect::<Vec<_>>(), "grid": GRID,
            "skip": settings().skip, "learning_rate": LEARNING_RATE,
        });
        let metadata = HashMap::from([("case".to_string(), about.to_string())]);
        safetensors::serialize_to_file(&tensors, Some(metadata), path)?;
        Ok(())
    }

    fn nothing() -> Self {
        Case {
            name: "",
            what: What::Vision(Vec::new(), Map { height: 0, width: 0, channels: 0 }),
            below: Vec::new(),
            patch: 0,
        }
    }
}

/// Operations of the convolutions that read the input of `layer`, forward.
fn reading(layer: &dyn Layer, map: Map) -> f64 {
    let of = |conv: ConvSpec| {
        let geometry = conv.geometry(map);
        let positions = geometry.out_height() * geometry.out_width();
        (2 * geometry.taps() * geometry.out_channels * positions) as f64
    };
    match layer.work(map.channels) {
        Work::Conv(conv) => of(conv),
        Work::Residual { branch, shortcut } => {
            branch.into_iter().take(1).chain(shortcut).map(of).sum()
        }
        Work::Relu | Work::Own(_) | Work::Context(_) => 0.0,
    }
}
