//! Training from the store is training with the predecessors recomputed: the same weights, bit for
//! bit, when activations are stored in f32.

use crate::tiny;
use std::path::Path;

use gimlet::device::Device;
use gimlet::loss::Sizes;
use gimlet::module::{Frozen, Module};
use gimlet::parameters::Parameters;
use gimlet::pipeline::{Environment, Pipeline, SampleSize, Split, View};
use gimlet::random::generator;
use gimlet::stage::progress::Silent;
use gimlet::stage::{At, Run, RunDir, Session, Step};
use gimlet::train::feed::{Course, feed};
use gimlet::train::input::{Images, Input, Recomputed};
use gimlet::train::trainer::{Trainer, shapes};

/// The weights of the one training below a folder.
pub fn weights(folder: &Path) -> Parameters {
    let mut found = None;
    tiny::walk(folder, &mut |path| {
        if path.ends_with("weights.safetensors") {
            let bytes = std::fs::read(path).unwrap();
            found = Some(Parameters::from_safetensors(&bytes, path).unwrap().0);
        }
    });
    found.unwrap()
}

/// The bits of all values.
pub fn bits(parameters: &Parameters) -> Vec<(String, Vec<u32>)> {
    let bits = |tensor: &candle_core::Tensor| {
        let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        values.into_iter().map(f32::to_bits).collect()
    };
    parameters.iter().map(|(name, tensor)| (name.to_string(), bits(tensor))).collect()
}

#[test]
fn a_module_trained_from_the_store_is_the_one_trained_on_recomputed_inputs() {
    let folder = tempfile::tempdir().unwrap();
    let overrides = ["store.dtype=f32".to_string()];
    let text = tiny::PIPELINE;
    let pipeline =
        Pipeline::parse(text, Path::new("tiny.toml"), &overrides, &Environment::default()).unwrap();
    let stop = gimlet::stop::Stop::new();
    let dir = RunDir::at(folder.path().join("run"));
    let run = Run::open(&pipeline, dir, Session::new(&stop, &Silent)).unwrap();
    let [a, b] = [0, 1].map(|module| At { module, round: 0 });
    for step in [Step::Ingest, Step::Train(a), Step::Encode(a), Step::Train(b)] {
        run.step(step).unwrap();
    }
    let stored = weights(&folder.path().join("run/modules/b"));

    let maps = pipeline.shapes(SampleSize::square(16)).unwrap();
    let (a, b) = (&pipeline.modules[0], &pipeline.modules[1]);
    let encoder = weights(&folder.path().join("run/modules/a")).under("encoder");
    let predecessor = Module::new(a.layers(), maps[0].0.channels, &encoder).unwrap();
    let images = run.standing.generation(Step::Ingest, Split::Train).unwrap();
    let View::Images(view) = &pipeline.view else { panic!("it is of images") };
    let images = Images::new(&images, view, Split::Train, pipeline.seed).unwrap();
    let input = Recomputed::new(
        Box::new(images),
        vec![Box::new(predecessor) as Box<dyn Frozen>],
        &Device::Cpu,
    )
    .unwrap();

    let course = Course {
        seed: pipeline.seed,
        module: b.name.clone(),
        samples: input.layout().samples,
        views: input.layout().views,
        batch: pipeline.training.batch,
        epochs: b.epochs,
    };
    let grid = input.layout().shape[0].isqrt();
    let (channels, sizes) = (maps[1].0.channels, Sizes::grid(maps[1].1.channels, [grid; 2]));
    let shapes = shapes(b.layers(), pipeline.loss.as_ref(), channels, sizes);
    let drawn = Parameters::draw(&shapes, pipeline.seed, &b.name).unwrap();
    let mut trainer =
        Trainer::new(b.layers(), pipeline.loss.as_ref(), channels, sizes, b.learning_rate, &drawn)
            .unwrap();
    std::thread::scope(|scope| {
        for batch in feed(scope, &input, &course, 0..course.steps(), 1 << 20) {
            let batch = batch.unwrap();
            let mut draws = generator(pipeline.seed, "b/negatives", &[batch.step]);
            let drawn = pipeline.loss.draw(course.batch, sizes, &mut draws);
            trainer.step(&batch.input, &drawn.into()).unwrap();
        }
    });
    assert_eq!(trainer.steps(), course.steps());
    let recomputed = trainer.parameters().unwrap();
    assert_ne!(bits(&recomputed), bits(&drawn), "training changed something");
    assert!(bits(&recomputed) == bits(&stored), "the weights differ");
}
