//! The end-to-end twin of a run: the same layers, trained as one module.

use candle_core::Tensor;
use gimlet_store::{Generation, Location};
use serde_json::Value;

use super::run_view::RunView;
use crate::layer::borrowed;
use crate::media::{self, Ingested};
use crate::module::{self, Module};
use crate::parameters::Parameters;
use crate::pipeline::Split;
use crate::stage::record::Training;
use crate::stage::{RunDir, Step};
use crate::train::input::{Input, Look};
use crate::{Error, Result};

/// Samples that go through the stack at once.
const BATCH: usize = 16;

/// A training of all layers as one module.
pub struct Twin {
    /// The file of its weights.
    weights: Location,
    training: Training,
    /// Its settings, in words.
    pub settings: String,
    /// The settings that differ from the run's.
    pub differs: Vec<&'static str>,
}

/// The settings that a run and its twin may share: their names in keys, and in words.
const SHARED: [(&str, &str); 5] = [
    ("/seed", "seed"),
    ("/loss", "loss"),
    ("/training", "batch"),
    ("/view", "view"),
    ("/input/rows", "training samples"),
];

impl Twin {
    /// The directory to search: the one in the options, otherwise the run's own.
    pub fn dir(run: &RunView<'_>) -> RunDir {
        match &run.options.twin {
            Some(path) => RunDir::in_store(run.standing.dir.location().store().locate(path)),
            None => run.standing.dir.clone(),
        }
    }

    /// Finds the twin whose settings are nearest to the run's; among equals, the newest. `None` if the
    /// directory has no twin.
    ///
    /// # Errors
    /// When a record cannot be read, unless the reason is damage.
    pub fn find(run: &RunView<'_>) -> Result<Option<Self>> {
        let dir = Self::dir(run);
        if run.pipeline.modules.iter().any(|it| it.python().is_some()) {
            // Its own loss trains one module alone.
            return Ok(None);
        }
        let layers: Vec<_> =
            run.pipeline.modules.iter().flat_map(|it| borrowed(it.layers())).collect();
        let layers = serde_json::to_value(layers)
            .map_err(|error| Error::failed(format!("could not compare layers: {error}")))?;
        let first = Step::Train(run.standing.plan.last(0));
        let ours = &run.standing.plan.key(first, Split::Train).settings;
        let epochs = run.pipeline.modules.first().map(|it| it.epochs);
        let mut best: Option<Self> = None;
        for records in dir.all_trainings()? {
            for found in records.readable::<Training>()? {
                let (_, training) = found?;
                let modules = training.settings["modules"].as_object();
                let Some((name, module)) = modules.and_then(|it| it.iter().next()) else {
                    continue;
                };
                let alone = modules.is_some_and(|it| it.len() == 1);
                if !alone || module["layers"] != layers {
                    continue;
                }
                let other = |it: &&(&str, &str)| {
                    ours.pointer(it.0).unwrap_or(&Value::Null)
                        != training.settings.pointer(it.0).unwrap_or(&Value::Null)
                };
                let mut differs: Vec<&str> = SHARED.iter().filter(other).map(|it| it.1).collect();
                let of_twin = module["epochs"].as_u64();
                if of_twin != epochs.map(|it| it as u64) {
                    differs.push("epochs");
                }
                // Records come newest first.
                if best.as_ref().is_none_or(|best| differs.len() < best.differs.len()) {
                    best = Some(Self {
                        weights: dir.weights(name, &training.key),
                        settings: in_words(&training, module),
                        differs,
                        training,
                    });
                }
            }
        }
        Ok(best)
    }

    /// The twin's output at the end of each of the run's modules, for `rows` of the test split: the mean of
    /// each row's pooled vectors, `[rows, channels]`, and the number of channels.
    ///
    /// # Errors
    /// When its weights are damaged, or samples cannot be read.
    pub fn means(&self, run: &RunView<'_>, rows: &[u64]) -> Result<Vec<(Vec<f32>, usize)>> {
        let Some(test) = run.ingested(Split::Test)? else { return Ok(Vec::new()) };
        let bytes = self.training.read_weights(&self.weights)?;
        let encoder = Parameters::from_safetensors(&bytes, self.weights.path())?.0.under("encoder");
        let input = first_input(run, &test)?;
        let modules = cut(run, &encoder, input.layout().shape[3])?;
        let pooling =
            run.pipeline.view.settings().pooling(media::of(&run.pipeline.view).size_in(&test)?);
        let mut means = vec![(Vec::new(), 0); modules.len()];
        for rows in rows.chunks(BATCH) {
            run.check_stop()?;
            let mut maps: Tensor = input.tensor(rows, Look::Frozen, None)?;
            for (module, (means, channels)) in modules.iter().zip(&mut means) {
                maps = module.forward(&maps)?;
                let mean = module::pooled(&maps, pooling)?.mean((1, 2))?;
                *channels = mean.dim(1)?;
                means.extend(mean.flatten_all()?.to_vec1::<f32>()?);
            }
        }
        Ok(means)
    }
}

/// The settings of a twin, in words.
fn in_words(training: &Training, module: &Value) -> String {
    let mut words = Vec::new();
    if let Some(epochs) = module["epochs"].as_u64() {
        words.push(crate::quantity::counted(epochs as usize, "epoch"));
    }
    if training.steps > 0 {
        words.push(format!("{} steps", training.steps));
    }
    for (name, pointer) in [("batch", "/training/batch"), ("seed", "/seed")] {
        if let Some(value) = training.settings.pointer(pointer) {
            words.push(format!("{name} {value}"));
        }
    }
    if let Some(rate) = module["learning_rate"].as_f64() {
        words.push(format!("learning rate {rate}"));
    }
    words.join(", ")
}

/// Cuts the twin's layers into modules like the run's. In each module, layers are numbered from 0 again.
fn cut(run: &RunView<'_>, encoder: &Parameters, channels: usize) -> Result<Vec<Module>> {
    let (mut first, mut channels) = (0, channels);
    let mut modules = Vec::new();
    for module in &run.pipeline.modules {
        let mut parameters = Parameters::from_tensors([]);
        for index in 0..module.layers().len() {
            parameters.extend(&index.to_string(), encoder.under(&(first + index).to_string()));
        }
        modules.push(Module::new(module.layers(), channels, &parameters)?);
        channels = module.layers().iter().fold(channels, |it, layer| layer.out_channels(it));
        first += module.layers().len();
    }
    Ok(modules)
}

/// The test split as the run's first module reads it.
fn first_input(run: &RunView<'_>, test: &Generation) -> Result<Box<dyn Input>> {
    let handler = media::of(&run.pipeline.view);
    let training = || run.standing.generation(Step::Ingest, Split::Train);
    let training = handler.is_normalised_by_training().then(training).transpose()?;
    handler.input(&Ingested {
        samples: test,
        training: training.as_ref(),
        source: &run.pipeline.data.source,
        split: Split::Test,
        seed: run.pipeline.seed,
        views_before: 0,
    })
}
