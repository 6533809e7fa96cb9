//! A module's own loss on the test split: as its training left it, as it was drawn, or in between.

use candle_core::{Device, Tensor};
use gimlet_store::Generation;

use super::Run;
use super::probe::Kind;
use crate::Result;
use crate::device;
use crate::loss::{Loss, Samples, Sizes};
use crate::module::{Keep, Module, Readout};
use crate::parameters::Parameters;
use crate::pipeline::{Split, View};
use crate::random::generator;
use crate::train::input::{Input, Look, POOLED};

impl Run<'_> {
    /// The mean loss of a module over whole batches of the test split, which was encoded as `test`; its
    /// negatives are drawn from the seed.
    pub(super) fn held_out_loss(
        &self,
        index: usize,
        kind: Kind,
        sizes: Sizes,
        test: &Generation,
    ) -> Result<f64> {
        let parameters = match kind {
            Kind::Trained => self.weights(self.plan.last(index))?,
            Kind::Untrained => self.drawn(index)?,
        };
        let loss = self.pipeline.loss.recipe().build(sizes, &parameters.under("loss"))?;
        match self.pipeline.view {
            View::Images(_) => self.loss_of_pooled(index, sizes, loss.as_ref(), test),
            View::Sound(_) => {
                // Whose loss sees more than what is stored.
                let input = match kind {
                    Kind::Trained => self.input(self.plan.last(index), Split::Test)?,
                    Kind::Untrained => self.untrained_input(index, Split::Test)?,
                };
                let labels = self.labels(|| input.keys())?;
                let encoder = parameters.under("encoder");
                let all = (input.as_ref(), labels.as_slice(), usize::MAX);
                self.loss_of_input(index, sizes, loss.as_ref(), &encoder, all)
            }
        }
    }

    /// Of the pooled vectors that are stored.
    fn loss_of_pooled(
        &self,
        index: usize,
        sizes: Sizes,
        loss: &dyn Loss,
        generation: &Generation,
    ) -> Result<f64> {
        let reader = generation.reader(&[POOLED])?;
        let labels = self.labels(|| Ok(reader.keys()?))?;
        let shape = (sizes.rows, sizes.columns, sizes.channels);
        self.mean_loss(index, sizes, loss, (reader.rows(), usize::MAX), &labels, |rows| {
            let mut values = vec![0.0; rows.len() * sizes.positions() * sizes.channels];
            reader.read_f32(POOLED, rows, &mut values)?;
            let shape = (rows.len(), shape.0, shape.1, shape.2);
            let pooled = Tensor::from_vec(values, shape, &Device::Cpu)?;
            Ok([pooled.clone(), pooled])
        })
    }

    /// The same of parameters that need not be committed, computed from what the module reads of the test
    /// split: on whole batches evenly spaced over it, at most so many.
    pub(super) fn held_out_loss_of(
        &self,
        index: usize,
        parameters: &Parameters,
        input: &dyn Input,
        labels: &[u32],
        most: usize,
    ) -> Result<f64> {
        let sizes = self.sizes(index)?;
        let loss = self.pipeline.loss.recipe().build(sizes, &parameters.under("loss"))?;
        let encoder = parameters.under("encoder");
        self.loss_of_input(index, sizes, loss.as_ref(), &encoder, (input, labels, most))
    }

    /// Computed from what the module reads.
    fn loss_of_input(
        &self,
        index: usize,
        sizes: Sizes,
        loss: &dyn Loss,
        encoder: &Parameters,
        (input, labels, most): (&dyn Input, &[u32], usize),
    ) -> Result<f64> {
        let (map, _) = self.maps(index)?;
        let layers = &self.pipeline.modules[index].layers;
        let readout = match self.pipeline.view {
            View::Images(_) => Readout::Mean,
            View::Sound(_) => Readout::Steps,
        };
        let encoder = encoder.on(&self.device)?;
        let module = Module::new(layers, map.channels, &encoder)?.reading(readout);
        let rows = input.rows() as u64;
        self.mean_loss(index, sizes, loss, (rows, most), labels, |rows| {
            let x = self.device.take(&input.tensor(rows, Look::Frozen, None)?)?;
            let pooled = module.pooled(&x, Keep::Nothing)?;
            let pooled = pooled.reshape((rows.len(), sizes.rows, sizes.columns, sizes.channels))?;
            let context = module.context_of(&pooled)?;
            Ok([device::home(&pooled.detach())?, device::home(&context.detach())?])
        })
    }

    /// The mean loss over whole batches of so many rows, at most `most` of them; `seen` makes what the loss
    /// sees of some, and the context.
    fn mean_loss(
        &self,
        index: usize,
        sizes: Sizes,
        loss: &dyn Loss,
        (rows, most): (u64, usize),
        labels: &[u32],
        seen: impl Fn(&[u64]) -> Result<[Tensor; 2]>,
    ) -> Result<f64> {
        let recipe = self.pipeline.loss.recipe();
        let rows: Vec<u64> = (0..rows).collect();
        let batch = self.pipeline.training.batch.min(rows.len());
        let purpose = format!("{}/held-out negatives", self.plan.module(index));
        let spacing = (rows.len() / batch).div_ceil(most).max(1);
        let (mut sum, mut batches) = (0.0, 0u64);
        for (number, rows) in rows.chunks_exact(batch).enumerate().step_by(spacing) {
            let [pooled, context] = seen(rows)?;
            let mut draws = generator(self.pipeline.seed, &purpose, &[number as u64]);
            let drawn = recipe.draw(batch, sizes, &mut draws);
            let labels = rows.iter().filter_map(|row| labels.get(*row as usize).copied());
            let samples = Samples { labels: labels.collect(), drawn };
            let outcome = loss.forward(&pooled, &context, &samples)?;
            sum += f64::from(outcome.loss.to_scalar::<f32>()?);
            batches += 1;
        }
        Ok(sum / batches as f64)
    }
}
