//! The published PyTorch code's own numbers for speech, as in `golden.rs`: the loss along time, and each
//! module with its loss.

use crate::golden_case;
use std::collections::BTreeMap;

use candle_core::{Tensor, Var};
use gimlet::device::DeviceName;
use gimlet::exchange::published;
use gimlet::layer::{Conv1d, Gru, Layer, Relu};
use gimlet::loss::{Negatives, Recipe, Sizes, infonce1d};
use gimlet::module::{Keep, Module, Readout};
use gimlet::parameters::Parameters;
use golden_case::*;

#[test]
fn infonce_along_time_gives_the_published_loss_and_gradients() {
    for (case, device) in cases(INFONCE1D)
        .iter()
        .flat_map(|case| [DeviceName::Cpu, DeviceName::Candle].map(|device| (case, device)))
    {
        let column = |name: &str| Var::from_tensor(&case.get(name).unsqueeze(2).unwrap()).unwrap();
        let (z, c) = (column("z"), column("c"));
        let ((batch, rows, _, channels), context) = (z.dims4().unwrap(), c.dims()[3]);
        let sizes = Sizes { channels, context, rows, columns: 1, classes: 0 };
        let settings = infonce1d::Settings {
            prediction_steps: case.get("w").dims()[0] / channels,
            negatives: case.get("perm").dims()[0],
            ..infonce1d::Settings::default()
        };
        let negatives = negatives(case.get("perm"), batch, rows, settings.prediction_steps);
        // Of one linear layer, or its gradient, each predictor's part.
        let predictors = |name: &str| -> Vec<(String, Tensor)> {
            let published = published::parameters(&[], channels, &settings, sizes);
            let part = |it: &published::Published| it.take(case.get(name)).unwrap();
            let name = |it: &published::Published| it.ours.name.replacen("loss.", "", 1);
            published.iter().map(|it| (name(it), part(it))).collect()
        };
        let variables: Vec<(String, Var)> = predictors("w")
            .into_iter()
            .map(|(name, part)| (name, Var::from_tensor(&part).unwrap()))
            .collect();
        let named = variables.iter().map(|(name, it)| (name.clone(), it.as_tensor().clone()));
        let parameters = Parameters::from_tensors(named).on(&device.open().unwrap()).unwrap();
        let loss = settings.build(sizes, &parameters).unwrap();
        let outcome = loss.forward(&z, &c, &negatives.into()).unwrap();

        let name = format!("{} on {device}", case.name);
        let found = f64::from(outcome.loss.to_scalar::<f32>().unwrap());
        assert_loss(&name, found, case.scalar("loss"));
        // Where the positive is among its negatives, that is a hit there and none here.
        let (found, most) = (outcome.accuracy.unwrap(), case.scalar("accuracy"));
        assert!(found > 0.8 * most && found < most, "{name}: accuracy {found}, there {most}");
        let gradients = outcome.loss.backward().unwrap();
        for (what, variable) in [("grad.z", &z), ("grad.c", &c)] {
            let found = gradients.get(variable).unwrap().squeeze(2).unwrap();
            assert_close(&format!("{name} {what}"), &found, case.get(what));
        }
        for ((part, variable), (_, expected)) in variables.iter().zip(predictors("grad.w")) {
            let found = gradients.get(variable).unwrap();
            assert_close(&format!("{name} grad of {part}"), found, &expected);
        }
    }
}

/// The negatives of every step, from permutations of all vectors: of each the last are read.
fn negatives(orders: &Tensor, batch: usize, rows: usize, steps: usize) -> Negatives {
    let orders = orders.to_vec2::<i64>().unwrap();
    let of_step = |step: usize| {
        let positions = batch * step..batch * rows;
        positions.flat_map(|at| orders.iter().map(move |order| order[at] as u32)).collect()
    };
    (1..=steps).map(of_step).collect()
}

/// Each module on the output of the one before: what it gives, its context, its loss, and the gradient of
/// every parameter, on our kernels and on candle's operations.
#[test]
fn speech_modules_give_the_published_outputs_losses_and_gradients() {
    let strides = [(10, 5, 2), (8, 4, 2), (4, 2, 2), (4, 2, 2), (4, 2, 1)];
    for (case, device) in cases(MODULES)
        .iter()
        .flat_map(|case| [DeviceName::Cpu, DeviceName::Candle].map(|device| (case, device)))
    {
        // `[batch, 1, steps]` -> `[batch, 1, steps, 1]`.
        let mut input = case.get("input").unsqueeze(3).unwrap();
        for module in 0..=strides.len() {
            let name = format!("m{module} of {} on {device}", case.name);
            let get = |what: &str| case.get(&format!("m{module}.{what}"));
            let (output, context) = (get("output"), get("context"));
            let (batch, rows, channels) = output.dims3().unwrap();
            let hidden = context.dims()[2];
            let layers = match strides.get(module) {
                Some(&(kernel, stride, padding)) => {
                    vec![Conv1d { channels, kernel, stride, padding }.shared(), Relu.shared()]
                }
                None => vec![Gru { channels: hidden, bptt: true }.shared()],
            };
            let settings = infonce1d::Settings {
                prediction_steps: get("param.loss.predictor.weight").dims()[0] / channels,
                negatives: get("perm").dims()[0],
                ..infonce1d::Settings::default()
            };
            let drawn = negatives(get("perm"), batch, rows, settings.prediction_steps);
            // These files have the whole sequence predict.
            let loss = infonce1d::Settings { subsample: 0, ..settings };
            let sizes = Sizes { channels, context: hidden, rows, columns: 1, classes: 0 };
            let described = published::parameters(&layers, input.dims()[3], &loss, sizes);
            let part = |it: &published::Published, kind: &str| {
                it.take(get(&format!("{kind}.{}", it.name))).unwrap()
            };
            let home = device.open().unwrap();
            let variables: BTreeMap<String, Var> = described
                .iter()
                .map(|it| (it.ours.name.clone(), Var::from_tensor(&part(it, "param")).unwrap()))
                .collect();
            let named = variables.iter().map(|(k, v)| (k.clone(), v.as_tensor().clone()));
            let all = Parameters::from_tensors(named).on(&home).unwrap();
            let encoder = Module::new(&layers, input.dims()[3], &all.under("encoder")).unwrap();
            let encoder = encoder.reading(Readout::Steps);

            let steps = |t: &Tensor| t.squeeze(1).unwrap();
            assert_close(
                &format!("{name} context"),
                &steps(&encoder.forward(&input).unwrap()),
                context,
            );
            let z = Var::from_tensor(&encoder.pooled(&input, Keep::Activations).unwrap()).unwrap();
            let seen = z.reshape((batch, rows, 1, channels)).unwrap();
            assert_close(&format!("{name} output"), &seen.squeeze(2).unwrap(), output);
            let c = encoder.context_of(&seen).unwrap();
            let built = loss.build(sizes, &all.under("loss")).unwrap();
            let outcome = built.forward(&seen, &c, &drawn.into()).unwrap();
            let found = f64::from(outcome.loss.to_scalar::<f32>().unwrap());
            assert_loss(&name, found, case.scalar(&format!("m{module}.loss")));

            let mut gradients = outcome.loss.backward().unwrap();
            let d_z = gradients.get(&z).unwrap().clone();
            for (parameter, gradient) in encoder.gradients(&input, &d_z, Keep::Activations).unwrap()
            {
                gradients.insert(&parameter, gradient);
            }
            for it in &described {
                let found = gradients.get(&variables[&it.ours.name]).unwrap();
                let what = format!("{name} grad of {}", it.ours.name);
                assert_close(&what, found, &part(it, "grad"));
            }
            // The next module reads z.
            input = output.unsqueeze(1).unwrap();
        }
    }
}
