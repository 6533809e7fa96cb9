//! The published PyTorch code's own numbers: losses to 1e-5 relative, gradients and outputs to
//! 1e-4, the weights after eight steps of Adam to 1e-5 absolute.
//!
//! The cases are the `.safetensors` files in `tests/golden`, or in the folder that
//! `GIMLET_GOLDEN_DIR` names. Every size is taken from the files.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor, Var};
use gimlet::device::DeviceName;
use gimlet::exchange::published;
use gimlet::loss::{self, Context, Negatives, Recipe, Sizes, infonce, infonce1d};
use gimlet::module::{Keep, Module};
use gimlet::parameters::Parameters;
use gimlet::pipeline::Layer;
use gimlet::train::trainer::Trainer;

fn folder() -> PathBuf {
    match std::env::var_os("GIMLET_GOLDEN_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden"),
    }
}

/// One file: its tensors and what its metadata says.
struct Case {
    name: String,
    tensors: HashMap<String, Tensor>,
    metadata: HashMap<String, String>,
}

impl Case {
    fn load(path: &Path) -> Case {
        let bytes = std::fs::read(path).unwrap();
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        let mut tensors = HashMap::new();
        for (name, view) in safetensors::SafeTensors::deserialize(&bytes).unwrap().tensors() {
            let (shape, raw) = (view.shape(), view.data());
            let tensor = match view.dtype() {
                safetensors::Dtype::F32 => {
                    Tensor::from_raw_buffer(raw, DType::F32, shape, &Device::Cpu)
                }
                safetensors::Dtype::I64 => {
                    Tensor::from_raw_buffer(raw, DType::I64, shape, &Device::Cpu)
                }
                safetensors::Dtype::I32 => {
                    let values: Vec<i64> = raw
                        .chunks_exact(4)
                        .map(|v| i64::from(i32::from_le_bytes(v.try_into().unwrap())))
                        .collect();
                    Tensor::from_vec(values, shape, &Device::Cpu)
                }
                other => panic!("{}: {name} is {other:?}", path.display()),
            };
            tensors.insert(name, tensor.unwrap());
        }
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        Case { name, tensors, metadata: header.metadata().clone().unwrap_or_default() }
    }

    fn get(&self, name: &str) -> &Tensor {
        self.tensors.get(name).unwrap_or_else(|| panic!("{}: no tensor `{name}`", self.name))
    }

    fn scalar(&self, name: &str) -> f64 {
        f64::from(self.get(name).flatten_all().unwrap().to_vec1::<f32>().unwrap()[0])
    }

    /// A number, or the first of a list of one, in the metadata.
    fn number(&self, key: &str) -> usize {
        let text = &self.metadata[key];
        text.trim_matches(['[', ']']).parse().unwrap_or_else(|_| panic!("{key} = {text}"))
    }

    /// The negatives `{prefix}neg.{k}` of a batch on a grid of `(rows, columns)`, from the file's
    /// numbering `(y, x, b)` to ours, `(b, y, x)`; and the settings that they follow from.
    fn negatives(
        &self,
        prefix: &str,
        batch: usize,
        (rows, columns): (usize, usize),
    ) -> (Negatives, infonce::Settings) {
        let tables: Vec<Vec<Vec<i64>>> = (0..)
            .map_while(|k| self.tensors.get(&format!("{prefix}neg.{k}")))
            .map(|table| table.to_vec2::<i64>().unwrap())
            .collect();
        let count = tables[0][0].len();
        let predicting = |table: &Vec<Vec<i64>>| table.len() / (batch * columns);
        let negatives = tables
            .iter()
            .map(|table| {
                let predicting = predicting(table);
                let ours = |theirs: usize| {
                    let (yx, b) = (theirs / batch, theirs % batch);
                    (b * predicting + yx / columns) * columns + yx % columns
                };
                let mut negatives = vec![0; table.len() * count];
                for (position, row) in table.iter().enumerate() {
                    for (n, &target) in row.iter().enumerate() {
                        negatives[ours(position) * count + n] = ours(target as usize) as u32;
                    }
                }
                negatives
            })
            .collect();
        let settings = infonce::Settings {
            prediction_steps: tables.len(),
            negatives: count,
            skip: rows - 1 - predicting(&tables[0]),
            context: None,
        };
        (negatives, settings)
    }

    /// The predictors `{prefix}{k}{suffix}` `[out, in, 1, 1]` as ours, `[in, out]`.
    fn predictors(&self, prefix: &str, suffix: &str) -> Vec<Tensor> {
        (0..)
            .map_while(|k| self.tensors.get(&format!("{prefix}{k}{suffix}")))
            .map(|w| w.squeeze(3).unwrap().squeeze(2).unwrap().t().unwrap().contiguous().unwrap())
            .collect()
    }
}

const INFONCE: &str = "infonce_vision";
const RESNET: &str = "resnet";
const ADAM: &str = "adam_trajectory";
const PIXELCNN: &str = "pixelcnn";
const INFONCE1D: &str = "infonce_audio";

/// The files of one kind of case.
fn files(prefix: &str) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder())
        .unwrap_or_else(|e| panic!("{}: {e}", folder().display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "safetensors"))
        .filter(|path| {
            let stem = path.file_stem().unwrap().to_string_lossy();
            // Its context comes from nowhere that it says; `pixelcnn` has both.
            stem.starts_with(prefix) && !stem.contains("context")
        })
        .collect();
    paths.sort();
    paths
}

/// The cases of one kind. Our own folder has some of every kind; another one need not.
fn cases(prefix: &str) -> Vec<Case> {
    let paths = files(prefix);
    if paths.is_empty() {
        let message = format!("no case `{prefix}*.safetensors` in {}", folder().display());
        assert!(std::env::var_os("GIMLET_GOLDEN_DIR").is_some(), "{message}");
        // Past the test harness, which swallows what a test prints that passes.
        std::io::stderr().write_all(format!("skipped: {message}\n").as_bytes()).unwrap();
    }
    paths.iter().map(|path| Case::load(path)).collect()
}

#[test]
fn there_is_something_to_match() {
    assert!(
        [INFONCE, RESNET, ADAM, PIXELCNN, INFONCE1D].iter().any(|prefix| !files(prefix).is_empty()),
        "no golden case in {}",
        folder().display()
    );
}

/// `[n, c, h, w]` -> `[n, h, w, c]`.
fn channels_last(t: &Tensor) -> Tensor {
    t.permute((0, 2, 3, 1)).unwrap().contiguous().unwrap()
}

/// A convolution's weight `[out, in, kh, kw]` -> `[kh, kw, in, out]`; a bias as it is.
fn ours(t: &Tensor) -> Tensor {
    if t.rank() == 4 { t.permute((2, 3, 1, 0)).unwrap().contiguous().unwrap() } else { t.clone() }
}

fn flat(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1::<f32>().unwrap()
}

fn largest(t: &Tensor) -> f32 {
    flat(t).iter().fold(0.0, |max, value| max.max(value.abs()))
}

fn norm(values: &[f32]) -> f64 {
    values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt()
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    norm(&a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>())
}

/// Asserts that no value is farther than 1e-4 of the largest expected one.
fn assert_close(what: &str, found: &Tensor, expected: &Tensor) {
    assert_eq!(found.dims(), expected.dims(), "{what}");
    let pairs = flat(found).into_iter().zip(flat(expected));
    let farthest = pairs.fold(0.0f32, |max, (a, b)| max.max((a - b).abs()));
    let scale = largest(expected);
    assert!(scale > 0.0 && scale.is_finite(), "{what}: nothing to compare with, scale {scale}");
    assert!(farthest <= 1e-4 * scale, "{what}: off by {farthest} at a scale of {scale}");
}

fn assert_loss(what: &str, found: f64, expected: f64) {
    assert!(((found - expected) / expected).abs() <= 1e-5, "{what}: {found}, not {expected}");
}

#[test]
fn infonce_gives_the_published_loss_and_gradients() {
    for case in cases(INFONCE) {
        let z = Var::from_tensor(&channels_last(case.get("z"))).unwrap();
        let (batch, rows, columns, channels) = z.dims4().unwrap();
        let (negatives, settings) = case.negatives("", batch, (rows, columns));
        let predictors = case.predictors("w.", "");
        let vars: Vec<Var> = predictors.iter().map(|w| Var::from_tensor(w).unwrap()).collect();
        let named = |(k, w): (usize, &Var)| (format!("predictor.{k}"), w.as_tensor().clone());
        let parameters = Parameters::from_tensors(vars.iter().enumerate().map(named));
        let sizes = Sizes::grid(channels, [rows, columns]);
        let loss = settings.build(sizes, &parameters).unwrap();
        let outcome = loss.forward(&z, &z, &negatives.into()).unwrap();

        let name = &case.name;
        let found = f64::from(outcome.loss.to_scalar::<f32>().unwrap());
        assert_loss(name, found, case.scalar("loss"));
        let gradients = outcome.loss.backward().unwrap();
        let expected = channels_last(case.get("grad.z"));
        assert_close(&format!("{name} grad.z"), gradients.get(&z).unwrap(), &expected);
        for (k, (var, expected)) in vars.iter().zip(case.predictors("grad.w.", "")).enumerate() {
            assert_close(&format!("{name} grad.w.{k}"), gradients.get(var).unwrap(), &expected);
        }
    }
}

/// The parameters of a loss, or their gradients, that a case has under `prefix`, as ours.
fn of_loss(
    case: &Case,
    prefix: &str,
    loss: &loss::Settings,
    sizes: Sizes,
) -> BTreeMap<String, Tensor> {
    let published = published::parameters(&[], sizes.channels, loss, sizes);
    let found = published.iter().filter_map(|it| {
        let theirs = it.name.trim_start_matches("autoregressor.");
        let theirs = case.tensors.get(&format!("{prefix}{theirs}"))?;
        Some((it.ours.name.strip_prefix("loss.")?.to_string(), it.take(theirs).unwrap()))
    });
    found.collect()
}

#[test]
fn a_pixelcnn_context_gives_the_published_loss_and_gradients() {
    for (case, device) in cases(PIXELCNN)
        .iter()
        .flat_map(|case| [DeviceName::Cpu, DeviceName::Candle].map(|device| (case, device)))
    {
        let z = Var::from_tensor(&channels_last(case.get("input"))).unwrap();
        let (batch, rows, columns, channels) = z.dims4().unwrap();
        let (negatives, settings) = case.negatives("", batch, (rows, columns));
        let settings = infonce::Settings { context: Some(Context::PixelCnn), ..settings };
        let settings = loss::Settings::InfoNce(settings);
        let sizes = Sizes::grid(channels, [rows, columns]);
        let variables: BTreeMap<String, Var> = of_loss(case, "param.", &settings, sizes)
            .into_iter()
            .map(|(name, tensor)| (name, Var::from_tensor(&tensor).unwrap()))
            .collect();
        let named = variables.iter().map(|(name, it)| (name.clone(), it.as_tensor().clone()));
        let parameters = Parameters::from_tensors(named).on(&device.open().unwrap()).unwrap();
        let shapes = settings.recipe().shapes(sizes);
        assert_eq!(shapes.len(), variables.len(), "every parameter is there");
        let loss = settings.recipe().build(sizes, &parameters).unwrap();
        let outcome = loss.forward(&z, &z, &negatives.into()).unwrap();

        let name = format!("{} on {device}", case.name);
        assert_loss(
            &name,
            f64::from(outcome.loss.to_scalar::<f32>().unwrap()),
            case.scalar("loss"),
        );
        let gradients = outcome.loss.backward().unwrap();
        let expected = channels_last(case.get("grad.input"));
        assert_close(&format!("{name} grad.input"), gradients.get(&z).unwrap(), &expected);
        let expected = of_loss(case, "grad.", &settings, sizes);
        // What the last layer makes of its vertical half is read by nobody.
        assert_eq!(expected.len() + 2, variables.len());
        for (parameter, expected) in &expected {
            let found = gradients.get(&variables[parameter]).unwrap();
            assert_close(&format!("{name} grad {parameter}"), found, expected);
        }
    }
}

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
        let orders = case.get("perm").to_vec2::<i64>().unwrap();
        let settings = infonce1d::Settings {
            prediction_steps: case.get("w").dims()[0] / channels,
            negatives: orders.len(),
            ..infonce1d::Settings::default()
        };
        let of_step = |step: usize| {
            let first = batch * rows - batch * (rows - step);
            let positions = first..batch * rows;
            positions.flat_map(|at| orders.iter().map(move |order| order[at] as u32)).collect()
        };
        let negatives: Negatives = (1..=settings.prediction_steps).map(of_step).collect();
        let settings = loss::Settings::InfoNce1d(settings);
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
        let loss = settings.recipe().build(sizes, &parameters).unwrap();
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

/// The layers of a published vision module: `blocks` blocks of `width`, the first one strided
/// unless it is module 0, which begins with a 5x5 convolution.
fn layers(resnet: &str, module: usize, blocks: usize, width: usize) -> Vec<Layer> {
    let mut layers = Vec::new();
    if module == 0 {
        layers.push(Layer::Conv { channels: width, kernel: 5, stride: 1, padding: 2 });
    }
    for block in 0..blocks {
        let stride = if block == 0 && module > 0 { 2 } else { 1 };
        layers.push(match resnet {
            "34" => Layer::Basic { channels: width, stride },
            _ => Layer::Bottleneck { planes: width, stride },
        });
    }
    layers
}

/// Our name of each published encoder parameter.
fn encoder_names(names: impl Iterator<Item = String>, module: usize) -> BTreeMap<String, String> {
    let first_block = usize::from(module == 0);
    names
        .filter_map(|name| {
            let rest = name.strip_prefix("model.")?;
            let ours = match rest.strip_prefix("Conv1.") {
                Some(rest) => format!("encoder.0.{rest}"),
                None => {
                    // "layer 0.1.conv2.weight": block 1.
                    let mut parts = rest.splitn(3, '.').skip(1);
                    let block: usize = parts.next()?.parse().ok()?;
                    let rest = parts.next()?.replace("shortcut.0.", "shortcut.");
                    format!("encoder.{}.{rest}", block + first_block)
                }
            };
            Some((name, ours))
        })
        .collect()
}

/// The parameters of a case under `prefix`, by our names and in our layout.
fn parameters(case: &Case, prefix: &str, module: usize) -> BTreeMap<String, Tensor> {
    let stripped = case.tensors.keys().filter_map(|k| k.strip_prefix(prefix)).map(String::from);
    let mut found: BTreeMap<String, Tensor> = encoder_names(stripped, module)
        .into_iter()
        .map(|(theirs, name)| (name, ours(case.get(&format!("{prefix}{theirs}")))))
        .collect();
    for (k, w) in case.predictors(&format!("{prefix}loss.W_k."), ".weight").into_iter().enumerate()
    {
        found.insert(format!("loss.predictor.{k}"), w);
    }
    found
}

/// Overlapping patches of images `[batch, 1, h, w]`, as `[batch * grid * grid, patch, patch, 1]`.
fn patches(images: &Tensor, patch: usize, stride: usize) -> Tensor {
    let (batch, _, height, _) = images.dims4().unwrap();
    let grid = (height - patch) / stride + 1;
    let mut all = Vec::new();
    for b in 0..batch {
        for row in 0..grid {
            for col in 0..grid {
                let image = images.narrow(0, b, 1).unwrap();
                let rows = image.narrow(2, row * stride, patch).unwrap();
                all.push(channels_last(&rows.narrow(3, col * stride, patch).unwrap()));
            }
        }
    }
    Tensor::cat(&all, 0).unwrap()
}

#[test]
fn resnet_modules_give_the_published_outputs_losses_and_gradients() {
    for case in cases(RESNET) {
        let module = case.number("encoder_num");
        let expected_pooled = channels_last(case.get("pooled"));
        let (batch, grid, _, channels) = expected_pooled.dims4().unwrap();
        let input = case.get("input");
        let input = if module == 0 { patches(input, 16, 8) } else { channels_last(input) };
        let layers =
            layers(&case.metadata["resnet"], module, case.number("blocks"), case.number("filters"));
        let (variables, named): (BTreeMap<String, Var>, Vec<_>) = {
            let variables: BTreeMap<String, Var> = parameters(&case, "param.", module)
                .iter()
                .map(|(name, t)| (name.clone(), Var::from_tensor(t).unwrap()))
                .collect();
            let named = variables.iter().map(|(n, v)| (n.clone(), v.as_tensor().clone())).collect();
            (variables, named)
        };
        let all = Parameters::from_tensors(named);
        let encoder = Module::new(&layers, input.dims()[3], &all.under("encoder")).unwrap();
        let output = encoder.forward(&input).unwrap();
        let name = &case.name;
        assert_close(&format!("{name} output"), &output, &channels_last(case.get("output")));
        let means = encoder.pooled(&input, Keep::Activations).unwrap();
        let means = Var::from_tensor(&means).unwrap();
        let z = means.reshape((batch, grid, grid, channels)).unwrap();
        assert_close(&format!("{name} pooled"), &z, &expected_pooled);

        let (negatives, settings) = case.negatives("", batch, (grid, grid));
        let sizes = Sizes::grid(channels, [grid; 2]);
        let loss = settings.build(sizes, &all.under("loss")).unwrap();
        let outcome = loss.forward(&z, &z, &negatives.into()).unwrap();
        assert_loss(name, f64::from(outcome.loss.to_scalar::<f32>().unwrap()), case.scalar("loss"));
        let mut gradients = outcome.loss.backward().unwrap();
        let d_means = gradients.get(&means).unwrap().clone();
        for (parameter, gradient) in encoder.gradients(&input, &d_means, Keep::Activations).unwrap()
        {
            gradients.insert(&parameter, gradient);
        }
        let expected = parameters(&case, "grad.", module);
        assert_eq!(expected.len(), variables.len(), "{name}: every parameter has a gradient");
        // The terms of a bias's gradient nearly cancel: the published f32 values of these are off by
        // up to 6e-4 of their own size (measured against f64). So 1e-4 is asked of the gradient of
        // the module as one vector, and 1e-2 of each parameter's own part of it.
        let (mut difference, mut size) = (0.0, 0.0);
        for (parameter, expected) in expected {
            let found = gradients.get(&variables[&parameter]).unwrap();
            let what = format!("{name} grad of {parameter}");
            assert_eq!(found.dims(), expected.dims(), "{what}");
            let (off, own) = (distance(&flat(found), &flat(&expected)), norm(&flat(&expected)));
            assert!(own > 0.0 && off <= 1e-2 * own, "{what}: off by {off}, of {own}");
            difference += off * off;
            size += own * own;
        }
        assert!(difference.sqrt() <= 1e-4 * size.sqrt(), "{name}: gradients off by {difference}");
    }
}

#[test]
fn adam_ends_at_the_published_weights() {
    for case in cases(ADAM) {
        let initial = parameters(&case, "initial.", 0);
        let blocks =
            (0..).take_while(|b| initial.contains_key(&format!("encoder.{}.conv1.weight", b + 1)));
        let planes = initial["encoder.0.bias"].elem_count();
        let resnet = match initial.contains_key("encoder.1.conv3.weight") {
            true => "50",
            false => "34",
        };
        let layers = layers(resnet, 0, blocks.count(), planes);
        let output = initial["loss.predictor.0"].dims()[0];
        let steps =
            (0..).take_while(|s| case.tensors.contains_key(&format!("step{s}.input"))).count();
        assert!(steps > 0, "{}: no steps", case.name);
        let mut trainer: Option<Trainer> = None;
        for step in 0..steps {
            let images = case.get(&format!("step{step}.input"));
            let (batch, channels) = (images.dims()[0], images.dims()[1]);
            let input = patches(images, 16, 8);
            let grid = (input.dims()[0] / batch).isqrt();
            let (negatives, settings) =
                case.negatives(&format!("step{step}."), batch, (grid, grid));
            let trainer = trainer.get_or_insert_with(|| {
                let loss = loss::Settings::InfoNce(settings);
                let sizes = Sizes::grid(output, [grid; 2]);
                let initial = Parameters::from_tensors(initial.clone());
                Trainer::new(&layers, &loss, channels, sizes, 2e-4, &initial).unwrap()
            });
            let found = trainer.step(&input, &negatives.into()).unwrap();
            let what = format!("{} step {step}", case.name);
            assert_loss(&what, found.loss, case.scalar(&format!("step{step}.loss")));
        }
        let found = trainer.unwrap().parameters().unwrap();
        let expected = parameters(&case, "final.", 0);
        assert_eq!(found.iter().count(), expected.len());
        for (name, found) in found.iter() {
            let difference = (found - &expected[name]).unwrap().abs().unwrap();
            let farthest = difference.max_all().unwrap().to_scalar::<f32>().unwrap();
            assert!(farthest <= 1e-5, "{} {name}: off by {farthest}", case.name);
        }
    }
}
