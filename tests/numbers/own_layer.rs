//! A layer that this crate does not know: a program that uses the library brings it.

use std::path::Path;
use std::sync::Arc;

use candle_core::Tensor;
use gimlet::layer::{Basic, Conv, Kept, Layer, Layers, Map, Operation, Relu, Window, Work};
use gimlet::loss::infonce;
use gimlet::parameters::{Init, ParameterShape};
use gimlet::pipeline::{Environment, ImageView, NewModule, Pipeline, Probe, Textures, Training};
use gimlet::stage::progress::Silent;
use gimlet::stage::{Outcome, Run, RunDir, Session};
use gimlet::stop::Stop;
use gimlet::{Kind, Result};
use serde::Deserialize;
use serde_json::{Value, json};

/// The mean of each square of `side` positions, times a gain for each channel.
#[derive(Debug, Clone, Deserialize)]
pub struct GainedMean {
    pub side: usize,
}

impl Layer for GainedMean {
    fn name(&self) -> &str {
        "gained mean"
    }

    fn settings(&self) -> Value {
        json!({ "side": self.side })
    }

    fn window(&self) -> Window {
        Window::square(self.side, self.side, 0)
    }

    fn work(&self, channels: usize) -> Work {
        Work::Own(Arc::new(Means { side: self.side, channels }))
    }
}

#[derive(Debug)]
struct Means {
    side: usize,
    channels: usize,
}

impl Means {
    /// For each value of the input that counts, where it is, and where the mean that it is part of is.
    fn places(&self, input: Map, maps: usize) -> impl Iterator<Item = (usize, usize)> {
        let (side, channels) = (self.side, self.channels);
        let (height, width) = (input.height / side, input.width / side);
        let rows = (0..maps).flat_map(move |map| (0..height * side).map(move |y| (map, y)));
        let positions = rows.flat_map(move |(map, y)| {
            (0..width * side).map(move |x| {
                let to = (map * height + y / side) * width + x / side;
                ((map * input.height + y) * input.width + x, to)
            })
        });
        positions.flat_map(move |(from, to)| {
            (0..channels).map(move |c| (from * channels + c, to * channels + c))
        })
    }

    fn share(&self) -> f32 {
        1.0 / (self.side * self.side) as f32
    }
}

impl Operation for Means {
    fn parameters(&self) -> Vec<ParameterShape> {
        let init = Init::Constant(1.0);
        vec![ParameterShape { name: "gain".to_string(), dims: vec![self.channels], init }]
    }

    fn kept(&self, input: Map) -> usize {
        input.height / self.side * (input.width / self.side) * self.channels
    }

    fn operations(&self, input: Map) -> u64 {
        input.len() as u64
    }

    fn forward(
        &self,
        input: Map,
        parameters: &[&[f32]],
        x: &[f32],
        kept: &mut [f32],
        y: &mut [f32],
    ) {
        kept.fill(0.0);
        for (from, to) in self.places(input, x.len() / input.len()) {
            kept[to] += self.share() * x[from];
        }
        for (y, (mean, gain)) in y.iter_mut().zip(kept.iter().zip(parameters[0].iter().cycle())) {
            *y = mean * gain;
        }
    }

    fn backward(
        &self,
        input: Map,
        parameters: &[&[f32]],
        kept: &Kept<'_>,
        dy: &[f32],
        dx: Option<&mut [f32]>,
        sums: &mut [Vec<f64>],
    ) {
        for (index, (dy, mean)) in dy.iter().zip(kept.inner).enumerate() {
            sums[0][index % self.channels] += f64::from(dy * mean);
        }
        if let Some(dx) = dx {
            dx.fill(0.0);
            for (from, to) in self.places(input, dx.len() / input.len()) {
                dx[from] = self.share() * parameters[0][to % self.channels] * dy[to];
            }
        }
    }

    fn graph(&self, parameters: &[Tensor], x: &Tensor) -> Result<Tensor> {
        // candle's gradient of means takes nothing to be left over.
        let (_, _, height, width) = x.dims4()?;
        let whole = |side: usize| side / self.side * self.side;
        let x = x.narrow(2, 0, whole(height))?.narrow(3, 0, whole(width))?.contiguous()?;
        let means = x.avg_pool2d(self.side)?;
        Ok(means.broadcast_mul(&parameters[0].reshape((1, (), 1, 1))?)?)
    }
}

/// A pipeline with this layer behind others of its first module.
fn pipeline(layer: Arc<dyn Layer>) -> Result<Pipeline> {
    let conv = Conv { channels: 4, kernel: 3, stride: 1, padding: 1 }.shared();
    let block = Basic { channels: 8, stride: 1 }.shared();
    let textures = Textures { classes: 3, size: 16, train: 48, test: 24, ..Textures::default() };
    let loss =
        infonce::Settings { prediction_steps: 1, negatives: 4, ..infonce::Settings::default() };
    let training = Training { epochs: 2, batch: 8, checkpoint_seconds: 0.0, ..Training::default() };
    Pipeline::builder("own", textures, ImageView::new(8, 4))
        .module(NewModule::new("a", [conv, Relu.shared(), layer]))
        .module(NewModule::new("b", [block]))
        .loss(loss)
        .training(training)
        .probe(Probe { epochs: 2, ..Probe::default() })
        .build()
}

#[test]
fn it_is_planned_trained_encoded_and_probed_and_keys_know_its_settings() {
    let folder = tempfile::tempdir().unwrap();
    let stop = Stop::new();
    let take = |side| -> Vec<Outcome> {
        let pipeline = pipeline(GainedMean { side }.shared()).unwrap();
        let dir = RunDir::at(folder.path().join("run"));
        let run = Run::open(&pipeline, dir, Session::new(&stop, &Silent)).unwrap();
        let steps = run.standing.plan.steps();
        steps.into_iter().map(|step| run.step(step).unwrap()).collect()
    };
    assert!(take(2).iter().all(|outcome| *outcome == Outcome::Done));
    assert!(take(2).iter().all(|outcome| *outcome == Outcome::Unchanged));
    let larger = take(4);
    assert_eq!(larger[0], Outcome::Unchanged, "ingest knows nothing of layers");
    assert!(larger[1..].iter().all(|outcome| *outcome == Outcome::Done));
}

#[test]
fn a_pipeline_file_names_it_where_the_program_says_so() {
    let text = "[data.textures]\nsize = 16\n[view]\npatch = 8\nstride = 4\n[[modules]]\nname = 'a'\n\
                layers = [{ conv = { channels = 4, kernel = 3 } }, { 'gained mean' = { side = 2 } }]\n\
                [loss.infonce]\nprediction_steps = 1";
    let parsed = |layers| {
        let environment = Environment { layers, ..Environment::default() };
        Pipeline::parse(text, Path::new("own.toml"), &[], &environment)
    };
    let layers = Layers::default().with::<GainedMean>("gained mean").unwrap();
    let pipeline = parsed(layers.clone()).unwrap();
    assert_eq!(pipeline.modules[0].layers()[1..], [GainedMean { side: 2 }.shared()]);
    let error = parsed(Layers::default()).unwrap_err().to_string();
    assert!(error.starts_with("unknown layer `gained mean` in module `a`"), "{error}");
    assert_eq!(layers.with::<Relu>("relu").unwrap_err().kind(), Kind::Usage);
}

#[test]
fn what_does_not_fit_is_refused_with_the_name_of_its_module() {
    let refused = |layer| pipeline(layer).unwrap_err().to_string();
    let error = refused(GainedMean { side: 9 }.shared());
    let told = "a kernel of 9x9 in module `a` is larger than its map of 8x8 with 0 of padding";
    assert!(error.ends_with(told), "{error}");
    let error = refused(Conv { channels: 4, kernel: 3, stride: 0, padding: 1 }.shared());
    assert!(error.ends_with("`stride` must be at least 1, not 0"), "{error}");
}
