//! A module with layers: it trains here, under the loss of the pipeline.

use std::sync::Arc;

use candle_core::Tensor;
use serde_json::{Value, json};

use super::super::patience::without_best;
use super::{Place, Start, Subject};
use crate::Result;
use crate::device;
use crate::exchange::published::{self, Published};
use crate::layer::{Layer, borrowed};
use crate::loss::{Loss, Sizes};
use crate::module::{Frozen, Keep, Module, Readout};
use crate::parameters::Parameters;
use crate::pipeline::json_of;
use crate::train::learning::{Judge, Judged, Learning, Lesson};
use crate::train::trainer::{self, Trainer, forward, pieces};

/// A module with layers.
pub(super) struct OfLayers<'a> {
    pub place: Place<'a>,
    pub layers: &'a [Arc<dyn Layer>],
}

/// What keys hold of layers.
pub(super) fn key_of(layers: &[Arc<dyn Layer>]) -> Result<Value> {
    Ok(json!({ "layers": json_of(&borrowed(layers))? }))
}

impl OfLayers<'_> {
    /// The number of channels that it reads.
    fn channels(&self) -> usize {
        self.place.stack.input(self.place.index).channels
    }

    fn module(&self, parameters: &Parameters) -> Result<Module> {
        let encoder = parameters.under("encoder").on(self.place.device)?;
        Module::new(self.layers, self.channels(), &encoder)
    }

    fn loss(&self, parameters: &Parameters) -> Result<Box<dyn Loss>> {
        self.place.pipeline.loss.build(self.place.sizes, &parameters.under("loss"))
    }
}

impl Subject for OfLayers<'_> {
    fn drawn(&self) -> Result<Parameters> {
        let Place { pipeline, index, sizes, .. } = self.place;
        let shapes = trainer::shapes(self.layers, pipeline.loss.as_ref(), self.channels(), sizes);
        Parameters::draw(&shapes, pipeline.seed, &pipeline.modules[index].name)
    }

    fn learning(&self, start: Start<'_>) -> Result<Box<dyn Learning>> {
        let Place { pipeline, stack, sizes, device, .. } = self.place;
        let initial = match start.state {
            Some((state, _)) => without_best(state).without("adam"),
            None => self.drawn()?,
        };
        let (loss, rate) = (pipeline.loss.as_ref(), start.learning_rate);
        let initial = initial.on(device)?;
        let trainer = Trainer::new(self.layers, loss, self.channels(), sizes, rate, &initial)?;
        let training = &pipeline.training;
        let mut trainer =
            trainer.pooling(stack.pooling).saving_memory(training.micro_batch, training.recompute);
        if let Some((state, steps)) = start.state {
            trainer.restore(state, steps)?;
        }
        Ok(Box::new(match start.steps_per_epoch {
            Some(steps) => trainer.in_epochs_of(steps),
            None => trainer,
        }))
    }

    fn untrained(&self) -> Result<Box<dyn Frozen>> {
        self.frozen(&self.drawn()?)
    }

    fn frozen(&self, parameters: &Parameters) -> Result<Box<dyn Frozen>> {
        Ok(Box::new(self.module(parameters)?))
    }

    fn judge(&self, parameters: &Parameters) -> Result<Arc<dyn Judge>> {
        let Place { pipeline, stack, sizes, .. } = self.place;
        Ok(Arc::new(LayersAndLoss {
            module: self.module(parameters)?.reading(Readout::of(stack.pooling)),
            loss: self.loss(parameters)?,
            sizes,
            maps_at_once: pipeline.training.micro_batch.map(|it| it * stack.pooling.maps()),
        }))
    }

    fn loss_of_pooled(&self, parameters: &Parameters) -> Result<Option<Box<dyn Loss>>> {
        let stores = self.place.stack.pooling.stores_what_the_loss_sees();
        stores.then(|| self.loss(parameters)).transpose()
    }

    fn published(&self) -> Vec<Published> {
        let Place { pipeline, sizes, .. } = self.place;
        published::parameters(self.layers, self.channels(), pipeline.loss.as_ref(), sizes)
    }
}

/// A module and its loss, ready for evaluation on a device.
struct LayersAndLoss {
    module: Module,
    loss: Box<dyn Loss>,
    sizes: Sizes,
    /// As many maps as go through the module at a time in training.
    maps_at_once: Option<usize>,
}

impl Judge for LayersAndLoss {
    fn judge(&self, x: &Tensor, lesson: &Lesson, maps: bool) -> Result<Judged> {
        let Sizes { channels, rows, columns, .. } = self.sizes;
        let pieces = pieces(x, self.maps_at_once)?;
        let (pooled, maps) = forward(&self.module, &pieces, Keep::Nothing, maps)?;
        let pooled = pooled.reshape(((), rows, columns, channels))?;
        let context = self.module.context_of(&pooled)?;
        let maps = maps.map(|maps| self.module.handed_on(&context, maps)).transpose()?;
        let [pooled, context] = [&pooled, &context].map(|it| device::home(&it.detach()));
        let outcome = self.loss.forward(&pooled?, &context?, &lesson.samples)?;
        let loss = f64::from(outcome.loss.to_scalar::<f32>()?);
        Ok(Judged { loss, accuracy: outcome.accuracy, maps })
    }
}
