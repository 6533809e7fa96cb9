//! Our side: a step for each line on standard input.

use std::collections::HashMap;
use std::io::BufRead;
use std::path::Path;
use std::time::Instant;

use candle_core::{Device, Tensor, Var};
use gimlet::layer::{self, Layer, Relu};
use gimlet::loss::Negatives;
use gimlet::module::{Keep, Module};
use gimlet::parameters::Parameters;
use gimlet::train::adam::Adam;
use gimlet::train::trainer::Trainer;

use crate::Result;
use crate::case::{Case, Conv1d, LEARNING_RATE, What, settings};
use crate::side::Step;

/// Answers standard input until it ends.
pub fn answer(case: &Case, path: &Path) -> Result<()> {
    let tensors = candle_core::safetensors::load(path, &Device::Cpu)?;
    let mut step: Box<dyn FnMut() -> Result<f64>> = match &case.what {
        What::Vision(..) => Box::new(vision(case, tensors)?),
        What::Speech(conv, _) => Box::new(speech(*conv, tensors)?),
    };
    for line in std::io::stdin().lock().lines() {
        line?;
        let started = Instant::now();
        let loss = step()?;
        let seconds = started.elapsed().as_secs_f64();
        let peak = gimlet::stage::memory::peak().unwrap_or(0);
        println!("{}", serde_json::to_string(&Step { seconds, loss, peak })?);
    }
    Ok(())
}

fn vision(
    case: &Case,
    mut tensors: HashMap<String, Tensor>,
) -> Result<impl FnMut() -> Result<f64>> {
    let What::Vision(layers, map) = &case.what else { return Err("not of vision".into()) };
    let input = tensors.remove("input").ok_or("no input")?;
    let negatives = (0..settings().prediction_steps)
        .map(|k| Ok(tensors[&format!("negatives.{k}")].flatten_all()?.to_vec1::<u32>()?))
        .collect::<Result<Negatives>>()?;
    let initial = Parameters::from_tensors(tensors);
    let (channels, sizes) = (map.channels, case.sizes());
    let mut trainer = Trainer::new(layers, &settings(), channels, sizes, LEARNING_RATE, &initial)?;
    let samples = negatives.into();
    Ok(move || Ok(trainer.step(&input, &samples)?.loss))
}

fn speech(
    conv: Conv1d,
    mut tensors: HashMap<String, Tensor>,
) -> Result<impl FnMut() -> Result<f64>> {
    let mut take = |name: &str| tensors.remove(name).ok_or(format!("no {name}"));
    // A window is a map of height 1.
    let input = take("input")?.unsqueeze(1)?;
    let weight = take("encoder.0.weight")?.unsqueeze(0)?;
    let initial = [("0.weight".into(), weight), ("0.bias".into(), take("encoder.0.bias")?)];
    let (parameters, variables) = Parameters::from_tensors(initial).trainable()?;
    let Conv1d { channels, out_channels, kernel, stride, padding } = conv;
    let layer = layer::Conv1d { channels: out_channels, kernel, stride, padding };
    let module = Module::new(&[layer.shared(), Relu.shared()], channels, &parameters)?;
    let mut adam = Adam::new(variables, LEARNING_RATE, &gimlet::device::Device::Cpu)?;
    Ok(move || {
        let pooled = Var::from_tensor(&module.pooled(&input, Keep::Activations)?)?;
        let loss = pooled.sqr()?.mean_all()?;
        let mut gradients = loss.backward()?;
        let d_pooled = gradients.remove(&pooled).ok_or("no gradient")?;
        for (parameter, gradient) in module.gradients(&input, &d_pooled, Keep::Activations)? {
            gradients.insert(&parameter, gradient);
        }
        adam.step(&gradients)?;
        Ok(f64::from(loss.to_scalar::<f32>()?))
    })
}
