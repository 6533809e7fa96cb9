//! Trains one module, step by step: forward, local loss, backward, Adam.

use std::sync::Arc;
use std::time::Instant;

use candle_core::{Tensor, Var};

use super::adam::Adam;
use super::learns_nothing::{self, LearnsNothing};
use super::profile::{Breakdown, Profile};
use crate::layer::Layer;
use crate::loss::{Loss, Recipe, Samples, Sizes};
use crate::module::{self, Keep, Module, Readout};
use crate::parameters::{ParameterShape, Parameters};
use crate::pipeline::Pooling;
use crate::{Error, Result};

/// A module in training, with its loss and optimiser.
pub struct Trainer {
    module: Module,
    loss: Box<dyn Loss>,
    parameters: Parameters,
    adam: Adam,
    pooling: Pooling,
    sizes: Sizes,
    steps: u64,
    micro_batch: Option<usize>,
    keep: Keep,
    steps_per_epoch: Option<u64>,
    profile: Profile,
}

/// The result of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The loss of the batch, before the update.
    pub loss: f64,
    /// The share of predictions that were right, if the loss has an accuracy.
    pub accuracy: Option<f64>,
    /// Says how all channels are dead, if that was checked and is so.
    pub dead: Option<LearnsNothing>,
}

/// The shapes of all parameters that train with a module: `encoder.…` and `loss.…`.
///
/// `input` is the number of input channels, `sizes` what the loss sees.
pub fn shapes(
    layers: &[Arc<dyn Layer>],
    loss: &dyn Recipe,
    input: usize,
    sizes: Sizes,
) -> Vec<ParameterShape> {
    let encoder = module::shapes(layers, input).into_iter().map(|it| it.under("encoder"));
    encoder.chain(loss.shapes(sizes).into_iter().map(|it| it.under("loss"))).collect()
}

impl Trainer {
    /// A trainer that starts from the parameters `initial`, named as by [`shapes`], and computes on their
    /// device.
    ///
    /// `input` is the number of the module's input channels, `sizes` what its loss sees.
    ///
    /// # Errors
    /// When a parameter is missing or has another shape.
    pub fn new(
        layers: &[Arc<dyn Layer>],
        loss: &dyn Recipe,
        input: usize,
        sizes: Sizes,
        learning_rate: f64,
        initial: &Parameters,
    ) -> Result<Self> {
        let (parameters, variables) = initial.trainable()?;
        Ok(Self {
            module: Module::new(layers, input, &parameters.under("encoder"))?,
            pooling: Pooling::Patches { grid: [sizes.rows, sizes.columns] },
            loss: loss.build(sizes, &parameters.under("loss"))?,
            adam: Adam::new(variables, learning_rate, initial.device())?,
            parameters,
            sizes,
            steps: 0,
            micro_batch: None,
            keep: Keep::Activations,
            steps_per_epoch: None,
            profile: Profile::default(),
        })
    }

    /// Sets how samples are pooled; without this, like images.
    #[must_use]
    pub fn pooling(self, pooling: Pooling) -> Self {
        Self { pooling, module: self.module.reading(Readout::of(pooling)), ..self }
    }

    /// Trades time for memory: splits every batch into pieces of `micro_batch` samples, if given, and with
    /// `recompute` keeps nothing of a forward pass.
    ///
    /// The loss does not change: it still sees the pooled vectors of the whole batch, negatives included. With
    /// pieces, a first pass computes these and keeps nothing, and a second pass takes each piece forward again
    /// and back (Gao et al. 2021, "Scaling deep contrastive learning batch size under memory limited setup").
    /// Recomputing changes no bit of a gradient; pieces change the order in which it is summed.
    #[must_use]
    pub fn saving_memory(self, micro_batch: Option<usize>, recompute: bool) -> Self {
        let keep = if recompute { Keep::Nothing } else { Keep::Activations };
        Self { micro_batch, keep, ..self }
    }

    /// Sets the steps per epoch, and so turns on the checks for dead channels, twice per epoch.
    #[must_use]
    pub fn in_epochs_of(self, steps: u64) -> Self {
        Self { steps_per_epoch: Some(steps), ..self }
    }

    /// Takes one step on `input` `[batch * patches, h, w, channels]`, on any device.
    ///
    /// # Errors
    /// When the loss is not finite: no variable has changed then.
    pub fn step(&mut self, input: &Tensor, samples: &Samples) -> Result<Step> {
        Ok(self.take_step(input, samples, false)?.0)
    }

    /// Takes a [`Self::step`], and returns the module's output for `input` before it: the maps that the next
    /// module reads, `[batch * patches, h', w', channels']`, from the same forward pass and on the module's
    /// device. No gradient flows back through them.
    ///
    /// # Errors
    /// The errors of [`Self::step`].
    pub fn step_and_maps(&mut self, input: &Tensor, samples: &Samples) -> Result<(Step, Tensor)> {
        let (step, maps) = self.take_step(input, samples, true)?;
        Ok((step, maps.ok_or_else(|| Error::failed("a training step gave no maps"))?))
    }

    /// Takes one step, and returns the maps of [`Self::step_and_maps`] if they are `wanted`.
    fn take_step(
        &mut self,
        input: &Tensor,
        samples: &Samples,
        wanted: bool,
    ) -> Result<(Step, Option<Tensor>)> {
        let started = Instant::now();
        let patches = self.pooling.maps();
        let input = self.parameters.device().take(input)?;
        let pieces = pieces(&input, self.micro_batch.map(|samples| samples * patches))?;
        // With several pieces, only one at a time may keep anything.
        let keep = if pieces.len() == 1 { self.keep } else { Keep::Nothing };
        let (pooled, maps) = forward(&self.module, &pieces, keep, wanted)?;
        let forward = Instant::now();

        // The loss has its own graph, from the pooled vectors and its predictors on.
        let pooled = Var::from_tensor(&pooled)?;
        let Sizes { channels, rows, columns, .. } = self.sizes;
        let on_grid = pooled.reshape(((), rows, columns, channels))?;
        let context = self.module.context_of(&on_grid)?;
        // A GRU runs forward only if the loss sees its output.
        let maps = maps.map(|maps| self.module.handed_on(&context, maps)).transpose()?;
        let outcome = self.loss.forward(&on_grid, &context, samples)?;
        let loss = f64::from(outcome.loss.to_scalar::<f32>()?);
        if !loss.is_finite() {
            return Err(Error::failed(format!("the loss is {loss}")));
        }
        let looks = |epoch| learns_nothing::is_looked_at(self.steps, epoch);
        let dead = match self.steps_per_epoch.is_some_and(looks) {
            true => learns_nothing::dead(&on_grid)?,
            false => None,
        };
        let mut gradients = outcome.loss.backward()?;
        let d_pooled = gradients.remove(&pooled);
        let d_pooled = d_pooled.ok_or_else(|| Error::failed("the loss does not read its input"))?;
        let contrasted = Instant::now();

        // For sound, each map has one vector per step.
        let vectors = pooled.dim(0)? / input.dim(0)?.max(1);
        let mut first = 0;
        for piece in &pieces {
            if pieces.len() > 1 && self.keep == Keep::Activations {
                self.module.pooled(piece, self.keep)?;
            }
            let len = piece.dim(0)? * vectors;
            let d_pooled = d_pooled.narrow(0, first, len)?.contiguous()?;
            first += len;
            for (parameter, gradient) in self.module.gradients(piece, &d_pooled, self.keep)? {
                let sum = match gradients.remove(&parameter) {
                    Some(before) => before.add(&gradient)?,
                    None => gradient,
                };
                gradients.insert(&parameter, sum);
            }
        }
        let carried_back = Instant::now();
        self.adam.step(&gradients)?;
        self.steps += 1;

        let breakdown = &mut self.profile.breakdown;
        breakdown.steps += 1;
        breakdown.forward += (forward - started).as_secs_f64();
        breakdown.loss += (contrasted - forward).as_secs_f64();
        breakdown.backward += (carried_back - contrasted).as_secs_f64();
        breakdown.optimiser += carried_back.elapsed().as_secs_f64();
        self.profile.batch = (input.elem_count() * size_of::<f32>()) as u64;
        Ok((Step { loss, accuracy: outcome.accuracy, dead }, maps))
    }

    /// Time and memory of the steps so far. The layers' times are counted from one call to the next.
    pub fn profile(&self) -> Profile {
        let threads = rayon::current_num_threads() as f64;
        let layers = self.module.seconds().into_iter().map(|both| both.map(|it| it / threads));
        let parameters = (self.parameters.count() * size_of::<f32>()) as u64;
        Profile {
            layers: layers.collect(),
            parameters,
            moments: 2 * parameters,
            module: self.module.memory(),
            ..self.profile.clone()
        }
    }

    /// The time of the steps so far, by part.
    pub fn breakdown(&self) -> Breakdown {
        self.profile.breakdown
    }

    /// The sizes that the loss sees.
    pub fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// Number of steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// A copy of the parameters, which later steps do not change.
    ///
    /// # Errors
    /// When one is not finite, or cannot be copied.
    pub fn parameters(&self) -> Result<Parameters> {
        self.adam.check_finite()?;
        self.parameters.frozen()
    }

    /// Everything that a later [`Self::restore`] needs: `encoder.…`, `loss.…`, `adam.…`.
    ///
    /// # Errors
    /// When a parameter is not finite, or cannot be copied.
    pub fn state(&self) -> Result<Parameters> {
        let mut state = self.parameters()?;
        state.extend("adam", self.adam.state()?);
        Ok(state)
    }

    /// Restores the optimiser from a [`Self::state`] written after `steps` steps. The parameters in it go to
    /// [`Self::new`].
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn restore(&mut self, state: &Parameters, steps: u64) -> Result<()> {
        self.steps = steps;
        self.adam.restore(&state.under("adam"), steps)
    }
}

/// Takes pieces of a batch through a module: the vectors that its loss sees, and the maps if they are `wanted`.
pub(crate) fn forward(
    module: &Module,
    pieces: &[Tensor],
    keep: Keep,
    wanted: bool,
) -> Result<(Tensor, Option<Tensor>)> {
    let (mut pooled, mut maps) = (Vec::new(), Vec::new());
    for piece in pieces {
        if wanted {
            let (of_piece, maps_of_piece) = module.pooled_and_maps(piece, keep)?;
            pooled.push(of_piece);
            maps.push(maps_of_piece);
        } else {
            pooled.push(module.pooled(piece, keep)?);
        }
    }
    let maps = if wanted { Some(Tensor::cat(&maps, 0)?) } else { None };
    Ok((Tensor::cat(&pooled, 0)?, maps))
}

/// Cuts `input` into pieces of `maps` maps.
pub(crate) fn pieces(input: &Tensor, maps: Option<usize>) -> Result<Vec<Tensor>> {
    let all = input.dim(0)?;
    let maps = maps.unwrap_or(all).clamp(1, all.max(1));
    let piece = |first| Ok(input.narrow(0, first, maps.min(all - first))?);
    (0..all).step_by(maps).map(piece).collect()
}
