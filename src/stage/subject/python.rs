//! A module that is written in PyTorch: it lies in a process of its own, and computes its loss itself.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::patience::without_best;
use super::{Place, Start, Subject};
use crate::Result;
use crate::exchange::published::Published;
use crate::loss::Loss;
use crate::module::Frozen;
use crate::parameters::Parameters;
use crate::pipeline::PythonStage;
use crate::python::{self, Opening, Pupil, StageProcess};
use crate::random::generator;
use crate::train::learning::{Judge, Learning};

/// A module that is written in PyTorch.
pub(super) struct OfPython<'a> {
    pub place: Place<'a>,
    pub stage: &'a PythonStage,
}

/// What keys hold of a stage.
pub(super) fn key_of(stage: &PythonStage) -> Result<Value> {
    Ok(json!({ "python": python::key_of(stage)? }))
}

impl OfPython<'_> {
    /// Starts its process. Its weights are those that were drawn.
    fn open(&self, learning_rate: f64) -> Result<StageProcess> {
        let Place { pipeline, stack, index, device, key, .. } = &self.place;
        let module = &pipeline.modules[*index];
        let (input, output) = (stack.input(*index), stack.output(*index));
        let patches = stack.pooling.maps();
        let opening = Opening {
            module: module.name.clone(),
            shape: [patches, input.height, input.width, input.channels],
            grid: stack.grid,
            output: [patches, output.height, output.width, output.channels],
            device: device.name(),
            seed: generator(pipeline.seed, &format!("{}/init", module.name), &[]).next_u64(),
            learning_rate,
            key: key.and_then(|it| it.get("python")).cloned(),
        };
        StageProcess::open(self.stage, &opening)
    }

    /// Starts its process with these weights.
    fn with(&self, parameters: &Parameters) -> Result<StageProcess> {
        let process = self.open(self.learning_rate())?;
        process.load(&parameters.under("encoder"))?;
        Ok(process)
    }

    fn learning_rate(&self) -> f64 {
        self.place.pipeline.modules[self.place.index].learning_rate
    }
}

impl Subject for OfPython<'_> {
    fn drawn(&self) -> Result<Parameters> {
        let mut drawn = Parameters::default();
        drawn.extend("encoder", self.open(self.learning_rate())?.weights()?);
        Ok(drawn)
    }

    fn learning(&self, start: Start<'_>) -> Result<Box<dyn Learning>> {
        let state = start.state.map(|(state, steps)| (without_best(state), steps));
        let state = state.as_ref().map(|(state, steps)| (state, *steps));
        let process = self.open(start.learning_rate)?;
        let parameters = self.place.stack.cost(self.place.index).parameters;
        Ok(Box::new(Pupil::new(process, self.place.sizes, parameters, state)?))
    }

    fn untrained(&self) -> Result<Box<dyn Frozen>> {
        Ok(Box::new(self.open(self.learning_rate())?))
    }

    fn frozen(&self, parameters: &Parameters) -> Result<Box<dyn Frozen>> {
        Ok(Box::new(self.with(parameters)?))
    }

    fn judge(&self, parameters: &Parameters) -> Result<Arc<dyn Judge>> {
        Ok(Arc::new(self.with(parameters)?))
    }

    fn loss_of_pooled(&self, _parameters: &Parameters) -> Result<Option<Box<dyn Loss>>> {
        Ok(None)
    }

    fn published(&self) -> Vec<Published> {
        let described = self.place.stack.described(self.place.index);
        let weights = described.map_or(&[][..], |it| &it.weights);
        let published = |it: &python::Weight| Published::unchanged("encoder", &it.name, &it.shape);
        weights.iter().map(published).collect()
    }
}
