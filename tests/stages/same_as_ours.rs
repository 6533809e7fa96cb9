//! A module that is rewritten in PyTorch trains as ours does: from the same weights, on the same batches and negatives.

use gimlet::parameters::Parameters;
use gimlet::pipeline::{Pipeline, SampleSize};
use gimlet::stage::Stack;
use gimlet::train::trainer;
use serde_json::{Map, Value, json};

use crate::pythons::{Answers, Bench, is_there};

/// Two convolutions, as `Ours` of `stages.py` has them.
const LAYERS: &str = "layers = [{ conv = { channels = 4, kernel = 3 } }, { relu = {} }, \
                      { conv = { channels = 8, kernel = 3 } }]";

/// How far the losses may be apart, in parts of their size.
const APART: f64 = 1e-5;

#[test]
fn a_module_that_is_rewritten_in_pytorch_has_the_same_losses() {
    if !is_there(Answers::Torch, "a module that is rewritten in PyTorch") {
        return;
    }
    let bench = Bench::new(Answers::Torch, &[LAYERS]);
    let epochs = ["--set", "training.epochs=17"];
    bench.ok("run", &epochs);
    let ours = losses(&bench, "runs/tiny");

    let file = bench.tiny.path("tiny.toml");
    let pipeline = Pipeline::load(&file, &[]).unwrap();
    let stack = Stack::new(&pipeline, SampleSize::square(16)).unwrap();
    let (layers, loss) = (pipeline.modules[0].layers(), pipeline.loss.as_ref());
    let shapes = trainer::shapes(layers, loss, stack.input(0).channels, stack.sizes(0, 0));
    let drawn = Parameters::draw(&shapes, pipeline.seed, "a").unwrap();
    std::fs::write(bench.tiny.path("initial.json"), named_as_theirs(&drawn).to_string()).unwrap();

    let theirs = std::fs::read_to_string(&file).unwrap();
    let initial = bench.tiny.path("initial.json");
    let stage = format!("python = \"stages.py:Ours\"\narguments = {{ initial = {initial:?} }}");
    std::fs::write(&file, theirs.replace(LAYERS, &stage)).unwrap();
    let run = [&epochs[..], &["--run-dir", "theirs"]].concat();
    bench.ok("run", &run);
    let theirs = losses(&bench, "theirs");
    assert!(ours.len() >= 100 && ours.len() == theirs.len(), "{} and {}", ours.len(), theirs.len());
    let epoch = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    assert!(epoch(&ours[..6]) > epoch(&ours[ours.len() - 6..]), "it learns nothing: {ours:?}");
    for (step, (ours, theirs)) in ours.iter().zip(&theirs).enumerate().take(100) {
        assert!((ours - theirs).abs() <= APART * ours.abs(), "step {step}: {ours} and {theirs}");
    }
}

/// The losses of module `a`, step by step.
fn losses(bench: &Bench, run_dir: &str) -> Vec<f64> {
    let log = bench.tiny.find(&format!("{run_dir}/modules/a"), "log.jsonl");
    let log = std::fs::read_to_string(log).unwrap();
    let loss = |line: &str| {
        let entry: Value = serde_json::from_str(line).unwrap();
        entry["loss"].as_f64().unwrap()
    };
    log.lines().map(loss).collect()
}

/// Our parameters under the names that `Ours` has for them, as lists.
fn named_as_theirs(drawn: &Parameters) -> Value {
    let names = [
        ("encoder.0.weight", "first.weight"),
        ("encoder.0.bias", "first.bias"),
        ("encoder.2.weight", "second.weight"),
        ("encoder.2.bias", "second.bias"),
        ("loss.predictor.0", "negatives.predictors.0"),
    ];
    let mut all = Map::new();
    for (ours, tensor) in drawn.iter() {
        let (_, theirs) = names.iter().find(|(name, _)| *name == ours).unwrap();
        let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        all.insert((*theirs).to_owned(), nested(&values, tensor.dims()));
    }
    Value::Object(all)
}

/// Values as lists of lists.
fn nested(values: &[f32], dims: &[usize]) -> Value {
    match dims {
        [] | [_] => json!(values),
        [_, inner @ ..] => {
            let each = values.chunks(inner.iter().product());
            each.map(|it| nested(it, inner)).collect()
        }
    }
}
